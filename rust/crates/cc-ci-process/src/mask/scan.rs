//! Looking for secrets in files that are kept: the last net behind the mask.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::Masker;

/// What a search found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leaks {
    /// How many times a secret stands in the files, or in their names.
    pub count: u64,
    /// The files in question, sorted.
    pub files: Vec<PathBuf>,
}

impl Leaks {
    /// Nothing was found.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// Why a folder could not be searched: then nothing is known about it.
#[derive(Debug, Error)]
#[error("searching {path} for secrets: {reason}; nothing is known about what it holds")]
pub struct ScanError {
    /// The file or folder that could not be read.
    pub path: PathBuf,
    /// What the kernel said.
    pub reason: io::Error,
}

/// Looks for the masker's values in all regular files below `path`. Links are not followed; sockets and pipes
/// hold nothing. A file that cannot be read is an error, not a clean file.
pub fn scan_folder(path: &Path, masker: &Masker) -> Result<Leaks, ScanError> {
    let mut leaks = Leaks::default();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        let failed = |reason| ScanError { path: folder.clone(), reason };
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let kind = entry.file_type().map_err(failed)?;
            let mut count = occurrences(entry.file_name().to_string_lossy().as_bytes(), masker)
                .map_err(|reason| ScanError { path: entry.path(), reason })?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                count += File::open(entry.path())
                    .and_then(|file| occurrences(file, masker))
                    .map_err(|reason| ScanError { path: entry.path(), reason })?;
            }
            if count > 0 {
                leaks.count += count;
                leaks.files.push(entry.path());
            }
        }
    }
    leaks.files.sort();
    Ok(leaks)
}

fn occurrences(mut text: impl Read, masker: &Masker) -> io::Result<u64> {
    // A masker of its own with the same values: a search must not count as masking.
    let searching = masker.with_own_count();
    let mut stream = searching.stream();
    let mut chunk = vec![0; 64 * 1024];
    loop {
        match text.read(&mut chunk) {
            Ok(0) => break,
            Ok(length) => drop(stream.push(chunk.get(..length).unwrap_or_default())),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    stream.finish();
    Ok(searching.masked())
}
