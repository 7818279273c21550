//! The steps by which a child's group is brought to its end, each with its own time.

use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::time::{Instant, timeout_at};

use super::group::Group;
use super::output::Exit;

/// How long the pipes may stay open when the whole group is killed. Only a process that left the group can hold them.
const DRAIN: Duration = Duration::from_secs(2);

/// How long a killed leader may take to be gone. Only the kernel can hold it longer (a disk that hangs, say).
const DYING: Duration = Duration::from_secs(10);

/// Where a child is on its way to its end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nobody has asked it to end. Next: its deadline.
    Running,
    /// Its group has got TERM. Next: KILL.
    Asked,
    /// Its group has got KILL. Next: giving up on what is still missing.
    Killed,
    /// The last time has passed.
    GivenUp,
}

/// A running child and what will happen to it when.
pub(super) struct Ending {
    group: Group,
    deadline: Duration,
    grace: Duration,
    stage: Stage,
    /// When the next step is due.
    due: Instant,
    leader_has_ended: bool,
    asked: Option<Exit>,
    notes: Vec<String>,
}

impl Ending {
    pub(super) fn new(group: Group, deadline: Duration, grace: Duration) -> Self {
        Self {
            group,
            deadline,
            grace,
            stage: Stage::Running,
            due: Instant::now() + deadline,
            leader_has_ended: false,
            asked: None,
            notes: Vec::new(),
        }
    }

    /// Runs, and nobody has asked it to end.
    pub(super) fn is_untouched(&self) -> bool {
        self.stage == Stage::Running
    }

    pub(super) fn leader_has_ended(&self) -> bool {
        self.leader_has_ended
    }

    /// Is there nothing left to wait for?
    pub(super) fn is_over(&self, a_pipe_is_open: bool) -> bool {
        self.stage == Stage::GivenUp || (self.leader_has_ended && !a_pipe_is_open)
    }

    /// Asks the group to end, for the reason given.
    pub(super) fn ask(&mut self, reason: Exit) {
        self.asked = Some(reason);
        self.group.signal(Signal::SIGTERM);
        // What is stopped would not see the TERM.
        self.group.signal(Signal::SIGCONT);
        self.enter(Stage::Asked, self.grace);
    }

    /// The leader has ended. Asked to, the others of its group may use the grace time to end as well, which shows
    /// in the pipes; by itself, they have no business to stay.
    pub(super) fn note_end_of_leader(&mut self) {
        self.leader_has_ended = true;
        match self.stage {
            Stage::Running => {
                self.group.signal(Signal::SIGKILL);
                self.enter(Stage::Killed, DRAIN);
            }
            Stage::Killed => self.enter(Stage::Killed, DRAIN),
            Stage::Asked | Stage::GivenUp => {}
        }
    }

    /// Returns when the next step is due.
    pub(super) async fn next_step(&self) {
        drop(timeout_at(self.due, std::future::pending::<()>()).await);
    }

    /// Takes the step that is due.
    pub(super) fn step(&mut self) {
        match self.stage {
            Stage::Running => self.ask(Exit::TimedOut(self.deadline)),
            Stage::Asked => {
                self.group.signal(Signal::SIGKILL);
                self.notes.push("its group did not end when asked and was killed".to_owned());
                self.enter(Stage::Killed, if self.leader_has_ended { DRAIN } else { DYING });
            }
            Stage::Killed | Stage::GivenUp => {
                if !self.leader_has_ended {
                    self.notes.push("it is killed and still not gone; the kernel holds it".to_owned());
                }
                self.stage = Stage::GivenUp;
            }
        }
    }

    /// Kills what is left of the group and lets the leader be reaped. Says for what reason the child was asked to
    /// end, if it was, and what is worth noting.
    pub(super) fn release(self) -> (Option<Exit>, Vec<String>) {
        self.group.release();
        (self.asked, self.notes)
    }

    fn enter(&mut self, stage: Stage, time: Duration) {
        self.stage = stage;
        self.due = Instant::now() + time;
    }
}
