//! Where things that take long to make are kept, under a name that changes with what went into them.

use std::path::{Path, PathBuf};

use fs2::FileExt;
use sha2::{Digest, Sha256};

/// Why the cache could not hold something.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// Neither `XDG_CACHE_HOME` nor `HOME` says where it is.
    #[error("no folder for the cache: set XDG_CACHE_HOME or HOME")]
    NoFolder,
    /// A file or folder could not be made or renamed.
    #[error("keeping {}: {cause}", path.display())]
    Files {
        /// Which one.
        path: PathBuf,
        /// What the kernel said.
        cause: std::io::Error,
    },
}

/// The folder of the cache: `$XDG_CACHE_HOME/cc-ci`, else `~/.cache/cc-ci`. It need not exist.
///
/// # Errors
/// [`CacheError::NoFolder`].
pub fn folder() -> Result<PathBuf, CacheError> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .map(|base| base.join("cc-ci"))
        .ok_or(CacheError::NoFolder)
}

/// A name that changes when any of `parts` does: `<name>-<16 hex digits>`.
pub fn key<P: AsRef<[u8]>>(name: &str, parts: impl IntoIterator<Item = P>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        let part = part.as_ref();
        // The length keeps ("ab", "c") and ("a", "bc") apart.
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    let hex: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{name}-{hex}")
}

/// The folder kept under `key`, made by `build` if it is not there yet.
///
/// `build` fills an empty folder beside it, which gets its name only once `build` succeeds; another process that
/// wants the same key waits for it.
///
/// # Errors
/// What `build` says, or a [`CacheError`] turned into it.
pub fn entry<E: From<CacheError>>(
    key: &str,
    build: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<PathBuf, E> {
    let place = folder()?.join("kept").join(key);
    if place.exists() {
        return Ok(place);
    }
    let files = |path: &Path, cause| CacheError::Files { path: path.to_owned(), cause };
    let locks = folder()?.join("locks");
    std::fs::create_dir_all(&locks).map_err(|cause| files(&locks, cause))?;
    std::fs::create_dir_all(folder()?.join("kept")).map_err(|cause| files(&place, cause))?;
    let lock = std::fs::File::create(locks.join(key)).map_err(|cause| files(&place, cause))?;
    FileExt::lock_exclusive(&lock).map_err(|cause| files(&place, cause))?;
    if place.exists() {
        return Ok(place);
    }
    let part = place.with_extension("part");
    if part.exists() {
        std::fs::remove_dir_all(&part).map_err(|cause| files(&part, cause))?;
    }
    std::fs::create_dir_all(&part).map_err(|cause| files(&part, cause))?;
    build(&part)?;
    std::fs::rename(&part, &place).map_err(|cause| files(&place, cause))?;
    Ok(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_changes_with_each_part_and_with_their_borders() {
        assert_eq!(key("a", ["x", "y"]), key("a", ["x", "y"]));
        assert_ne!(key("a", ["x", "y"]), key("a", ["xy", ""]));
        assert_ne!(key("a", ["x", "y"]), key("b", ["x", "y"]));
    }
}
