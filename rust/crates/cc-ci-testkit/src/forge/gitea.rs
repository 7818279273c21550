//! A real Gitea on loopback: its configuration, and its users, organisation and tokens.

use std::path::Path;

use serde_json::{Value, json};

use super::web::{As, Body, Reply, Web};
use super::{ForgeError, wait_for};
use crate::go_program::GITEA;
use crate::held::{Held, ServerSpec};
use crate::program::Program;

/// Everybody's password.
pub const PASSWORD: &str = "a-password-for-tests";

/// The administrator, who owns the organisation and the repository with the pipeline.
pub const BOSS: &str = "boss";
/// The bot that speaks for the bridge: in a team that may write, so that it may set statuses.
pub const BOT: &str = "robot";
/// A member of the organisation who may write.
pub const WRITER: &str = "wanda";
/// A member of the organisation who may only read.
pub const MEMBER: &str = "maria";
/// Nobody of the organisation.
pub const STRANGER: &str = "stan";

/// The organisation of the recipes.
pub const ORGANISATION: &str = "recipes";

/// A running Gitea.
#[derive(Debug)]
pub struct Gitea {
    /// `http://127.0.0.1:<port>`.
    pub url: String,
    /// The administrator's token.
    pub token: String,
    spec: ServerSpec,
    held: Option<Held>,
}

fn settings(folder: &Path, data: &Path, port: u16) -> String {
    let (folder, data) = (folder.display(), data.display());
    let root =
        if nix::unistd::geteuid().is_root() { "I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true\n" } else { "" };
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten();
    let user = user.map_or_else(|| "root".to_owned(), |user| user.name);
    // The secrets guard nothing: the server lives for one test on loopback. Its token for inner calls is any JWT-like
    // text of this length, the JWT secret 32 bytes in base64.
    format!(
        "APP_NAME = forge for tests
RUN_MODE = prod
RUN_USER = {user}
WORK_PATH = {folder}
{root}
[server]
HTTP_ADDR = 127.0.0.1
HTTP_PORT = {port}
ROOT_URL = http://127.0.0.1:{port}/
STATIC_ROOT_PATH = {data}
APP_DATA_PATH = {folder}/data
DISABLE_SSH = true
OFFLINE_MODE = true
[database]
DB_TYPE = sqlite3
PATH = {folder}/gitea.db
SQLITE_JOURNAL_MODE = WAL
[repository]
ROOT = {folder}/repositories
DEFAULT_BRANCH = main
[security]
INSTALL_LOCK = true
SECRET_KEY = a-secret-for-tests
INTERNAL_TOKEN = eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJuYmYiOjE3MzU2ODk2MDB9.Zm9yLXRlc3RzLW9ubHktZm9yLXRlc3RzLW9ubHk
PASSWORD_HASH_ALGO = pbkdf2$1000$50
PASSWORD_COMPLEXITY = off
[oauth2]
JWT_SECRET = Zm9yLXRlc3RzLW9ubHktZm9yLXRlc3RzLW9ubHkhISE
[webhook]
ALLOWED_HOST_LIST = loopback
[indexer]
ISSUE_INDEXER_TYPE = db
[queue]
TYPE = channel
[session]
PROVIDER = memory
[cron]
ENABLED = false
[actions]
ENABLED = false
[packages]
ENABLED = false
[service]
DISABLE_REGISTRATION = true
[mailer]
ENABLED = false
[log]
LEVEL = warn
MODE = console
"
    )
}

impl Gitea {
    /// Starts it on `port` with an empty database, and makes the administrator.
    ///
    /// # Errors
    /// It cannot be built, started or does not answer.
    pub fn start(folder: &Path, port: u16, web: &Web) -> Result<Self, ForgeError> {
        let kept = GITEA.kept()?;
        let folder = folder.join("gitea");
        std::fs::create_dir_all(folder.join("home"))?;
        let config = folder.join("app.ini");
        std::fs::write(&config, settings(&folder, &kept, port))?;
        let program = kept.join(GITEA.name);
        let user = std::env::var_os("USER").unwrap_or_else(|| "root".into());
        let environment =
            vec![("HOME".to_owned(), folder.join("home").into()), ("USER".to_owned(), user.clone())];
        let arguments = |words: &[&str]| {
            let common =
                ["--config".into(), config.clone().into(), "--work-path".into(), folder.clone().into()];
            words.iter().map(Into::into).chain(common).collect::<Vec<std::ffi::OsString>>()
        };
        let spec = ServerSpec {
            program: program.clone(),
            arguments: arguments(&["web"]),
            environment,
            log: folder.join("log.txt"),
            folder: folder.clone(),
        };
        let url = format!("http://127.0.0.1:{port}");
        let mut gitea = Self { url, token: String::new(), spec, held: None };
        gitea.resume(web)?;
        let email = format!("{BOSS}@example.org");
        let words = ["--admin", "--username", BOSS, "--password", PASSWORD, "--email", &email];
        let made = Program::new(program)
            .args(["admin", "user", "create"])
            .arg("--config")
            .arg(&config)
            .arg("--work-path")
            .arg(&folder)
            .args(words)
            .args(["--must-change-password=false", "--access-token", "--access-token-name", "all"])
            .args(["--access-token-scopes", "all"])
            .env("HOME", folder.join("home"))
            .env("USER", user)
            .run()?;
        let line = made.lines().find(|line| line.to_lowercase().contains("access token")).unwrap_or_default();
        line.split_whitespace().last().unwrap_or_default().clone_into(&mut gitea.token);
        Ok(gitea)
    }

    /// Starts it again after [`Gitea::kill`], and waits until it answers.
    ///
    /// # Errors
    /// It cannot be started or does not answer within 60 s.
    pub fn resume(&mut self, web: &Web) -> Result<(), ForgeError> {
        let held = Held::start(&self.spec)?;
        let health = format!("{}/api/healthz", self.url);
        let up = wait_for("Gitea to answer", || match web.ask("GET", &health, As::Nobody, &Body::Empty) {
            Ok(reply) if reply.status == 200 => Ok(()),
            other => Err(format!("{other:?}; its log: {}", held.log_tail())),
        });
        up?;
        self.held = Some(held);
        Ok(())
    }

    /// Kills it at once.
    pub fn kill(&mut self) {
        if let Some(held) = self.held.take() {
            held.kill();
        }
    }

    /// Asks the API; `path` begins behind `/api/v1`.
    ///
    /// # Errors
    /// Nobody answers.
    pub fn api(
        &self,
        web: &Web,
        method: &str,
        path: &str,
        who: As<'_>,
        body: Option<&Value>,
    ) -> Result<Reply, ForgeError> {
        let url = format!("{}/api/v1{path}", self.url);
        web.ask(method, &url, who, &body.map_or(Body::Empty, Body::Json))
    }

    /// Asks the API as the administrator; anything but 2xx is an error.
    ///
    /// # Errors
    /// Nobody answers, or not well.
    pub fn admin(
        &self,
        web: &Web,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, ForgeError> {
        good(method, path, self.api(web, method, path, As::Token(&self.token), body)?)
    }

    /// Makes a user and a token with these scopes.
    ///
    /// # Errors
    /// Gitea does not want to.
    pub fn user(&self, web: &Web, name: &str, scopes: &[&str]) -> Result<String, ForgeError> {
        let user = json!({"username": name, "email": format!("{name}@example.org"), "password": PASSWORD,
            "must_change_password": false});
        self.admin(web, "POST", "/admin/users", Some(&user))?;
        let path = format!("/users/{name}/tokens");
        let token = json!({"name": "test", "scopes": scopes});
        let made = self.api(web, "POST", &path, As::Password(name, PASSWORD), Some(&token))?;
        text_at(&good("POST", &path, made)?, "sha1")
    }

    /// Makes the organisation with two teams: `readers`, who may only read, and `writers`.
    ///
    /// # Errors
    /// Gitea does not want to.
    pub fn organisation(&self, web: &Web, readers: &[&str], writers: &[&str]) -> Result<(), ForgeError> {
        let organisation = json!({"username": ORGANISATION, "visibility": "public"});
        self.admin(web, "POST", "/orgs", Some(&organisation))?;
        for (team, permission, members) in [("readers", "read", readers), ("writers", "write", writers)] {
            let units = ["repo.code", "repo.issues", "repo.pulls"];
            let body = json!({"name": team, "permission": permission, "includes_all_repositories": true,
                "units": units});
            let made = self.admin(web, "POST", &format!("/orgs/{ORGANISATION}/teams"), Some(&body))?;
            for member in members {
                self.admin(web, "PUT", &format!("/teams/{}/members/{member}", made["id"]), None)?;
            }
        }
        Ok(())
    }
}

/// The body of a good answer.
pub(super) fn good(method: &str, path: &str, reply: Reply) -> Result<Value, ForgeError> {
    if (200..300).contains(&reply.status) {
        return Ok(reply.json());
    }
    Err(ForgeError::Ask {
        what: format!("{method} {path}"),
        answer: format!("{} {}", reply.status, reply.text),
    })
}

/// A text of a JSON object.
pub(super) fn text_at(value: &Value, key: &str) -> Result<String, ForgeError> {
    let text = value.get(key).and_then(Value::as_str);
    let missing = || ForgeError::Ask { what: format!("reading {key}"), answer: value.to_string() };
    text.map(str::to_owned).ok_or_else(missing)
}
