//! A private Docker engine: a daemon in namespaces of its own that ends with its owner and leaves nothing.
//!
//! Source of the method: a second dockerd works in a network namespace that it was moved into without remounting
//! `/sys`. Here it also has its own process and mount namespace, so that ending the first process of it ends every
//! container and mount at once, also when the owner is killed (`keeper.sh` tells how).

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use crate::patience::{self, TimedOut};
use crate::program::{Program, ProgramError};
use crate::{cache, sweep};

/// The address the engine advertises in its namespace (RFC 5737 documentation range).
pub const ADDRESS: &str = "192.0.2.1";

/// What holds an engine, and what is the first process in it; both lie in the engine's folder while it lives.
const SCRIPTS: [(&str, &str); 2] =
    [("keeper.sh", include_str!("engine/keeper.sh")), ("daemon.sh", include_str!("engine/daemon.sh"))];

/// Why a private engine did not start, restart or stop.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Namespaces and mounts need root.
    #[error("starting a private Docker engine needs root; run the same command with sudo")]
    NotRoot,
    /// Its folders could not be made.
    #[error("making the folders of a private engine in {}: {cause}", path.display())]
    Folders {
        /// Where.
        path: PathBuf,
        /// What the kernel said.
        cause: std::io::Error,
    },
    /// No folder for its data.
    #[error(transparent)]
    Cache(#[from] cache::CacheError),
    /// The process that holds it could not be started or spoken to.
    #[error("starting the keeper of a private engine: {0}")]
    Keeper(std::io::Error),
    /// It ended at once.
    #[error("the keeper of a private engine ended before the engine answered; it said: {log}")]
    KeeperEnded {
        /// The last lines of its log.
        log: String,
    },
    /// The daemon did not come up, or did not end.
    #[error("{waited}; the daemon's log ends with: {log}")]
    Daemon {
        /// What was waited for.
        waited: TimedOut,
        /// The last lines of its log.
        log: String,
    },
    /// A command that prepares the swarm failed.
    #[error("preparing the swarm of a private engine: {0}")]
    Swarm(#[from] ProgramError),
}

/// How a daemon is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// It ends its containers first: up to 10 s each for those deaf to TERM.
    Term,
    /// At once; its containers live on until it is started again.
    Kill,
}

/// What an engine starts with.
#[derive(Debug, Clone, Default)]
pub struct EngineOptions {
    /// The data of an earlier engine, kept with [`PrivateEngine::keep_data`], whose images and registry are there from
    /// the start. Files are shared by hard links, so it must lie in the cache; it is never written.
    pub data_from: Option<PathBuf>,
    /// Subnets for overlay networks, each cut into networks of /24; default: Docker's own (10.0.0.0/8).
    /// With a pool of the test's own there is no `proxy` network.
    pub address_pool: Option<String>,
}

/// A running engine with an active swarm and the overlay network `proxy`; ends when dropped.
#[derive(Debug)]
pub struct PrivateEngine {
    folder: PathBuf,
    data: PathBuf,
    keeper: Child,
    words: Option<ChildStdin>,
}

impl PrivateEngine {
    /// Starts one, after removing what an earlier one may have left that was killed together with its keeper.
    ///
    /// # Errors
    /// Not root, or the namespaces, the daemon or the swarm do not come up; then nothing is left.
    pub fn start(options: &EngineOptions) -> Result<Self, EngineError> {
        if !nix::unistd::geteuid().is_root() {
            return Err(EngineError::NotRoot);
        }
        sweep::sweep()?;
        let name = format!("{:08x}", rand::random::<u32>());
        let folder = sweep::run_folder().join(&name);
        let data = sweep::data_folder()?.join(&name);
        let mut engine = Self::spawn(&name, folder, data, options)?;
        engine.wait_until_it_answers()?;
        engine.init_swarm(options)?;
        Ok(engine)
    }

    fn spawn(
        name: &str,
        folder: PathBuf,
        data: PathBuf,
        options: &EngineOptions,
    ) -> Result<Self, EngineError> {
        let made = |path: &Path| {
            std::fs::create_dir_all(path)
                .map_err(|cause| EngineError::Folders { path: path.to_owned(), cause })
        };
        // The data first: a sweep beside us spares data whose name has a run folder, and run folders that are young.
        made(&folder)?;
        made(&folder.join("client"))?;
        made(&data)?;
        // The machine's own /etc/docker/daemon.json is not this daemon's.
        for (name, text) in SCRIPTS.into_iter().chain([("client/daemon.json", "{}")]) {
            let path = folder.join(name);
            std::fs::write(&path, text).map_err(|cause| EngineError::Folders { path, cause })?;
        }
        if let Some(kept) = &options.data_from {
            share_data(kept, &data)?;
        }
        let cgroup = format!("cc-ci-engine-{name}");
        let exec_root = folder.join("exec");
        let mut command = Command::new("unshare");
        command
            .args(["--net", "bash"])
            .args([&folder.join("keeper.sh"), &folder, &data])
            .args([&cgroup, "--", "dockerd", "--data-root"])
            .arg(data.join("docker"))
            .arg("--exec-root")
            .arg(&exec_root)
            .arg("--pidfile")
            .arg(folder.join("docker.pid"))
            .args(["--host", &host_of(&folder)])
            .args(["--cgroup-parent", &format!("/{cgroup}"), "--exec-opt", "native.cgroupdriver=cgroupfs"])
            .arg("--config-file")
            .arg(folder.join("client/daemon.json"))
            // Otherwise the agent asks the registry on each start of a task (moby, executor/container/adapter.go).
            .env("DOCKER_SERVICE_PREFER_OFFLINE_IMAGE", "1")
            .env_remove("DOCKER_HOST")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log_of_keeper(&folder)?)
            // A Ctrl-C in the terminal is the owner's to hear; the keeper hears the end of its input.
            .process_group(0);
        let mut keeper = command.spawn().map_err(EngineError::Keeper)?;
        let words = keeper.stdin.take();
        Ok(Self { folder, data, keeper, words })
    }

    /// What programs find in `DOCKER_HOST`.
    pub fn docker_host(&self) -> String {
        host_of(&self.folder)
    }

    /// The arguments that run a program in the engine's network: put them before the program's own.
    ///
    /// 127.0.0.1 is the engine's host there, with its registry and published ports. Files, processes and users stay
    /// those of the machine.
    pub fn nsenter_prefix(&self) -> Vec<OsString> {
        vec!["nsenter".into(), format!("--net=/proc/{}/ns/net", self.keeper.id()).into(), "--".into()]
    }

    /// A program that runs in the engine's network with its `DOCKER_HOST` and an empty Docker configuration.
    pub fn program(&self, name: &str) -> Program {
        Program::within(&self.nsenter_prefix(), name)
            .env("DOCKER_HOST", self.docker_host())
            .env("DOCKER_CONFIG", self.folder.join("client"))
    }

    /// The same as [`PrivateEngine::program`], for a caller that wants to hold the process itself.
    pub fn command_in(&self, name: impl AsRef<OsStr>) -> Command {
        let prefix = self.nsenter_prefix();
        let mut command = Command::new(&prefix[0]);
        command
            .args(&prefix[1..])
            .arg(name)
            .env("DOCKER_HOST", self.docker_host())
            .env("DOCKER_CONFIG", self.folder.join("client"));
        command
    }

    /// A `docker` command on this engine.
    pub fn docker(&self) -> Program {
        self.program("docker")
    }

    /// The folder of the engine's data and its registry's: its own, gone when the engine is.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Ends the daemon in order and copies images and registry into `place`, for [`EngineOptions::data_from`].
    /// `place` must lie in the cache.
    ///
    /// # Errors
    /// The daemon does not end, or the files cannot be shared.
    pub fn keep_data(mut self, place: &Path) -> Result<(), EngineError> {
        self.halt(Signal::Term)?;
        share_data(&self.data, place)?;
        self.end()
    }

    /// A folder for small files of the engine's companions; gone when the engine is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Ends the daemon and leaves it ended; [`PrivateEngine::resume`] starts it again.
    ///
    /// # Errors
    /// It does not end within 60 s.
    pub fn halt(&mut self, signal: Signal) -> Result<(), EngineError> {
        // Before the word is said, so that nobody takes the old state for the answer.
        let _ = std::fs::remove_file(self.folder.join("daemon"));
        self.tell(match signal {
            Signal::Term => "TERM",
            Signal::Kill => "KILL",
        })?;
        self.wait_for("the daemon to end", || match std::fs::read_to_string(self.folder.join("daemon")) {
            Ok(state) if state.trim() == "ended" => Ok(()),
            other => Err(format!("{other:?}")),
        })
    }

    /// Starts a daemon that was ended, and waits until it answers and its node is ready.
    ///
    /// # Errors
    /// It does not answer within 60 s.
    pub fn resume(&mut self) -> Result<(), EngineError> {
        self.tell("START")?;
        self.wait_until_it_answers()?;
        self.wait_for("the node to be ready", || {
            match self.docker().args(["node", "ls", "--format", "{{.Status}}"]).run() {
                Ok(status) if status.trim() == "Ready" => Ok(()),
                Ok(status) => Err(status),
                Err(error) => Err(error.to_string()),
            }
        })
    }

    /// Ends the daemon and starts it again.
    ///
    /// # Errors
    /// As [`PrivateEngine::halt`] and [`PrivateEngine::resume`].
    pub fn restart(&mut self, signal: Signal) -> Result<(), EngineError> {
        self.halt(signal)?;
        self.resume()
    }

    /// Ends the engine and everything in it, and waits until nothing of it is left.
    ///
    /// # Errors
    /// The keeper is still busy after 60 s.
    pub fn stop(mut self) -> Result<(), EngineError> {
        self.end()
    }

    fn end(&mut self) -> Result<(), EngineError> {
        drop(self.words.take());
        let keeper = &mut self.keeper;
        let end = patience::until("the private engine to end", LIMIT, STEP, || match keeper.try_wait() {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err("its keeper still runs".to_owned()),
            Err(error) => Err(error.to_string()),
        });
        end.map_err(|waited| EngineError::Daemon { waited, log: log_tail(&self.folder) })
    }

    pub(crate) fn tell(&mut self, word: &str) -> Result<(), EngineError> {
        match &mut self.words {
            Some(words) => {
                writeln!(words, "{word}").and_then(|()| words.flush()).map_err(EngineError::Keeper)
            }
            None => Ok(()),
        }
    }

    fn wait_until_it_answers(&mut self) -> Result<(), EngineError> {
        let (prefix, host) = (self.nsenter_prefix(), self.docker_host());
        let keeper = &mut self.keeper;
        let look = || {
            if let Ok(Some(_)) = keeper.try_wait() {
                // Without its keeper no engine will ever answer.
                return Ok(false);
            }
            let version = Program::within(&prefix, "docker").env("DOCKER_HOST", &host);
            let version = version.args(["version", "--format", "{{.Server.Version}}"]);
            version.deadline(Duration::from_secs(20)).run().map(|_| true).map_err(|error| error.to_string())
        };
        match patience::until("the private engine to answer", LIMIT, STEP, look) {
            Ok(true) => Ok(()),
            Ok(false) => Err(EngineError::KeeperEnded { log: log_tail(&self.folder) }),
            Err(waited) => Err(EngineError::Daemon { waited, log: log_tail(&self.folder) }),
        }
    }

    fn wait_for(&self, what: &str, look: impl FnMut() -> Result<(), String>) -> Result<(), EngineError> {
        patience::until(what, LIMIT, STEP, look)
            .map_err(|waited| EngineError::Daemon { waited, log: log_tail(&self.folder) })
    }

    fn init_swarm(&self, options: &EngineOptions) -> Result<(), EngineError> {
        let init = self.docker().args(["swarm", "init", "--advertise-addr", ADDRESS]);
        match &options.address_pool {
            Some(pool) => {
                init.args(["--default-addr-pool", pool, "--default-addr-pool-mask-length", "24"]).run()?;
            }
            None => {
                init.run()?;
                let network = ["network", "create", "--driver", "overlay", "--subnet", PROXY_SUBNET, "proxy"];
                self.docker().args(network).run()?;
            }
        }
        Ok(())
    }
}

impl Drop for PrivateEngine {
    fn drop(&mut self) {
        // What could not be ended here is swept by the next start.
        let _ = self.end();
    }
}

/// A /20, because each task on the shared network takes an address of it and a /24 holds about 250.
const PROXY_SUBNET: &str = "10.199.0.0/20";

/// Long enough for a daemon that waits for containers deaf to TERM, and for one that clears up after KILL (13 s).
const LIMIT: Duration = Duration::from_secs(60);

const STEP: Duration = Duration::from_millis(20);

/// Puts images and registry of one engine's data into the data of another.
fn share_data(from: &Path, to: &Path) -> Result<(), EngineError> {
    // Layers and blobs never change, so both may have the same files; what lists them changes, so it is copied.
    for (what, how) in [
        ("docker/overlay2", "-al"),
        ("docker/image", "-a"),
        ("registry/docker/registry/v2/blobs", "-al"),
        ("registry/docker/registry/v2/repositories", "-a"),
    ] {
        if from.join(what).exists() {
            let place = to.join(what);
            let parent = place.parent().unwrap_or(to);
            std::fs::create_dir_all(parent)
                .map_err(|cause| EngineError::Folders { path: parent.to_owned(), cause })?;
            Program::new("cp").arg(how).arg(from.join(what)).arg(parent).run()?;
        }
    }
    Ok(())
}

fn host_of(folder: &Path) -> String {
    format!("unix://{}", folder.join("docker.sock").display())
}

fn log_of_keeper(folder: &Path) -> Result<std::fs::File, EngineError> {
    let path = folder.join("keeper.log");
    std::fs::File::create(&path).map_err(|cause| EngineError::Folders { path, cause })
}

fn log_tail(folder: &Path) -> String {
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
    let text = read("keeper.log") + &read("dockerd.log");
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(8)..].join(" | ")
}
