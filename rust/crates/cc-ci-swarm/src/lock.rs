//! The lock of a run's domain: whoever holds it may change the stack, and a free one means that its run is dead.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use cc_ci_model::names::{RunDomain, RunId, StackName};
use cc_ci_process::cancel::Cancellation;
use cc_ci_process::wait::{Look, WaitError, Waiting, wait_for};
use fs2::FileExt;

/// Readable and writable for the group of the folder (setgid `cc-ci`), so that the janitor can probe.
const MODE: u32 = 0o660;
/// How often a lock file may be found unlinked before that is called an error.
const TRIES: usize = 10;
/// How often a waiter tries again at first; the kernel's own waiting can neither be bounded nor cancelled.
const INTERVAL: Duration = Duration::from_millis(250);
/// And how often at last.
const SHORTEST: Duration = Duration::from_millis(10);

/// Why a lock was not got.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The lock file cannot be used.
    #[error("{attempt} the lock {path}: {cause}; check the rights of its folder")]
    File {
        /// What was attempted.
        attempt: &'static str,
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        cause: io::Error,
    },
    /// Every time the file was locked it had been replaced meanwhile.
    #[error("locking {path}: the file was replaced {TRIES} times in a row; find out who keeps removing it")]
    Replaced {
        /// The file.
        path: PathBuf,
    },
    /// The wait ended without the lock.
    #[error("waiting for the lock of {domain}, held by {holder}: {cause}")]
    Waiting {
        /// The domain.
        domain: String,
        /// Who holds it.
        holder: String,
        /// Time-out or cancellation.
        cause: Box<WaitError<LockError>>,
    },
}

/// A lock was shown for a stack that it does not cover: nothing was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the lock of {domain} does not cover the stack {stack}, so nothing was done to it: a defect of cc-ci, please report it"
)]
pub struct NotCovered {
    /// What the lock is of.
    pub domain: String,
    /// What it was shown for.
    pub stack: String,
}

/// What the holder wrote into the lock file, for people and logs; never used for a decision.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Holder {
    /// Its run.
    pub run: String,
    /// Its process.
    pub pid: u32,
    /// Since when.
    pub since: String,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "run {}, pid {}, since {}", self.run, self.pid, self.since)
    }
}

/// What a run that asks for a lock has to show to the person who watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockNews {
    /// Somebody else holds it.
    Waiting(Option<Holder>),
    /// It is held.
    Acquired,
}

impl std::fmt::Display for LockNews {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Waiting(Some(holder)) => write!(f, "in flight — waiting ({holder})"),
            Self::Waiting(None) => f.write_str("in flight — waiting (holder unknown)"),
            Self::Acquired => f.write_str("acquired"),
        }
    }
}

/// The lock of one domain, held. Calls that change a stack demand it.
///
/// The protocol: an exclusive `flock` on `<folder>/<domain>.lock`, taken by trying. A holder that ends may unlink
/// the file while it holds the lock ([`HeldLock::remove`]); whoever gets the lock therefore looks whether the
/// name still is the file it locked, and starts over if not. The descriptor is closed on exec, so a child that
/// outlives its run does not hold the lock, and the kernel frees it however the holder dies: a free lock means that no
/// run lives. The lock is held until this value is dropped; it cannot be cloned.
#[derive(Debug)]
#[must_use = "the lock is free as soon as this is dropped"]
pub struct HeldLock {
    file: File,
    path: PathBuf,
    domain: RunDomain,
    /// Stacks of the run's record beside the main one.
    further: Mutex<BTreeSet<StackName>>,
}

/// What a probe found.
#[derive(Debug)]
pub enum Probe {
    /// Nobody held it, and now the prober does: what it belongs to is dead and may be removed.
    Free(HeldLock),
    /// Its run lives.
    Held(Option<Holder>),
}

impl HeldLock {
    /// Waits until the lock of `domain` is held, at most for `limit`. `news` hears once that somebody else holds
    /// it, again when the holder changes, and at last that it is held.
    ///
    /// # Errors
    /// The file cannot be used, the limit passed, or the run was cancelled.
    pub async fn acquire(
        folder: &Path,
        domain: &RunDomain,
        run: &RunId,
        limit: Duration,
        cancellation: &Cancellation,
        mut news: impl FnMut(&LockNews),
    ) -> Result<Self, LockError> {
        let waiting = Waiting { deadline: limit, interval: INTERVAL };
        let begin = Instant::now();
        let mut told: Option<Option<Holder>> = None;
        let sentence = format!("waiting for the lock of {domain}");
        let mut look = || match attempt(folder, domain)? {
            Probe::Free(lock) => Ok(Look::There(lock)),
            Probe::Held(holder) => {
                let seen = holder_words(holder.as_ref());
                if told.as_ref() != Some(&holder) {
                    news(&LockNews::Waiting(holder.clone()));
                    told = Some(holder);
                }
                Ok(Look::NotBefore(seen, pause(begin.elapsed())))
            }
        };
        let got = wait_for(&sentence, waiting, None, cancellation, || std::future::ready(look())).await;
        let lock = got.map_err(|error| match error {
            WaitError::Failed { reason, .. } => reason,
            cause => LockError::Waiting {
                domain: domain.to_string(),
                holder: holder_words(told.as_ref().and_then(Option::as_ref)),
                cause: Box::new(cause),
            },
        })?;
        lock.note(run.as_str())?;
        news(&LockNews::Acquired);
        Ok(lock)
    }

    /// Tries once without waiting, as the janitor does. A lock got this way keeps the note of the dead holder.
    ///
    /// # Errors
    /// The file cannot be used; then nothing is known about the run.
    pub fn try_probe(folder: &Path, domain: &RunDomain) -> Result<Probe, LockError> {
        attempt(folder, domain)
    }

    /// The domain it locks.
    #[must_use]
    pub fn domain(&self) -> &RunDomain {
        &self.domain
    }

    /// The main stack it locks; stacks of the same run's record are covered as well.
    #[must_use]
    pub fn stack(&self) -> StackName {
        self.domain.stack()
    }

    /// Whether it covers a stack: the main one of its domain, or one that the run's record names. Whatever changes a
    /// stack asks this first.
    ///
    /// # Errors
    /// [`NotCovered`]: the stack may be another run's.
    pub fn covers(&self, stack: &StackName) -> Result<(), NotCovered> {
        let further = self.further.lock().unwrap_or_else(PoisonError::into_inner);
        if *stack == self.stack() || further.contains(stack) {
            return Ok(());
        }
        Err(NotCovered { domain: self.domain.to_string(), stack: stack.to_string() })
    }

    /// Extends it to the stacks of a record: only what is written down durably is covered.
    pub(crate) fn cover<'s>(&self, stacks: impl Iterator<Item = &'s StackName>) {
        self.further.lock().unwrap_or_else(PoisonError::into_inner).extend(stacks.cloned());
    }

    /// Who wrote into the file last: after a probe, the holder that died.
    #[must_use]
    pub fn last_holder(&self) -> Option<Holder> {
        read_holder(&self.path)
    }

    /// Writes into the file that the janitor holds it now, for runs that have to wait meanwhile.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn note_janitor(&self) -> Result<(), LockError> {
        self.note("of the janitor, which removes leftovers")
    }

    /// Writes into the file that its run is over and keeps its stack for a person to look at, for runs that have to wait
    /// meanwhile.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn note_kept(&self, run: &RunId) -> Result<(), LockError> {
        self.note(&format!("{run}, which keeps its red stack until `cc-ci release {run}`"))
    }

    /// Unlinks the lock file while holding it, then frees the lock; the last step of a teardown.
    ///
    /// # Errors
    /// The file cannot be removed; the lock is free all the same.
    pub fn remove(self) -> Result<(), LockError> {
        fs::remove_file(&self.path).map_err(|cause| LockError::File {
            attempt: "removing",
            path: self.path.clone(),
            cause,
        })
    }

    fn note(&self, run: &str) -> Result<(), LockError> {
        let holder = Holder {
            run: run.to_owned(),
            pid: std::process::id(),
            since: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        };
        let text = serde_json::to_vec(&holder).unwrap_or_default();
        let mut file = &self.file;
        file.set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| file.write_all(&text))
            .map_err(|cause| LockError::File {
                attempt: "writing the holder into",
                path: self.path.clone(),
                cause,
            })
    }
}

/// How long a waiter pauses that has waited for so long. There is no queue; who has waited longest asks most often, so of
/// several it is most likely the next, and nobody waits while one newcomer after the other gets by.
fn pause(waited: Duration) -> Duration {
    let tens = u32::try_from(waited.as_secs() / 10).unwrap_or(u32::MAX);
    (INTERVAL / tens.saturating_add(1)).max(SHORTEST)
}

fn holder_words(holder: Option<&Holder>) -> String {
    holder.map_or_else(|| "an unknown run".to_owned(), Holder::to_string)
}

fn read_holder(path: &Path) -> Option<Holder> {
    let mut text = String::new();
    File::open(path).ok()?.take(4096).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

fn attempt(folder: &Path, domain: &RunDomain) -> Result<Probe, LockError> {
    let path = folder.join(format!("{domain}.lock"));
    let failed = |attempt| {
        let path = path.clone();
        move |cause| LockError::File { attempt, path, cause }
    };
    for _ in 0..TRIES {
        // Descriptors of the standard library are closed on exec.
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(MODE)
            .open(&path)
            .map_err(failed("opening"))?;
        match try_lock(&file) {
            Ok(true) => {}
            Ok(false) => return Ok(Probe::Held(read_holder(&path))),
            Err(cause) => return Err(failed("locking")(cause)),
        }
        if is_named(&file, &path).map_err(failed("looking again at"))? {
            // The umask took the group's right from a file that was made here; one of another user stays as it is.
            let _ = file.set_permissions(fs::Permissions::from_mode(MODE));
            return Ok(Probe::Free(HeldLock {
                file,
                path,
                domain: domain.clone(),
                further: Mutex::default(),
            }));
        }
    }
    Err(LockError::Replaced { path })
}

/// `false` if somebody else holds it. Interrupted calls are repeated.
fn try_lock(file: &File) -> io::Result<bool> {
    loop {
        match FileExt::try_lock_exclusive(file) {
            Ok(()) => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.raw_os_error() == fs2::lock_contended_error().raw_os_error() => {
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
    }
}

/// Whether the name still is the locked file: a waiter may have opened a file that the holder unlinked since.
fn is_named(file: &File, path: &Path) -> io::Result<bool> {
    let own = file.metadata()?;
    match fs::metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (own.dev(), own.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_longer_asks_more_often() {
        let after = |seconds| pause(Duration::from_secs(seconds));
        assert_eq!(after(0), INTERVAL);
        assert_eq!(after(60), INTERVAL / 7);
        assert!((1..400).all(|seconds| after(seconds) <= after(seconds - 1)));
        assert_eq!(after(3600), SHORTEST, "and yet not without a pause");
        assert_eq!(pause(Duration::MAX), SHORTEST);
    }
}
