//! A real forge for tests: Gitea, Drone and its exec runner on loopback, with people, an organisation and a pipeline.

pub mod drone;
pub mod gitea;
pub mod proxy;
mod steps;
pub mod web;

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::go_program::GoError;
use crate::patience::{self, TimedOut};
use crate::program::{Program, ProgramError};
use crate::recipe_repository::RecipeRepository;
use drone::Drone;
use gitea::{BOSS, BOT, Gitea, MEMBER, ORGANISATION, STRANGER, WRITER, good};
use web::{As, Web};

/// Why the forge does not do what a test wants.
#[derive(Debug, thiserror::Error)]
pub enum ForgeError {
    /// A server could not be built.
    #[error(transparent)]
    Go(#[from] GoError),
    /// A file, a port or a program.
    #[error("starting the forge for tests: {0}")]
    Start(#[from] std::io::Error),
    /// A program that prepares it failed.
    #[error("preparing the forge for tests: {0}")]
    Program(#[from] ProgramError),
    /// The client could not be made.
    #[error("making the client of the forge for tests: {0}")]
    Client(String),
    /// An answer that is none.
    #[error("{what}: {answer}")]
    Ask {
        /// What was asked.
        what: String,
        /// What came back.
        answer: String,
    },
    /// Something did not come.
    #[error(transparent)]
    TimedOut(#[from] TimedOut),
}

/// The repository with the pipeline, which Drone builds.
pub const PIPELINE_REPOSITORY: &str = "boss/cc-ci";

/// What the bot may do: read everything, write comments and statuses.
const BOT_SCOPES: &[&str] = &["write:repository", "write:issue", "read:organization", "read:user"];
/// What people may do.
const PEOPLE_SCOPES: &[&str] = &["write:repository", "write:issue", "read:organization", "read:user"];

/// The three servers; everything of them is gone when it is dropped.
#[derive(Debug)]
pub struct Forge {
    /// The forge.
    pub gitea: Gitea,
    /// The distributing engine and its runner.
    pub drone: Drone,
    /// Tokens of the people at Gitea, by login.
    pub tokens: Vec<(&'static str, String)>,
    /// The token of the bridge's machine user at Drone.
    pub drone_token: String,
    web: Web,
    folder: tempfile::TempDir,
}

/// A pull request made for a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequest {
    /// `recipes/<recipe>`.
    pub repository: String,
    /// Its number.
    pub number: u64,
    /// The commit at its head.
    pub head: String,
}

pub(crate) fn wait_for<T>(what: &str, look: impl FnMut() -> Result<T, String>) -> Result<T, ForgeError> {
    Ok(patience::until(what, Duration::from_secs(60), Duration::from_millis(20), look)?)
}

/// A port of loopback, free at this moment; who takes it in between makes a start fail, not succeed wrongly.
///
/// # Errors
/// There is none.
pub fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

impl Forge {
    /// Starts Gitea and Drone, makes people and organisation, and a repository with this `.drone.yml`, activated. Steps of
    /// builds get `environ`. The runner is not started yet.
    ///
    /// # Errors
    /// One of the parts does not come up; then nothing is left.
    pub fn start(pipeline: &str, environ: &[(String, String)]) -> Result<Self, ForgeError> {
        let folder = tempfile::Builder::new().prefix("cc-ci-forge-").tempdir()?;
        let web = Web::new()?;
        let gitea = Gitea::start(folder.path(), free_port()?, &web)?;
        let mut tokens = vec![(BOSS, gitea.token.clone())];
        for (name, scopes) in
            [(BOT, BOT_SCOPES), (WRITER, PEOPLE_SCOPES), (MEMBER, PEOPLE_SCOPES), (STRANGER, PEOPLE_SCOPES)]
        {
            tokens.push((name, gitea.user(&web, name, scopes)?));
        }
        gitea.organisation(&web, &[MEMBER], &[BOT, WRITER])?;
        let repository = json!({"name": "cc-ci", "auto_init": false, "default_branch": "main"});
        gitea.admin(&web, "POST", "/user/repos", Some(&repository))?;
        let drone = Drone::start(folder.path(), free_port()?, &gitea, &web, environ)?;
        let drone_token = drone.machine(&web, "bridge")?;
        let forge = Self { gitea, drone, tokens, drone_token, web, folder };
        forge.set_pipeline(pipeline)?;
        forge.drone.activate(&forge.web, PIPELINE_REPOSITORY)?;
        Ok(forge)
    }

    fn set_pipeline(&self, pipeline: &str) -> Result<(), ForgeError> {
        let folder = self.folder.path().join("pipeline");
        let made = |error: crate::recipe_repository::RepositoryError| ForgeError::Client(error.to_string());
        let mut repository = RecipeRepository::create(&folder).map_err(made)?;
        repository.put(&[(".drone.yml", pipeline)]).map_err(made)?;
        repository.commit("pipeline").map_err(made)?;
        self.push(&folder, PIPELINE_REPOSITORY, &["main"])?;
        // The push is worked off by then, and makes no build once the repository is active.
        self.wait_for_branch(PIPELINE_REPOSITORY, "main")
    }

    /// Waits until a pushed branch is seen by the API, without which a pull request from it cannot be made.
    ///
    /// # Errors
    /// It is not seen.
    pub fn wait_for_branch(&self, repository: &str, branch: &str) -> Result<(), ForgeError> {
        let path = format!("/repos/{repository}/branches/{branch}");
        wait_for("a pushed branch to be seen", || match self.gitea.admin(&self.web, "GET", &path, None) {
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        })
    }

    /// A token at Gitea.
    ///
    /// # Panics
    /// There is no such person.
    #[must_use]
    pub fn token(&self, who: &str) -> &str {
        let found = self.tokens.iter().find(|(name, _)| *name == who);
        found.map(|(_, token)| token.as_str()).unwrap_or_else(|| panic!("nobody is called {who}"))
    }

    /// The folder of all three servers; gone when the forge is.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Pushes refs of a work tree, as the administrator.
    ///
    /// # Errors
    /// Git or Gitea does not want to.
    pub fn push(&self, tree: &Path, repository: &str, refs: &[&str]) -> Result<(), ForgeError> {
        let host = self.gitea.url.trim_start_matches("http://");
        let url = format!("http://{BOSS}:{}@{host}/{repository}.git", self.gitea.token);
        let git = Program::new("git")
            .folder(tree)
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_CONFIG_GLOBAL", "/dev/null");
        git.args(["push", "--quiet", "--force"]).arg(url).args(refs).run()?;
        Ok(())
    }

    /// Makes the recipe's repository in the organisation from `source` with its tags and the branch of its pull
    /// request `change-1`, and opens the pull request.
    ///
    /// # Errors
    /// Git or Gitea does not want to.
    pub fn add_recipe(&self, name: &str, source: &Path) -> Result<PullRequest, ForgeError> {
        let repository = format!("{ORGANISATION}/{name}");
        let body = json!({"name": name, "auto_init": false, "default_branch": "main", "private": false});
        self.gitea.admin(&self.web, "POST", &format!("/orgs/{ORGANISATION}/repos"), Some(&body))?;
        self.push(source, &repository, &["main", "change-1", "--tags"])?;
        self.open_pull_request(&repository, "change-1")
    }

    /// Opens a pull request from a pushed branch.
    ///
    /// # Errors
    /// Gitea does not want to.
    pub fn open_pull_request(&self, repository: &str, branch: &str) -> Result<PullRequest, ForgeError> {
        self.wait_for_branch(repository, branch)?;
        let body = json!({"title": branch, "head": branch, "base": "main"});
        let made = self.gitea.admin(&self.web, "POST", &format!("/repos/{repository}/pulls"), Some(&body))?;
        let head = made["head"]["sha"].as_str().unwrap_or_default().to_owned();
        let number = made["number"].as_u64().unwrap_or_default();
        Ok(PullRequest { repository: repository.to_owned(), number, head })
    }

    /// Asks Gitea's API as one of the people; anything but 2xx is an error.
    ///
    /// # Errors
    /// Nobody answers, or not well.
    pub fn ask_as(
        &self,
        who: &str,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, ForgeError> {
        good(method, path, self.gitea.api(&self.web, method, path, As::Token(self.token(who)), body)?)
    }

    /// Writes a comment; returns its id.
    ///
    /// # Errors
    /// Gitea does not want to.
    pub fn comment(&self, who: &str, pr: &PullRequest, text: &str) -> Result<u64, ForgeError> {
        let path = format!("/repos/{}/issues/{}/comments", pr.repository, pr.number);
        let made = self.ask_as(who, "POST", &path, Some(&json!({"body": text})))?;
        Ok(made["id"].as_u64().unwrap_or_default())
    }

    /// Changes a comment.
    ///
    /// # Errors
    /// Gitea does not want to.
    pub fn edit(&self, who: &str, pr: &PullRequest, comment: u64, text: &str) -> Result<(), ForgeError> {
        let path = format!("/repos/{}/issues/comments/{comment}", pr.repository);
        self.ask_as(who, "PATCH", &path, Some(&json!({"body": text}))).map(|_| ())
    }

    /// What somebody wrote on a pull request, oldest first: ids and texts.
    ///
    /// # Errors
    /// Gitea does not want to.
    pub fn comments_of(&self, who: &str, pr: &PullRequest) -> Result<Vec<(u64, String)>, ForgeError> {
        let path = format!("/repos/{}/issues/{}/comments", pr.repository, pr.number);
        let all = self.gitea.admin(&self.web, "GET", &path, None)?;
        let all = all.as_array().cloned().unwrap_or_default();
        let own = all.iter().filter(|comment| comment["user"]["login"] == who);
        let pair = |comment: &Value| {
            (
                comment["id"].as_u64().unwrap_or_default(),
                comment["body"].as_str().unwrap_or_default().to_owned(),
            )
        };
        Ok(own.map(pair).collect())
    }

    /// The newest commit status of each context: context, state and description.
    ///
    /// # Errors
    /// Gitea does not want to.
    pub fn statuses(
        &self,
        repository: &str,
        commit: &str,
    ) -> Result<Vec<(String, String, String)>, ForgeError> {
        let path = format!("/repos/{repository}/commits/{commit}/status");
        let answer = self.gitea.admin(&self.web, "GET", &path, None)?;
        let text = |status: &Value, key: &str| status[key].as_str().unwrap_or_default().to_owned();
        let list = answer["statuses"].as_array().cloned().unwrap_or_default();
        Ok(list
            .iter()
            .map(|one| (text(one, "context"), text(one, "status"), text(one, "description")))
            .collect())
    }

    /// All builds of the pipeline, newest first.
    ///
    /// # Errors
    /// Drone does not want to.
    pub fn builds(&self) -> Result<Vec<Value>, ForgeError> {
        let path = format!("/repos/{PIPELINE_REPOSITORY}/builds?per_page=100");
        let list = good("GET", &path, self.drone.api(&self.web, "GET", &path, None)?)?;
        Ok(list.as_array().cloned().unwrap_or_default())
    }

    /// Creates a build with these parameters by hand; returns Drone's whole answer.
    ///
    /// # Errors
    /// Drone does not want to.
    pub fn build(&self, parameters: &[(&str, &str)]) -> Result<Value, ForgeError> {
        let path = format!("/repos/{PIPELINE_REPOSITORY}/builds?{}", web::form(parameters));
        good("POST", &path, self.drone.api(&self.web, "POST", &path, None)?)
    }

    /// One build with its stages.
    ///
    /// # Errors
    /// Drone does not want to.
    pub fn build_state(&self, number: u64) -> Result<Value, ForgeError> {
        let path = format!("/repos/{PIPELINE_REPOSITORY}/builds/{number}");
        good("GET", &path, self.drone.api(&self.web, "GET", &path, None)?)
    }

    /// Cancels a build as a person does it on Drone's page.
    ///
    /// # Errors
    /// Drone does not want to.
    pub fn cancel_build(&self, number: u64) -> Result<(), ForgeError> {
        let path = format!("/repos/{PIPELINE_REPOSITORY}/builds/{number}");
        good("DELETE", &path, self.drone.api(&self.web, "DELETE", &path, None)?).map(|_| ())
    }

    /// The client, for questions of a test's own.
    #[must_use]
    pub fn web(&self) -> &Web {
        &self.web
    }

    /// Kills Gitea and starts it again.
    ///
    /// # Errors
    /// It does not come back.
    pub fn restart_gitea(&mut self) -> Result<(), ForgeError> {
        self.gitea.kill();
        self.gitea.resume(&self.web)
    }

    /// Starts Gitea again after [`Gitea::kill`].
    ///
    /// # Errors
    /// It does not come back.
    pub fn resume_gitea(&mut self) -> Result<(), ForgeError> {
        self.gitea.resume(&self.web)
    }

    /// Kills Drone's server and starts it again.
    ///
    /// # Errors
    /// It does not come back.
    pub fn restart_drone(&mut self) -> Result<(), ForgeError> {
        self.drone.kill_server();
        self.drone.start_server(&self.web)
    }
}

impl Drop for Forge {
    fn drop(&mut self) {
        self.drone.stop_runner();
        // A step outlives a runner that was killed; what it started works in the runner's folder.
        let builds = self.folder.path().join("builds");
        let _ = patience::until(
            "the steps to be gone",
            Duration::from_secs(20),
            Duration::from_millis(50),
            || {
                let left = steps::of_folder(&builds).unwrap_or_default();
                for process in &left {
                    let _ = kill(Pid::from_raw(process.pid), Signal::SIGTERM);
                }
                if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
            },
        );
        for process in steps::of_folder(&builds).unwrap_or_default() {
            let _ = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
        }
        self.drone.kill_server();
        self.gitea.kill();
    }
}
