//! Letting running runs end and starting none: a file in the state folder that every run looks at.

use std::path::Path;

use cc_ci_model::names::RunId;
use cc_ci_model::outcome::Trouble;
use cc_ci_model::sweep::Liveness;
use cc_ci_process::alive::liveness;
use cc_ci_process::atomic::{AtomicError, write_json};
use cc_ci_process::state::StatePaths;

/// Why it cannot be said whether this host is draining, or who runs.
#[derive(Debug, thiserror::Error)]
pub enum DrainError {
    /// The file cannot be written.
    #[error(transparent)]
    Write(#[from] AtomicError),
    /// A file or folder cannot be used.
    #[error("{attempt} {path}: {cause}; check the rights of the state folder")]
    File {
        /// What was attempted.
        attempt: &'static str,
        /// On what.
        path: std::path::PathBuf,
        /// What the kernel said.
        cause: std::io::Error,
    },
}

/// From here on no run begins.
///
/// # Errors
/// The file cannot be written.
pub fn begin(paths: &StatePaths, now: jiff::Timestamp) -> Result<(), DrainError> {
    Ok(write_json(&paths.drain(), &serde_json::json!({ "since": now.to_string() }))?)
}

/// Runs may begin again; returns whether they might not before.
///
/// # Errors
/// The file cannot be removed.
pub fn end(paths: &StatePaths) -> Result<bool, DrainError> {
    let path = paths.drain();
    match std::fs::remove_file(&path) {
        Ok(()) => Ok(true),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(cause) => Err(DrainError::File { attempt: "removing", path, cause }),
    }
}

/// Refuses to go on where the host drains. To be asked after the run's folder is locked: whoever drains writes the file
/// first and looks for runs afterwards, so that each run sees the file or is seen.
///
/// # Errors
/// The host drains.
pub fn check(paths: &StatePaths) -> Result<(), Trouble> {
    if !paths.drain().exists() {
        return Ok(());
    }
    let what = "this host lets its runs end and starts none; try again after `cc-ci drain --off`".to_owned();
    Err(Trouble { what, place: "drain".to_owned(), retry: true })
}

/// The runs that live, oldest first; one that cannot be looked at counts as living.
///
/// # Errors
/// The folder of runs cannot be listed.
pub fn living(runs: &Path) -> Result<Vec<RunId>, DrainError> {
    let failed = |cause| DrainError::File { attempt: "listing", path: runs.to_owned(), cause };
    let entries = match std::fs::read_dir(runs) {
        Ok(entries) => entries,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => return Err(failed(cause)),
    };
    let mut living = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let Ok(id) = RunId::parse(&entry.file_name().to_string_lossy()) else { continue };
        if liveness(&entry.path()) != Liveness::Dead {
            living.push(id);
        }
    }
    living.sort_unstable();
    Ok(living)
}
