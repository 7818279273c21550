//! The diary: one line per decision, in `<state>/diary.jsonl` and in the journal.

use std::path::{Path, PathBuf};

use cc_ci_model::sweep::{Code, Decision};
use cc_ci_process::atomic::append_line;

use crate::sweep::Mode;

/// A diary of this size is put aside as `diary.1.jsonl`, so that there are never more than two of them.
const LONGEST_BYTES: u64 = 8 * 1024 * 1024;

/// The file of a state folder.
#[must_use]
pub fn file(state: &Path) -> PathBuf {
    state.join("diary.jsonl")
}

#[derive(serde::Serialize)]
struct Line<'a> {
    at: String,
    sweep: &'a str,
    #[serde(flatten)]
    decision: &'a Decision,
}

/// Writes down what a sweep decides, as it decides it.
#[derive(Debug)]
pub struct Diary {
    path: PathBuf,
    sweep: String,
    mode: Mode,
    decisions: Vec<Decision>,
}

impl Diary {
    /// Opens the diary for one sweep.
    #[must_use]
    pub fn open(state: &Path, sweep: &str, mode: Mode) -> Self {
        let path = file(state);
        let is_long = std::fs::metadata(&path).is_ok_and(|found| found.len() > LONGEST_BYTES);
        if is_long
            && mode == Mode::Real
            && let Err(error) = std::fs::rename(&path, state.join("diary.1.jsonl"))
        {
            tracing::warn!(code = "diary-not-renewed", "putting {} aside: {error}", path.display());
        }
        Self { path, sweep: sweep.to_owned(), mode, decisions: Vec::new() }
    }

    /// Writes a decision down, before what it says is done: a sweep that is killed has said what it was about.
    pub fn note(&mut self, decision: Decision) {
        let (code, subject, reason) = (decision.code.word(), &decision.subject, &decision.reason);
        if decision.code.is_trouble() || matches!(decision.code, Code::Warn | Code::WarnOldLock) {
            tracing::warn!(code, "{subject}: {reason}");
        } else {
            tracing::info!(code, "{subject}: {reason}");
        }
        if self.mode == Mode::Real {
            let line =
                Line { at: jiff::Timestamp::now().to_string(), sweep: &self.sweep, decision: &decision };
            if let Err(error) = append_line(&self.path, &line) {
                tracing::error!(code = "diary-not-written", "{error}");
            }
        }
        self.decisions.push(decision);
    }

    /// Puts a decision together and writes it down.
    pub fn say(&mut self, code: Code, subject: impl Into<String>, reason: impl Into<String>) {
        self.note(Decision::new(code, subject, reason));
    }

    /// Everything that was decided.
    #[must_use]
    pub fn into_decisions(self) -> Vec<Decision> {
        self.decisions
    }
}
