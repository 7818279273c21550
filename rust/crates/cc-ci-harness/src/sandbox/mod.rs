//! Test programs of a recipe: which ones there are, which may run, and one report for each.
//!
//! A program may be written in any language. It runs in a sandbox of its own (`bubble.rs`) that reaches the app
//! through the door and this run's containers through the app socket, and nothing else.

mod bubble;
pub mod inside;

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cc_ci_model::names::Recipe;
use cc_ci_model::outcome::Status;
use cc_ci_model::result::{CheckReport, Origin};
use cc_ci_model::settings::Settings;
use cc_ci_model::tier::Tier;
use cc_ci_process::cancel::Cancellation;
use cc_ci_process::child::{self, ChildError, Exit, Output};

use crate::evidence::Evidence;

pub use bubble::{Page, Sandbox};

/// A program that ends with this status says that it could not test anything (as automake's tests do).
pub const SKIPPED: i32 = 77;

/// Programs of one tier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    /// The folder `tests/` itself, which the sandbox shows read-only.
    pub folder: PathBuf,
    /// The tier.
    pub tier: Tier,
    /// Whose programs they are.
    pub origin: Origin,
    /// File names below `tests/<tier>/`, sorted.
    pub names: Vec<String>,
    /// Files there that nobody may execute.
    pub not_executable: Vec<String>,
}

impl Programs {
    /// Looks for programs in `<folder>/<tier>/`. A folder that is not there holds none; one that cannot be read is
    /// an error. Links are not programs: they may lead anywhere.
    ///
    /// # Errors
    /// What the kernel says of the folder.
    pub fn find(folder: &Path, tier: Tier, origin: Origin) -> io::Result<Self> {
        let mut found =
            Self { folder: folder.to_owned(), tier, origin, names: Vec::new(), not_executable: Vec::new() };
        let entries = match std::fs::read_dir(folder.join(tier.word())) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let (metadata, name) = (entry.metadata()?, entry.file_name().to_string_lossy().into_owned());
            if !metadata.is_file() || name.starts_with('.') {
                continue;
            }
            let is_executable = metadata.permissions().mode() & 0o111 != 0;
            if is_executable { found.names.push(name) } else { found.not_executable.push(name) }
        }
        found.names.sort();
        found.not_executable.sort();
        Ok(found)
    }
}

/// What becomes of tests that come with the pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocalTests {
    /// There are none.
    None,
    /// The host's settings approve this recipe: they run, in the same sandbox.
    Run(PathBuf),
    /// They are not run; the sentence names them for log and result.
    Ignored(String),
}

/// Decides about `tests/` in the recipe's own repository, copied aside at checkout. Denied unless the recipe is in
/// `approved_recipe_tests`.
#[must_use]
pub fn local_tests(settings: &Settings, recipe: &Recipe, copied_aside: &Path) -> LocalTests {
    let mut names: Vec<String> = Tier::PLANNABLE
        .into_iter()
        .filter_map(|tier| Programs::find(copied_aside, tier, Origin::RecipeLocal).ok())
        .flat_map(|found| {
            let tier = found.tier;
            found.names.into_iter().map(move |name| format!("{tier}/{name}"))
        })
        .collect();
    if names.is_empty() {
        LocalTests::None
    } else if settings.runs_tests_of(recipe) {
        LocalTests::Run(copied_aside.to_owned())
    } else {
        let more = names.len().saturating_sub(10);
        names.truncate(10);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        LocalTests::Ignored(format!(
            "tests of the recipe's own repository are not run: {}{more}; to run them, add {recipe} to approved_recipe_tests in the host's settings",
            names.join(", ")
        ))
    }
}

impl Sandbox {
    /// Runs all programs of a tier, one after another. A folder whose files nobody may execute is a check that could
    /// not run, so nothing is passed by having run nothing.
    pub async fn run_all(
        &self,
        programs: &Programs,
        limit: Duration,
        cancellation: &Cancellation,
        evidence: &Evidence,
    ) -> Vec<CheckReport> {
        let mut reports = Vec::new();
        for name in &programs.not_executable {
            let message =
                format!("{name} is not executable, so it was not run; chmod +x it, or move it elsewhere");
            reports.push(CheckReport {
                name: format!("{}/{name}", programs.tier),
                origin: programs.origin,
                status: Status::Unverified,
                seconds: 0.0,
                message,
                log: None,
            });
        }
        for name in &programs.names {
            reports.push(self.run(programs, name, limit, cancellation, evidence).await);
        }
        reports
    }

    async fn run(
        &self,
        programs: &Programs,
        name: &str,
        limit: Duration,
        cancellation: &Cancellation,
        evidence: &Evidence,
    ) -> CheckReport {
        let title = format!("{}/{name}", programs.tier);
        let (log, place) = evidence.place(&title).unzip();
        let spec = self.spec(programs, name, limit, place);
        let (status, message, seconds) = match child::run(spec, cancellation, evidence.masker(), |_| {}).await
        {
            Ok(output) => {
                let (status, message) = judge(&output);
                (status, message, output.seconds())
            }
            Err(error @ ChildError::NotFound { .. }) => {
                (Status::Unverified, format!("{error}; install bubblewrap to run tests"), 0.0)
            }
            Err(error) => (Status::Unverified, error.to_string(), 0.0),
        };
        let log = log.filter(|_| seconds > 0.0);
        CheckReport { name: title, origin: programs.origin, status, seconds, message, log }
    }
}

fn judge(output: &Output) -> (Status, String) {
    let started = output.stdout.lines().any(|line| line == inside::STARTED);
    let last = || {
        let said = output.stdout.lines().filter(|line| *line != inside::STARTED).chain(output.stderr.lines());
        let mut lines: Vec<&str> = said.filter(|line| !line.trim().is_empty()).collect();
        let text = lines.split_off(lines.len().saturating_sub(3)).join(" / ");
        text.chars().take(400).collect::<String>()
    };
    match &output.exit {
        Exit::Cancelled(cause) => (Status::Unverified, format!("ended because {cause}")),
        _ if !started => (Status::Unverified, format!("the sandbox did not come up: {}", last())),
        Exit::TimedOut(limit) => {
            let limit = cc_ci_model::duration::print(*limit);
            (Status::Fail, format!("over its time limit of {limit}; its last words: {}", last()))
        }
        Exit::Exited(0) => (Status::Pass, "ended with 0".to_owned()),
        Exit::Exited(SKIPPED) => {
            (Status::Unverified, format!("it tested nothing, as it says itself (77): {}", last()))
        }
        exit @ (Exit::Exited(_) | Exit::Signalled(_)) => (Status::Fail, format!("it {exit}: {}", last())),
    }
}
