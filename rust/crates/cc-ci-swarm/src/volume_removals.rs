//! Which volumes of a stack are removed while somebody watches. A volume has no id, and what the engine calls the day it
//! was made is the last change of its folder (moby 20.10, volume/local/local_unix.go), so only events tell.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bollard::query_parameters::EventsOptions;
use cc_ci_model::names::StackName;
use futures_util::StreamExt;
use tokio::task::JoinHandle;

use crate::docker::Docker;

#[derive(Default)]
struct Heard {
    removed: Mutex<BTreeSet<String>>,
    is_lost: AtomicBool,
}

/// A subscription that ends when it is dropped.
pub struct VolumeRemovals {
    heard: Arc<Heard>,
    listener: JoinHandle<()>,
}

impl VolumeRemovals {
    /// Subscribes. Removals since this call are heard even if the subscription itself takes a moment.
    #[must_use]
    pub fn watch(docker: &Docker, stack: &StackName) -> Self {
        let heard = Arc::new(Heard::default());
        let since = jiff::Timestamp::now().as_second().to_string();
        let listener = tokio::spawn(listen(docker.clone(), stack.prefix(), since, Arc::clone(&heard)));
        Self { heard, listener }
    }

    /// Names of the volumes that were removed so far, also of those that were made anew since.
    #[must_use]
    pub fn so_far(&self) -> Vec<String> {
        locked(&self.heard.removed).iter().cloned().collect()
    }

    /// Whether the engine was lost meanwhile: then a removal may have been missed.
    #[must_use]
    pub fn is_engine_lost(&self) -> bool {
        self.heard.is_lost.load(Ordering::Acquire)
    }
}

impl Drop for VolumeRemovals {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn listen(docker: Docker, prefix: String, since: String, heard: Arc<Heard>) {
    let only = |key: &str, word: &str| (key.to_owned(), vec![word.to_owned()]);
    let filters = [only("type", "volume"), only("event", "destroy")].into_iter().collect();
    let options = EventsOptions { since: Some(since), until: None, filters: Some(filters) };
    let mut stream = std::pin::pin!(docker.api().events(Some(options)));
    while let Some(Ok(event)) = stream.next().await {
        if let Some(name) = event.actor.and_then(|actor| actor.id)
            && name.starts_with(&prefix)
        {
            locked(&heard.removed).insert(name);
        }
    }
    // The stream has no end of its own: the engine is gone.
    heard.is_lost.store(true, Ordering::Release);
}
