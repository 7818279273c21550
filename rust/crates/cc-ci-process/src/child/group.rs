//! A child's process group, ended by its number and by nothing else.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::sync::mpsc;
use std::thread;

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use tokio::sync::oneshot;

/// The group of a running child.
///
/// The number of a group is free for others as soon as its leader is reaped and its last member gone. So the leader
/// is watched without being reaped (`WNOWAIT`); as a zombie it keeps the number, everything left in the group is
/// killed, and only then is it reaped. No signal can reach a stranger, whatever its name or number.
pub(super) struct Group {
    number: Pid,
    /// Held as long as the leader must not be reaped.
    hold: Option<mpsc::Sender<()>>,
}

/// Tells when the leader has ended, and afterwards, once the group is released, how.
pub(super) struct Leader {
    pub(super) has_ended: oneshot::Receiver<()>,
    pub(super) status: oneshot::Receiver<io::Result<ExitStatus>>,
}

impl Group {
    /// Takes over a child that leads a group of its own.
    pub(super) fn of(mut child: Child) -> io::Result<(Self, Leader)> {
        let number = i32::try_from(child.id()).map(Pid::from_raw).map_err(io::Error::other)?;
        let (hold, release) = mpsc::channel::<()>();
        let (ended, has_ended) = oneshot::channel();
        let (reaped, status) = oneshot::channel();
        let group = Self { number, hold: Some(hold) };
        thread::Builder::new().name(format!("child-{number}")).spawn(move || {
            while waitid(Id::Pid(number), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) == Err(Errno::EINTR) {}
            let _ = ended.send(());
            // Comes back with an error when the hold is dropped; nothing is ever sent.
            let _ = release.recv();
            let _ = killpg(number, Signal::SIGKILL);
            drop(reaped.send(child.wait()));
        })?;
        Ok((group, Leader { has_ended, status }))
    }

    /// Sends a signal to every process of the group. A group that has nobody left is no error.
    pub(super) fn signal(&self, signal: Signal) {
        let _ = killpg(self.number, signal);
    }

    /// Kills what is left of the group and lets its leader be reaped.
    pub(super) fn release(mut self) {
        self.let_go();
    }

    fn let_go(&mut self) {
        if let Some(hold) = self.hold.take() {
            self.signal(Signal::SIGKILL);
            drop(hold);
        }
    }
}

impl Drop for Group {
    /// Whoever stops caring for a child leaves none behind.
    fn drop(&mut self) {
        self.let_go();
    }
}

/// The signal that ended it, if one did.
pub(super) fn signal_of(status: ExitStatus) -> Option<i32> {
    status.signal()
}
