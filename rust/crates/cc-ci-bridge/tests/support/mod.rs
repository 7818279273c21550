//! What the loop tests share: a host with runs, a forge with people, and the bridge between them, started and killed.
#![allow(dead_code, reason = "each test program uses its own part of this room")]
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

pub(crate) mod kills;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cc_ci_model::result::RunResult;
use cc_ci_testkit::canaries::Canary;
use cc_ci_testkit::forge::gitea::{BOT, MEMBER, ORGANISATION};
use cc_ci_testkit::forge::{Forge, PIPELINE_REPOSITORY, PullRequest};
use cc_ci_testkit::held::{Held, ServerSpec};
use cc_ci_testkit::patience;
use cc_ci_testkit::program::Program;
use cc_ci_testkit::run_host::RunHost;
use cc_ci_testkit::testbed::TestEngine;

const BRIDGE: &str = env!("CARGO_BIN_EXE_cc-ci-bridge");

/// The pipeline that is shipped, as it is.
const PIPELINE: &str = include_str!("../../../../../.drone.yml");

/// Longer than any run of a canary takes on a loaded machine, with the runner's pause before it.
const LIMIT: Duration = Duration::from_secs(300);

/// The forge's time stamps have whole seconds, and a push has to be this much older than the comment.
const MARGIN: Duration = Duration::from_secs(8);

/// Everything between a comment and its verdict.
pub(crate) struct Stage {
    bridge: Option<Held>,
    pub(crate) forge: Forge,
    pub(crate) host: RunHost,
}

impl Stage {
    /// A host, a forge and its runner; the bridge is not started yet.
    pub(crate) fn new(engine: &TestEngine) -> Self {
        let program = Path::new(BRIDGE).with_file_name("cc-ci");
        assert!(program.exists(), "there is no {}: cargo build -p cc-ci", program.display());
        let host = RunHost::new(&program, engine);
        host.write_settings("via = \"direct\"\n");
        let path = std::env::var("PATH").unwrap_or_default();
        let here = program.parent().unwrap().display();
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        let environ = [
            ("PATH", format!("{here}:{path}")),
            ("DOCKER_HOST", engine.docker_host.clone()),
            ("CCCI_STATE_DIR", text(host.path("state"))),
            ("CCCI_APP_LOCK_DIR", text(host.path("locks"))),
            ("CCCI_SETTINGS", text(host.path("settings.toml"))),
        ];
        let environ = environ.map(|(name, value)| (name.to_owned(), value));
        let mut forge = Forge::start(PIPELINE, &environ).unwrap();
        forge.drone.start_runner().unwrap();
        std::fs::write(host.path("gitea-token"), forge.token(BOT)).unwrap();
        std::fs::write(host.path("drone-token"), &forge.drone_token).unwrap();
        let stage = Self { bridge: None, forge, host };
        stage.configure(&stage.forge.gitea.url, &stage.forge.drone.url, "");
        stage
    }

    /// Writes the settings of the bridge that is started next: where it finds the servers, and more lines.
    pub(crate) fn configure(&self, gitea: &str, drone: &str, more: &str) {
        let settings = format!(
            "gitea = {gitea:?}\ndrone = {drone:?}\norganisations = [\"{ORGANISATION}\"]\npipeline = \"{PIPELINE_REPOSITORY}\"\n\
             poll = \"1s\"\ngitea_token_file = {:?}\ndrone_token_file = {:?}\n{more}",
            self.host.path("gitea-token"),
            self.host.path("drone-token"),
        );
        std::fs::write(self.host.path("bridge.toml"), settings).unwrap();
    }

    /// A canary's repository at the forge, with a pull request old enough to be commented on.
    pub(crate) fn recipe(&self, canary: &Canary) -> PullRequest {
        let [pr] = self.recipes([canary]);
        pr
    }

    /// The same for several, which age together.
    pub(crate) fn recipes<const COUNT: usize>(&self, canaries: [&Canary; COUNT]) -> [PullRequest; COUNT] {
        let prs = canaries.map(|canary| {
            // One without a release has its defect from the first commit on.
            let base = canary.base.clone().or_else(|| Some(canary.head.clone()));
            self.host.prepare(&Canary { base, ..canary.clone() });
            let tree = self.tree(canary.name);
            self.forge.add_recipe(canary.name, &tree).unwrap()
        });
        self.let_the_head_age();
        prs
    }

    fn tree(&self, recipe: &str) -> PathBuf {
        self.host.path("repositories").join(recipe)
    }

    /// A commit of a kind on the branch of pull request 1, not pushed; the work tree, and the commit's id.
    fn commit(&self, pr: &PullRequest, kind: &[&str]) -> (PathBuf, String) {
        let tree = self.tree(pr.repository.rsplit('/').next().unwrap());
        let git = |words: &[&str]| {
            let git = Program::new("git").folder(&tree).args(["-c", "user.name=A Maintainer"]);
            git.args(["-c", "user.email=maintainer@example.org"]).args(words).run().unwrap()
        };
        git(&["switch", "--quiet", "change-1"]);
        git(&[&["commit", "--quiet", "--allow-empty", "--message", "another"], kind].concat());
        let head = git(&["rev-parse", "HEAD"]).trim().to_owned();
        (tree, head)
    }

    /// Opens a pull request from a fork of the member's own, with a commit of its own.
    pub(crate) fn fork_of(&self, pr: &PullRequest) -> PullRequest {
        let (tree, head) = self.commit(pr, &[]);
        let name = pr.repository.rsplit('/').next().unwrap();
        let ask = |path: &str, body| self.forge.ask_as(MEMBER, "POST", path, Some(&body)).unwrap();
        ask(&format!("/repos/{}/forks", pr.repository), serde_json::json!({}));
        let fork = format!("{MEMBER}/{name}");
        self.forge.push(&tree, &fork, &["change-1:refs/heads/of-a-fork"]).unwrap();
        self.forge.wait_for_branch(&fork, "of-a-fork").unwrap();
        let body =
            serde_json::json!({"title": "fork", "head": format!("{MEMBER}:of-a-fork"), "base": "main"});
        let made = ask(&format!("/repos/{}/pulls", pr.repository), body);
        assert_eq!(made["head"]["sha"], head.as_str());
        PullRequest { repository: pr.repository.clone(), number: made["number"].as_u64().unwrap(), head }
    }

    /// Pushes another commit to the pull request's branch; the pull request with its head then.
    pub(crate) fn push_another(&self, pr: &PullRequest) -> PullRequest {
        self.push(pr, &[])
    }

    /// Replaces the commit of the pull request's branch by another one, with force.
    pub(crate) fn push_instead(&self, pr: &PullRequest) -> PullRequest {
        self.push(pr, &["--amend"])
    }

    fn push(&self, pr: &PullRequest, kind: &[&str]) -> PullRequest {
        let (tree, head) = self.commit(pr, kind);
        self.forge.push(&tree, &pr.repository, &["change-1"]).unwrap();
        let path = format!("/repos/{}/pulls/{}", pr.repository, pr.number);
        let look = || match self.forge.ask_as(BOT, "GET", &path, None) {
            Ok(found) if found["head"]["sha"] == head.as_str() => Ok(()),
            other => Err(format!("{other:?}")),
        };
        patience::until("the pull request to have its new head", LIMIT, STEP, look).unwrap();
        PullRequest { head, ..pr.clone() }
    }

    /// Waits until a head that was just pushed counts for a comment.
    pub(crate) fn let_the_head_age(&self) {
        let begin = Instant::now();
        let look = || if begin.elapsed() >= MARGIN { Ok(()) } else { Err("too young".to_owned()) };
        patience::until("the head to be old enough", LIMIT, Duration::from_millis(200), look).unwrap();
    }

    /// Starts the bridge and waits until it has looked once.
    pub(crate) fn start_bridge(&mut self) {
        let queue = self.host.path("state/bridge/queue.json");
        let _ = std::fs::remove_file(&queue);
        let spec = ServerSpec {
            program: BRIDGE.into(),
            arguments: ["--config".into(), self.host.path("bridge.toml").into(), "serve".into()].into(),
            environment: vec![
                ("CCCI_STATE_DIR".to_owned(), self.host.path("state").into()),
                ("CCCI_APP_LOCK_DIR".to_owned(), self.host.path("locks").into()),
            ],
            folder: self.host.path("home"),
            log: self.host.path("bridge.log"),
        };
        let held = Held::start(&spec).unwrap();
        let look = || if queue.exists() { Ok(()) } else { Err(held.log_tail()) };
        patience::until("the bridge to have looked once", Duration::from_secs(60), STEP, look).unwrap();
        self.bridge = Some(held);
    }

    /// The process id of the bridge.
    pub(crate) fn bridge_pid(&self) -> i32 {
        self.bridge.as_ref().expect("the test started it").pid()
    }

    pub(crate) fn kill_bridge(&mut self) {
        if let Some(held) = self.bridge.take() {
            held.kill();
        }
    }

    pub(crate) fn stop_bridge(&mut self) {
        if let Some(held) = self.bridge.take() {
            held.stop();
        }
    }

    /// The one answer to a comment, if there is one; two are a failure.
    pub(crate) fn answer_to(&self, pr: &PullRequest, comment: u64) -> Option<String> {
        let mark = format!("<!-- cc-ci answers comment {comment} -->");
        let mut own = self.forge.comments_of(BOT, pr).unwrap();
        own.retain(|(_, text)| text.starts_with(&mark));
        assert!(own.len() <= 1, "comment {comment} was answered {} times: {own:?}", own.len());
        own.pop().map(|(_, text)| text)
    }

    /// Waits until the answer to a comment contains these words.
    pub(crate) fn wait_for_answer(&self, pr: &PullRequest, comment: u64, words: &str) -> String {
        let look = || match self.answer_to(pr, comment) {
            Some(text) if text.contains(words) => Ok(text),
            other => Err(format!("{other:?}")),
        };
        let seen =
            patience::until(&format!("an answer to comment {comment} with {words:?}"), LIMIT, STEP, look);
        seen.unwrap_or_else(|error| panic!("{error}\n{}", self.story()))
    }

    /// Waits until nothing is open any more.
    pub(crate) fn wait_until_settled(&self) {
        let look = || {
            let open: Vec<String> =
                self.intents().into_iter().filter(|text| text.contains("\"is_settled\": false")).collect();
            if open.is_empty() { Ok(()) } else { Err(open.join("\n")) }
        };
        let seen = patience::until("every intent to be settled", LIMIT, STEP, look);
        seen.unwrap_or_else(|error| panic!("{error}\n{}", self.story()));
    }

    /// Waits for a fact; in vain is a failure with the whole story.
    pub(crate) fn wait_for<T>(&self, what: &str, look: impl FnMut() -> Result<T, String>) -> T {
        let seen = patience::until(what, LIMIT, STEP, look);
        seen.unwrap_or_else(|error| panic!("{error}\n{}", self.story()))
    }

    /// The numbers of all builds of a comment, newest first.
    pub(crate) fn builds_of(&self, comment: u64) -> Vec<u64> {
        let comment = comment.to_string();
        let builds = self.forge.builds().unwrap();
        let own = builds.iter().filter(|build| build["params"]["CCCI_COMMENT"] == comment.as_str());
        own.filter_map(|build| build["number"].as_u64()).collect()
    }

    /// The text of every intent.
    pub(crate) fn intents(&self) -> Vec<String> {
        let entries =
            std::fs::read_dir(self.host.path("state/bridge/intents")).into_iter().flatten().flatten();
        entries
            .filter(|entry| entry.file_name().to_string_lossy().ends_with(".json"))
            .map(|entry| std::fs::read_to_string(entry.path()).unwrap_or_default())
            .collect()
    }

    /// The results of all runs that were asked for by a comment.
    pub(crate) fn runs_of(&self, comment: u64) -> Vec<RunResult> {
        let folders = self.host.run_folders();
        let read = |folder: &PathBuf| {
            RunResult::read(&std::fs::read_to_string(folder.join("result.json")).ok()?).ok()
        };
        let results = folders.iter().filter_map(read);
        results.filter(|result| result.request.receipt.comment == Some(comment)).collect()
    }

    /// State and sentence of our status on a commit.
    pub(crate) fn status_of(&self, pr: &PullRequest) -> Option<(String, String)> {
        let all = self.forge.statuses(&pr.repository, &pr.head).unwrap();
        all.into_iter().find(|(context, _, _)| context == "cc-ci").map(|(_, state, words)| (state, words))
    }

    /// Waits for the number of the build of a comment's attempt.
    pub(crate) fn wait_for_build(&self, comment: u64, status: &str) -> u64 {
        let comment = comment.to_string();
        let look = || {
            let builds = self.forge.builds().map_err(|error| error.to_string())?;
            let found = builds.iter().find(|build| {
                build["params"]["CCCI_COMMENT"] == comment.as_str() && build["status"] == status
            });
            found.and_then(|build| build["number"].as_u64()).ok_or_else(|| format!("{builds:?}"))
        };
        let seen =
            patience::until(&format!("a build of comment {comment} to be {status}"), LIMIT, STEP, look);
        seen.unwrap_or_else(|error| panic!("{error}\n{}", self.story()))
    }

    /// Waits until the run of a comment is in the middle of its work.
    pub(crate) fn wait_for_run(&self, comment: u64) {
        let look = || {
            if self.runs_of(comment).iter().any(|run| run.deploys.counted > 0) {
                Ok(())
            } else {
                Err("no run deploys yet".to_owned())
            }
        };
        let seen = patience::until("a run to deploy", LIMIT, STEP, look);
        seen.unwrap_or_else(|error| panic!("{error}\n{}", self.story()));
    }

    /// What the bridge said on its log, whole.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.host.path("bridge.log")).unwrap_or_default()
    }

    /// What everybody said, for a test that fails.
    pub(crate) fn story(&self) -> String {
        let log = self.log();
        format!(
            "bridge:\n{log}\nintents:\n{}\nbuilds:\n{:?}\ndrone:\n{}",
            self.intents().join("\n"),
            self.forge.builds(),
            self.forge.drone.logs()
        )
    }
}

const STEP: Duration = Duration::from_millis(200);
