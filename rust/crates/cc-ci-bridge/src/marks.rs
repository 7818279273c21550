//! Up to when each organisation was asked for changes: what survives a stop of any length.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cc_ci_process::atomic::{AtomicError, write_json};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The marks of all organisations.
#[derive(Debug)]
pub(crate) struct Marks {
    path: PathBuf,
    of: BTreeMap<String, Mark>,
}

/// The mark of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// What was written before this is history and starts nothing.
    pub(crate) begun: Timestamp,
    /// Everything that changed before this was seen.
    pub(crate) seen_until: Timestamp,
}

impl Marks {
    /// Reads them; a file that cannot be read is an error, since without it nobody knows what was seen.
    pub(crate) fn open(bridge: &Path) -> Result<Self, String> {
        let path = bridge.join("marks.json");
        let of = match std::fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text)
                .map_err(|error| format!("reading {}: {error}; remove it to begin at now", path.display()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(format!("reading {}: {error}", path.display())),
        };
        Ok(Self { path, of })
    }

    /// The mark of an organisation; one that is seen for the first time begins at `now`.
    pub(crate) fn of(&mut self, organisation: &str, now: Timestamp) -> Result<Mark, AtomicError> {
        if let Some(mark) = self.of.get(organisation) {
            return Ok(*mark);
        }
        let mark = Mark { begun: now, seen_until: now };
        self.of.insert(organisation.to_owned(), mark);
        write_json(&self.path, &self.of)?;
        Ok(mark)
    }

    /// Up to when all of these organisations were looked at; none where one never was.
    pub(crate) fn seen_until(&self, organisations: &[String]) -> Option<Timestamp> {
        let seen = |organisation| self.of.get(organisation).map(|mark| mark.seen_until);
        organisations.iter().map(seen).min().flatten()
    }

    /// Everything up to `until` was seen. Written once a minute at most: a loss costs a repetition, and those start nothing.
    pub(crate) fn move_to(&mut self, organisation: &str, until: Timestamp) -> Result<(), AtomicError> {
        if let Some(mark) = self.of.get_mut(organisation) {
            let is_far = until.as_second() - mark.seen_until.as_second() >= 60;
            if is_far {
                mark.seen_until = until;
                write_json(&self.path, &self.of)?;
            }
        }
        Ok(())
    }
}
