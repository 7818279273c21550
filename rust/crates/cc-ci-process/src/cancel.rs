//! One cancellation for a whole program, which remembers why it was cancelled first.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::exit::ExitStatus;
use crate::parent::ParentBond;

/// Why something is to end before its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// SIGTERM came.
    Term,
    /// SIGINT came (a person pressed Ctrl-C).
    Int,
    /// A cancel file appeared.
    CancelFile(PathBuf),
    /// The build this run belongs to was cancelled or is gone at the engine that started it.
    BuildCancelled(String),
    /// The hard deadline passed.
    Deadline(Duration),
    /// The process that started this one is gone.
    ParentDied,
    /// A budget of the run is used up; the sentence says which one.
    BudgetExceeded(String),
    /// Somebody inside the program asked, for the reason given.
    Asked(String),
}

impl Cause {
    /// How a program ends that was cancelled for this cause.
    pub fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Deadline(_) => ExitStatus::Deadline,
            // A budget is the recipe's to keep, so the run is red and not cancelled.
            Self::BudgetExceeded(_) => ExitStatus::Red,
            Self::Term
            | Self::Int
            | Self::CancelFile(_)
            | Self::BuildCancelled(_)
            | Self::ParentDied
            | Self::Asked(_) => ExitStatus::Cancelled,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Term => f.write_str("SIGTERM came"),
            Self::Int => f.write_str("SIGINT came"),
            Self::CancelFile(path) => write!(f, "the cancel file {} appeared", path.display()),
            Self::BuildCancelled(what) => write!(f, "the build was cancelled: {what}"),
            Self::Deadline(after) => {
                write!(f, "the deadline of {} passed", cc_ci_model::duration::print(*after))
            }
            Self::ParentDied => f.write_str("the process that started this one is gone"),
            Self::BudgetExceeded(what) => write!(f, "a budget is used up: {what}"),
            Self::Asked(why) => f.write_str(why),
        }
    }
}

/// Why a watch could not be set up.
#[derive(Debug, Error)]
pub enum CancelError {
    /// A thread or a signal handler could not be made.
    #[error(
        "watching for {what}: {reason}; the limits on threads and open files of this process may be too low"
    )]
    Watch {
        /// What was to be watched.
        what: String,
        /// What the kernel said.
        reason: io::Error,
    },
}

/// Called with each cause that comes after the first, with how many of those there are by then.
type Notice = Arc<dyn Fn(&Cause, usize) + Send + Sync>;

#[derive(Default)]
struct State {
    first: Option<Cause>,
    later: Vec<Cause>,
    notice: Option<Notice>,
}

struct Inner {
    token: CancellationToken,
    state: Mutex<State>,
    changed: Condvar,
}

/// A cancellation that all clones share.
///
/// The first cause wins and decides the exit status. Causes that come later are counted and handed to the
/// notice ("noted; teardown goes on") and change nothing: what is being torn down runs under a cancellation of
/// its own, made by [`Cancellation::for_teardown`], which no signal reaches.
#[derive(Clone)]
pub struct Cancellation {
    inner: Arc<Inner>,
}

/// Watches for one thing as long as it is held; dropping it ends the watching.
#[must_use = "dropping it ends the watching at once"]
pub struct Watch {
    _thread: Option<mpsc::Sender<()>>,
    _token: Option<DropGuard>,
}

impl Default for Cancellation {
    fn default() -> Self {
        Self::new()
    }
}

impl Cancellation {
    /// One that nothing has cancelled yet.
    pub fn new() -> Self {
        let inner = Inner {
            token: CancellationToken::new(),
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// One for the teardown: reached by no signal and no cancel file, ended only by its own bound.
    pub fn for_teardown(bound: Duration) -> Result<(Self, Watch), CancelError> {
        let own = Self::new();
        let watch = own.with_deadline(bound)?;
        Ok((own, watch))
    }

    /// Cancels. True if this was the first cause; otherwise it is counted, and the notice is called.
    pub fn cancel(&self, cause: Cause) -> bool {
        let mut state = self.state();
        if state.first.is_none() {
            state.first = Some(cause);
            drop(state);
            self.inner.token.cancel();
            self.inner.changed.notify_all();
            return true;
        }
        state.later.push(cause.clone());
        let count = state.later.len();
        let notice = state.notice.clone();
        drop(state);
        if let Some(notice) = notice {
            notice(&cause, count);
        }
        false
    }

    /// Sets what is called for each cause after the first: "noted; teardown goes on".
    pub fn on_later_causes(&self, notice: impl Fn(&Cause, usize) + Send + Sync + 'static) {
        self.state().notice = Some(Arc::new(notice));
    }

    /// The first cause, once there is one.
    pub fn cause(&self) -> Option<Cause> {
        self.state().first.clone()
    }

    /// The causes that came after the first, oldest first.
    pub fn later_causes(&self) -> Vec<Cause> {
        self.state().later.clone()
    }

    /// Has it been cancelled?
    pub fn is_cancelled(&self) -> bool {
        self.inner.token.is_cancelled()
    }

    /// The underlying token, for libraries that take one. Cancelling it directly would lose the cause.
    pub fn token(&self) -> CancellationToken {
        self.inner.token.child_token()
    }

    /// Returns when it has been cancelled, with the first cause.
    pub async fn cancelled(&self) -> Cause {
        self.inner.token.cancelled().await;
        self.cause().expect("the cause is stored before the token is cancelled")
    }

    /// Waits for the cancellation without async, at most for `longest`; `None` when that time passed.
    pub fn cancelled_within(&self, longest: Duration) -> Option<Cause> {
        let (state, _) = self
            .inner
            .changed
            .wait_timeout_while(self.state(), longest, |state| state.first.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        state.first.clone()
    }

    /// TERM, INT and HUP (a terminal that is closed) cancel from here on, instead of killing the process. Works without an async runtime.
    ///
    /// After the watch is dropped the signals are still caught but have no effect any more.
    pub fn install_signals(&self) -> Result<Watch, CancelError> {
        self.signals(None)
    }

    /// [`Cancellation::install_signals`] where TERM is also the parent-death signal: a TERM that comes when the
    /// parent is gone counts as [`Cause::ParentDied`].
    pub fn install_signals_with(&self, bond: ParentBond) -> Result<Watch, CancelError> {
        self.signals(Some(bond))
    }

    fn signals(&self, bond: Option<ParentBond>) -> Result<Watch, CancelError> {
        let failed = |reason| CancelError::Watch { what: "TERM and INT".to_owned(), reason };
        let stop = CancellationToken::new();
        let (ready, is_ready) = mpsc::channel();
        let (own, stopped) = (self.clone(), stop.clone());
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                // A runtime of its own: signals are heard even where the program's runtime is busy or missing.
                let runtime = match tokio::runtime::Builder::new_current_thread().enable_io().build() {
                    Ok(runtime) => runtime,
                    Err(error) => return drop(ready.send(Err(error))),
                };
                runtime.block_on(async move {
                    let streams = signal(SignalKind::terminate()).and_then(|term| {
                        Ok((term, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?))
                    });
                    match streams {
                        Err(error) => drop(ready.send(Err(error))),
                        Ok((term, int, hangup)) => {
                            drop(ready.send(Ok(())));
                            own.listen(term, int, hangup, bond, stopped).await;
                        }
                    }
                });
            })
            .map_err(failed)?;
        let installed = is_ready.recv().unwrap_or_else(|_| Err(io::Error::other("its thread ended early")));
        installed.map_err(failed)?;
        Ok(Watch { _thread: None, _token: Some(stop.drop_guard()) })
    }

    async fn listen(
        &self,
        mut term: Signal,
        mut int: Signal,
        mut hangup: Signal,
        bond: Option<ParentBond>,
        stop: CancellationToken,
    ) {
        loop {
            let cause = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some(()) = term.recv() => match bond {
                    Some(bond) if bond.parent_is_gone() => Cause::ParentDied,
                    Some(_) | None => Cause::Term,
                },
                Some(()) = int.recv() => Cause::Int,
                Some(()) = hangup.recv() => Cause::Asked("the terminal is gone (SIGHUP)".to_owned()),
            };
            self.cancel(cause);
        }
    }

    /// Cancels with [`Cause::Deadline`] once `deadline` has passed.
    pub fn with_deadline(&self, deadline: Duration) -> Result<Watch, CancelError> {
        let own = self.clone();
        let end = Instant::now().checked_add(deadline);
        watcher("deadline", move |stop| {
            let left = end.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()));
            if stop.recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
                own.cancel(Cause::Deadline(deadline));
            }
        })
    }

    /// Cancels with [`Cause::CancelFile`] once `path` exists; looks once per `interval`, the first time at once.
    /// A folder that cannot be looked into counts as "no such file".
    pub fn watch_file(&self, path: &Path, interval: Duration) -> Result<Watch, CancelError> {
        let (own, path) = (self.clone(), path.to_owned());
        watcher("cancel-file", move |stop| {
            loop {
                if path.exists() {
                    own.cancel(Cause::CancelFile(path));
                    return;
                }
                if stop.recv_timeout(interval) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts a thread that may wait on `stop`, which is disconnected when the watch is dropped.
fn watcher(
    what: &str,
    watch: impl FnOnce(mpsc::Receiver<()>) + Send + 'static,
) -> Result<Watch, CancelError> {
    let (alive, stop) = mpsc::channel();
    thread::Builder::new()
        .name(what.to_owned())
        .spawn(move || watch(stop))
        .map_err(|reason| CancelError::Watch { what: what.to_owned(), reason })?;
    Ok(Watch { _thread: Some(alive), _token: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Longer than any wait of these tests takes on a loaded machine.
    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn the_first_cause_decides_and_later_ones_are_noted() {
        let cancellation = Cancellation::new();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let ear = heard.clone();
        cancellation
            .on_later_causes(move |cause, count| ear.lock().unwrap().push(format!("{count}: {cause}")));
        assert!(cancellation.cancel(Cause::Deadline(Duration::from_secs(90))));
        assert!(!cancellation.cancel(Cause::Term));
        assert!(!cancellation.clone().cancel(Cause::Int));
        let first = cancellation.cause().unwrap();
        assert_eq!(first.exit_status(), ExitStatus::Deadline);
        assert_eq!(first.to_string(), "the deadline of 1m30s passed");
        assert_eq!(cancellation.later_causes(), [Cause::Term, Cause::Int]);
        assert_eq!(*heard.lock().unwrap(), ["1: SIGTERM came", "2: SIGINT came"]);
    }

    #[test]
    fn a_deadline_cancels_both_kinds_of_waiters() {
        let cancellation = Cancellation::new();
        let _watch = cancellation.with_deadline(Duration::from_millis(5)).unwrap();
        assert_eq!(cancellation.cancelled_within(LONG), Some(Cause::Deadline(Duration::from_millis(5))));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(runtime.block_on(cancellation.cancelled()), Cause::Deadline(Duration::from_millis(5)));
    }

    #[test]
    fn a_dropped_watch_does_not_cancel() {
        let cancellation = Cancellation::new();
        drop(cancellation.with_deadline(Duration::from_millis(30)).unwrap());
        assert_eq!(cancellation.cancelled_within(Duration::from_millis(120)), None);
    }

    #[test]
    fn a_cancel_file_cancels_when_it_appears() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("77.1");
        let cancellation = Cancellation::new();
        let _watch = cancellation.watch_file(&path, Duration::from_millis(5)).unwrap();
        assert_eq!(cancellation.cancelled_within(Duration::from_millis(40)), None);
        std::fs::write(&path, "").unwrap();
        assert_eq!(cancellation.cancelled_within(LONG), Some(Cause::CancelFile(path)));
    }

    #[test]
    fn a_budget_that_is_used_up_is_the_recipes_fault() {
        assert_eq!(Cause::BudgetExceeded("memory".to_owned()).exit_status(), ExitStatus::Red);
        assert_eq!(Cause::ParentDied.exit_status(), ExitStatus::Cancelled);
    }
}
