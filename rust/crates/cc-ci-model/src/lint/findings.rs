//! What lint says: findings, rows, and the outcome of all of them.

use std::fmt;

use serde::Serialize;

use crate::compose::{ComposeError, Position};

use super::table::Rule;

/// Where a person can mend it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// The file, from the recipe folder.
    pub file: String,
    /// The line, counted from 1; none where the file as a whole is meant.
    pub line: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.file),
            None => f.write_str(&self.file),
        }
    }
}

/// One thing that a rule found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// Where; none where it is in no file, as a tag is.
    pub at: Option<Place>,
    /// What, in words.
    pub what: String,
}

impl Finding {
    pub(super) fn at(position: &Position, what: impl Into<String>) -> Self {
        let at = Place { file: position.file.clone(), line: Some(position.line) };
        Self { at: Some(at), what: what.into() }
    }

    pub(super) fn in_file(file: &str, what: impl Into<String>) -> Self {
        Self { at: Some(Place { file: file.to_owned(), line: None }), what: what.into() }
    }

    pub(super) fn in_line(file: &str, line: usize, what: impl Into<String>) -> Self {
        Self { at: Some(Place { file: file.to_owned(), line: Some(line) }), what: what.into() }
    }

    pub(super) fn nowhere(what: impl Into<String>) -> Self {
        Self { at: None, what: what.into() }
    }

    pub(super) fn of_error(error: &ComposeError) -> Self {
        let text = error.to_string();
        match error.position() {
            // The place is said by the finding, once.
            Some(at) => Self::at(at, text.strip_prefix(&format!("{at}: ")).unwrap_or(&text)),
            None => Self::nowhere(text),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.at {
            Some(at) => write!(f, "{at}: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

/// What a rule's check comes back with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Checked {
    /// It was looked for; nothing found means satisfied.
    Found(Vec<Finding>),
    /// It could not or need not be looked for.
    Skipped(String),
}

impl FromIterator<Finding> for Checked {
    fn from_iter<T: IntoIterator<Item = Finding>>(findings: T) -> Self {
        Self::Found(findings.into_iter().collect())
    }
}

/// How a rule stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It holds.
    Satisfied,
    /// It does not.
    Violated,
    /// It says nothing here, and why.
    Skipped(String),
}

impl State {
    /// The word in tables.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Satisfied => "satisfied",
            Self::Violated => "violated",
            Self::Skipped(_) => "skipped",
        }
    }
}

/// One rule and how it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The rule.
    #[serde(flatten)]
    pub rule: &'static Rule,
    /// How it stands.
    pub state: State,
    /// What was found, by file and line; empty unless violated.
    pub findings: Vec<Finding>,
}

impl Row {
    pub(super) fn of(rule: &'static Rule, checked: Checked) -> Self {
        let (state, mut findings) = match checked {
            Checked::Skipped(why) => (State::Skipped(why), Vec::new()),
            Checked::Found(findings) if findings.is_empty() => (State::Satisfied, findings),
            Checked::Found(findings) => (State::Violated, findings),
        };
        // Several combinations of files show the same line: it is said once.
        findings.sort();
        findings.dedup();
        Self { rule, state, findings }
    }
}

/// What a lint comes down to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LintOutcome {
    /// No error rule is violated; warnings there may be.
    Clean,
    /// At least one error rule is violated.
    Errors,
    /// The compose gate lets the recipe not through.
    Refused(Vec<Finding>),
    /// It was not looked, and why: says nothing about the recipe.
    CouldNot(String),
}
