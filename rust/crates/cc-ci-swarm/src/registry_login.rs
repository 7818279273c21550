//! Logins to image registries, as the Docker CLI of the user who runs this program knows them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bollard::auth::DockerCredentials;
use cc_ci_process::environment::{DOCKER_CONFIG, HOME};
use cc_ci_process::mask::{Masker, SecretValue};
use serde::Deserialize;

use crate::programs::Programs;

/// The key under which the Docker CLI keeps a login to Docker Hub.
const HUB: &str = "https://index.docker.io/v1/";
/// Names of the same registry.
const HUB_HOSTS: [&str; 4] =
    ["index.docker.io", "docker.io", "registry-1.docker.io", "registry.hub.docker.com"];
/// A credential helper asks a keychain on this machine.
const HELPER_LIMIT: Duration = Duration::from_secs(20);

/// Why a file with logins cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("reading the registry logins in {}: {reason}; mend the file, or run docker login again", path.display())]
pub struct LoginError {
    path: PathBuf,
    reason: String,
}

/// Where an image comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Registry {
    /// Docker Hub, which is meant where a name has no host.
    Hub,
    /// Another one, `host` or `host:port`.
    Host(String),
}

impl Registry {
    /// The registry of an image: what stands before its first slash, if that looks like a host.
    #[must_use]
    pub fn of(image: &str) -> Self {
        let first = image.split_once('/').map(|(first, _)| first);
        match first.filter(|first| first.contains(['.', ':']) || *first == "localhost") {
            Some(host) if !HUB_HOSTS.contains(&host) => Self::Host(host.to_owned()),
            Some(_) | None => Self::Hub,
        }
    }

    /// The key of a login, as the CLI writes it.
    fn key(&self) -> &str {
        match self {
            Self::Hub => HUB,
            Self::Host(host) => host,
        }
    }

    fn is_named_by(&self, key: &str) -> bool {
        let bare = key.split_once("://").map_or(key, |(_, rest)| rest);
        let host = bare.split('/').next().unwrap_or_default();
        match self {
            Self::Hub => HUB_HOSTS.contains(&host),
            Self::Host(own) => host == own,
        }
    }
}

/// The part of the Docker CLI's `config.json` that is about logins.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Config {
    auths: BTreeMap<String, Entry>,
    #[serde(rename = "credsStore")]
    store: Option<String>,
    #[serde(rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    #[serde(rename = "identitytoken")]
    identity_token: Option<String>,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Entry")
    }
}

/// What a credential helper answers.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// Logins that pulls are made with; each value that is used is told to the masker.
#[derive(Clone)]
pub struct Logins {
    config: Config,
    asking: Option<(Programs, PathBuf)>,
    masker: Masker,
}

impl Logins {
    /// No logins: everything is asked for as nobody.
    #[must_use]
    pub fn none() -> Self {
        Self { config: Config::default(), asking: None, masker: Masker::new() }
    }

    /// Those of the user who runs this program: `config.json` in `DOCKER_CONFIG`, else in `~/.docker`. Without such a file
    /// there are none.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn of_user(programs: &Programs, masker: &Masker) -> Result<Self, LoginError> {
        let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = folder(HOME);
        let Some(config) = folder(DOCKER_CONFIG).or_else(|| home.as_ref().map(|home| home.join(".docker")))
        else {
            return Ok(Self::none());
        };
        let home = home.unwrap_or_else(|| config.clone());
        Self::read(&config.join("config.json"), Some((programs, &home)), masker)
    }

    /// Those of a file of the Docker CLI; credential helpers are asked where there are programs and a home for them.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn read(
        file: &Path,
        asking: Option<(&Programs, &Path)>,
        masker: &Masker,
    ) -> Result<Self, LoginError> {
        let failed = |reason: String| LoginError { path: file.to_owned(), reason };
        let config = match std::fs::read_to_string(file) {
            Ok(text) => serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Config::default(),
            Err(error) => return Err(failed(error.to_string())),
        };
        let asking = asking.map(|(programs, home)| (programs.clone(), home.to_owned()));
        Ok(Self { config, asking, masker: masker.clone() })
    }

    /// The login for an image's registry; none where the user has none, or a helper does not hand it out.
    pub(crate) async fn of(&self, image: &str) -> Option<DockerCredentials> {
        let registry = Registry::of(image);
        let named = |keys: &BTreeMap<String, String>| {
            keys.iter().find(|(key, _)| registry.is_named_by(key)).map(|(_, helper)| helper.clone())
        };
        let helper = named(&self.config.helpers).or_else(|| self.config.store.clone());
        let found = match helper {
            Some(helper) => self.ask(&helper, registry.key()).await,
            None => self.in_file(&registry),
        }?;
        for secret in [&found.password, &found.identitytoken].into_iter().flatten() {
            // One that is too short to be masked is no secret worth hiding.
            let _ = self.masker.add("registry login", &SecretValue::new(secret.clone()));
        }
        Some(found)
    }

    fn in_file(&self, registry: &Registry) -> Option<DockerCredentials> {
        let (_, entry) = self.config.auths.iter().find(|(key, _)| registry.is_named_by(key))?;
        let server = Some(registry.key().to_owned());
        if let Some(token) = entry.identity_token.clone().filter(|token| !token.is_empty()) {
            return Some(credentials(server, None, None, Some(token)));
        }
        let text = String::from_utf8(STANDARD.decode(entry.auth.as_deref()?).ok()?).ok()?;
        let (user, password) = text.split_once(':')?;
        Some(credentials(
            server,
            Some(user.to_owned()),
            Some(password.trim_end_matches('\0').to_owned()),
            None,
        ))
    }

    /// Asks `docker-credential-<helper>`. One that is not there or knows nothing leaves the pull to nobody's rights; the
    /// registry's answer then tells.
    async fn ask(&self, helper: &str, server: &str) -> Option<DockerCredentials> {
        let (programs, home) = self.asking.as_ref()?;
        if helper.is_empty()
            || !helper.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        {
            return None;
        }
        let program = format!("docker-credential-{helper}");
        let label = format!("asking {program} for the login to {server}");
        let home_text = home.to_string_lossy();
        let programs = programs.with_env([(HOME, home_text.as_ref())]);
        let asked = programs
            .run_with_input(
                &label,
                &program,
                &["get"],
                Path::new("/"),
                HELPER_LIMIT,
                server.as_bytes().to_vec(),
            )
            .await;
        let output = match asked {
            Ok(output) if output.success() => output,
            Ok(_) => return None,
            Err(error) => {
                tracing::warn!(code = "no-registry-login", "{error}");
                return None;
            }
        };
        let Answer { username, secret } = serde_json::from_str(&output.stdout).ok()?;
        let server = Some(server.to_owned());
        // By this name helpers hand out a token instead of a password.
        Some(if username == "<token>" {
            credentials(server, None, None, Some(secret))
        } else {
            credentials(server, Some(username), Some(secret), None)
        })
    }
}

fn credentials(
    serveraddress: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
) -> DockerCredentials {
    DockerCredentials { username, password, serveraddress, identitytoken, ..DockerCredentials::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logins(text: &str) -> Logins {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");
        std::fs::write(&file, text).unwrap();
        Logins::read(&file, None, &Masker::new()).unwrap()
    }

    #[test]
    fn an_image_without_a_host_is_docker_hubs() {
        for image in
            ["nginx", "nginx:1.2", "library/nginx", "docker.io/library/nginx", "group/name@sha256:0a"]
        {
            assert_eq!(Registry::of(image), Registry::Hub, "{image}");
        }
        for (image, host) in [
            ("reg.example/a/b", "reg.example"),
            ("127.0.0.1:5000/probe:1", "127.0.0.1:5000"),
            ("localhost/x", "localhost"),
        ] {
            assert_eq!(Registry::of(image), Registry::Host(host.to_owned()));
        }
    }

    #[tokio::test]
    async fn a_login_goes_to_its_own_registry_and_to_no_other() {
        let own = logins(
            r#"{"auths": {"https://reg.example": {"auth": "dGVzdGVyOm9wZW46c2VzYW1l"},
                "https://index.docker.io/v1/": {"auth": "aHViOnB3", "identitytoken": "a-token"}}, "other": 1}"#,
        );
        let found = own.of("reg.example/a:1").await.unwrap();
        let names = (found.username.as_deref(), found.password.as_deref(), found.serveraddress.as_deref());
        assert_eq!(names, (Some("tester"), Some("open:sesame"), Some("reg.example")));
        let hub = own.of("nginx").await.unwrap();
        assert_eq!((hub.username, hub.identitytoken.as_deref()), (None, Some("a-token")));
        for stranger in ["reg.example.evil.test/a", "reg.example:5000/a", "evil.test/reg.example/a"] {
            assert!(own.of(stranger).await.is_none(), "{stranger}");
        }
    }

    #[tokio::test]
    async fn without_a_file_nobody_is_logged_in_and_a_broken_one_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");
        assert!(Logins::read(&file, None, &Masker::new()).unwrap().of("nginx").await.is_none());
        std::fs::write(&file, "{").unwrap();
        let error = Logins::read(&file, None, &Masker::new()).err().unwrap().to_string();
        assert!(error.contains("config.json") && error.contains("docker login"), "{error}");
    }

    #[tokio::test]
    async fn what_a_login_holds_is_masked() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");
        std::fs::write(&file, r#"{"auths": {"reg.example": {"auth": "dGVzdGVyOm9wZW4tc2VzYW1l"}}}"#).unwrap();
        let masker = Masker::new();
        Logins::read(&file, None, &masker).unwrap().of("reg.example/a").await.unwrap();
        assert!(!masker.mask("answer: open-sesame").contains("open-sesame"));
    }
}
