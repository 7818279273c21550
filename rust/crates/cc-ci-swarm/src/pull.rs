//! Pulling images before a deploy, so that neither a slow nor a failed pull looks like a deployment that hangs.

use std::time::{Duration, Instant};

use bollard::query_parameters::CreateImageOptions;
use cc_ci_process::cancel::Cancellation;
use futures_util::{StreamExt, TryStreamExt};

use crate::docker::{Attempt, Docker, DockerError};
use crate::registry_login::{Logins, Registry};

/// How many images are pulled at once; the engine itself pulls three layers of each at a time.
const AT_ONCE: usize = 3;

/// Why an image is not there.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The registry has no such image or tag: the recipe's fault.
    #[error(
        "pulling {image}: the registry has no such image (\"{answer}\"); check name and tag in the recipe"
    )]
    Missing {
        /// The image.
        image: String,
        /// The words of the registry.
        answer: String,
    },
    /// The registry does not let us have it: trouble, as nobody can tell whether it exists.
    #[error("pulling {image}: the registry refuses it (\"{answer}\"): {}", remedy(.image, *.has_login))]
    Denied {
        /// The image.
        image: String,
        /// The words of the registry.
        answer: String,
        /// Whether it was asked with a login.
        has_login: bool,
    },
    /// The registry could not be asked, limits the rate or failed: trouble.
    #[error("pulling {image}: {answer}; try again when the registry answers")]
    Registry {
        /// The image.
        image: String,
        /// The words of the engine.
        answer: String,
    },
    /// It took too long: trouble.
    #[error("pulling {image}: not done after {} s", after.as_secs())]
    TimedOut {
        /// The image.
        image: String,
        /// The bound.
        after: Duration,
    },
    /// The run was cancelled.
    #[error("pulling {image}: ended because {cause}")]
    Cancelled {
        /// The image.
        image: String,
        /// Why.
        cause: String,
    },
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] DockerError),
}

impl PullError {
    /// Whether the recipe names what does not exist; everything else is trouble.
    #[must_use]
    pub fn is_recipes_fault(&self) -> bool {
        matches!(self, Self::Missing { .. })
    }
}

fn remedy(image: &str, has_login: bool) -> String {
    let registry = Registry::of(image);
    let name = match registry {
        Registry::Hub => String::new(),
        Registry::Host(host) => format!(" {host}"),
    };
    if has_login {
        return format!(
            "this host's login may not have it; check the name, or run `docker login{name}` again"
        );
    }
    format!(
        "it is not there, or it needs a login; check the name, or run `docker login{name}` as the user who runs cc-ci"
    )
}

/// An image that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PulledImage {
    /// Its name as asked for.
    pub image: String,
    /// `sha256:…` of the registry's manifest; `None` for one that came from no registry.
    pub digest: Option<String>,
    /// Size on disk in bytes.
    pub size_bytes: u64,
    /// How long the pull took; `None` if the image was there already.
    pub took: Option<Duration>,
}

/// Makes sure that all images are there, pulls those that are missing, a few at a time, each within `limit`.
///
/// # Errors
/// The first image that could not be had.
pub async fn pull_missing(
    docker: &Docker,
    images: &[String],
    logins: &Logins,
    limit: Duration,
    cancellation: &Cancellation,
) -> Result<Vec<PulledImage>, PullError> {
    let mut names = images.to_vec();
    names.sort();
    names.dedup();
    futures_util::stream::iter(names)
        .map(|image| one(docker, image, logins, limit, cancellation))
        .buffered(AT_ONCE)
        .try_collect()
        .await
}

async fn one(
    docker: &Docker,
    image: String,
    logins: &Logins,
    limit: Duration,
    cancellation: &Cancellation,
) -> Result<PulledImage, PullError> {
    if let Some(there) = look(docker, &image, None).await? {
        return Ok(there);
    }
    let start = Instant::now();
    let pulled = tokio::select! {
        pulled = tokio::time::timeout(limit, pull(docker, &image, logins)) => pulled,
        cause = cancellation.cancelled() => {
            return Err(PullError::Cancelled { image, cause: cause.to_string() });
        }
    };
    match pulled {
        Ok(done) => done?,
        Err(_) => return Err(PullError::TimedOut { image, after: limit }),
    }
    match look(docker, &image, Some(start.elapsed())).await? {
        Some(there) => Ok(there),
        None => Err(PullError::Registry { image, answer: "pulled, and yet not there".to_owned() }),
    }
}

async fn look(
    docker: &Docker,
    image: &str,
    took: Option<Duration>,
) -> Result<Option<PulledImage>, DockerError> {
    match docker.api().inspect_image(image).await.attempt(|| format!("looking for image {image}")) {
        Ok(found) => Ok(Some(PulledImage {
            image: image.to_owned(),
            digest: digest_of(image, &found.repo_digests.unwrap_or_default()),
            size_bytes: found.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
            took,
        })),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

async fn pull(docker: &Docker, image: &str, logins: &Logins) -> Result<(), PullError> {
    let login = logins.of(image).await;
    let has_login = login.is_some();
    let (name, tag) = name_and_tag(image);
    let options = CreateImageOptions {
        from_image: Some(name.to_owned()),
        tag: Some(tag.to_owned()),
        ..CreateImageOptions::default()
    };
    let mut stream = std::pin::pin!(docker.api().create_image(Some(options), None, login));
    while let Some(part) = stream.next().await {
        match part.attempt(|| format!("pulling {image}")) {
            Ok(_) => {}
            Err(DockerError::Answer { message, status, .. }) => {
                return Err(refused(image, message, Some(status), has_login));
            }
            Err(DockerError::Other { reason, .. }) => return Err(refused(image, reason, None, has_login)),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Words by which registries and engines say that the one who asks may not have it.
const DENIALS: [&str; 8] = [
    "unauthorized",
    "no basic auth credentials",
    "authentication required",
    "incorrect username or password",
    "requested access to the resource is denied",
    "pull access denied",
    "insufficient_scope",
    "403 forbidden",
];

/// Whose fault a refusal is. Seen: `manifest for … not found: manifest unknown` for a name or tag that does not exist, where the
/// engine has the containerd image store `…: not found` at the very end; `connection refused`, time-outs, `toomanyrequests` and
/// 5xx for a registry that does not answer. `pull access denied … repository does not exist or may require 'docker login'` is
/// the engine's word for any denial; of Docker Hub, asked as nobody, it means a name that nobody can have, and a recipe is for
/// everybody. Of any other registry, and of one that knows us, nobody can tell what it means.
fn refused(image: &str, answer: String, status: Option<u16>, has_login: bool) -> PullError {
    let text = answer.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|words| text.contains(words));
    let is_public = Registry::of(image) == Registry::Hub && !has_login;
    let image = image.to_owned();
    if says(&["toomanyrequests", "too many requests"]) {
        return PullError::Registry { image, answer };
    }
    if says(&["repository does not exist"]) && is_public {
        return PullError::Missing { image, answer };
    }
    if says(&DENIALS) {
        return PullError::Denied { image, answer, has_login };
    }
    let is_unknown = says(&["manifest unknown", "name unknown", "not found: manifest"])
        || text.trim_end_matches(['"', ' ']).ends_with(": not found")
        || (status == Some(400) && says(&["invalid reference format"]));
    if is_unknown { PullError::Missing { image, answer } } else { PullError::Registry { image, answer } }
}

/// Splits a reference for the API, where a name without tag would mean every tag there is.
fn name_and_tag(image: &str) -> (&str, &str) {
    if let Some((name, digest)) = image.split_once('@') {
        // A tag beside a digest says nothing to the registry.
        let slash = name.rfind('/').map_or(0, |at| at + 1);
        let untagged = name[slash..].find(':').map_or(name, |at| &name[..slash + at]);
        return (untagged, digest);
    }
    // A colon before a slash belongs to the port of the registry.
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        Some(_) | None => (image, "latest"),
    }
}

/// The digest under which this image's own repository knows it: an image may be known to several.
fn digest_of(image: &str, digests: &[String]) -> Option<String> {
    let (name, _) = name_and_tag(image);
    let split = || digests.iter().filter_map(|entry| entry.split_once('@'));
    let own = split().find(|(repository, _)| is_same_repository(repository, name));
    own.or_else(|| split().next()).map(|(_, digest)| digest.to_owned())
}

fn is_same_repository(known: &str, name: &str) -> bool {
    let short = |text: &str| {
        let text = text.strip_prefix("docker.io/").unwrap_or(text);
        text.strip_prefix("library/").unwrap_or(text).to_owned()
    };
    short(known) == short(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_without_tag_never_asks_for_all_tags() {
        for (image, name, tag) in [
            ("nginx", "nginx", "latest"),
            ("nginx:1.2", "nginx", "1.2"),
            ("reg:5000/a/nginx", "reg:5000/a/nginx", "latest"),
            ("reg:5000/a/nginx:1.2", "reg:5000/a/nginx", "1.2"),
            ("nginx@sha256:0a", "nginx", "sha256:0a"),
            ("reg:5000/nginx:1.2@sha256:0a", "reg:5000/nginx", "sha256:0a"),
        ] {
            assert_eq!(name_and_tag(image), (name, tag), "{image}");
        }
    }

    #[test]
    fn only_an_image_that_does_not_exist_is_the_recipes_fault() {
        for (answer, is_recipes) in [
            ("manifest for reg/x:1 not found: manifest unknown: manifest unknown", true),
            ("Get \"http://127.0.0.1:1/v2/\": dial tcp 127.0.0.1:1: connect: connection refused", false),
            ("failed to resolve reference \"reg/x:1\": reg/x:1: not found", true),
            ("dial tcp: lookup reg.example: no such host", false),
            ("Get \"http://reg/v2/x/manifests/1\": no basic auth credentials", false),
            ("toomanyrequests: You have reached your pull rate limit", false),
            ("received unexpected HTTP status: 503 Service Unavailable", false),
            ("Get \"https://reg/v2/\": net/http: TLS handshake timeout", false),
            ("write /var/lib/docker/tmp/x: no space left on device", false),
        ] {
            let error = refused("reg/x:1", answer.to_owned(), Some(500), false);
            assert_eq!(error.is_recipes_fault(), is_recipes, "{error}");
            assert!(error.to_string().contains("reg/x:1"), "{error}");
        }
    }

    #[test]
    fn a_denial_is_the_recipes_fault_only_where_nobody_can_have_the_image() {
        let engines = "pull access denied for x, repository does not exist or may require 'docker login': denied: \
                       requested access to the resource is denied";
        let containerds = "failed to resolve reference: pull access denied, repository does not exist or may require \
                           authorization: server message: insufficient_scope: authorization failed";
        for denied in [engines, containerds] {
            assert!(refused("nope/x:1", denied.to_owned(), Some(404), false).is_recipes_fault(), "{denied}");
            for (image, has_login) in
                [("nope/x:1", true), ("reg.example/x:1", false), ("reg.example/x:1", true)]
            {
                let error = refused(image, denied.to_owned(), Some(404), has_login);
                assert!(matches!(error, PullError::Denied { .. }) && !error.is_recipes_fault(), "{error}");
                assert!(error.to_string().contains("docker login"), "{error}");
            }
        }
        let error =
            refused("reg.example/x:1", "unauthorized: authentication required".to_owned(), Some(500), false);
        assert!(error.to_string().contains("run `docker login reg.example` as the user"), "{error}");
    }

    #[test]
    fn digest_of_the_own_repository_is_preferred() {
        let known = ["other/nginx@sha256:1".to_owned(), "docker.io/library/nginx@sha256:2".to_owned()];
        assert_eq!(digest_of("nginx:1.2", &known).as_deref(), Some("sha256:2"));
        assert_eq!(digest_of("nginx:1.2", &[]), None);
    }
}
