//! The durable record of what a run may create, written before it creates anything.

use std::io;
use std::path::{Path, PathBuf};

use cc_ci_model::inventory::Kind;
use cc_ci_model::names::{RunDomain, RunId, StackName, Zone};
use cc_ci_process::atomic::{AtomicError, write_json};

use crate::lock::{HeldLock, NotCovered};
use crate::teardown::Removed;

/// Version of the file's form; a newer one is refused.
const SCHEMA: u32 = 1;

/// Why a record could not be written, read or removed.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It could not be written: nothing may be created then.
    #[error("writing the record of stack {stack}: {cause}")]
    Write {
        /// The stack.
        stack: String,
        /// What failed.
        cause: AtomicError,
    },
    /// The folder or a file in it cannot be used.
    #[error("{attempt} {path}: {cause}; check the rights of the state folder")]
    File {
        /// What was attempted.
        attempt: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        cause: io::Error,
    },
    /// The lock is of another run.
    #[error(transparent)]
    NotCovered(#[from] NotCovered),
    /// The content is not a record.
    #[error("reading the record {path}: {reason}; look at it and remove it by hand if it is not cc-ci's")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// What one run may create on the swarm: the main stack and every further one it names.
///
/// Written and synced under the domain's lock before anything is created, and removed only with the proof that all
/// of it is gone; so after any crash the janitor finds in it what it has to remove, whatever else was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackRecord {
    /// The run.
    pub run: RunId,
    /// Its main stack.
    pub stack: StackName,
    /// Its domain, whose lock covers all stacks of the record.
    pub domain: String,
    /// When the record was made.
    pub created: jiff::Timestamp,
    /// Kinds of objects that may come into being.
    pub may_create: Vec<Kind>,
    /// Stacks of dependencies and restores, added before each of them is deployed.
    pub extra_stacks: Vec<StackName>,
}

/// The file's form: names are text there, since whether they are a run's depends on the zone of the reader.
#[derive(serde::Serialize, serde::Deserialize)]
struct Written {
    schema: u32,
    run: RunId,
    stack: String,
    domain: String,
    created: String,
    may_create: Vec<Kind>,
    #[serde(default)]
    extra_stacks: Vec<String>,
}

impl StackRecord {
    /// The record of a run that may create anything a stack can consist of.
    #[must_use]
    pub fn new(run: &RunId, domain: &RunDomain, created: jiff::Timestamp) -> Self {
        Self {
            run: run.clone(),
            stack: domain.stack(),
            domain: domain.to_string(),
            created,
            may_create: vec![
                Kind::Service,
                Kind::Task,
                Kind::Container,
                Kind::Network,
                Kind::Volume,
                Kind::Secret,
                Kind::Config,
            ],
            extra_stacks: Vec::new(),
        }
    }

    /// All stacks, the main one first.
    pub fn stacks(&self) -> impl Iterator<Item = &StackName> {
        std::iter::once(&self.stack).chain(&self.extra_stacks)
    }

    /// Writes the record and syncs file and folder; when this returns, a crash cannot lose it, and the lock covers its
    /// stacks.
    ///
    /// # Errors
    /// The state folder cannot be written, or the lock is of another run.
    pub fn write(&self, state: &Path, lock: &HeldLock) -> Result<(), RecordError> {
        lock.covers(&self.stack)?;
        let path = file_of(state, &self.stack);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|cause| RecordError::File {
                attempt: "making the folder",
                path: folder.to_owned(),
                cause,
            })?;
        }
        let written = Written {
            schema: SCHEMA,
            run: self.run.clone(),
            stack: self.stack.to_string(),
            domain: self.domain.clone(),
            created: self.created.to_string(),
            may_create: self.may_create.clone(),
            extra_stacks: self.extra_stacks.iter().map(StackName::to_string).collect(),
        };
        write_json(&path, &written)
            .map_err(|cause| RecordError::Write { stack: self.stack.to_string(), cause })?;
        lock.cover(self.extra_stacks.iter());
        Ok(())
    }

    /// Reads the record of a stack; `None` if there is none.
    ///
    /// # Errors
    /// It is there and cannot be read: then what the run made is not known.
    pub fn read(state: &Path, stack: &StackName, zone: &Zone) -> Result<Option<Self>, RecordError> {
        let path = file_of(state, stack);
        match std::fs::read(&path) {
            Ok(bytes) => Self::parse(&path, &bytes, zone).map(Some),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(RecordError::File { attempt: "reading the record", path, cause }),
        }
    }

    /// All records of this zone, each with its own error if it cannot be read; a missing folder holds none.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn list(state: &Path, zone: &Zone) -> Result<Vec<Result<Self, RecordError>>, RecordError> {
        let folder = folder_of(state);
        let failed =
            |cause| RecordError::File { attempt: "listing the records in", path: folder.clone(), cause };
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(cause) => return Err(failed(cause)),
        };
        let mut records = Vec::new();
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            // Neighbours of a write that was killed start with a dot.
            let Some(stack) = name.strip_suffix(".json").filter(|name| !name.starts_with('.')) else {
                continue;
            };
            let Ok(stack) = StackName::parse_in(stack, zone) else { continue };
            records.extend(Self::read(state, &stack, zone).transpose());
        }
        Ok(records)
    }

    /// Removes the record; only who holds the proof that the stack is gone can.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub fn remove(self, state: &Path, proof: &Removed) -> Result<(), RecordError> {
        debug_assert!(self.stacks().any(|stack| stack == proof.stack()));
        let path = file_of(state, &self.stack);
        match std::fs::remove_file(&path) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                Err(RecordError::File { attempt: "removing the record", path, cause })
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn parse(path: &Path, bytes: &[u8], zone: &Zone) -> Result<Self, RecordError> {
        let failed = |reason: String| RecordError::Content { path: path.to_owned(), reason };
        let written: Written = serde_json::from_slice(bytes).map_err(|error| failed(error.to_string()))?;
        if written.schema > SCHEMA {
            return Err(failed(format!("schema {} is newer than {SCHEMA}", written.schema)));
        }
        let stack =
            |text: &String| StackName::parse_in(text, zone).map_err(|error| failed(error.to_string()));
        Ok(Self {
            run: written.run,
            stack: stack(&written.stack)?,
            domain: written.domain,
            created: written.created.parse().map_err(|error: jiff::Error| failed(error.to_string()))?,
            may_create: written.may_create,
            extra_stacks: written.extra_stacks.iter().map(stack).collect::<Result<_, _>>()?,
        })
    }
}

fn folder_of(state: &Path) -> PathBuf {
    state.join("stacks")
}

fn file_of(state: &Path, stack: &StackName) -> PathBuf {
    folder_of(state).join(format!("{stack}.json"))
}
