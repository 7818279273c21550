//! Removing what a dead run left, under the lock of its domain: processes, stacks, record, working files, lock file.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cc_ci_model::inventory::{Inventory, Kind};
use cc_ci_model::names::{RunId, StackName, Zone};
use cc_ci_model::sweep::Liveness;
use cc_ci_process::cancel::Cancellation;
use cc_ci_process::wait::{Look, Waiting, wait_for};

use crate::docker::{Docker, DockerError};
use crate::inventory::survey;
use crate::lock::{HeldLock, LockError};
use crate::processes::{self, Leftover};
use crate::record::{RecordError, StackRecord};
use crate::teardown::{Removed, TeardownError, teardown_marked};
use cc_ci_process::alive::liveness;

/// Folders of a run that only the run itself needed: its `ABRA_DIR` with the `.env` files, and its `HOME`.
pub const WORKING_FOLDERS: [&str; 2] = ["abra", "home"];

/// How long a run that has let go of its lock may take to write its last words.
const ENDING: Waiting = Waiting { deadline: Duration::from_secs(10), interval: Duration::from_millis(100) };

/// Why a dead run's leftovers are not proven to be gone. Whatever it is, the lock file stays and the next sweep goes on.
#[derive(Debug, thiserror::Error)]
pub enum ReapError {
    /// The run that wrote the record is there, and yet its lock was free: somebody's locks lie elsewhere.
    #[error(
        "run {run} lives ({seen}) and does not hold its lock: does everybody here have the same CCCI_APP_LOCK_DIR? \
         Nothing was removed; end it with `cc-ci cancel {run}`"
    )]
    Lives {
        /// The run.
        run: RunId,
        /// What was seen of it last.
        seen: String,
    },
    /// Processes of it do not end.
    #[error("ending the processes of run {run}: {reason}")]
    Processes {
        /// The run.
        run: RunId,
        /// Which ones, and what was waited for.
        reason: String,
    },
    /// A stack could not be removed, or somebody lives.
    #[error(transparent)]
    Teardown(#[from] TeardownError),
    /// The record could not be read or removed.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The engine did not answer.
    #[error(transparent)]
    Engine(#[from] DockerError),
    /// Working files could not be removed.
    #[error("removing {path}: {cause}; check its rights and remove it by hand")]
    Files {
        /// The folder.
        path: PathBuf,
        /// What the kernel said.
        cause: io::Error,
    },
    /// The lock file could not be written or removed.
    #[error(transparent)]
    Lock(#[from] LockError),
}

impl ReapError {
    /// Whether it was stopped because somebody made something meanwhile.
    #[must_use]
    pub fn is_newborn(&self) -> bool {
        matches!(self, Self::Teardown(TeardownError::Newborn { .. }))
    }

    /// Whether nothing was even begun, since its run lives.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        matches!(self, Self::Lives { .. })
    }

    /// Kind and name of what is known to be left.
    #[must_use]
    pub fn left(&self) -> &[String] {
        match self {
            Self::Teardown(error) => error.left(),
            Self::Lives { .. }
            | Self::Processes { .. }
            | Self::Record(_)
            | Self::Engine(_)
            | Self::Files { .. }
            | Self::Lock(_) => &[],
        }
    }
}

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reaped {
    /// Objects of each kind that were there and are gone.
    pub removed: BTreeMap<Kind, usize>,
    /// Processes that were ended.
    pub ended: Vec<Leftover>,
}

impl Reaped {
    /// The same for a person.
    #[must_use]
    pub fn words(&self) -> String {
        let mut parts: Vec<String> =
            self.removed.iter().map(|(kind, count)| format!("{count} {}", kind.word())).collect();
        if !self.ended.is_empty() {
            parts.push(format!("{} process", self.ended.len()));
        }
        if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") }
    }
}

/// Where the leftovers of runs lie.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    /// The engine.
    pub docker: &'a Docker,
    /// The zone.
    pub zone: &'a Zone,
    /// The state folder, with the records.
    pub state: &'a Path,
    /// The folder of run folders.
    pub runs: &'a Path,
}

/// Removes what dead runs of one domain left.
///
/// The order: processes, which could make more; further stacks, then the main one; the record, with the proof; the
/// working files of the dead runs with their `.env`; last the lock file. Each step can be repeated, and nothing that is
/// needed to find the rest goes before the rest, so a reaping that is killed anywhere is finished by the next one.
///
/// `mark` is what was on the swarm when the sweep began: what somebody made since stops the reaping.
///
/// # Errors
/// [`ReapError`] says what is left; the lock is free again and its file still there.
pub async fn reap(
    ground: &Ground<'_>,
    stacks: &BTreeSet<StackName>,
    dead_runs: &BTreeSet<RunId>,
    lock: HeldLock,
    mark: &Inventory,
    bound: Duration,
    cancellation: &Cancellation,
) -> Result<Reaped, ReapError> {
    lock.note_janitor()?;
    let reaped = remove_all(ground, stacks, dead_runs, &lock, mark, bound, cancellation).await?;
    lock.remove()?;
    Ok(reaped)
}

/// The same for a run that has just got the lock of its domain: whatever an earlier run of it left goes before the new
/// record is written, which would hide the stacks that the old one names.
///
/// # Errors
/// As [`reap`]; the lock stays held.
pub async fn own_leftovers(
    ground: &Ground<'_>,
    lock: &HeldLock,
    bound: Duration,
    cancellation: &Cancellation,
) -> Result<Reaped, ReapError> {
    let mark = survey(ground.docker).await?;
    remove_all(ground, &BTreeSet::new(), &BTreeSet::new(), lock, &mark, bound, cancellation).await
}

async fn remove_all(
    ground: &Ground<'_>,
    stacks: &BTreeSet<StackName>,
    dead_runs: &BTreeSet<RunId>,
    lock: &HeldLock,
    mark: &Inventory,
    bound: Duration,
    cancellation: &Cancellation,
) -> Result<Reaped, ReapError> {
    let main = lock.stack();
    let record = StackRecord::read(ground.state, &main, ground.zone)?;
    let mut dead_runs = dead_runs.clone();
    let mut stacks = stacks.clone();
    if let Some(record) = &record {
        // The record was written under the lock that is held here, so its run is dead, or has let go and is just ending.
        has_gone(ground.runs, &record.run, cancellation).await?;
        dead_runs.insert(record.run.clone());
        stacks.extend(record.stacks().cloned());
    }
    // What the sweep found to belong to this domain, by a record or by a dead run's mark.
    lock.cover(stacks.iter());
    let mut reaped = Reaped::default();
    for run in &dead_runs {
        let ended = processes::end(ground.runs, run, cancellation).await;
        let failed = |reason| ReapError::Processes { run: run.clone(), reason };
        reaped.ended.extend(ended.map_err(failed)?);
    }
    // What an ended process had just made is the dead run's.
    let fresh = if reaped.ended.is_empty() { None } else { Some(survey(ground.docker).await?) };
    let mark = fresh.as_ref().unwrap_or(mark);
    stacks.remove(&main);
    // What holds one stack up, such as a volume in a stranger's hands, does not keep the others.
    let mut held_up = None;
    for stack in &stacks {
        match teardown_marked(ground.docker, stack, mark, lock, bound, cancellation, |_| {}).await {
            Ok(proof) => add(&mut reaped.removed, &proof),
            Err(error @ TeardownError::Left { .. }) => held_up = held_up.or(Some(error)),
            Err(error) => return Err(error.into()),
        }
    }
    let proof = teardown_marked(ground.docker, &main, mark, lock, bound, cancellation, |_| {}).await?;
    add(&mut reaped.removed, &proof);
    if let Some(error) = held_up {
        return Err(error.into());
    }
    if let Some(record) = record {
        record.remove(ground.state, &proof)?;
    }
    for run in &dead_runs {
        remove_working_files(&ground.runs.join(run.as_str()))?;
    }
    Ok(reaped)
}

/// Waits until nobody locks a run's folder any more.
async fn has_gone(runs: &Path, run: &RunId, cancellation: &Cancellation) -> Result<(), ReapError> {
    let folder = runs.join(run.as_str());
    let sentence = format!("waiting for the end of run {run}");
    let gone = wait_for(&sentence, ENDING, None, cancellation, || {
        let look = match liveness(&folder) {
            Liveness::Dead => Look::There(()),
            Liveness::Lives => Look::NotYet("its folder is locked".to_owned()),
            Liveness::Unknown(reason) => Look::NotYet(reason),
        };
        std::future::ready(Ok::<_, Infallible>(look))
    });
    gone.await.map_err(|error| ReapError::Lives { run: run.clone(), seen: error.to_string() })
}

fn add(to: &mut BTreeMap<Kind, usize>, proof: &Removed) {
    for (kind, count) in proof.counts() {
        *to.entry(*kind).or_default() += count;
    }
}

/// Removes what only the run itself needed; safe to repeat.
///
/// # Errors
/// A folder cannot be removed.
pub fn remove_working_files(run_folder: &Path) -> Result<(), ReapError> {
    for folder in WORKING_FOLDERS {
        let path = run_folder.join(folder);
        match std::fs::remove_dir_all(&path) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                return Err(ReapError::Files { path, cause });
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}
