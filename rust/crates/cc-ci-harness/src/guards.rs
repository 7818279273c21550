//! What watches over a run from before its first result: the lock of its folder, the files that cancel it, its deadline.

use std::path::PathBuf;
use std::time::Duration;

use cc_ci_process::alive::{Alive, AliveError};
use cc_ci_process::cancel::{CancelError, Cancellation, Watch};
use cc_ci_process::deadline::Deadline;

use crate::folder::RunFolder;
use crate::setup::Setup;

/// How soon a cancel file is seen.
const INTERVAL: Duration = Duration::from_millis(500);

/// Why a run is not watched over.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// Its folder cannot be locked.
    #[error(transparent)]
    Alive(#[from] AliveError),
    /// Its cancel files or its deadline cannot be watched.
    #[error(transparent)]
    Cancel(#[from] CancelError),
}

/// Held as long as the run: with it goes the sign that the run lives.
#[must_use = "the run counts as dead as soon as this is dropped"]
pub struct Guards {
    /// The run's own time; it stands still while the run waits for others.
    pub deadline: Deadline,
    _alive: Alive,
    _cancel_files: Vec<Watch>,
}

/// Locks the run's folder, starts its clock and watches its cancel files; to be called when the folder is there and holds no result yet.
///
/// # Errors
/// The folder cannot be locked or nothing can be watched.
pub fn arm(setup: &Setup, folder: &RunFolder, cancellation: &Cancellation) -> Result<Guards, GuardError> {
    let alive = Alive::hold(folder.root())?;
    let files = [Some(folder.cancel()), by_comment(setup)];
    let watches = files.into_iter().flatten().map(|file| cancellation.watch_file(&file, INTERVAL));
    let cancel_files = watches.collect::<Result<_, _>>()?;
    let deadline = Deadline::start(cancellation, setup.settings.limits.run.into())?;
    Ok(Guards { deadline, _alive: alive, _cancel_files: cancel_files })
}

/// The file by which the bridge cancels the run of a comment, which it knows before there is a run's id.
fn by_comment(setup: &Setup) -> Option<PathBuf> {
    let receipt = &setup.request.receipt;
    let (comment, attempt) = (receipt.comment?, receipt.attempt?);
    Some(setup.paths.state.join("cancel").join(format!("{comment}.{attempt}")))
}
