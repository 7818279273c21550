//! The story of one sweep, from the question whether it may look to the report.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::time::Duration;

use cc_ci_model::names::StackName;
use cc_ci_model::sweep::{Candidate, Code, Decision, Liveness, LockFacts, candidates, decide};
use cc_ci_process::cancel::Cancellation;
use cc_ci_swarm::docker::Docker;
use cc_ci_swarm::inventory::survey;
use cc_ci_swarm::lock::{HeldLock, Holder, Probe};
use cc_ci_swarm::reap::{Ground, Reaped, reap};
use cc_ci_swarm::traces::{self, Folder};
use cc_ci_swarm::zone;
use fs2::FileExt;

use crate::diary::Diary;
use crate::host::Host;
use crate::{dead_runs, folders, health, images};

/// Whether a sweep does what it decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// It does.
    Real,
    /// It only says it; nothing on the swarm, in the state folder or among the locks changes.
    DryRun,
}

impl Mode {
    /// What stands behind the closing line.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Real => "",
            Self::DryRun => "; dry run, nothing was done",
        }
    }
}

/// What one sweep decided.
#[derive(Debug, serde::Serialize)]
pub struct Report {
    /// When it began; names it in the diary.
    pub id: String,
    /// Whether it did what it says.
    pub mode: Mode,
    /// Everything that was decided and done, in its order.
    pub decisions: Vec<Decision>,
}

impl Report {
    /// Whether something could not be checked, or is still there.
    #[must_use]
    pub fn is_trouble(&self) -> bool {
        self.decisions.iter().any(|decision| decision.code.is_trouble())
    }

    /// The codes, in their order.
    pub fn codes(&self) -> impl Iterator<Item = Code> {
        self.decisions.iter().map(|decision| decision.code)
    }
}

/// What became of a domain's leftovers, for the results of its dead runs.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    Reaped(Reaped),
    Left(Vec<String>),
    /// Nothing is known of them, for this reason; a later sweep looks.
    NotDone(String),
}

/// Sweeps once.
pub async fn sweep(host: &Host, mode: Mode, cancellation: &Cancellation) -> Report {
    let id = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let mut diary = Diary::open(&host.paths.state, &id, mode);
    let told = tell(host, mode, cancellation, &mut diary).await;
    if let Err((subject, reason)) = told {
        diary.say(Code::CouldNotCheck, subject, reason);
    }
    Report { id, mode, decisions: diary.into_decisions() }
}

type CouldNotLook = (&'static str, String);

/// The chapters in their order. An error is what could not be looked at: then nothing is known and nothing is done.
async fn tell(
    host: &Host,
    mode: Mode,
    cancellation: &Cancellation,
    diary: &mut Diary,
) -> Result<(), CouldNotLook> {
    let paths = &host.paths;
    if mode == Mode::Real {
        paths.create().map_err(|error| ("state", error.to_string()))?;
    }
    let Some(_only) = only_one(host, mode)? else {
        diary.say(Code::Warn, "sweep", "another sweep is under way; this one leaves everything to it");
        return Ok(());
    };
    let looked = look(host, mode, cancellation, diary).await;
    if mode == Mode::Real
        && let Err(error) = health::renew(host, looked.as_ref().ok(), diary).await
    {
        diary.say(Code::Warn, "health.json", error);
    }
    looked.map(|_| ())
}

/// What a sweep saw of the host as a whole.
pub(crate) struct Seen {
    pub(crate) docker: Docker,
    /// None only where a sweep that changes nothing is the first.
    pub(crate) host_id: Option<String>,
    pub(crate) live_runs: usize,
}

async fn look(
    host: &Host,
    mode: Mode,
    cancellation: &Cancellation,
    diary: &mut Diary,
) -> Result<Seen, CouldNotLook> {
    let (paths, zone) = (&host.paths, &host.settings.zone);
    // Before Docker is asked: a folder of locks that cannot be read would make every run look dead.
    traces::lock_files(&paths.locks)
        .map_err(|error| ("locks", format!("listing {}: {error}", paths.locks.display())))?;
    let docker =
        Docker::connect(host.docker_host.as_deref()).await.map_err(|error| ("docker", error.to_string()))?;
    let host_id = match mode {
        Mode::Real => zone::claim(&docker, zone, &paths.state).await.map(Some),
        Mode::DryRun => zone::look(&docker, zone, &paths.state).await,
    };
    let host_id = host_id.map_err(|error| ("zone", error.to_string()))?.map(|id| id.to_string());
    let mark = survey(&docker).await.map_err(|error| ("docker", error.to_string()))?;
    let gathered = traces::traces(mark, paths, zone, &mut |decision| diary.note(decision));
    let (traces, folders) = gathered.map_err(|reason| ("state", reason))?;
    let (found, skipped) = candidates(&traces, zone);
    skipped.into_iter().for_each(|decision| diary.note(decision));
    let mut outcomes = BTreeMap::new();
    for candidate in found {
        if cancellation.is_cancelled() {
            let why = "the sweep was cancelled before its turn";
            diary.say(Code::CouldNotCheck, candidate.domain.as_str(), why);
            outcomes.insert(candidate.domain.to_string(), Outcome::NotDone(why.to_owned()));
            continue;
        }
        let outcome = one(host, mode, cancellation, diary, &docker, &candidate, &traces.inventory).await;
        if let Some(outcome) = outcome {
            outcomes.insert(candidate.domain.to_string(), outcome);
        }
    }
    dead_runs::end_processes(host, mode, &folders, cancellation, diary).await;
    dead_runs::settle(host, mode, &folders, &outcomes, diary);
    folders::trim(host, mode, &folders, diary);
    let live_runs = count_live(&folders);
    images::trim(host, mode, &docker, &folders, diary).await;
    Ok(Seen { docker, host_id, live_runs })
}

/// Folders whose run lives, or may.
fn count_live(folders: &[Folder]) -> usize {
    folders.iter().filter(|folder| folder.trace.liveness != Liveness::Dead).count()
}

/// One domain: probe, decide, and do it while the probe's lock is held.
async fn one(
    host: &Host,
    mode: Mode,
    cancellation: &Cancellation,
    diary: &mut Diary,
    docker: &Docker,
    candidate: &Candidate,
    mark: &cc_ci_model::inventory::Inventory,
) -> Option<Outcome> {
    let (facts, lock) = probe(host, mode, candidate);
    let decision = decide(candidate, &facts)?;
    let code = decision.code;
    let is_left_alone = matches!(code, Code::CouldNotCheck | Code::KeepLive | Code::WarnOldLock);
    let not_done = is_left_alone.then(|| Outcome::NotDone(decision.reason.clone()));
    diary.note(decision);
    let (Mode::Real, Some(lock)) = (mode, lock) else { return not_done };
    let domain = candidate.domain.as_str();
    match code {
        Code::ReapDead => {}
        Code::RemoveLock => {
            if let Err(error) = lock.remove() {
                diary.say(Code::Warn, domain, error.to_string());
            }
            return None;
        }
        _ => {
            // It was only asked: a file that the probe itself has made goes again.
            if !candidate.has_lock_file
                && let Err(error) = lock.remove()
            {
                diary.say(Code::Warn, domain, error.to_string());
            }
            return not_done;
        }
    }
    let ground =
        Ground { docker, zone: &host.settings.zone, state: &host.paths.state, runs: &host.paths.runs };
    let stacks: &BTreeSet<StackName> = &candidate.stacks;
    let bound: Duration = host.settings.limits.teardown.into();
    match reap(&ground, stacks, &candidate.dead_runs, lock, mark, bound, cancellation).await {
        Ok(reaped) => {
            diary.say(Code::Reaped, domain, format!("removed {}, nothing is left", reaped.words()));
            Some(Outcome::Reaped(reaped))
        }
        Err(error) if error.is_alive() => {
            diary.say(Code::CouldNotCheck, domain, error.to_string());
            Some(Outcome::NotDone(error.to_string()))
        }
        Err(error) => {
            let code = if error.is_newborn() { Code::StopNewborn } else { Code::ReapIncomplete };
            diary.say(code, domain, error.to_string());
            Some(Outcome::Left(error.left().to_vec()))
        }
    }
}

/// Asks for the lock. A dry run makes no lock file, so without one there is nothing to ask.
fn probe(host: &Host, mode: Mode, candidate: &Candidate) -> (LockFacts, Option<HeldLock>) {
    if mode == Mode::DryRun && !candidate.has_lock_file {
        return (LockFacts::NoFile, None);
    }
    // A run that has neither objects nor a lock file needs no lock to say so.
    if !candidate.leaves_something() && !candidate.has_lock_file {
        return (LockFacts::NoFile, None);
    }
    match HeldLock::try_probe(&host.paths.locks, &candidate.domain) {
        Ok(Probe::Free(lock)) => (LockFacts::Free, Some(lock)),
        Ok(Probe::Held(holder)) => (held(holder.as_ref()), None),
        Err(error) => (LockFacts::Unknown(error.to_string()), None),
    }
}

fn held(holder: Option<&Holder>) -> LockFacts {
    let since = holder.and_then(|holder| holder.since.parse::<jiff::Timestamp>().ok());
    let held_for =
        since.and_then(|since| Duration::try_from(jiff::Timestamp::now().duration_since(since)).ok());
    LockFacts::Held { holder: holder.map(ToString::to_string), held_for }
}

/// One sweep at a time per state folder; freed by the kernel however it ends.
fn only_one(host: &Host, mode: Mode) -> Result<Option<Option<File>>, CouldNotLook> {
    if mode == Mode::DryRun {
        return Ok(Some(None));
    }
    let path = host.paths.state.join("janitor.lock");
    let failed = |error: io::Error| ("state", format!("locking {}: {error}", path.display()));
    let file = match File::options().write(true).create(true).truncate(false).open(&path) {
        // Made by another user, as by hand: reading is enough for a lock.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => File::open(&path),
        opened => opened,
    };
    let file = file.map_err(failed)?;
    match FileExt::try_lock_exclusive(&file) {
        Ok(()) => Ok(Some(Some(file))),
        Err(error) if error.raw_os_error() == fs2::lock_contended_error().raw_os_error() => Ok(None),
        Err(error) => Err(failed(error)),
    }
}
