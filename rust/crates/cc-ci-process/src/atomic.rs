//! Files that are whole or absent: writing to a neighbour, syncing and renaming; and lines added to a log.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use thiserror::Error;

/// Mode of files that other programs may read: the dashboard reads what a run writes.
const SHARED: u32 = 0o644;
/// Mode of files that only their owner may read.
const PRIVATE: u32 = 0o600;

/// Why a file could not be written.
#[derive(Debug, Error)]
pub enum AtomicError {
    /// One of the steps failed; the old file, if there was one, stands untouched.
    #[error("writing {path}: {step} failed: {reason}; look at the free space and the rights of its folder")]
    Step {
        /// The file that was to be written.
        path: PathBuf,
        /// Which step.
        step: &'static str,
        /// What the kernel said.
        reason: io::Error,
    },
    /// The value does not fit into JSON.
    #[error("writing {path}: the value cannot be put into JSON: {reason}")]
    Json {
        /// The file that was to be written.
        path: PathBuf,
        /// What the serialiser said.
        reason: serde_json::Error,
    },
}

/// Replaces `path` by `bytes` so that every reader, at any moment and after any crash, finds the old content
/// or the new one, whole. Mode 0644 less the umask.
///
/// The steps: a new file beside it, all bytes, fsync, rename over the old name, fsync of the folder. A writer
/// that is killed leaves at most a neighbour `.<name>.<random>.new`, which no reader looks at.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), AtomicError> {
    write_with_mode(path, bytes, SHARED)
}

/// [`write_atomic`] for what only its owner may read (mode 0600).
pub fn write_atomic_private(path: &Path, bytes: &[u8]) -> Result<(), AtomicError> {
    write_with_mode(path, bytes, PRIVATE)
}

/// [`write_atomic`] of a value as indented JSON with a final newline.
pub fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), AtomicError> {
    let mut bytes = serde_json::to_vec_pretty(value)
        .map_err(|reason| AtomicError::Json { path: path.to_owned(), reason })?;
    bytes.push(b'\n');
    write_atomic(path, &bytes)
}

fn write_with_mode(path: &Path, bytes: &[u8], mode: u32) -> Result<(), AtomicError> {
    let failed = |step| move |reason| AtomicError::Step { path: path.to_owned(), step, reason };
    let folder = folder_of(path);
    let name = path
        .file_name()
        .ok_or_else(|| failed("taking its name")(io::Error::from(io::ErrorKind::InvalidInput)))?;
    let prefix = format!(".{}.", name.to_string_lossy());
    let mut neighbour = tempfile::Builder::new()
        .prefix(&prefix)
        .suffix(".new")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(folder)
        .map_err(failed("making a new file beside it"))?;
    neighbour.write_all(bytes).map_err(failed("writing the new file"))?;
    neighbour.as_file().sync_all().map_err(failed("syncing the new file"))?;
    neighbour.persist(path).map_err(|error| failed("renaming the new file")(error.error))?;
    sync_folder(folder).map_err(failed("syncing its folder"))
}

/// Appends `value` as one line of JSON. The file is made where it is missing (mode 0644).
///
/// The line goes out in one write in append mode, so lines of several writers do not mix. A torn last line,
/// left by a writer that was killed, is closed first, so it costs one line and not two. Nothing is synced:
/// live progress may lose its tail in a power cut, and the result file does not depend on it.
pub fn append_line<T: Serialize>(path: &Path, value: &T) -> Result<(), AtomicError> {
    let failed = |step| move |reason| AtomicError::Step { path: path.to_owned(), step, reason };
    let mut line = Vec::new();
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .open(path)
        .map_err(failed("opening it for appending"))?;
    if ends_in_a_torn_line(&mut file).map_err(failed("reading its last byte"))? {
        line.push(b'\n');
    }
    serde_json::to_writer(&mut line, value)
        .map_err(|reason| AtomicError::Json { path: path.to_owned(), reason })?;
    line.push(b'\n');
    file.write_all(&line).map_err(failed("appending a line"))
}

fn ends_in_a_torn_line(file: &mut File) -> io::Result<bool> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != [b'\n'])
}

/// The folder a path lies in; `.` for a bare name.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    }
}

/// Makes names in a folder durable: a rename is on disk only when its folder is.
fn sync_folder(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect()
    }

    #[test]
    fn replacing_leaves_the_new_content_and_no_neighbour() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("result.json");
        write_atomic(&path, b"old, and longer than the new").unwrap();
        write_atomic(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names(folder.path()), ["result.json"]);
    }

    #[test]
    fn a_private_file_is_readable_by_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write_atomic_private(&path, b"k").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_thing_and_no_neighbour_and_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("result.json");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("inside"), "x").unwrap();
        let error = write_atomic(&path, b"new").unwrap_err().to_string();
        assert!(error.contains("result.json") && error.contains("renaming"), "{error}");
        assert_eq!(names(folder.path()), ["result.json"]);
    }

    #[test]
    fn a_torn_last_line_costs_one_line_and_not_two() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        append_line(&path, &1).unwrap();
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"to").unwrap();
        append_line(&path, &"a\nb").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "1\n{\"to\n\"a\\nb\"\n");
    }
}
