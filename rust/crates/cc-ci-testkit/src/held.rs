//! A server held by the test that started it: it ends with its holder, also where the test's process is killed.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::patience;

/// What a server is started with; kept, so that it can be started again as it was.
#[derive(Debug, Clone)]
pub struct ServerSpec {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// All of its environment.
    pub environment: Vec<(String, OsString)>,
    /// The folder it works in.
    pub folder: PathBuf,
    /// Where both its streams go, appended.
    pub log: PathBuf,
}

/// A running server.
///
/// The kernel ends it with the thread that started it (`prctl(2)`, the parent-death signal), so each server has a
/// thread of its own that lives as long as its holder: a test's own thread ends before its statics do.
#[derive(Debug)]
pub struct Held {
    pid: Pid,
    words: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    log: PathBuf,
}

impl Held {
    /// Starts it. That it runs does not mean that it answers.
    ///
    /// # Errors
    /// The program or its log cannot be opened.
    pub fn start(spec: &ServerSpec) -> io::Result<Self> {
        let (words, hears) = mpsc::channel::<()>();
        let (born, is_born) = mpsc::channel();
        let (own, log) = (spec.clone(), spec.log.clone());
        let thread =
            std::thread::Builder::new().name("server".to_owned()).spawn(move || match spawn(&own) {
                Ok(child) => {
                    let _ = born.send(Ok(child.id()));
                    hold(child, &hears);
                }
                Err(error) => drop(born.send(Err(error))),
            })?;
        let id = is_born.recv().unwrap_or_else(|_| Err(io::Error::other("its thread ended early")))?;
        let pid = Pid::from_raw(i32::try_from(id).map_err(io::Error::other)?);
        Ok(Self { pid, words: Some(words), thread: Some(thread), log })
    }

    /// Sends a signal to the server itself.
    pub fn signal(&self, signal: Signal) {
        let _ = kill(self.pid, signal);
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// Kills it at once and waits until it is gone.
    pub fn kill(mut self) {
        self.signal(Signal::SIGKILL);
        self.end();
    }

    /// Ends it in order, by force after 5 s, and waits until it is gone.
    pub fn stop(mut self) {
        self.end();
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        tail(&self.log)
    }

    fn end(&mut self) {
        drop(self.words.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.end();
    }
}

fn tail(log: &Path) -> String {
    let text = std::fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let text = text.unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}

fn spawn(spec: &ServerSpec) -> io::Result<Child> {
    let log = OpenOptions::new().create(true).append(true).open(&spec.log)?;
    Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "--"])
        .arg(&spec.program)
        .args(&spec.arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .envs(spec.environment.iter().map(|(name, value)| (name, value)))
        .current_dir(&spec.folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
}

/// Waits for the holder's last word or the server's own end; then nothing of it runs.
fn hold(mut child: Child, hears: &mpsc::Receiver<()>) {
    while hears.recv_timeout(Duration::from_millis(200)) == Err(RecvTimeoutError::Timeout) {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
    }
    if let Ok(pid) = i32::try_from(child.id()) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    let step = Duration::from_millis(5);
    let ended = patience::until("a server to end", Duration::from_secs(5), step, || match child.try_wait() {
        Ok(Some(_)) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    if ended.is_err() {
        let _ = child.kill();
        let _ = child.wait();
    }
}
