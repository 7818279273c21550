//! What the bridge says of itself: when it last heard from the forge, what keeps it, how much it did.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// A bridge that has not polled well for this long is not well.
const PATIENCE: Duration = Duration::from_secs(120);

/// Shared by the loop and the pages.
#[derive(Debug)]
pub(crate) struct Health {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    last_good_poll: Instant,
    worries: BTreeMap<&'static str, String>,
    counts: BTreeMap<&'static str, u64>,
    open: usize,
}

impl Health {
    pub(crate) fn new() -> Self {
        let inner = Inner {
            last_good_poll: Instant::now(),
            worries: BTreeMap::new(),
            counts: BTreeMap::new(),
            open: 0,
        };
        Self { inner: Mutex::new(inner) }
    }

    fn with<T>(&self, look: impl FnOnce(&mut Inner) -> T) -> T {
        look(&mut self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    pub(crate) fn count(&self, what: &'static str) {
        self.with(|inner| *inner.counts.entry(what).or_default() += 1);
    }

    pub(crate) fn polled(&self) {
        self.with(|inner| inner.last_good_poll = Instant::now());
    }

    pub(crate) fn open(&self, count: usize) {
        self.with(|inner| inner.open = count);
    }

    /// Something keeps us; said in the log when it is new.
    pub(crate) fn worry(&self, code: &'static str, words: impl Into<String>) {
        let words = words.into();
        let is_new = self.with(|inner| inner.worries.insert(code, words.clone()).as_ref() != Some(&words));
        if is_new {
            tracing::warn!(code, "{words}");
        }
    }

    /// It keeps us no more.
    pub(crate) fn calm(&self, code: &'static str) {
        if self.with(|inner| inner.worries.remove(code)).is_some() {
            tracing::info!(code, "over");
        }
    }

    /// Whether all is well, and what to say about it.
    pub(crate) fn report(&self) -> (bool, String) {
        self.with(|inner| {
            let quiet_for = inner.last_good_poll.elapsed();
            let is_well = quiet_for < PATIENCE;
            let mut text = if is_well {
                "ok\n".to_owned()
            } else {
                format!("the forge has not been heard of for {} s\n", quiet_for.as_secs())
            };
            for (code, words) in &inner.worries {
                let _ = writeln!(text, "{code}: {words}");
            }
            (is_well, text)
        })
    }

    /// Prometheus' text format.
    pub(crate) fn metrics(&self) -> String {
        self.with(|inner| {
            let mut text = String::new();
            for (what, count) in &inner.counts {
                let _ = writeln!(
                    text,
                    "# TYPE cc_ci_bridge_{what}_total counter\ncc_ci_bridge_{what}_total {count}"
                );
            }
            let _ = writeln!(text, "# TYPE cc_ci_bridge_open gauge\ncc_ci_bridge_open {}", inner.open);
            let _ = writeln!(
                text,
                "# TYPE cc_ci_bridge_seconds_since_poll gauge\ncc_ci_bridge_seconds_since_poll {}",
                inner.last_good_poll.elapsed().as_secs()
            );
            text
        })
    }
}
