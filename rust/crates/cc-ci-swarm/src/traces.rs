//! Gathering what runs have left, in the order that decisions rely on; see [`Traces`].

use std::io;
use std::path::Path;

use cc_ci_model::inventory::Inventory;
use cc_ci_model::names::{RunDomain, RunId, Zone};
use cc_ci_model::result::{RunResult, RunState};
use cc_ci_model::sweep::{Code, Decision, FolderState, Liveness, RecordTrace, RunTrace, Traces};
use cc_ci_process::state::StatePaths;

use crate::alive::liveness;
use crate::record::{RecordError, StackRecord};

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
    // The lock first: what a dead run's result says then is its last word.
    let liveness = liveness(&root);
    let path = root.join("result.json");
    let content = match std::fs::read_to_string(&path) {
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
    };
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
