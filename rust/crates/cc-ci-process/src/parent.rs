//! Ending with the process that started this one, without the gap in which it dies unnoticed.

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getpid, getppid, gettid};
use thiserror::Error;

use crate::cancel::{Cancellation, Cause};

/// Which process is this one's parent, noted before anything could have gone wrong with it.
///
/// The kernel's parent-death signal alone has a gap: a parent that dies before the signal is armed is never
/// reported, and the orphan would live on and keep its lock. So the parent is noted first, the signal armed
/// second, and the parent compared third: whichever side of the arming the death falls on, one of the two
/// sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParentBond {
    parent: Pid,
}

/// Why the bond could not be made.
#[derive(Debug, Error)]
pub enum ParentError {
    /// The kernel keeps the setting per thread and forgets it when that thread ends (`prctl(2)`).
    #[error("binding to the parent process: this has to be called from the first thread of the program")]
    NotTheFirstThread,
    /// `prctl` refused.
    #[error("binding to the parent process: arming the parent-death signal failed: {0}")]
    Arm(Errno),
}

impl ParentBond {
    /// Notes the present parent; to be called first thing in `main`.
    pub fn note() -> Self {
        Self { parent: getppid() }
    }

    /// Expects the parent to be `parent`, as its own starter was told. Closes the rest of the gap: a parent that
    /// dies before [`ParentBond::note`] could have noted it.
    pub fn expecting(parent: i32) -> Self {
        Self { parent: Pid::from_raw(parent) }
    }

    /// Is the noted parent gone?
    pub fn parent_is_gone(self) -> bool {
        getppid() != self.parent
    }

    /// From here on TERM comes when the parent dies; if it is gone already, `cancellation` is cancelled at once.
    ///
    /// Both lead through the same teardown. To be called from the first thread, after the signals are installed
    /// with [`Cancellation::install_signals_with`].
    pub fn bind(self, cancellation: &Cancellation) -> Result<(), ParentError> {
        self.arm(Signal::SIGTERM)?;
        if self.parent_is_gone() {
            cancellation.cancel(Cause::ParentDied);
        }
        Ok(())
    }

    /// Arms `signal` only. The caller compares the parent afterwards.
    pub(crate) fn arm(self, signal: Signal) -> Result<(), ParentError> {
        if gettid() != getpid() {
            return Err(ParentError::NotTheFirstThread);
        }
        prctl::set_pdeathsig(signal).map_err(ParentError::Arm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binding_from_another_thread_is_refused_because_the_kernel_would_forget_it() {
        let bound = std::thread::spawn(|| ParentBond::note().bind(&Cancellation::new())).join().unwrap();
        assert!(matches!(bound, Err(ParentError::NotTheFirstThread)));
    }
}
