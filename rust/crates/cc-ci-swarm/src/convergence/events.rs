//! The engine's events of one stack, heard in the background.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bollard::models::{EventMessage, EventMessageTypeEnum};
use bollard::query_parameters::EventsOptions;
use cc_ci_model::inventory::STACK_LABEL;
use cc_ci_model::names::StackName;
use cc_ci_process::cancel::Cancellation;
use cc_ci_process::wait::{Look, Waiting, wait_for};
use futures_util::StreamExt;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::docker::Docker;

/// Each health check makes three `exec_*` events, so only what can change a judgement is subscribed to.
const ACTIONS: [&str; 7] = ["update", "create", "remove", "start", "die", "oom", "health_status"];
/// How often a lost engine is tried again.
const RECONNECT: Waiting =
    Waiting { deadline: Duration::from_secs(24 * 3600), interval: Duration::from_millis(500) };

#[derive(Default)]
struct Heard {
    wake: Notify,
    is_lost: AtomicBool,
    losses: AtomicU64,
    out_of_memory: Mutex<BTreeSet<String>>,
    updating: Mutex<BTreeSet<String>>,
}

/// A subscription that ends when it is dropped.
pub(super) struct Events {
    heard: Arc<Heard>,
    listener: JoinHandle<()>,
}

impl Events {
    /// Subscribes. Events since this call are heard even if the subscription itself takes a moment.
    pub(super) fn of(docker: &Docker, stack: &StackName) -> Self {
        let heard = Arc::new(Heard::default());
        let since = jiff::Timestamp::now().as_second().to_string();
        let listener = tokio::spawn(listen(docker.clone(), stack.clone(), since, heard.clone()));
        Self { heard, listener }
    }

    /// Notified by every event of the stack, and when the stream is lost.
    pub(super) fn wake(&self) -> &Notify {
        &self.heard.wake
    }

    /// Whether the stream was lost at any time.
    pub(super) fn is_engine_lost(&self) -> bool {
        self.heard.is_lost.load(Ordering::Acquire)
    }

    /// How often the stream was lost.
    pub(super) fn losses(&self) -> u64 {
        self.heard.losses.load(Ordering::Acquire)
    }

    /// Whether an `oom` event named this container.
    pub(super) fn is_out_of_memory(&self, container: &str) -> bool {
        locked(&self.heard.out_of_memory).contains(container)
    }

    /// Whether swarm said that it replaces tasks of this service (its id).
    pub(super) fn is_updating_seen(&self, service: &str) -> bool {
        locked(&self.heard.updating).contains(service)
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn listen(docker: Docker, stack: StackName, since: String, heard: Arc<Heard>) {
    let strings = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let filters =
        [("type".to_owned(), strings(&["service", "container"])), ("event".to_owned(), strings(&ACTIONS))];
    let mut options =
        EventsOptions { since: Some(since), filters: Some(filters.into_iter().collect()), until: None };
    loop {
        let mut stream = std::pin::pin!(docker.api().events(Some(options.clone())));
        while let Some(Ok(event)) = stream.next().await {
            if note(&event, &stack, &heard) {
                heard.wake.notify_one();
            }
        }
        // The stream has no end of its own: the engine is gone.
        heard.is_lost.store(true, Ordering::Release);
        heard.losses.fetch_add(1, Ordering::AcqRel);
        heard.wake.notify_one();
        let never = Cancellation::new();
        let back = wait_for("waiting for the engine to come back", RECONNECT, None, &never, || async {
            let answer = docker.api().ping().await;
            Ok::<_, Infallible>(Look::from_option(answer.ok(), "no answer"))
        });
        if back.await.is_err() {
            return;
        }
        options.since = None;
        heard.wake.notify_one();
    }
}

/// Keeps what the task list does not tell; false for events of others.
fn note(event: &EventMessage, stack: &StackName, heard: &Heard) -> bool {
    let Some(actor) = &event.actor else { return false };
    let attribute = |key: &str| actor.attributes.as_ref().and_then(|attributes| attributes.get(key));
    let id = actor.id.clone().unwrap_or_default();
    match event.typ {
        Some(EventMessageTypeEnum::SERVICE) => {
            if attribute("updatestate.new").is_some_and(|state| state == "updating") {
                locked(&heard.updating).insert(id);
            }
            attribute("name").is_some_and(|name| name.starts_with(&stack.prefix()))
        }
        Some(EventMessageTypeEnum::CONTAINER) => {
            let is_ours = attribute(STACK_LABEL).is_some_and(|label| label == stack.as_str());
            if is_ours && event.action.as_deref() == Some("oom") {
                locked(&heard.out_of_memory).insert(id);
            }
            is_ours
        }
        _ => false,
    }
}
