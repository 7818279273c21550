//! Starting the roles, waiting for what they do, and leaving no process behind.

use std::convert::Infallible;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use cc_ci_process::cancel::Cancellation;
use cc_ci_process::child::{ChildEnvironment, ChildSpec, Line, Output, run_blocking};
use cc_ci_process::mask::Masker;
use cc_ci_process::wait::{Look, Waiting, wait_for_blocking};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

/// Far more than anything here takes; a test that needs it has found a defect.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// A role in a group of its own, which is killed when the test is over.
pub(crate) struct Actor {
    pub(crate) child: Child,
    stdout: Option<BufReader<ChildStdout>>,
}

impl Actor {
    /// Starts this binary as `role …`.
    pub(crate) fn role(args: &[&str]) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg("role").args(args);
        Self::start(command)
    }

    /// Starts any command, with its stdout in our hands.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdout: Some(stdout) }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    /// The next line; panics at the end of the output.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        let stdout = self.stdout.as_mut().unwrap();
        assert!(stdout.read_line(&mut line).unwrap() > 0, "the role has ended without that line");
        line.trim_end().to_owned()
    }

    /// Closes the pipe its output goes into.
    pub(crate) fn close(&mut self) {
        self.stdout = None;
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Waits for the end; code or signal.
    pub(crate) fn end(&mut self) -> ExitStatus {
        until("waiting for the role to end", || self.child.try_wait().unwrap())
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        // Not reaped yet, or the group is of this test's own making and just gone.
        if self.child.try_wait().unwrap().is_none() {
            let _ = killpg(self.pid(), Signal::SIGKILL);
            let _ = self.child.wait();
        }
    }
}

/// Waits until there is a value.
pub(crate) fn until<T>(sentence: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let waiting = Waiting { deadline: LONG, interval: Duration::from_millis(5) };
    let look = || Ok::<_, Infallible>(Look::from_option(look(), "not yet"));
    wait_for_blocking(sentence, waiting, &Cancellation::new(), look).unwrap()
}

/// Is this process running? One that only waits for its parent to notice its end is not.
pub(crate) fn is_running(pid: i32) -> bool {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => !stat.rsplit_once(") ").unwrap().1.starts_with(['Z', 'X']),
        Err(_) => false,
    }
}

pub(crate) fn until_gone(pid: i32) {
    until(&format!("waiting for process {pid} to be gone"), || (!is_running(pid)).then_some(()));
}

/// The number of a process that is certainly no more.
pub(crate) fn dead_pid() -> u32 {
    let mut child = Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    child.id()
}

pub(crate) fn environment() -> ChildEnvironment {
    ChildEnvironment::new(Path::new("/nonexistent/home"), Path::new("/nonexistent/abra"))
}

/// A shell as the child: the tests want programs that do odd things.
pub(crate) fn shell(script: &str) -> ChildSpec {
    ChildSpec::new("testing", "sh", environment(), LONG).args(["-c", script])
}

pub(crate) fn run(spec: ChildSpec) -> Output {
    run_with(spec, |_| ())
}

pub(crate) fn run_with(spec: ChildSpec, sink: impl FnMut(Line)) -> Output {
    run_blocking(spec, &Cancellation::new(), &Masker::new(), sink).unwrap()
}
