//! Ctrl-C and its like, while something of ours has to be taken away first: heard between two steps, and passed on to
//! the one long child.

use std::process::{Child, ExitStatus};
use std::time::Duration;

use anyhow::{Context, bail};
use cc_ci_process::cancel::{Cancellation, Cause, Watch};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// INT, TERM and HUP, which no longer end this process as long as it is held.
pub(crate) struct Interrupts {
    cancellation: Cancellation,
    _watch: Watch,
}

/// How long a signal waits until it is passed on.
const STEP: Duration = Duration::from_millis(50);

impl Interrupts {
    /// Catches the signals; not blocks them, since children would inherit that and be deaf, too.
    pub(crate) fn catch() -> anyhow::Result<Self> {
        let cancellation = Cancellation::new();
        let watch = cancellation.install_signals()?;
        Ok(Self { cancellation, _watch: watch })
    }

    /// Whether one came so far.
    pub(crate) fn came(&self) -> bool {
        self.cancellation.is_cancelled()
    }

    /// Ends the caller's work where one came.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        match self.cancellation.cause() {
            Some(cause) => bail!("{cause}"),
            None => Ok(()),
        }
    }

    /// Waits for the end of a child that has a deadline of its own, and passes the first signal on to it.
    pub(crate) fn wait(&self, child: &mut Child) -> anyhow::Result<ExitStatus> {
        let waiting = "waiting for a child";
        let cause = loop {
            if let Some(status) = child.try_wait().context(waiting)? {
                return Ok(status);
            }
            if let Some(cause) = self.cancellation.cancelled_within(STEP) {
                break cause;
            }
        };
        // A Ctrl-C comes from the terminal, which tells the child by itself.
        if cause != Cause::Int {
            let pid = Pid::from_raw(i32::try_from(child.id()).context("a process id that does not fit")?);
            // It may have ended in the meantime.
            let _ = kill(pid, Signal::SIGTERM);
        }
        child.wait().context(waiting)
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_signal_is_passed_on_to_the_child_whose_status_it_then_is() {
        use std::os::unix::process::ExitStatusExt;
        let interrupts = Interrupts::catch().unwrap();
        assert!(interrupts.check().is_ok());
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        nix::sys::signal::raise(Signal::SIGTERM).unwrap();
        assert_eq!(interrupts.wait(&mut child).unwrap().signal(), Some(Signal::SIGTERM as i32));
        assert!(interrupts.came() && interrupts.check().is_err());
    }
}
