//! Where the programs of this host keep what they share: run folders, records, locks.

use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::environment;

/// The folders of one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatePaths {
    /// Root of all state.
    pub state: PathBuf,
    /// One folder per run.
    pub runs: PathBuf,
    /// One lock file per run domain.
    pub locks: PathBuf,
}

impl StatePaths {
    /// Reads `CCCI_STATE_DIR`, `CCCI_RUNS_DIR` and `CCCI_APP_LOCK_DIR`. Without them: `/var/lib/cc-ci` and
    /// `/run/lock/cc-ci` for root and for members of the server's group who may write there, else the user's own
    /// `$XDG_STATE_HOME/cc-ci` with the locks below it.
    #[must_use]
    pub fn from_environment() -> Self {
        let variable =
            |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let is_root = nix::unistd::geteuid().is_root();
        let state = variable(environment::CCCI_STATE_DIR).unwrap_or_else(|| {
            let shared = PathBuf::from("/var/lib/cc-ci");
            if is_root || is_writable(&shared) { shared } else { user_state(variable) }
        });
        let runs = variable(environment::CCCI_RUNS_DIR).unwrap_or_else(|| state.join("runs"));
        let locks = variable(environment::CCCI_APP_LOCK_DIR).unwrap_or_else(|| {
            let shared = PathBuf::from("/run/lock/cc-ci");
            if is_root || is_writable(&shared) { shared } else { state.join("locks") }
        });
        Self { state, runs, locks }
    }
}

impl StatePaths {
    /// The file whose presence lets no run begin; see `cc-ci drain`.
    #[must_use]
    pub fn drain(&self) -> PathBuf {
        self.state.join("drain")
    }

    /// Makes the folders that are missing. The folder of locks belongs to everybody of the server's group, so files made in it do too.
    ///
    /// # Errors
    /// The first folder that cannot be made, with its path.
    pub fn create(&self) -> Result<(), StateError> {
        let make = |path: &Path, mode: u32| {
            if path.is_dir() {
                return Ok(());
            }
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(mode)
                .create(path)
                .map_err(|reason| StateError { path: path.to_owned(), reason })
        };
        make(&self.state, 0o755)?;
        make(&self.runs, 0o755)?;
        if self.locks.is_dir() {
            return Ok(());
        }
        make(&self.locks, 0o2775)?;
        // The umask took the group's right to write, without which no other user could lock or probe here.
        let mode = std::fs::Permissions::from_mode(0o2775);
        std::fs::set_permissions(&self.locks, mode)
            .map_err(|reason| StateError { path: self.locks.clone(), reason })
    }
}

/// A folder of the host's state that cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("making {}: {reason}; give a folder you may write to with CCCI_STATE_DIR and CCCI_APP_LOCK_DIR", path.display())]
pub struct StateError {
    /// The folder.
    pub path: PathBuf,
    /// What the kernel said.
    pub reason: std::io::Error,
}

fn user_state(variable: impl Fn(&str) -> Option<PathBuf>) -> PathBuf {
    variable(environment::XDG_STATE_HOME)
        .filter(|path| path.is_absolute())
        .or_else(|| variable(environment::HOME).map(|home| home.join(".local/state")))
        .unwrap_or_else(std::env::temp_dir)
        .join("cc-ci")
}

fn is_writable(path: &Path) -> bool {
    path.is_dir() && nix::unistd::access(path, nix::unistd::AccessFlags::W_OK).is_ok()
}

/// Memory that programs may still take, in bytes, as the kernel estimates it (`MemAvailable`, proc(5)); `None` where it does not say.
#[must_use]
pub fn free_memory_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_folder_of_locks_is_the_groups_to_use_in_spite_of_the_umask() {
        let folder = tempfile::tempdir().unwrap();
        let at = |below: &str| folder.path().join(below);
        let paths = StatePaths { state: at("state"), runs: at("state/runs"), locks: at("run/locks") };
        paths.create().unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(&paths.locks), 0o2775);
        // One that is there is somebody's who knows better.
        std::fs::set_permissions(&paths.locks, std::fs::Permissions::from_mode(0o700)).unwrap();
        paths.create().unwrap();
        assert_eq!(mode(&paths.locks), 0o700);
    }
}
