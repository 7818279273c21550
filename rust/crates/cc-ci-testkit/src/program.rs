//! Running one outside program to its end: argument vector, deadline, both streams kept, the last lines in the error.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::patience;

/// Why a program did not do what it was started for.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// It is not there, or its files could not be made.
    #[error("starting `{line}`: {cause}")]
    Start {
        /// The whole command line.
        line: String,
        /// What the kernel said.
        cause: std::io::Error,
    },
    /// It ended with another status than 0.
    #[error("`{line}` ended with {status}: {tail}")]
    Failed {
        /// The whole command line.
        line: String,
        /// Its exit status.
        status: ExitStatus,
        /// The last lines of what it wrote to both streams.
        tail: String,
    },
    /// It was still running at its deadline and was killed.
    #[error("`{line}` was still running after {} s and was killed: {tail}", after.as_secs())]
    TooLong {
        /// The whole command line.
        line: String,
        /// Its deadline.
        after: Duration,
        /// The last lines of what it wrote to both streams.
        tail: String,
    },
}

/// What a program left behind when it ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// All it wrote to standard output.
    pub stdout: String,
    /// All it wrote to standard error.
    pub stderr: String,
}

/// One program about to be run.
#[derive(Debug)]
pub struct Program {
    command: Command,
    line: String,
    deadline: Duration,
    input: Option<Vec<u8>>,
}

impl Program {
    /// A program found on the `PATH`, with a deadline of 60 s and no input.
    pub fn new(name: impl AsRef<OsStr>) -> Self {
        let line = name.as_ref().to_string_lossy().into_owned();
        Self { command: Command::new(name), line, deadline: Duration::from_secs(60), input: None }
    }

    /// A program with something in front of it that enters a namespace: `prefix` then `name`.
    pub fn within(prefix: &[OsString], name: impl AsRef<OsStr>) -> Self {
        match prefix.split_first() {
            Some((first, rest)) => Self::new(first).args(rest).arg(name),
            None => Self::new(name),
        }
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.line.push(' ');
        self.line.push_str(&arg.as_ref().to_string_lossy());
        self.command.arg(arg);
        self
    }

    /// More arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        for arg in args {
            self = self.arg(arg);
        }
        self
    }

    /// One more environment variable.
    #[must_use]
    pub fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    /// The folder it runs in.
    #[must_use]
    pub fn folder(mut self, folder: impl AsRef<Path>) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// In a process group of its own: a Ctrl-C in the terminal is not for it.
    #[must_use]
    pub fn in_own_group(mut self) -> Self {
        self.command.process_group(0);
        self
    }

    /// How long it may run.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// What it reads from standard input.
    #[must_use]
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = Some(input.into());
        self
    }

    /// Runs it and returns its standard output.
    ///
    /// # Errors
    /// It cannot be started, ends with another status than 0, or is still running at its deadline.
    pub fn run(self) -> Result<String, ProgramError> {
        let line = self.line.clone();
        let ended = self.outcome()?;
        if ended.status.success() {
            return Ok(ended.stdout);
        }
        Err(ProgramError::Failed { line, status: ended.status, tail: tail(&ended.stdout, &ended.stderr) })
    }

    /// Runs it and returns how it ended, whatever its status.
    ///
    /// # Errors
    /// It cannot be started, or is still running at its deadline.
    pub fn outcome(mut self) -> Result<Ended, ProgramError> {
        let line = self.line;
        let start = |cause| ProgramError::Start { line: line.clone(), cause };
        // Files instead of pipes: a child that forgets a grandchild behind cannot hold us at the end of a pipe.
        let mut stdout = tempfile::tempfile().map_err(start)?;
        let mut stderr = tempfile::tempfile().map_err(start)?;
        self.command.stdin(match &self.input {
            Some(bytes) => Stdio::from(filled(bytes).map_err(start)?),
            None => Stdio::null(),
        });
        self.command.stdout(stdout.try_clone().map_err(start)?).stderr(stderr.try_clone().map_err(start)?);
        let mut child = self.command.spawn().map_err(start)?;
        let end =
            patience::until("its end", self.deadline, Duration::from_millis(4), || match child.try_wait() {
                Ok(Some(status)) => Ok(Ok(status)),
                Ok(None) => Err(String::new()),
                Err(cause) => Ok(Err(cause)),
            });
        let status = match end {
            Ok(status) => status.map_err(start)?,
            Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                let tail = tail(&text(&mut stdout), &text(&mut stderr));
                return Err(ProgramError::TooLong { line, after: self.deadline, tail });
            }
        };
        Ok(Ended { status, stdout: text(&mut stdout), stderr: text(&mut stderr) })
    }
}

/// A file with these bytes, to be read from its start.
fn filled(bytes: &[u8]) -> std::io::Result<File> {
    let mut file = tempfile::tempfile()?;
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file)
}

/// All that a program wrote; what is not UTF-8 is shown as replacement characters.
fn text(file: &mut File) -> String {
    let mut bytes = Vec::new();
    let _ = file.rewind().and_then(|()| file.read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The last twelve lines of both streams, errors last.
fn tail(stdout: &str, stderr: &str) -> String {
    let lines: Vec<&str> =
        stdout.lines().chain(stderr.lines()).filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(12)..].join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_shows_what_the_program_said_last() {
        let error =
            Program::new("sh").args(["-c", "echo almost; echo broken >&2; exit 3"]).run().unwrap_err();
        let text = error.to_string();
        assert!(text.contains("almost | broken") && text.contains("exit status: 3"), "{text}");
    }

    #[test]
    fn a_program_past_its_deadline_is_killed() {
        let error = Program::new("sleep").arg("60").deadline(Duration::from_millis(50)).run().unwrap_err();
        assert!(matches!(error, ProgramError::TooLong { .. }), "{error}");
    }

    #[test]
    fn input_reaches_the_program() {
        assert_eq!(Program::new("tr").args(["a", "b"]).input("banana").run().unwrap(), "bbnbnb");
    }
}
