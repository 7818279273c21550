//! How this crate calls outside programs: with a cleaned environment, a deadline and the run's own home.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cc_ci_process::cancel::Cancellation;
use cc_ci_process::child::{self, ChildEnvironment, ChildError, ChildSpec, Exit, Input};
use cc_ci_process::mask::Masker;

/// A program that did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// It could not be run or did not end.
    #[error(transparent)]
    Child(#[from] ChildError),
    /// It ended with an error.
    #[error("{label}: {why}")]
    Failed {
        /// What was being done.
        label: String,
        /// The last line it said.
        why: String,
    },
    /// It was stopped: by a cancel or by its deadline.
    #[error("{label}: {why}")]
    Stopped {
        /// What was being done.
        label: String,
        /// Why it was stopped.
        why: String,
    },
}

/// What a program that ended by itself said.
#[derive(Debug, Clone)]
pub struct ProgramOutput {
    /// Exit code.
    pub code: i32,
    /// Standard output, masked.
    pub stdout: String,
    /// Standard error, masked.
    pub stderr: String,
}

impl ProgramOutput {
    /// Whether it ended with 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.code == 0
    }

    /// The last line of its standard error, else of its standard output, else its exit code in words.
    #[must_use]
    pub fn last_line(&self) -> String {
        let last =
            |text: &str| text.lines().rev().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned);
        last(&self.stderr)
            .or_else(|| last(&self.stdout))
            .unwrap_or_else(|| format!("ended with code {} and said nothing", self.code))
    }
}

/// Runs programs for one run.
#[derive(Clone)]
pub struct Programs {
    home: PathBuf,
    abra_dir: PathBuf,
    env: Vec<(String, String)>,
    cancellation: Cancellation,
    masker: Masker,
}

impl Programs {
    /// `home` and `abra_dir` are the run's own; nothing else of the caller's environment reaches a program, but the
    /// address of the Docker engine.
    #[must_use]
    pub fn new(home: &Path, abra_dir: &Path, cancellation: &Cancellation, masker: &Masker) -> Self {
        Self {
            home: home.to_owned(),
            abra_dir: abra_dir.to_owned(),
            env: Vec::new(),
            cancellation: cancellation.clone(),
            masker: masker.clone(),
        }
    }

    /// The same with more variables.
    #[must_use]
    pub fn with_env<'a>(&self, more: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut this = self.clone();
        this.env.extend(more.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())));
        this
    }

    /// The same under another cancellation, as teardown has one of its own.
    #[must_use]
    pub fn under(&self, cancellation: &Cancellation) -> Self {
        Self { cancellation: cancellation.clone(), ..self.clone() }
    }

    /// Runs a program to its end. An exit code other than 0 is no error here.
    ///
    /// # Errors
    /// [`ProgramError`] if it could not be run, was cancelled, or did not end within `limit`.
    pub async fn run(
        &self,
        label: &str,
        program: &str,
        arguments: &[&str],
        folder: &Path,
        limit: Duration,
    ) -> Result<ProgramOutput, ProgramError> {
        self.run_with_input(label, program, arguments, folder, limit, Vec::new()).await
    }

    /// [`Programs::run`] with bytes on standard input.
    ///
    /// # Errors
    /// As [`Programs::run`].
    pub async fn run_with_input(
        &self,
        label: &str,
        program: &str,
        arguments: &[&str],
        folder: &Path,
        limit: Duration,
        input: Vec<u8>,
    ) -> Result<ProgramOutput, ProgramError> {
        let mut environment = ChildEnvironment::new(&self.home, &self.abra_dir).inherit("DOCKER_HOST");
        for (key, value) in &self.env {
            environment = environment.set(key, value);
        }
        let input = if input.is_empty() { Input::Null } else { Input::Bytes(input) };
        let spec =
            ChildSpec::new(label, program, environment, limit).args(arguments).cwd(folder).stdin(input);
        let output = child::run(spec, &self.cancellation, &self.masker, |_| {}).await?;
        match output.exit {
            Exit::Exited(code) => Ok(ProgramOutput { code, stdout: output.stdout, stderr: output.stderr }),
            Exit::Signalled(_) => Err(output.into_error().into()),
            Exit::TimedOut(_) | Exit::Cancelled(_) => {
                let why = output.exit.to_string();
                Err(ProgramError::Stopped { label: label.to_owned(), why: format!("{program} {why}") })
            }
        }
    }
}
