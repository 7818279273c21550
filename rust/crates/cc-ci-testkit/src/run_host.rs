//! A host for runs beside a test engine: folders and settings of its own, and `cc-ci` started there as people start it.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use cc_ci_model::result::{CheckReport, RunResult, TierReport};
use cc_ci_model::tier::Tier;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::canaries::Canary;
use crate::patience;
use crate::recipe_repository::RecipeRepository;
use crate::testbed::TestEngine;

/// Longer than any run of a test recipe takes on a loaded machine; a run that is still there then hangs.
pub const RUN_LIMIT: Duration = Duration::from_secs(400);

const STEP: Duration = Duration::from_millis(20);

/// One host: its state, its runs, its locks, its settings, its copy of the recipes' test data.
///
/// Everything panics with the reason where a test could not go on.
#[derive(Debug)]
pub struct RunHost {
    folder: tempfile::TempDir,
    program: PathBuf,
    docker_host: String,
    prefix: Vec<String>,
    /// The zone of its run domains.
    pub zone: String,
}

impl RunHost {
    /// A host with a zone of its own, as two hosts may not share one; it has no proxy.
    ///
    /// # Panics
    /// Its folder cannot be written.
    pub fn new(program: impl AsRef<Path>, engine: &TestEngine) -> Self {
        let zone = format!("{:08x}.test", rand::random::<u32>());
        Self::with_zone(program.as_ref(), engine, zone, "")
    }

    /// The host of the engine's proxy, whose certificate holds for the engine's zone.
    ///
    /// # Panics
    /// The engine has no proxy, or the host's folder cannot be written.
    pub fn behind_proxy(program: impl AsRef<Path>, engine: &TestEngine) -> Self {
        let proxy = engine.traefik.as_ref().expect("the test asked for a proxy before");
        let lines =
            format!("\n[proxy]\naddress = \"127.0.0.1:{}\"\nca = {:?}\n", proxy.https_port, proxy.ca_pem);
        let host = Self::with_zone(program.as_ref(), engine, engine.zone.clone(), &lines);
        // The zone of the engine's proxy belongs to one host, and all hosts behind that proxy pass for it.
        let state = host.path("state");
        std::fs::create_dir_all(&state).expect("a folder below a new one");
        std::fs::write(state.join("host-id"), "00000000000000cc\n").expect("a file in a new folder");
        host
    }

    fn with_zone(program: &Path, engine: &TestEngine, zone: String, more: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("cc-ci-host-").tempdir().expect("a folder for a host");
        let host = Self {
            folder,
            program: program.to_owned(),
            docker_host: engine.docker_host.clone(),
            prefix: Vec::new(),
            zone,
        };
        for name in ["recipes", "repositories", "home"] {
            std::fs::create_dir_all(host.path(name)).expect("a folder below a new one");
        }
        host.write_settings(more);
        host
    }

    /// Writes the host's settings, with these lines after what every test needs.
    ///
    /// # Panics
    /// The file cannot be written.
    pub fn write_settings(&self, more: &str) {
        let text = format!(
            "zone = \"{}\"\ndeployer = \"native\"\nrecipes = {:?}\n{more}",
            self.zone,
            self.path("recipes")
        );
        std::fs::write(self.path("settings.toml"), text).expect("settings in a new folder");
    }

    /// Puts words before each program, as `setpriv` wants it.
    #[must_use]
    pub fn started_by(mut self, prefix: &[&str]) -> Self {
        self.prefix = prefix.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// Something below the host's folder: `state`, `state/runs`, `locks`, `recipes`, `repositories`.
    pub fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    /// Sets our test data about a recipe.
    ///
    /// # Panics
    /// It cannot be written.
    pub fn set_test_data(&self, recipe: &str, recipe_toml: &str) {
        let folder = self.path("recipes").join(recipe);
        std::fs::create_dir_all(&folder).expect("a folder for test data");
        std::fs::write(folder.join("recipe.toml"), recipe_toml).expect("a recipe.toml in a new folder");
    }

    /// Makes a canary's repository and test data here; returns the arguments of a run of it.
    ///
    /// # Panics
    /// They cannot be made.
    pub fn prepare(&self, canary: &Canary) -> Vec<String> {
        self.set_test_data(canary.name, &canary.recipe_toml);
        let folder = self.path("repositories").join(canary.name);
        let (repository, head) = canary.repository(&folder).expect("the repository of a canary");
        self.arguments_for(canary.name, &repository, &head)
    }

    /// Puts a bundled recipe and the test data that `recipes` (the folder of the repository) has about it here; returns
    /// the arguments of a run of its pull request.
    ///
    /// # Panics
    /// They cannot be made.
    pub fn prepare_bundled(&self, recipe: &str, registry: &str) -> Vec<String> {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../recipes").join(recipe);
        let copy = crate::program::Program::new("cp").arg("-r").arg(&data).arg(self.path("recipes"));
        copy.run().expect("the test data of a bundled recipe");
        let folder = self.path("repositories").join(recipe);
        let made = RecipeRepository::bundled(recipe, &folder, registry);
        let (repository, head) = made.expect("the repository of a bundled recipe");
        self.arguments_for(recipe, &repository, &head)
    }

    /// The arguments of a run of pull request 1.
    pub fn arguments_for(&self, recipe: &str, repository: &RecipeRepository, head: &str) -> Vec<String> {
        let source = repository.path().to_string_lossy().into_owned();
        let words = ["run", "--recipe", recipe, "--src", &source, "--ref", head, "--pr", "1"];
        let words = words.map(str::to_owned);
        words.into_iter().chain(["--via".to_owned(), "direct".to_owned()]).collect()
    }

    /// Starts `cc-ci` with these arguments on this host, with nothing else of the caller's environment but `PATH`.
    ///
    /// # Panics
    /// It cannot be started.
    pub fn start<A: AsRef<str>>(&self, arguments: &[A]) -> LiveRun {
        let words: Vec<String> = self
            .prefix
            .iter()
            .cloned()
            .chain([self.program.to_string_lossy().into_owned()])
            .chain(arguments.iter().map(|argument| argument.as_ref().to_owned()))
            .collect();
        let (first, rest) = words.split_first().expect("the program is one of the words");
        let file = |name: &str| {
            let path = self.path(&format!("{name}-{:08x}", rand::random::<u32>()));
            let file = File::create(&path).expect("a file in the host's folder");
            (path, file)
        };
        let ((out_path, out), (err_path, err)) = (file("stdout"), file("stderr"));
        let child = Command::new(first)
            .args(rest)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path("home"))
            .env("DOCKER_HOST", &self.docker_host)
            .env("CCCI_STATE_DIR", self.path("state"))
            .env("CCCI_APP_LOCK_DIR", self.path("locks"))
            .env("CCCI_SETTINGS", self.path("settings.toml"))
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            // A signal for the run is for it alone, and one for the test is not for it.
            .process_group(0)
            .spawn();
        let child = child.unwrap_or_else(|error| panic!("starting {words:?}: {error}"));
        LiveRun { child, runs: self.path("state/runs"), out: out_path, err: err_path, is_over: false }
    }

    /// Starts `cc-ci` and waits for its end.
    ///
    /// # Panics
    /// It does not end.
    pub fn run<A: AsRef<str>>(&self, arguments: &[A]) -> Ended {
        self.start(arguments).wait()
    }

    /// The run folders there are.
    pub fn run_folders(&self) -> Vec<PathBuf> {
        folders(&self.path("state/runs"))
    }
}

impl Drop for RunHost {
    fn drop(&mut self) {
        // Runs leave the mark of their host's zone on the node, and this host is gone.
        let docker = || crate::program::Program::new("docker").env("DOCKER_HOST", &self.docker_host);
        let Ok(node) = docker().args(["info", "--format", "{{.Swarm.NodeID}}"]).run() else { return };
        let label = format!("cc-ci.zone.{}", self.zone);
        let _ = docker().args(["node", "update", "--label-rm", &label, node.trim()]).run();
    }
}

/// A `cc-ci` that was started; killed with its group when dropped before its end.
#[derive(Debug)]
pub struct LiveRun {
    child: Child,
    runs: PathBuf,
    out: PathBuf,
    err: PathBuf,
    is_over: bool,
}

/// How a `cc-ci` ended.
#[derive(Debug)]
pub struct Ended {
    /// Exit status; 128 and the number where a signal ended it.
    pub code: i32,
    /// All it wrote to standard output.
    pub stdout: String,
    /// All it wrote to standard error.
    pub stderr: String,
    /// Its run folder, if it made one.
    pub folder: Option<PathBuf>,
}

impl LiveRun {
    /// Sends a signal to the program itself.
    ///
    /// # Panics
    /// It is gone already.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("the run is there to be told");
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a process id fits"))
    }

    /// The run's folder, as soon as it is there.
    pub fn folder(&self) -> Option<PathBuf> {
        let owner = |folder: &PathBuf| {
            let text = std::fs::read_to_string(folder.join("result.json")).ok()?;
            let value: serde_json::Value = serde_json::from_str(&text).ok()?;
            value.pointer("/run/pid")?.as_u64()
        };
        folders(&self.runs).into_iter().find(|folder| owner(folder) == Some(u64::from(self.child.id())))
    }

    /// What it wrote so far, both streams.
    pub fn said(&self) -> String {
        read(&self.out) + &read(&self.err)
    }

    /// Waits until the run's result shows something.
    ///
    /// # Panics
    /// The run ends before, or the limit passes.
    pub fn wait_until<T>(&mut self, what: &str, mut look: impl FnMut(&Path, &RunResult) -> Option<T>) -> T {
        let seen = patience::until(what, RUN_LIMIT, STEP, || {
            if let Some(folder) = self.folder() {
                let text = read(&folder.join("result.json"));
                let result = RunResult::read(&text).map_err(|error| format!("{error}: {text}"))?;
                if let Some(found) = look(&folder, &result) {
                    return Ok(Some(found));
                }
            }
            match self.child.try_wait() {
                Ok(Some(_)) => Ok(None),
                other => Err(format!("{other:?}")),
            }
        });
        match seen {
            Ok(Some(found)) => found,
            Ok(None) => panic!("the run ended before {what}: {}", self.said()),
            Err(error) => panic!("{error}: {}", self.said()),
        }
    }

    /// Waits until an event of the run contains these words.
    ///
    /// # Panics
    /// As [`LiveRun::wait_until`].
    pub fn wait_for_event(&mut self, words: &str) {
        self.wait_until(&format!("an event with {words}"), |folder, _| {
            read(&folder.join("events.jsonl")).contains(words).then_some(())
        });
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// It does not end in time; what it said is shown.
    pub fn wait(mut self) -> Ended {
        use std::os::unix::process::ExitStatusExt;
        let folder_of_child = |run: &Self| run.folder();
        let mut folder = None;
        let end = patience::until("a run to end", RUN_LIMIT, STEP, || match self.child.try_wait() {
            Ok(Some(status)) => Ok(status),
            Ok(None) => {
                folder = folder.take().or_else(|| folder_of_child(&self));
                Err("it runs".to_owned())
            }
            Err(error) => Err(error.to_string()),
        });
        let status = match end {
            Ok(status) => status,
            Err(error) => panic!("{error}; it said: {}", self.said()),
        };
        self.is_over = true;
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        let folder = folder.or_else(|| self.folder());
        Ended { code, stdout: read(&self.out), stderr: read(&self.err), folder }
    }
}

impl Drop for LiveRun {
    fn drop(&mut self) {
        if !self.is_over {
            // The test is failing already: first in order, so that nothing stays on the engine, then by force.
            let _ = kill(self.pid(), Signal::SIGTERM);
            let child = &mut self.child;
            let ended = patience::until("a run to end", Duration::from_secs(60), STEP, || {
                child.try_wait().ok().flatten().ok_or_else(String::new)
            });
            if ended.is_err() {
                let _ = nix::sys::signal::killpg(self.pid(), Signal::SIGKILL);
                let _ = self.child.wait();
            }
        }
    }
}

impl Ended {
    /// The result of the run.
    ///
    /// # Panics
    /// There is none, or it cannot be read.
    pub fn result(&self) -> RunResult {
        let folder = self.folder.as_ref().unwrap_or_else(|| panic!("no run folder was made: {self}"));
        let text = read(&folder.join("result.json"));
        RunResult::read(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// A file of the run's folder.
    ///
    /// # Panics
    /// It cannot be read.
    pub fn file(&self, name: &str) -> String {
        let folder = self.folder.as_ref().unwrap_or_else(|| panic!("no run folder was made: {self}"));
        let path = folder.join(name);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// How a tier ended.
    ///
    /// # Panics
    /// The result has no such tier.
    pub fn tier(&self, tier: Tier) -> TierReport {
        let tiers = self.result().tiers;
        let found = tiers.into_iter().find(|report| report.name == tier);
        found.unwrap_or_else(|| panic!("the result has no tier {tier}: {self}"))
    }

    /// Everything that a tier says: its reason, and name and message of its checks.
    ///
    /// # Panics
    /// The result has no such tier.
    pub fn words_of(&self, tier: Tier) -> String {
        let report = self.tier(tier);
        let line = |check: &CheckReport| format!("\n{}: {}", check.name, check.message);
        report.reason.clone() + &report.checks.iter().map(line).collect::<String>()
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "status {}\n{}\n{}", self.code, self.stdout, self.stderr)?;
        let Some(folder) = &self.folder else { return Ok(()) };
        write!(f, "{}\n{}", read(&folder.join("log.txt")), read(&folder.join("result.json")))
    }
}

/// Empty where it cannot be read.
fn read(path: &Path) -> String {
    std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

fn folders(parent: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(parent).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()).collect()
}
