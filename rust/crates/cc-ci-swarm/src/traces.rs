//! Gathering what runs have left, in the order that decisions rely on; see [`Traces`].

use std::io;
use std::path::Path;

use cc_ci_model::inventory::Inventory;
use cc_ci_model::names::{RunDomain, RunId, Zone};
use cc_ci_model::result::{RunResult, RunState};
use cc_ci_model::sweep::{Code, Decision, FolderState, Liveness, RecordTrace, RunTrace, Traces};
use cc_ci_process::state::StatePaths;

use crate::record::{RecordError, StackRecord};
use cc_ci_process::alive::liveness;

/// Hears what could not be read on the way.
pub type Note<'a> = &'a mut dyn FnMut(Decision);

/// A run's folder with what its result says.
#[derive(Debug)]
pub struct Folder {
    /// The run, and whether it lives.
    pub trace: RunTrace,
    /// What its result says.
    pub content: Content,
}

/// What lies where a result belongs.
#[derive(Debug)]
pub enum Content {
    /// A result.
    Result(Box<RunResult>),
    /// Killed before its first result.
    Nothing,
    /// Not a result of this program, or not to be read.
    Unreadable,
}

/// Names of the files in the folder of locks; none where there is no folder, as after a reboot.
///
/// # Errors
/// The folder cannot be listed: every run would look dead.
pub fn lock_files(folder: &Path) -> io::Result<Vec<String>> {
    match std::fs::read_dir(folder) {
        Ok(entries) => {
            let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
            let mut names: Vec<String> = names.collect::<io::Result<_>>()?;
            names.sort_unstable();
            Ok(names)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// All run folders, oldest first. What has no run's name is not looked at.
///
/// # Errors
/// The folder of runs cannot be listed.
pub fn folders(paths: &StatePaths, zone: &Zone, note: Note<'_>) -> io::Result<Vec<Folder>> {
    let entries = match std::fs::read_dir(&paths.runs) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut ids = Vec::new();
    for entry in entries {
        if let Ok(id) = RunId::parse(&entry?.file_name().to_string_lossy()) {
            ids.push(id);
        }
    }
    ids.sort_unstable();
    Ok(ids.into_iter().map(|id| folder(paths, zone, id, note)).collect())
}

fn folder(paths: &StatePaths, zone: &Zone, id: RunId, note: Note<'_>) -> Folder {
    let root = paths.runs.join(id.as_str());
    let (content, liveness) = look(|| liveness(&root), || content(&root, &id, note));
    let (domain, state) = match &content {
        Content::Result(result) => {
            let domain = result.run.domain.as_deref().and_then(|text| RunDomain::parse_in(text, zone).ok());
            let state = match result.run.state {
                RunState::Running => FolderState::Running,
                RunState::Finished | RunState::Interrupted => FolderState::Settled,
            };
            (domain, state)
        }
        Content::Nothing | Content::Unreadable => (None, FolderState::Settled),
    };
    Folder { trace: RunTrace { id, domain, state, liveness }, content }
}

/// What a result says and whether its run lives, so that the two belong together.
///
/// The lock first: what a dead run's result says then is its last word. Or the run was only just born, its folder not yet
/// locked at the one look and its result there at the other: a run locks first and writes then, so behind a result that
/// says "running" the lock tells the truth, and behind a free one the result is the last word.
fn look(liveness: impl Fn() -> Liveness, mut content: impl FnMut() -> Content) -> (Content, Liveness) {
    let (before, read) = (liveness(), content());
    let is_running = matches!(&read, Content::Result(result) if result.run.state == RunState::Running);
    if !is_running || before != Liveness::Dead {
        return (read, before);
    }
    match liveness() {
        Liveness::Dead => (content(), Liveness::Dead),
        after => (read, after),
    }
}

fn content(root: &Path, id: &RunId, note: Note<'_>) -> Content {
    let path = root.join("result.json");
    match std::fs::read_to_string(&path) {
        Ok(text) => match RunResult::read(&text) {
            Ok(result) => Content::Result(Box::new(result)),
            Err(error) => {
                note(Decision::new(Code::Warn, id.as_str(), format!("{}: {error}", path.display())));
                Content::Unreadable
            }
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Content::Nothing,
        Err(error) => {
            let reason = format!("reading {}: {error}", path.display());
            note(Decision::new(Code::CouldNotCheck, id.as_str(), reason));
            Content::Unreadable
        }
    }
}

/// Everything, with the survey that was taken before; see [`Traces`] for why in this order.
///
/// # Errors
/// A folder cannot be listed: then nothing may be concluded. The text names it.
pub fn traces(
    inventory: Inventory,
    paths: &StatePaths,
    zone: &Zone,
    note: Note<'_>,
) -> Result<(Traces, Vec<Folder>), String> {
    let records = StackRecord::list(&paths.state, zone).map_err(|error| error.to_string())?;
    let records = records.into_iter().map(record_trace).collect();
    let folders = folders(paths, zone, note)
        .map_err(|error| format!("listing the run folders in {}: {error}", paths.runs.display()))?;
    let locks = lock_files(&paths.locks)
        .map_err(|error| format!("listing the locks in {}: {error}", paths.locks.display()))?;
    let dead = folders.iter().filter(|folder| folder.trace.liveness == Liveness::Dead);
    let env_files = dead.flat_map(|folder| env_files(paths, &folder.trace.id)).collect();
    let runs = folders.iter().map(|folder| folder.trace.clone()).collect();
    Ok((Traces { inventory, records, env_files, runs, lock_files: locks }, folders))
}

fn record_trace(record: Result<StackRecord, RecordError>) -> RecordTrace {
    match record {
        Ok(record) => RecordTrace::Read { run: record.run, stack: record.stack, extra: record.extra_stacks },
        Err(error) => RecordTrace::Unreadable { reason: error.to_string() },
    }
}

fn env_files(paths: &StatePaths, run: &RunId) -> Vec<(RunId, String)> {
    let folder = paths.runs.join(run.as_str()).join("abra/servers/default");
    // A dead run's folder may be incomplete in any way; what lies on the swarm is found without it.
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter_map(|name| Some((run.clone(), name.strip_suffix(".env")?.to_owned()))).collect()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use cc_ci_model::names::{PrNumber, Recipe};
    use cc_ci_model::request::{Deployer, Receipt};
    use cc_ci_model::result::{Requested, Run};

    use super::*;

    fn result(state: RunState) -> Content {
        let run = Run {
            id: RunId::parse("20260102T030405-1a2b3c").unwrap(),
            state,
            started: "2026-01-02T03:04:05Z".to_owned(),
            finished: None,
            host: "host".to_owned(),
            pid: 1,
            deployer: Deployer::Native,
            via: None,
            domain: None,
            stack: None,
        };
        let request = Requested {
            recipe: Recipe::parse("x").unwrap(),
            src: None,
            reference: None,
            pr: PrNumber(1),
            tiers: None,
            from: None,
            receipt: Receipt::default(),
        };
        Content::Result(Box::new(RunResult::stub(run, request, String::new())))
    }

    /// What is told of a run of which this is seen, look by look: whether its lock is held, what its result says.
    fn told(held: &[bool], says: &[Option<RunState>]) -> (Option<RunState>, Liveness) {
        let (asked, read) = (Cell::new(0), Cell::new(0));
        let next = |counter: &Cell<usize>| counter.replace(counter.get() + 1);
        let liveness = || if held[next(&asked)] { Liveness::Lives } else { Liveness::Dead };
        let content = || says[next(&read)].map_or(Content::Nothing, result);
        match look(liveness, content) {
            (Content::Result(result), liveness) => (Some(result.run.state), liveness),
            (Content::Nothing | Content::Unreadable, liveness) => (None, liveness),
        }
    }

    #[test]
    fn a_run_that_is_born_between_two_looks_is_not_taken_for_dead() {
        use RunState::{Finished, Running};
        // Its folder was there, its lock was not; now both are, and a result that says so.
        assert_eq!(told(&[false, true], &[Some(Running)]), (Some(Running), Liveness::Lives));
        // It was born, and over, while it was looked at: its last word counts.
        assert_eq!(told(&[false, false], &[Some(Running), Some(Finished)]), (Some(Finished), Liveness::Dead));
        // Really dead: it says "running" for good.
        assert_eq!(told(&[false, false], &[Some(Running), Some(Running)]), (Some(Running), Liveness::Dead));
        assert_eq!(told(&[true], &[Some(Running)]), (Some(Running), Liveness::Lives));
        assert_eq!(told(&[false], &[None]), (None, Liveness::Dead), "killed before its first result");
    }
}
