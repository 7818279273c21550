//! The lock of a run's folder: held from before its first result until its process is gone.
//!
//! The lock of the domain says who may change a stack; a run that waits for it holds none. This one says whether the
//! run itself is there, without asking process ids, which the kernel gives to others.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cancel::Cancellation;
use crate::wait::{Look, WaitError, Waiting, wait_for_blocking};
use cc_ci_model::sweep::Liveness;
use fs2::FileExt;

/// The file below a run's folder.
const FILE: &str = "state/alive";

/// Who asks whether a run lives, holds its lock for one call of the kernel; only a stopped process takes longer.
const ASKING: Waiting = Waiting { deadline: Duration::from_secs(10), interval: Duration::from_millis(5) };

/// Why a run's folder could not be locked.
#[derive(Debug, thiserror::Error)]
#[error("locking the run's folder by {path}: {cause}; check the rights of the folder of runs")]
pub struct AliveError {
    /// The lock file.
    pub path: PathBuf,
    /// What the kernel said.
    pub cause: io::Error,
}

/// The lock of a run's folder, held by its run.
#[derive(Debug)]
#[must_use = "the run counts as dead as soon as this is dropped"]
pub struct Alive {
    _file: File,
}

impl Alive {
    /// Locks the folder of this process's run. To be called before the first result is written, so that a result that
    /// says "running" always has a lock beside it.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn hold(run_folder: &Path) -> Result<Self, AliveError> {
        let path = run_folder.join(FILE);
        let failed = |cause| AliveError { path: path.clone(), cause };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        // Only somebody who asks at this very moment can be in the way, and lets go at once.
        let sentence = "waiting for whoever asks whether this run lives";
        let got = wait_for_blocking(sentence, ASKING, &Cancellation::new(), || {
            match FileExt::try_lock_exclusive(&file) {
                Ok(()) => Ok(Look::There(())),
                Err(error) if error.raw_os_error() == fs2::lock_contended_error().raw_os_error() => {
                    Ok(Look::NotYet("somebody asks".to_owned()))
                }
                Err(error) => Err(error),
            }
        });
        got.map_err(|error| match error {
            WaitError::Failed { reason, .. } => failed(reason),
            WaitError::TimedOut { .. } | WaitError::Cancelled { .. } => {
                failed(io::Error::new(io::ErrorKind::TimedOut, error.to_string()))
            }
        })?;
        Ok(Self { _file: file })
    }
}

/// Whether the run of this folder is there.
#[must_use]
pub fn liveness(run_folder: &Path) -> Liveness {
    let path = run_folder.join(FILE);
    let unknown = |error: io::Error| Liveness::Unknown(format!("looking at {}: {error}", path.display()));
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Liveness::Dead,
        Err(error) => return unknown(error),
    };
    // Shared, so that two who ask do not take each other for the run.
    match FileExt::try_lock_shared(&file) {
        Ok(()) => Liveness::Dead,
        Err(error) if error.raw_os_error() == fs2::lock_contended_error().raw_os_error() => Liveness::Lives,
        Err(error) => unknown(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_lives_exactly_as_long_as_its_folder_is_locked() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(liveness(folder.path()), Liveness::Dead, "killed before it could lock anything");
        std::fs::create_dir(folder.path().join("state")).unwrap();
        let alive = Alive::hold(folder.path()).unwrap();
        assert_eq!(liveness(folder.path()), Liveness::Lives);
        drop(alive);
        assert_eq!(liveness(folder.path()), Liveness::Dead);
    }

    #[test]
    fn who_asks_does_not_look_like_a_run_to_others_who_ask() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("state")).unwrap();
        drop(Alive::hold(folder.path()).unwrap());
        let asking = File::open(folder.path().join(FILE)).unwrap();
        FileExt::lock_shared(&asking).unwrap();
        assert_eq!(liveness(folder.path()), Liveness::Dead);
    }

    #[test]
    fn a_lock_that_cannot_be_asked_is_unknown_and_not_dead() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("state"), "a file where a folder belongs").unwrap();
        assert!(matches!(liveness(folder.path()), Liveness::Unknown(_)));
    }
}
