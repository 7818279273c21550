//! What the machine is doing: the janitor's diary and its last measurements.

use std::path::Path;

use cc_ci_model::dashboard::{Face, Queue};
use cc_ci_model::names::Recipe;
use maud::{Markup, html};

use crate::folder::{self, FolderError};
use crate::page::{moment, pill};

/// Bytes of the diary's end that are read.
const DIARY_BYTES: u64 = 256 * 1024;
/// Lines of it that are shown.
const DIARY_LINES: usize = 200;
/// A queue that is longer is not read.
const QUEUE_BYTES: u64 = 256 * 1024;
/// A `health.json` is far below this.
const HEALTH_BYTES: u64 = 64 * 1024;

/// `health.json` as far as it can be read. Its form is the janitor's; unknown fields and odd values are passed over.
pub(crate) fn measured(state: &Path) -> Result<serde_json::Value, String> {
    let path = state.join("health.json");
    let bytes = folder::tail(&path, HEALTH_BYTES).map_err(|error| match error {
        FolderError::Missing => "the janitor has not swept yet".to_owned(),
        other => format!("health.json: {other}"),
    })?;
    serde_json::from_slice(&bytes).map_err(|_| "health.json is cut off or not the janitor's".to_owned())
}

/// The bridge's queue without what must not be shown; none where there is no bridge, or its file cannot be read.
pub(crate) fn queue(state: &Path, is_shown: impl Fn(&Recipe) -> bool) -> Option<Queue> {
    let bytes = folder::tail(&state.join("bridge/queue.json"), QUEUE_BYTES).ok()?;
    let mut queue = Queue::read(std::str::from_utf8(&bytes).ok()?)?;
    queue.keep(is_shown);
    Some(queue)
}

/// `/janitor`.
pub(crate) fn diary(state: &Path) -> Markup {
    let bytes = match folder::tail(&state.join("diary.jsonl"), DIARY_BYTES) {
        Ok(bytes) => bytes,
        Err(FolderError::Missing) => return html! { p { "The janitor has nothing in its diary yet." } },
        Err(error) => {
            return html! { p.fault { (pill(Face::Trouble)) " the diary cannot be read: " (error) } };
        }
    };
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.lines().rev().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let lines: Vec<serde_json::Value> =
        lines.filter(serde_json::Value::is_object).take(DIARY_LINES).collect();
    let word = |line: &serde_json::Value, key: &str| line[key].as_str().unwrap_or("–").to_owned();
    html! {
        p { "What sweeps decided, newest first. The codes are explained in docs/operating.md." }
        table { caption.unseen { "Diary" }
            thead { tr { th scope="col" { "when" } th scope="col" { "code" } th scope="col" { "about" } th scope="col" { "why" } } }
            tbody { @for line in &lines { tr {
                th scope="row" { (moment(line["at"].as_str().and_then(|at| at.parse().ok()))) }
                td data-label="code" { code { (word(line, "code")) } }
                td data-label="about" { (word(line, "subject")) }
                td data-label="why" { (word(line, "reason")) }
            } } }
        }
    }
}

/// `/health`.
pub(crate) fn health(
    state: &Path,
    runs: usize,
    looked: Option<jiff::Timestamp>,
    fault: Option<&str>,
) -> Markup {
    html! {
        @if let Some(fault) = fault { p.fault { (pill(Face::Trouble)) " " (fault) } }
        dl { dt { "runs known" } dd { (runs) } dt { "folders looked at" } dd { (moment(looked)) } }
        @match measured(state) {
            Err(why) => { p { (why) "." } }
            Ok(health) => {
                p { "Measured by the janitor " (moment(health["at"].as_str().and_then(|at| at.parse().ok()))) "." }
                dl { (values("", &health)) }
            }
        }
    }
}

/// Every value of the file under its name: what the janitor measures beside what this page knows is shown too.
fn values(prefix: &str, value: &serde_json::Value) -> Markup {
    html! {
        @match value {
            serde_json::Value::Object(fields) => {
                @for (name, value) in fields.iter().take(64) {
                    (values(&if prefix.is_empty() { name.replace('_', " ") } else { format!("{prefix}, {}", name.replace('_', " ")) }, value))
                }
            }
            serde_json::Value::Null => { dt { (prefix) } dd { "not measured" } }
            serde_json::Value::String(text) => { dt { (prefix) } dd { (text) } }
            serde_json::Value::Number(number) if prefix.ends_with("bytes") => {
                dt { (prefix.trim_end_matches("bytes")) } dd { (number.as_u64().unwrap_or(0) / 1_048_576) " MiB" }
            }
            other => { dt { (prefix) } dd { (other.to_string()) } }
        }
    }
}
