//! What came of a child: its exit, its words, and the error made of them.

use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

use cc_ci_model::duration::print;
use nix::sys::signal::Signal;
use thiserror::Error;

use crate::cancel::Cause;

/// How many of the last lines an error shows.
const SHOWN_LINES: usize = 6;
/// How many characters of such a line.
const SHOWN_CHARACTERS: usize = 300;

/// How a child ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Exited(i32),
    /// By a signal that did not come from the runner.
    Signalled(i32),
    /// Its deadline passed and its group was ended.
    TimedOut(Duration),
    /// The program was cancelled and the child's group was ended.
    Cancelled(Cause),
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "ended with code {code}"),
            Self::Signalled(number) => match Signal::try_from(*number) {
                Ok(signal) => write!(f, "was ended by {signal}"),
                Err(_) => write!(f, "was ended by signal {number}"),
            },
            Self::TimedOut(deadline) => write!(f, "was not done after {} and was ended", print(*deadline)),
            Self::Cancelled(cause) => write!(f, "was ended because {cause}"),
        }
    }
}

/// All that came of a child. The texts are masked; bytes that are no UTF-8 are replaced.
#[derive(Clone, Debug)]
pub struct Output {
    /// What was being done.
    pub label: String,
    /// The program's name, without its folder.
    pub program: String,
    /// How it ended.
    pub exit: Exit,
    /// What it wrote to stdout; with a terminal, all it wrote.
    pub stdout: String,
    /// What it wrote to stderr; empty with a terminal.
    pub stderr: String,
    /// Whether parts of its output were left out, so that it is no whole document.
    pub is_cut: bool,
    /// How long it ran.
    pub took: Duration,
    /// What else is worth knowing: output left out, evidence not written, a group that had to be killed.
    pub notes: Vec<String>,
}

/// Why a child could not do what it was run for.
#[derive(Debug, Error)]
pub enum ChildError {
    /// There is no such program in the child's `PATH`.
    #[error(
        "{label}: the program {program} was not found or may not be executed; install it or add its folder to PATH"
    )]
    NotFound {
        /// What was being done.
        label: String,
        /// The program as it was asked for.
        program: String,
    },
    /// The kernel refused.
    #[error("{label}: starting {program} failed: {reason}")]
    Start {
        /// What was being done.
        label: String,
        /// The program as it was asked for.
        program: String,
        /// What the kernel said.
        reason: io::Error,
    },
    /// Cancelled before it was started; nothing ran.
    #[error("{label}: not started because {cause}")]
    NotStarted {
        /// What was being done.
        label: String,
        /// Why.
        cause: Cause,
    },
    /// It was started, and then the kernel would not say how it ended.
    #[error("{label}: how {program} ended is not known: {reason}")]
    Lost {
        /// What was being done.
        label: String,
        /// The program as it was asked for.
        program: String,
        /// What the kernel said.
        reason: io::Error,
    },
    /// It did not end well; for those who asked by [`Output::ok_or_error`].
    #[error("{label}: {program} {exit} {said}")]
    Ended {
        /// What was being done.
        label: String,
        /// The program's name.
        program: String,
        /// How it ended.
        exit: Exit,
        /// Its last useful lines, masked: `and said: …`, or that it said nothing.
        said: String,
    },
}

impl ChildError {
    /// The cause, if this came of a cancellation and not of the child.
    pub fn cancelled(&self) -> Option<&Cause> {
        match self {
            Self::NotStarted { cause, .. } | Self::Ended { exit: Exit::Cancelled(cause), .. } => Some(cause),
            Self::NotFound { .. } | Self::Start { .. } | Self::Lost { .. } | Self::Ended { .. } => None,
        }
    }
}

impl Output {
    /// Did it end by itself with code 0?
    pub fn is_good(&self) -> bool {
        self.exit == Exit::Exited(0)
    }

    /// Seconds it ran.
    pub fn seconds(&self) -> f64 {
        self.took.as_secs_f64()
    }

    /// The output of a child that ended well; otherwise an error with what it said last.
    pub fn ok_or_error(self) -> Result<Self, ChildError> {
        if self.is_good() { Ok(self) } else { Err(self.into_error()) }
    }

    /// The error for a child whose end or answer is not what was needed.
    pub fn into_error(self) -> ChildError {
        let said = self.last_lines();
        ChildError::Ended { label: self.label, program: self.program, exit: self.exit, said }
    }

    /// The last lines that say something: of stderr, or of stdout where stderr is silent.
    fn last_lines(&self) -> String {
        let useful = |text: &str| {
            let mut lines: Vec<String> = text
                .lines()
                .rev()
                .map(str::trim)
                .filter(|line| !line.is_empty())
                .take(SHOWN_LINES)
                .map(shorten)
                .collect();
            lines.reverse();
            lines.join(" / ")
        };
        match (useful(&self.stderr), useful(&self.stdout)) {
            (stderr, _) if !stderr.is_empty() => format!("and said: {stderr}"),
            (_, stdout) if !stdout.is_empty() => format!("and said: {stdout}"),
            _ => "and said nothing".to_owned(),
        }
    }
}

fn shorten(line: &str) -> String {
    match line.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or(line)),
        None => line.to_owned(),
    }
}

/// The name of a program without its folder, for people.
pub(super) fn name_of(program: &std::ffi::OsStr) -> String {
    Path::new(program).file_name().unwrap_or(program).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(exit: Exit, stdout: &str, stderr: &str) -> Output {
        Output {
            label: "deploying notebin".to_owned(),
            program: "docker".to_owned(),
            exit,
            stdout: stdout.to_owned(),
            stderr: stderr.to_owned(),
            is_cut: false,
            took: Duration::ZERO,
            notes: Vec::new(),
        }
    }

    #[test]
    fn an_error_names_the_doing_the_program_its_end_and_its_last_useful_lines() {
        let lines: String = (0..20).map(|number| format!("line {number}\n\n")).collect();
        let error = output(Exit::Exited(1), "unrelated", &lines).ok_or_error().unwrap_err();
        assert_eq!(
            error.to_string(),
            "deploying notebin: docker ended with code 1 and said: line 14 / line 15 / line 16 / line 17 / line 18 / line 19"
        );
        let error = output(Exit::Signalled(9), "last words", " \n").ok_or_error().unwrap_err();
        assert_eq!(error.to_string(), "deploying notebin: docker was ended by SIGKILL and said: last words");
        let error = output(Exit::TimedOut(Duration::from_secs(90)), "", "").ok_or_error().unwrap_err();
        assert_eq!(
            error.to_string(),
            "deploying notebin: docker was not done after 1m30s and was ended and said nothing"
        );
        assert!(output(Exit::Exited(0), "", "warning").ok_or_error().is_ok());
    }

    #[test]
    fn a_long_line_is_shortened_at_a_character() {
        let error = output(Exit::Exited(1), "", &"ö".repeat(1000)).into_error().to_string();
        assert!(error.ends_with("öö…") && error.chars().count() < 400, "{error}");
    }
}
