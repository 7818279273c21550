//! What the bridge's `queue.json` says: which comments wait for a run, and which have one.

use serde::Deserialize;

use crate::names::{Recipe, RunId};

/// Entries that are kept; the rest of a longer queue is counted only.
const MOST: usize = 100;

/// The queue as the bridge wrote it last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Queue {
    entries: Vec<QueueEntry>,
}

/// One comment whose run has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueEntry {
    /// The recipe.
    pub recipe: Recipe,
    /// The pull request.
    pub pr: u64,
    /// The first characters of the commit, if it is known.
    pub commit: Option<String>,
    /// Which attempt, from 1.
    pub attempt: Option<u64>,
    /// The build that was started for it.
    pub build: Option<u64>,
    /// Its run, as soon as it has one.
    pub run: Option<RunId>,
}

#[derive(Deserialize)]
struct Written {
    schema: u64,
    open: Vec<serde_json::Value>,
}

impl Queue {
    /// Reads the text of `queue.json`. Entries that are none are passed over; `None` where it is no queue at all.
    ///
    /// Who asked is left out: the page is public, and the name stands on the pull request.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let written: Written = serde_json::from_str(text).ok()?;
        (written.schema == 1)
            .then(|| Self { entries: written.open.iter().filter_map(entry).take(MOST).collect() })
    }

    /// Those that wait for a run.
    pub fn waiting(&self) -> impl Iterator<Item = &QueueEntry> {
        self.entries.iter().filter(|entry| entry.run.is_none())
    }

    /// Leaves out what must not be shown.
    pub fn keep(&mut self, is_shown: impl Fn(&Recipe) -> bool) {
        self.entries.retain(|entry| is_shown(&entry.recipe));
    }
}

fn entry(value: &serde_json::Value) -> Option<QueueEntry> {
    let repository = value["repository"].as_str()?;
    let recipe = Recipe::parse(repository.rsplit('/').next()?).ok()?;
    let is_hex = |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    Some(QueueEntry {
        recipe,
        pr: value["pr"].as_u64()?,
        commit: value["commit"].as_str().filter(is_hex).map(|text| text.chars().take(10).collect()),
        attempt: value["attempt"].as_u64(),
        build: value["build"].as_u64(),
        run: value["run"].as_str().and_then(|text| RunId::parse(text).ok()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_read_and_what_is_foreign_in_it_passed_over() {
        let text = r#"{"schema":1,"open":[
            {"comment":5,"repository":"coop/custom-html","pr":7,"by":"ada","commit":"0123456789abcdef","attempt":1,"build":3,"run":null},
            {"repository":"coop/other","pr":8,"commit":"<script>","run":"20260101T000000-000001"},
            {"repository":"coop/../x y","pr":1}, {"pr":1}, 7]}"#;
        let mut queue = Queue::read(text).unwrap();
        let waiting: Vec<_> =
            queue.waiting().map(|entry| (entry.recipe.to_string(), entry.commit.clone())).collect();
        assert_eq!(waiting, [("custom-html".to_owned(), Some("0123456789".to_owned()))]);
        assert_eq!(queue.entries.len(), 2);
        queue.keep(|recipe| recipe.as_str() != "custom-html");
        assert_eq!(queue.waiting().count(), 0);
    }

    #[test]
    fn what_is_no_queue_is_none() {
        for text in ["", "{", "[]", "{\"schema\":2,\"open\":[]}", "{\"schema\":1}"] {
            assert_eq!(Queue::read(text), None, "{text:?}");
        }
    }
}
