//! The intents on disk, and those of them that are open; the protocol is told at [`Intent`].

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use cc_ci_model::bridge::intent::Intent;
use cc_ci_model::bridge::trim;
use cc_ci_process::atomic::{AtomicError, write_json};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The file beside the intents that says up to which comment they were let go.
const GONE: &str = "trimmed.json";

#[derive(Debug, Serialize, Deserialize)]
struct Gone {
    schema: u32,
    up_to: u64,
}

/// Why an intent could not be kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The folder or a file of it.
    #[error("keeping intents in {path}: {reason}; look at the free space and the rights of the folder")]
    Folder { path: PathBuf, reason: io::Error },
    /// An intent could not be written.
    #[error(transparent)]
    Write(#[from] AtomicError),
    /// What says up to where intents were let go cannot be read: without it old comments would start runs again.
    #[error(
        "reading {path}: {reason}; put it back from a backup, or remove it after setting `begun` in marks.json to now"
    )]
    Gone { path: PathBuf, reason: String },
    /// It does not fit into JSON.
    #[error("writing the intent of comment {0}: {1}")]
    Json(u64, serde_json::Error),
}

/// All intents there are.
#[derive(Debug)]
pub(crate) struct Store {
    folder: PathBuf,
    known: BTreeSet<u64>,
    /// Every comment up to this one was let go ([`cc_ci_model::bridge::trim`]).
    gone_up_to: u64,
    open: BTreeMap<u64, Intent>,
    /// When the settled ones were written.
    settled: BTreeMap<u64, Timestamp>,
    /// Settled ones whose answer is not folded, by repository and pull request.
    unfolded: BTreeMap<(String, u32), BTreeSet<u64>>,
}

impl Store {
    /// Reads what is there. A file that cannot be read is said and left alone: its comment stays known.
    pub(crate) fn open(bridge: &Path) -> Result<Self, StoreError> {
        let folder = bridge.join("intents");
        let failed = |reason| StoreError::Folder { path: folder.clone(), reason };
        std::fs::create_dir_all(&folder).map_err(failed)?;
        let mut store = Self {
            folder: folder.clone(),
            known: BTreeSet::new(),
            gone_up_to: read_gone(bridge)?,
            open: BTreeMap::new(),
            settled: BTreeMap::new(),
            unfolded: BTreeMap::new(),
        };
        for entry in std::fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let Some(comment) = name.strip_suffix(".json").and_then(|name| name.parse().ok()) else {
                continue;
            };
            store.known.insert(comment);
            match std::fs::read_to_string(&path)
                .map_err(|error| error.to_string())
                .and_then(|text| Intent::read(&text))
            {
                Ok(intent) => store.keep(intent),
                Err(error) => tracing::error!(code = "intent-unreadable", "{}: {error}", path.display()),
            }
        }
        Ok(store)
    }

    fn keep(&mut self, intent: Intent) {
        let place = (intent.repository.clone(), intent.pr);
        if !intent.is_settled {
            self.open.insert(intent.comment, intent);
            return;
        }
        self.open.remove(&intent.comment);
        // Without a time it is kept as if it were written at this moment, until the next start at least.
        let written = intent.written.parse().unwrap_or_else(|_| Timestamp::now());
        self.settled.insert(intent.comment, written);
        if intent.answer.said.is_some() && !intent.answer.is_folded && intent.wants_build() {
            self.unfolded.entry(place).or_default().insert(intent.comment);
        } else if let Some(of_pr) = self.unfolded.get_mut(&place) {
            of_pr.remove(&intent.comment);
            if of_pr.is_empty() {
                self.unfolded.remove(&place);
            }
        }
    }

    /// Whether this comment was seen before.
    pub(crate) fn is_known(&self, comment: u64) -> bool {
        comment <= self.gone_up_to || self.known.contains(&comment)
    }

    /// Lets go of what is long settled; the number up to which everything is gone. Written down before anything is
    /// removed, so that a bridge that is killed in between takes nothing up again.
    pub(crate) fn trim(&mut self, seen_until: Timestamp, now: Timestamp) -> Result<u64, StoreError> {
        let lowest_open = self.open.keys().next().copied();
        if let Some(up_to) = trim::up_to(&self.settled, lowest_open, seen_until, now) {
            write_json(&self.folder.with_file_name(GONE), &Gone { schema: 1, up_to })?;
            self.gone_up_to = up_to;
        }
        let gone_up_to = self.gone_up_to;
        let gone: Vec<u64> = self.settled.range(..=gone_up_to).map(|(comment, _)| *comment).collect();
        for comment in gone {
            match std::fs::remove_file(self.path(comment)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(StoreError::Folder { path: self.path(comment), reason: error });
                }
                Ok(()) | Err(_) => {}
            }
            self.settled.remove(&comment);
            self.known.remove(&comment);
        }
        self.unfolded.retain(|_, of_pr| {
            of_pr.retain(|comment| *comment > gone_up_to);
            !of_pr.is_empty()
        });
        Ok(gone_up_to)
    }

    /// Takes an intent up, exactly once whoever else sees the comment; false if it was known.
    pub(crate) fn create(&mut self, intent: Intent) -> Result<bool, StoreError> {
        let path = self.path(intent.comment);
        let failed = |reason| StoreError::Folder { path: path.clone(), reason };
        let text =
            serde_json::to_vec_pretty(&intent).map_err(|error| StoreError::Json(intent.comment, error))?;
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(&self.folder).map_err(failed)?;
        file.write_all(&text).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
        self.known.insert(intent.comment);
        match file.persist_noclobber(&path) {
            Ok(_) => {
                self.keep(intent);
                Ok(true)
            }
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(failed(error.error)),
        }
    }

    /// Writes an intent down as it is, before whatever it says is done.
    pub(crate) fn save(&mut self, intent: &Intent) -> Result<(), StoreError> {
        write_json(&self.path(intent.comment), intent)?;
        self.keep(intent.clone());
        Ok(())
    }

    /// The open ones, oldest first.
    pub(crate) fn open_ones(&self) -> Vec<Intent> {
        self.open.values().cloned().collect()
    }

    /// Whether there is any.
    pub(crate) fn has_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// One open intent.
    pub(crate) fn get(&self, comment: u64) -> Option<&Intent> {
        self.open.get(&comment)
    }

    /// The settled ones of the same pull request that were written before and are still shown whole.
    pub(crate) fn earlier_answers(&self, intent: &Intent) -> Vec<Intent> {
        let of_pr = self.unfolded.get(&(intent.repository.clone(), intent.pr));
        let earlier = of_pr.into_iter().flatten().filter(|comment| **comment < intent.comment);
        let read = |comment: &u64| Intent::read(&std::fs::read_to_string(self.path(*comment)).ok()?).ok();
        earlier.filter_map(read).collect()
    }

    fn path(&self, comment: u64) -> PathBuf {
        self.folder.join(format!("{comment}.json"))
    }
}

fn read_gone(bridge: &Path) -> Result<u64, StoreError> {
    let path = bridge.join(GONE);
    let failed = |reason: String| StoreError::Gone { path: path.clone(), reason };
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let gone: Gone = serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?;
            Ok(gone.up_to)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(failed(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use cc_ci_model::bridge::command::Command;
    use cc_ci_model::bridge::intent::{Answer, Asked, SCHEMA};
    use jiff::SignedDuration;

    use super::*;

    fn intent(comment: u64, days_old: i64, is_settled: bool) -> Intent {
        Intent {
            schema: SCHEMA,
            comment,
            repository: "recipes/custom-html".to_owned(),
            pr: 1,
            author_id: 3,
            author: "maria".to_owned(),
            written: (Timestamp::now() - SignedDuration::from_hours(24 * days_old)).to_string(),
            asked: Asked::Command(Command::Help),
            granted: None,
            refused: None,
            attempts: Vec::new(),
            ended_by: None,
            answer: Answer::default(),
            status: None,
            outcome: None,
            is_settled,
        }
    }

    #[test]
    fn what_was_let_go_stays_known_after_a_restart_and_its_file_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path()).unwrap();
        for (comment, days, is_settled) in
            [(3, 90, true), (5, 80, true), (8, 70, false), (9, 60, true), (10, 1, true)]
        {
            assert!(store.create(intent(comment, days, is_settled)).unwrap());
        }
        let now = Timestamp::now();
        assert_eq!(store.trim(now, now).unwrap(), 5, "8 is open");
        let mut again = Store::open(folder.path()).unwrap();
        let left = std::fs::read_dir(folder.path().join("intents")).unwrap().count();
        assert_eq!(left, 3);
        for comment in [3, 4, 5, 8, 9, 10] {
            assert!(again.is_known(comment), "{comment}");
        }
        assert!(!again.is_known(11));
        again.save(&intent(8, 70, true)).unwrap();
        assert_eq!(again.trim(now, now).unwrap(), 9);
        assert!(again.is_known(9) && again.open_ones().is_empty());
    }

    #[test]
    fn a_store_that_cannot_tell_what_was_let_go_does_not_open() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(GONE), "{").unwrap();
        assert!(Store::open(folder.path()).is_err());
    }
}
