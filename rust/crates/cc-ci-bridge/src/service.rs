//! The loop: look for comments, bring every open intent one step further, wait; and what goes wrong on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cc_ci_forge::drone::Drone;
use cc_ci_forge::gitea::{Changed, Gitea, User};
use cc_ci_forge::http::ForgeError;
use cc_ci_process::atomic::{AtomicError, write_json};
use cc_ci_process::cancel::Cancellation;
use cc_ci_process::state::StatePaths;
use tokio::sync::Notify;

use crate::advance::More;
use crate::health::Health;
use crate::marks::Marks;
use crate::notify;
use crate::settings::Settings;
use crate::store::{Store, StoreError};

/// How soon a change of an open run is seen: its files lie on this machine, and Drone answers in a millisecond.
const WATCH: Duration = Duration::from_secs(2);
/// The first pause after something that may pass, and the longest.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Why a step could not be done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BridgeError {
    /// A server.
    #[error(transparent)]
    Forge(#[from] ForgeError),
    /// The intents.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file.
    #[error(transparent)]
    Atomic(#[from] AtomicError),
    /// A folder.
    #[error("writing {path}: {reason}; look at the free space and the rights of its folder")]
    Folder { path: PathBuf, reason: std::io::Error },
    /// An intent that cannot be carried on.
    #[error("the intent of comment {0}: {1}")]
    Intent(u64, String),
    /// No for now.
    #[error("{0}")]
    ForNow(String),
}

/// What a webhook told of, for the loop.
#[derive(Debug, Default)]
pub(crate) struct Hints {
    pulls: Mutex<BTreeSet<(String, u32)>>,
    wake: Notify,
}

impl Hints {
    /// Adds one and wakes the loop. More than a thousand are dropped: the poll sees everything anyway.
    pub(crate) fn add(&self, repository: String, pr: u32) {
        let mut pulls = self.pulls.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if pulls.len() < 1000 {
            pulls.insert((repository, pr));
        }
        drop(pulls);
        self.wake.notify_one();
    }

    pub(crate) fn take(&self) -> BTreeSet<(String, u32)> {
        std::mem::take(&mut *self.pulls.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

/// Everything the loop works with.
pub(crate) struct Bridge {
    pub(crate) settings: Settings,
    pub(crate) gitea: Gitea,
    pub(crate) drone: Drone,
    pub(crate) me: User,
    pub(crate) store: Store,
    pub(crate) marks: Marks,
    pub(crate) paths: StatePaths,
    pub(crate) health: Arc<Health>,
    pub(crate) hints: Arc<Hints>,
    pub(crate) last_full_pass: Option<Instant>,
    pub(crate) last_tidied: Option<Instant>,
    /// When an intent that failed is tried again, and after which pause.
    later: BTreeMap<u64, (Instant, Duration)>,
    queue: Vec<serde_json::Value>,
}

impl Bridge {
    pub(crate) fn new(
        settings: Settings,
        gitea: Gitea,
        drone: Drone,
        me: User,
        paths: StatePaths,
    ) -> anyhow::Result<Self> {
        let folder = paths.state.join("bridge");
        let store = Store::open(&folder)?;
        let marks = Marks::open(&folder).map_err(anyhow::Error::msg)?;
        Ok(Self {
            settings,
            gitea,
            drone,
            me,
            store,
            marks,
            paths,
            health: Arc::new(Health::new()),
            hints: Arc::new(Hints::default()),
            last_full_pass: None,
            last_tidied: None,
            later: BTreeMap::new(),
            queue: Vec::new(),
        })
    }

    /// Works until it is cancelled. What is open then goes on with the next start.
    pub(crate) async fn serve(&mut self, cancellation: &Cancellation) {
        notify::tell("READY=1");
        let poll: Duration = self.settings.poll.into();
        let mut next_poll = Instant::now();
        let mut pause = BACK_OFF.0;
        while !cancellation.is_cancelled() {
            if Instant::now() >= next_poll {
                match self.poll().await {
                    Ok(()) => {
                        self.health.calm("poll-failed");
                        pause = BACK_OFF.0;
                        next_poll = Instant::now() + poll;
                    }
                    Err(error) => {
                        self.health.worry("poll-failed", error.to_string());
                        next_poll = Instant::now() + pause.min(poll);
                        pause = (pause * 2).min(BACK_OFF.1);
                    }
                }
            }
            self.follow_hints().await;
            self.advance_all().await;
            match self.tidy() {
                Ok(()) => self.health.calm("not-tidied"),
                Err(error) => self.health.worry("not-tidied", error.to_string()),
            }
            notify::tell("WATCHDOG=1");
            let until_poll = next_poll.saturating_duration_since(Instant::now());
            let longest = if self.store.has_open() { until_poll.min(WATCH) } else { until_poll };
            let (hints, token) = (self.hints.clone(), cancellation.token());
            let _ = tokio::time::timeout(longest, async {
                tokio::select! {
                    () = hints.wake.notified() => {}
                    () = token.cancelled() => {}
                }
            })
            .await;
        }
        notify::tell("STOPPING=1");
    }

    /// One poll, and every open intent as far as it gets.
    pub(crate) async fn once(&mut self) -> Result<(), BridgeError> {
        self.poll().await?;
        self.advance_all().await;
        self.tidy()
    }

    async fn follow_hints(&mut self) {
        for (repository, pr) in self.hints.take() {
            if let Err(error) = self.look_at_hint(&Changed { repository, pr }).await {
                self.health.worry("hint-failed", error.to_string());
            } else {
                self.health.calm("hint-failed");
            }
        }
    }

    async fn advance_all(&mut self) {
        // Twice: a comment may end another one, which then has something to say at once.
        for _ in 0..2 {
            for intent in self.store.open_ones() {
                if self.later.get(&intent.comment).is_some_and(|(at, _)| *at > Instant::now()) {
                    continue;
                }
                self.advance_far(intent.comment).await;
            }
        }
        let open = self.store.open_ones();
        self.health.open(open.len());
        self.later.retain(|comment, _| open.iter().any(|intent| intent.comment == *comment));
        self.write_queue(&open);
    }

    /// As many steps as go at once; the number of kinds of steps bounds them.
    async fn advance_far(&mut self, comment: u64) {
        for _ in 0..10 {
            let Some(mut intent) = self.store.get(comment).cloned() else { return };
            match self.advance(&mut intent).await {
                Ok(More::Now) => {}
                Ok(More::Later) => {
                    self.later.remove(&comment);
                    return;
                }
                Err(error) => {
                    let pause =
                        self.later.get(&comment).map_or(BACK_OFF.0, |(_, last)| (*last * 2).min(BACK_OFF.1));
                    tracing::warn!(
                        code = "step-failed",
                        "comment {comment}: {error}; again in {} s",
                        pause.as_secs()
                    );
                    self.health.count("failed_steps");
                    self.later.insert(comment, (Instant::now() + pause, pause));
                    return;
                }
            }
        }
    }

    /// What is queued and running, for the dashboard.
    fn write_queue(&mut self, open: &[cc_ci_model::bridge::intent::Intent]) {
        let entry = |intent: &cc_ci_model::bridge::intent::Intent| {
            let attempt = intent.attempts.last();
            serde_json::json!({
                "comment": intent.comment, "repository": intent.repository, "pr": intent.pr, "by": intent.author,
                "commit": intent.commit(), "attempt": attempt.map(|attempt| attempt.number),
                "build": attempt.and_then(|attempt| attempt.build), "run": attempt.and_then(|attempt| attempt.run.clone()),
            })
        };
        let queue: Vec<_> = open.iter().filter(|intent| intent.is_open()).map(entry).collect();
        if queue != self.queue
            || self.queue.is_empty() && !self.paths.state.join("bridge/queue.json").exists()
        {
            match write_json(
                &self.paths.state.join("bridge/queue.json"),
                &serde_json::json!({"schema": 1, "open": queue}),
            ) {
                Ok(()) => self.queue = queue,
                Err(error) => self.health.worry("queue-not-written", error.to_string()),
            }
        }
    }
}
