//! What can be wrong with a compose file, each with the place where a person can mend it.

use std::fmt;

/// A line of a compose file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The file as it is named in `COMPOSE_FILE`.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.file, self.line)
    }
}

/// Why compose files could not be read as one stack. Each of these is the recipe's own fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ComposeError {
    /// There was no file at all.
    #[error("no compose file was given; name at least one in COMPOSE_FILE")]
    NothingToRead,
    /// The text is not YAML, or a kind of YAML that is refused (bombs of aliases, nesting without end).
    #[error("{at}: not valid YAML: {what}")]
    Malformed {
        /// Where reading stopped.
        at: Position,
        /// What was found there.
        what: String,
    },
    /// YAML, but not a compose file of the stated version.
    #[error("{at}: {what}")]
    Schema {
        /// The line of the offending key or value.
        at: Position,
        /// The property and what it must be.
        what: String,
    },
    /// A `$` that is no valid variable, or a value that does not fit its type.
    #[error("{at}: {what}")]
    Interpolation {
        /// The line of the value.
        at: Position,
        /// The property, the template, and what to do.
        what: String,
    },
    /// A variable written as `${NAME:?message}` or `${NAME?message}` has no value.
    #[error(
        "{at}: {what}: the required variable {variable} has no value ({message}); set it in the app's .env"
    )]
    MissingVariable {
        /// The line of the value.
        at: Position,
        /// The property that needs it.
        what: String,
        /// The variable's name.
        variable: String,
        /// The recipe's own words.
        message: String,
    },
    /// A file named by `env_file` cannot be read or is no list of variables.
    #[error("{at}: {what}")]
    EnvironmentFile {
        /// The line that names the file.
        at: Position,
        /// The file and what is wrong with it.
        what: String,
    },
}

impl ComposeError {
    /// The place a person should look at, where one is known.
    pub fn position(&self) -> Option<&Position> {
        match self {
            ComposeError::NothingToRead => None,
            ComposeError::Malformed { at, .. }
            | ComposeError::Schema { at, .. }
            | ComposeError::Interpolation { at, .. }
            | ComposeError::MissingVariable { at, .. }
            | ComposeError::EnvironmentFile { at, .. } => Some(at),
        }
    }
}

/// A line inside the files being read, small enough to sit on every node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Index of the file in the order given.
    pub(super) file: usize,
    /// The line, counted from 1.
    pub(super) line: usize,
}

impl Place {
    /// The same place with the name of its file.
    pub(super) fn named(self, names: &[String]) -> Position {
        Position { file: names.get(self.file).cloned().unwrap_or_default(), line: self.line }
    }
}

/// An error before the name of its file is known.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Problem {
    /// Where.
    pub(super) place: Place,
    /// Of which kind.
    pub(super) kind: ProblemKind,
    /// The property and what is wrong with it.
    pub(super) what: String,
}

/// The kinds of [`ComposeError`], without place and text.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ProblemKind {
    Malformed,
    Schema,
    Interpolation,
    MissingVariable { variable: String, message: String },
    EnvironmentFile,
}

impl Problem {
    pub(super) fn malformed(place: Place, what: impl Into<String>) -> Problem {
        Problem { place, kind: ProblemKind::Malformed, what: what.into() }
    }

    pub(super) fn schema(place: Place, what: impl Into<String>) -> Problem {
        Problem { place, kind: ProblemKind::Schema, what: what.into() }
    }

    /// The error a caller sees.
    pub(super) fn named(self, names: &[String]) -> ComposeError {
        let at = self.place.named(names);
        let what = self.what;
        match self.kind {
            ProblemKind::Malformed => ComposeError::Malformed { at, what },
            ProblemKind::Schema => ComposeError::Schema { at, what },
            ProblemKind::Interpolation => ComposeError::Interpolation { at, what },
            ProblemKind::MissingVariable { variable, message } => {
                ComposeError::MissingVariable { at, what, variable, message }
            }
            ProblemKind::EnvironmentFile => ComposeError::EnvironmentFile { at, what },
        }
    }
}
