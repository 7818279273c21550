//! `cargo xtask check`: what every change has to pass before its tests are worth running.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::Context;
use cc_ci_process::exit::ExitStatus;
use cc_ci_testkit::cache;
use cc_ci_testkit::progress::say;

use crate::{docs, out, workspace};

/// The version that `rust/deny.toml` is written for.
const DENY: &str = "0.18.5";

/// One check: its name, and whether it passed.
pub(crate) struct Checked {
    /// What was checked.
    pub(crate) name: &'static str,
    /// How it went.
    pub(crate) passed: bool,
}

/// Runs all checks and says which failed.
pub(crate) fn run() -> anyhow::Result<ExitCode> {
    let checked = all()?;
    for check in &checked {
        out::line(format!("{:<8} {}", check.name, if check.passed { "passed" } else { "FAILED" }));
    }
    let is_good = checked.iter().all(|check| check.passed);
    Ok(if is_good { ExitStatus::Good } else { ExitStatus::Red }.into())
}

/// Runs every check, also after one failed: a person mends them together.
pub(crate) fn all() -> anyhow::Result<Vec<Checked>> {
    let mut checked = Vec::new();
    let mut note = |name, passed| checked.push(Checked { name, passed });
    note("format", passes(workspace::cargo(&["fmt", "--all", "--check"]))?);
    let clippy = ["clippy", "--quiet", "--workspace", "--all-targets", "--", "--deny", "warnings"];
    say("check: clippy over the workspace (minutes, when nothing is built)");
    note("clippy", passes(workspace::cargo(&clippy))?);
    // Advisories need a database from the network; the rest holds without one.
    let mut deny = Command::new(deny_program()?);
    deny.args(["--log-level", "error", "check", "bans", "licenses", "sources"])
        .current_dir(workspace::folder());
    note("deny", passes(deny)?);
    note("released", is_without_switches()?);
    let drift = docs::check();
    if let Err(error) = &drift {
        say(format!("docs: {error:#}"));
    }
    note("docs", drift.is_ok());
    Ok(checked)
}

/// Whether what is released is built without the switches that tests have (`cc-ci-harness/src/mutation.rs`).
fn is_without_switches() -> anyhow::Result<bool> {
    let tree = ["tree", "--quiet", "--package", "cc-ci", "--edges", "no-dev", "--format", "{p} {f}"];
    let output = workspace::cargo(&tree).output().context("starting cargo tree")?;
    let tree = String::from_utf8_lossy(&output.stdout);
    let harness: Vec<&str> = tree.lines().filter(|line| line.contains("cc-ci-harness ")).collect();
    // A tree without the harness would be no answer.
    Ok(!harness.is_empty() && harness.iter().all(|line| !line.contains("mutation")))
}

fn passes(mut command: Command) -> anyhow::Result<bool> {
    let line = format!("{:?}", command.get_program());
    Ok(command.status().with_context(|| format!("starting {line}"))?.success())
}

/// The path of cargo-deny: one installed by the person, else one kept in the cache, installed first if need be.
fn deny_program() -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let own =
        std::env::split_paths(&path).map(|folder| folder.join("cargo-deny")).find(|file| file.is_file());
    if let Some(own) = own {
        return Ok(own);
    }
    let folder = cache::entry(&cache::key("cargo-deny", [DENY]), |folder| -> anyhow::Result<()> {
        say(format!("installing cargo-deny {DENY} into the cache, once: takes about five minutes"));
        // Not optimised: that takes many times longer than it saves in the second it runs.
        let install =
            ["install", "--quiet", "--debug", "--locked", "cargo-deny", "--version", DENY, "--root"];
        let passed = passes({
            let mut command = workspace::cargo(&install);
            command.arg(folder).arg("--target-dir").arg(folder.join("build"));
            command
        })?;
        anyhow::ensure!(passed, "cargo install cargo-deny failed");
        std::fs::remove_dir_all(folder.join("build")).context("removing the build of cargo-deny")
    })?;
    Ok(folder.join("bin/cargo-deny"))
}
