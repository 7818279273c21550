//! Removing what is left of private engines whose keeper is gone: it was killed too, or the machine went down.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use fs2::FileExt;

use crate::cache;
use crate::engine::EngineError;

/// Where each engine has its sockets, logs and lock. Short, because paths of sockets hold 107 characters at most.
pub(crate) fn run_folder() -> PathBuf {
    PathBuf::from("/run/cc-ci-engines")
}

/// Where each engine has its data: in the cache, because it shares files with images kept there.
pub(crate) fn data_folder() -> Result<PathBuf, cache::CacheError> {
    Ok(cache::folder()?.join("engines"))
}

/// An engine this young may not have taken its lock yet.
const START: Duration = Duration::from_secs(30);

/// Removes the folders of every engine that nobody holds.
pub(crate) fn sweep() -> Result<(), EngineError> {
    let data = data_folder()?;
    for folder in entries(&run_folder())? {
        if is_abandoned(&folder) {
            remove(&folder)?;
        }
    }
    for folder in entries(&data)? {
        let is_held = folder.file_name().is_some_and(|name| run_folder().join(name).exists());
        if !is_held && is_old(&folder) {
            remove(&folder)?;
        }
    }
    Ok(())
}

/// Whether nobody holds the lock of this engine, though it had time to take it.
fn is_abandoned(folder: &Path) -> bool {
    let is_free = || match std::fs::File::open(folder.join("lock")) {
        Ok(lock) => FileExt::try_lock_exclusive(&lock).is_ok(),
        Err(_) => true,
    };
    // The age first: to try the lock of an engine that is just starting would take it away from it.
    is_old(folder) && is_free()
}

fn is_old(folder: &Path) -> bool {
    let modified = std::fs::metadata(folder).and_then(|metadata| metadata.modified());
    let age = modified.map(|modified| SystemTime::now().duration_since(modified));
    matches!(age, Ok(Ok(age)) if age > START)
}

/// The mounts of an abandoned engine went with its namespace, so only files are left.
fn remove(folder: &Path) -> Result<(), EngineError> {
    match std::fs::remove_dir_all(folder) {
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
            Err(EngineError::Folders { path: folder.to_owned(), cause })
        }
        _ => Ok(()),
    }
}

/// The folders in a folder; none where it is missing.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, EngineError> {
    let listed = match std::fs::read_dir(folder) {
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed.and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect()),
    };
    listed.map_err(|cause| EngineError::Folders { path: folder.to_owned(), cause })
}
