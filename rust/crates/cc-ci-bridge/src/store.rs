//! The intents on disk, and those of them that are open; the protocol is told at [`Intent`].

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use cc_ci_model::bridge::intent::Intent;
use cc_ci_process::atomic::{AtomicError, write_json};

/// Why an intent could not be kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The folder or a file of it.
    #[error("keeping intents in {path}: {reason}; look at the free space and the rights of the folder")]
    Folder { path: PathBuf, reason: io::Error },
    /// An intent could not be written.
    #[error(transparent)]
    Write(#[from] AtomicError),
    /// It does not fit into JSON.
    #[error("writing the intent of comment {0}: {1}")]
    Json(u64, serde_json::Error),
}

/// All intents there are.
#[derive(Debug)]
pub(crate) struct Store {
    folder: PathBuf,
    known: BTreeSet<u64>,
    open: BTreeMap<u64, Intent>,
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
            open: BTreeMap::new(),
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
        if intent.answer.said.is_some() && !intent.answer.is_folded && intent.wants_build() {
            self.unfolded.entry(place).or_default().insert(intent.comment);
        } else if let Some(of_pr) = self.unfolded.get_mut(&place) {
            of_pr.remove(&intent.comment);
        }
    }

    /// Whether this comment was seen before.
    pub(crate) fn is_known(&self, comment: u64) -> bool {
        self.known.contains(&comment)
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
