//! What a sweep decides: which leftovers belong to a dead run, which to a living one, and where nobody could look.
//!
//! Liveness is a held lock and nothing else; no age makes a living run dead. What may be removed is recognised by the
//! types that make a run's names, so nothing else can be expressed here.

mod candidates;
mod images;
mod retention;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use candidates::{Candidate, RecordTrace, Traces, candidates};
pub use images::{Activity, Disk, ImageFacts, ImageFate, images};
pub use retention::{FolderFacts, Retention, Trimmed, trim};

use crate::inventory::{Inventory, Kind, Object};
use crate::names::{RunDomain, RunId};

/// A lock that is held for longer is worth a warning; it is never taken away (`features.md` 6).
pub const OLD_LOCK: Duration = Duration::from_secs(120 * 60);

/// What was decided or done, as a stable word in the journal and the diary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// The run is dead: everything of its stacks goes.
    ReapDead,
    /// Done: nothing of it is left.
    Reaped,
    /// Something is still there; the next sweep goes on.
    ReapIncomplete,
    /// Something was made after the sweep began, so somebody lives: nothing more is removed.
    StopNewborn,
    /// Its lock is held.
    KeepLive,
    /// Its lock has been held for more than [`OLD_LOCK`]: possibly a leaked run. Nothing is taken.
    WarnOldLock,
    /// A lock file that nobody holds and that guards nothing.
    RemoveLock,
    /// A process of a dead run was ended.
    EndProcess,
    /// A dead run's result says so from here on.
    SettleInterrupted,
    /// A file that is not cc-ci's lies where only its files belong.
    SkipOddFile,
    /// It carries a run's mark and a name that no run of this zone makes: somebody else's.
    SkipForeign,
    /// A run folder that is kept no longer.
    TrimRunFolder,
    /// An image that no run has used for long, on a disk that is getting full.
    RemoveImage,
    /// The disk is getting full and images stay, for the reason given.
    KeepImages,
    /// It could not be looked at, so nothing is known and nothing was done.
    CouldNotCheck,
    /// Something of the host needs a person's eye.
    Warn,
}

impl Code {
    /// The word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::ReapDead => "reap-dead",
            Self::Reaped => "reaped",
            Self::ReapIncomplete => "reap-incomplete",
            Self::StopNewborn => "stop-newborn",
            Self::KeepLive => "keep-live",
            Self::WarnOldLock => "warn-old-lock",
            Self::RemoveLock => "remove-lock",
            Self::EndProcess => "end-process",
            Self::SettleInterrupted => "settle-interrupted",
            Self::SkipOddFile => "skip-odd-file",
            Self::SkipForeign => "skip-foreign",
            Self::TrimRunFolder => "trim-run-folder",
            Self::RemoveImage => "remove-image",
            Self::KeepImages => "keep-images",
            Self::CouldNotCheck => "could-not-check",
            Self::Warn => "warn",
        }
    }

    /// Whether a sweep in which this happened ends as trouble: what should have been done was not.
    #[must_use]
    pub fn is_trouble(self) -> bool {
        match self {
            Self::ReapIncomplete | Self::StopNewborn | Self::CouldNotCheck => true,
            Self::ReapDead
            | Self::Reaped
            | Self::KeepLive
            | Self::WarnOldLock
            | Self::RemoveLock
            | Self::EndProcess
            | Self::SettleInterrupted
            | Self::SkipOddFile
            | Self::SkipForeign
            | Self::TrimRunFolder
            | Self::RemoveImage
            | Self::KeepImages
            | Self::Warn => false,
        }
    }
}

/// One line of the journal and the diary: what, about what, and why.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Decision {
    /// The stable word.
    pub code: Code,
    /// A domain, run, image or file.
    pub subject: String,
    /// The reason, as a person reads it.
    pub reason: String,
}

impl Decision {
    /// Puts one together.
    #[must_use]
    pub fn new(code: Code, subject: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { code, subject: subject.into(), reason: reason.into() }
    }
}

/// What a probe said about a domain's lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockFacts {
    /// There is no lock file: nobody can hold it.
    NoFile,
    /// Nobody held it.
    Free,
    /// A living run holds it.
    Held {
        /// Who, as written in the file; not used to decide.
        holder: Option<String>,
        /// For how long, where the file says since when.
        held_for: Option<Duration>,
    },
    /// The file could not be used, for the reason given.
    Unknown(String),
}

/// Decides about one domain.
///
/// `None` where there is nothing to remove and nothing to say: a run folder alone leaves nothing on the swarm.
#[must_use]
pub fn decide(candidate: &Candidate, lock: &LockFacts) -> Option<Decision> {
    let say = |code, reason: String| Some(Decision::new(code, candidate.domain.as_str(), reason));
    match lock {
        LockFacts::Unknown(reason) => say(Code::CouldNotCheck, reason.clone()),
        LockFacts::Held { holder, held_for } => {
            let holder = holder.as_deref().unwrap_or("an unknown run");
            match held_for {
                Some(held_for) if *held_for > OLD_LOCK => say(
                    Code::WarnOldLock,
                    format!(
                        "possible leaked run: the lock has been held for {} min ({holder}); nothing is taken, end it \
                         with `cc-ci cancel RUN` if it hangs",
                        held_for.as_secs() / 60
                    ),
                ),
                Some(_) | None => say(Code::KeepLive, format!("the lock is held ({holder})")),
            }
        }
        LockFacts::NoFile | LockFacts::Free => match (&candidate.doubt, candidate.leaves_something()) {
            (Some(doubt), _) => say(Code::CouldNotCheck, doubt.clone()),
            (None, true) => {
                say(Code::ReapDead, format!("nobody holds its lock; found {}", candidate.found()))
            }
            (None, false) if candidate.has_lock_file => {
                say(Code::RemoveLock, "nobody holds it and it guards nothing".to_owned())
            }
            (None, false) => None,
        },
    }
}

/// Whether a run's process is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Liveness {
    /// Its folder is locked by it.
    Lives,
    /// Nobody locks its folder.
    Dead,
    /// Could not be found out, for the reason given.
    Unknown(String),
}

/// How a run's folder says that it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FolderState {
    /// Its result says "running".
    Running,
    /// Its result stands.
    Settled,
}

/// A run's folder, as far as a sweep looks at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunTrace {
    /// The run.
    pub id: RunId,
    /// Its domain, once it had one.
    pub domain: Option<RunDomain>,
    /// What its result says.
    pub state: FolderState,
    /// What is true.
    pub liveness: Liveness,
}

/// Whether a run's result has to be settled: it says "running", and nobody runs.
#[must_use]
pub fn settle(run: &RunTrace) -> Option<Decision> {
    let say = |code, reason: String| Some(Decision::new(code, run.id.as_str(), reason));
    match (run.state, &run.liveness) {
        (FolderState::Settled, _) | (FolderState::Running, Liveness::Lives) => None,
        (FolderState::Running, Liveness::Dead) => {
            say(Code::SettleInterrupted, "its result says running and its process is gone".to_owned())
        }
        (FolderState::Running, Liveness::Unknown(reason)) => say(Code::CouldNotCheck, reason.clone()),
    }
}

/// What of `later` was not there at `mark` and does not come into being by itself: somebody must have asked for it, so
/// somebody lives. Tasks, containers and the volumes they bring are made by swarm for services that are there.
#[must_use]
pub fn newborn<'a>(mark: &Inventory, later: impl Iterator<Item = &'a Object>) -> Vec<String> {
    let is_asked_for = |kind| matches!(kind, Kind::Service | Kind::Network | Kind::Secret | Kind::Config);
    later
        .filter(|object| is_asked_for(object.kind))
        .filter(|object| mark.of_kind(object.kind).all(|known| known.id != object.id))
        .map(Object::title)
        .collect()
}
