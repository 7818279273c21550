//! A real Drone server and its exec runner on loopback: their environments, and the login that Drone wants of a person.

use std::ffi::OsString;
use std::path::Path;

use serde_json::{Value, json};

use super::gitea::{BOSS, Gitea, PASSWORD, good, text_at};
use super::web::{As, Body, Jar, Reply, Web};
use super::{ForgeError, wait_for};
use crate::go_program::{DRONE, DRONE_RUNNER, GoProgram};
use crate::held::{Held, ServerSpec};

/// The administrator's token at Drone: 32 characters.
const TOKEN: &str = "drone0token0of0the0administrator";
/// What server and runner share.
const RPC: &str = "a-secret-of-server-and-runner";

/// A running Drone server and, once it is started, its runner.
#[derive(Debug)]
pub struct Drone {
    /// `http://127.0.0.1:<port>`.
    pub url: String,
    /// The administrator's token.
    pub token: String,
    server_spec: ServerSpec,
    runner_spec: ServerSpec,
    server: Option<Held>,
    runner: Option<Held>,
}

fn spec(
    program: &GoProgram,
    folder: &Path,
    words: &[&str],
    env: &[(&str, String)],
) -> Result<ServerSpec, ForgeError> {
    let folder = folder.join(program.name);
    std::fs::create_dir_all(folder.join("home"))?;
    let own = [("HOME", folder.join("home").to_string_lossy().into_owned()), ("USER", "root".to_owned())];
    let environment = own.into_iter().chain(env.iter().cloned());
    Ok(ServerSpec {
        program: program.binary()?,
        arguments: words.iter().map(Into::into).collect(),
        environment: environment.map(|(name, value)| (name.to_owned(), OsString::from(value))).collect(),
        log: folder.join("log.txt"),
        folder,
    })
}

impl Drone {
    /// Starts the server on `port` and logs the administrator in.
    ///
    /// # Errors
    /// It cannot be built, started or does not answer, or the login fails.
    pub fn start(
        folder: &Path,
        port: u16,
        gitea: &Gitea,
        web: &Web,
        environ: &[(String, String)],
    ) -> Result<Self, ForgeError> {
        let url = format!("http://127.0.0.1:{port}");
        let application = json!({"name": "drone", "redirect_uris": [format!("{url}/login")],
            "confidential_client": true});
        let application = gitea.admin(web, "POST", "/user/applications/oauth2", Some(&application))?;
        let database = folder.join("drone.db").to_string_lossy().into_owned();
        let server = [
            ("DRONE_GITEA_SERVER", gitea.url.clone()),
            ("DRONE_GITEA_CLIENT_ID", text_at(&application, "client_id")?),
            ("DRONE_GITEA_CLIENT_SECRET", text_at(&application, "client_secret")?),
            ("DRONE_SERVER_HOST", format!("127.0.0.1:{port}")),
            ("DRONE_SERVER_PROTO", "http".to_owned()),
            ("DRONE_SERVER_PORT", format!("127.0.0.1:{port}")),
            ("DRONE_RPC_SECRET", RPC.to_owned()),
            ("DRONE_DATABASE_DRIVER", "sqlite3".to_owned()),
            ("DRONE_DATABASE_DATASOURCE", database),
            ("DRONE_COOKIE_SECRET", "a-secret-for-cookies-of-tests".to_owned()),
            ("DRONE_USER_CREATE", format!("username:{BOSS},machine:false,admin:true,token:{TOKEN}")),
            ("DRONE_CRON_DISABLED", "true".to_owned()),
            ("DRONE_LOGS_TEXT", "true".to_owned()),
        ];
        // A file, since the variable with a list cannot hold values with commas and colons.
        let lines: String = environ.iter().map(|(name, value)| format!("{name}=\"{value}\"\n")).collect();
        let environ = folder.join("environ");
        std::fs::write(&environ, lines)?;
        let runner = [
            ("DRONE_RPC_PROTO", "http".to_owned()),
            ("DRONE_RPC_HOST", format!("127.0.0.1:{port}")),
            ("DRONE_RPC_SECRET", RPC.to_owned()),
            ("DRONE_RUNNER_NAME", "runner-for-tests".to_owned()),
            ("DRONE_RUNNER_CAPACITY", "2".to_owned()),
            ("DRONE_RUNNER_ROOT", folder.join("builds").to_string_lossy().into_owned()),
            ("DRONE_RUNNER_ENVFILE", environ.to_string_lossy().into_owned()),
            ("DRONE_HTTP_BIND", "127.0.0.1:0".to_owned()),
        ];
        std::fs::create_dir_all(folder.join("builds"))?;
        let mut drone = Self {
            url,
            token: TOKEN.to_owned(),
            // A stray .env of the working folder is not read.
            server_spec: spec(&DRONE, folder, &["--env-file", "/dev/null"], &server)?,
            runner_spec: spec(&DRONE_RUNNER, folder, &["daemon"], &runner)?,
            server: None,
            runner: None,
        };
        drone.start_server(web)?;
        drone.log_in(gitea, web)?;
        Ok(drone)
    }

    /// Starts the server, again after [`Drone::kill_server`], and waits until it answers.
    ///
    /// # Errors
    /// It cannot be started or does not answer within 60 s.
    pub fn start_server(&mut self, web: &Web) -> Result<(), ForgeError> {
        let held = Held::start(&self.server_spec)?;
        let health = format!("{}/healthz", self.url);
        wait_for("Drone to answer", || match web.ask("GET", &health, As::Nobody, &Body::Empty) {
            Ok(reply) if reply.status == 200 => Ok(()),
            other => Err(format!("{other:?}; its log: {}", held.log_tail())),
        })?;
        self.server = Some(held);
        Ok(())
    }

    /// Kills the server at once.
    pub fn kill_server(&mut self) {
        if let Some(held) = self.server.take() {
            held.kill();
        }
    }

    /// Starts the runner: shortly before the first build, since between two long polls it pauses for 10 s.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start_runner(&mut self) -> Result<(), ForgeError> {
        self.runner = Some(Held::start(&self.runner_spec)?);
        Ok(())
    }

    /// Starts a runner that reaches its server through `proxy`, an address such as `http://127.0.0.1:<port>`.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start_runner_behind(&mut self, proxy: &str) -> Result<(), ForgeError> {
        let mut spec = self.runner_spec.clone();
        let host = proxy.trim_start_matches("http://");
        spec.environment.retain(|(name, _)| name != "DRONE_RPC_HOST");
        spec.environment.push(("DRONE_RPC_HOST".to_owned(), host.into()));
        self.runner = Some(Held::start(&spec)?);
        Ok(())
    }

    /// Kills the runner at once; what it started lives on.
    pub fn kill_runner(&mut self) {
        if let Some(held) = self.runner.take() {
            held.kill();
        }
    }

    /// Ends the runner in order.
    pub fn stop_runner(&mut self) {
        if let Some(held) = self.runner.take() {
            held.stop();
        }
    }

    /// What both programs said last.
    #[must_use]
    pub fn logs(&self) -> String {
        let tail = |held: &Option<Held>| held.as_ref().map(Held::log_tail).unwrap_or_default();
        format!("{}\n{}", tail(&self.server), tail(&self.runner))
    }

    /// Asks the API as the administrator.
    ///
    /// # Errors
    /// Nobody answers.
    pub fn api(
        &self,
        web: &Web,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Reply, ForgeError> {
        let body = body.map_or(Body::Empty, Body::Json);
        web.ask(method, &format!("{}/api{path}", self.url), As::Token(&self.token), &body)
    }

    /// Makes a machine user and returns its token: what a bridge has.
    ///
    /// # Errors
    /// Drone does not want to.
    pub fn machine(&self, web: &Web, name: &str) -> Result<String, ForgeError> {
        let user = json!({"login": name, "machine": true, "admin": true});
        text_at(&good("POST", "/users", self.api(web, "POST", "/users", Some(&user))?)?, "token")
    }

    /// Activates a repository of the administrator's: its builds may begin.
    ///
    /// # Errors
    /// Drone does not want to.
    pub fn activate(&self, web: &Web, repository: &str) -> Result<(), ForgeError> {
        good("POST", "/user/repos", self.api(web, "POST", "/user/repos", None)?)?;
        let path = format!("/repos/{repository}");
        good("POST", &path, self.api(web, "POST", &path, None)?)?;
        let settings = json!({"trusted": true, "timeout": 10});
        good("PATCH", &path, self.api(web, "PATCH", &path, Some(&settings))?)?;
        Ok(())
    }

    /// The login of a person by a browser: Drone sends to Gitea, which asks for password and consent and sends back.
    fn log_in(&self, gitea: &Gitea, web: &Web) -> Result<(), ForgeError> {
        let mut jar = Jar::default();
        let to = |reply: &Reply| {
            reply.location.clone().ok_or_else(|| ForgeError::Ask {
                what: "the login at Drone".to_owned(),
                answer: format!("no redirect: {} {}", reply.status, reply.text),
            })
        };
        let authorise = to(&web.browse(&mut jar, "GET", &format!("{}/login", self.url), &Body::Empty)?)?;
        let login = [("user_name", BOSS), ("password", PASSWORD)];
        to(&web.browse(&mut jar, "POST", &format!("{}/user/login", gitea.url), &Body::Form(&login))?)?;
        let consent = web.browse(&mut jar, "GET", &authorise, &Body::Empty)?;
        let back = if let Some(back) = &consent.location {
            back.clone()
        } else {
            let field = |name: &str| hidden(&consent.text, name);
            let (csrf, client, state) = (field("_csrf"), field("client_id"), field("state"));
            let redirect = field("redirect_uri");
            let grant = [
                ("_csrf", csrf.as_str()),
                ("client_id", &client),
                ("state", &state),
                ("scope", ""),
                ("nonce", ""),
                ("redirect_uri", &redirect),
                ("granted", "true"),
            ];
            let url = format!("{}/login/oauth/grant", gitea.url);
            to(&web.browse(&mut jar, "POST", &url, &Body::Form(&grant))?)?
        };
        let end = to(&web.browse(&mut jar, "GET", &back, &Body::Empty)?)?;
        if end.contains("error") {
            return Err(ForgeError::Ask { what: "the login at Drone".to_owned(), answer: end });
        }
        wait_for("Drone to have read the repositories", || match self.api(web, "GET", "/user", None) {
            Ok(reply) if reply.json()["syncing"] == false => Ok(()),
            other => Err(format!("{other:?}")),
        })
    }
}

/// The value of a hidden field of a page.
fn hidden(page: &str, name: &str) -> String {
    let mark = format!("name=\"{name}\"");
    let Some((before, after)) = page.split_once(&mark) else { return String::new() };
    let tag_start = before.rsplit('<').next().unwrap_or_default();
    let tag = format!("{tag_start}{}", after.split('>').next().unwrap_or_default());
    let value = tag.split("value=\"").nth(1).and_then(|rest| rest.split('"').next());
    value.unwrap_or_default().replace("&amp;", "&").replace("&#43;", "+")
}
