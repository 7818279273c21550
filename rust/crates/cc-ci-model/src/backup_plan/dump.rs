//! Whether a dump is complete to its end, as far as its own form tells.

use serde::{Deserialize, Serialize};

/// What was seen of a file: its size, its beginning and its end. Of a packed file both are those of what it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DumpEnd {
    /// Bytes of the file as it lies in the snapshot.
    pub bytes: u64,
    /// The first characters.
    pub head: String,
    /// The last ones.
    pub tail: String,
    /// Why the file could not be unpacked to its end; `None` where it could, or is not packed.
    #[serde(default)]
    pub broken: Option<String>,
}

/// How dumps of known programs begin, and what stands at the end of a complete one.
const FORMS: [(&str, &str, &str); 5] = [
    ("PostgreSQL database cluster dump", "PostgreSQL database cluster dump complete", "pg_dumpall"),
    ("PostgreSQL database dump", "PostgreSQL database dump complete", "pg_dump"),
    ("-- MySQL dump", "-- Dump completed", "mysqldump"),
    ("-- MariaDB dump", "-- Dump completed", "mariadb-dump"),
    ("PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;", "COMMIT;", "sqlite3"),
];

/// Judges a dump.
///
/// # Errors
/// What is wrong with it, as the end of a sentence that begins with its path.
pub fn judge_dump(dump: &DumpEnd) -> Result<(), String> {
    if dump.bytes == 0 {
        return Err("is empty".to_owned());
    }
    if let Some(broken) = &dump.broken {
        return Err(format!("cannot be unpacked to its end ({broken}): it is truncated"));
    }
    if dump.head.is_empty() {
        return Err("is a packed file with nothing in it".to_owned());
    }
    let form = FORMS.iter().find(|(begin, ..)| dump.head.contains(begin));
    match form {
        Some((_, end, program)) if !dump.tail.contains(end) => {
            Err(format!("begins as {program} writes it and does not end with {end:?}: it is truncated"))
        }
        _ => Ok(()),
    }
}
