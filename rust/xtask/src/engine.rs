//! `cargo xtask engine`: one command beside a private Docker engine that is gone afterwards.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Context;
use cc_ci_testkit::engine::{EngineOptions, PrivateEngine};
use cc_ci_testkit::{packages, progress};

/// Runs `command` in the network of a private engine and passes its status on.
pub(crate) fn run(command: &[OsString]) -> anyhow::Result<ExitCode> {
    packages::ensure(packages::ENGINE)?;
    progress::say("starting a private Docker engine");
    let engine = PrivateEngine::start(&EngineOptions::default())?;
    let shell = [std::env::var_os("SHELL").unwrap_or_else(|| "sh".into())];
    let command = if command.is_empty() { &shell[..] } else { command };
    let (name, arguments) = command.split_first().context("a command of no words cannot be run")?;
    let status = engine.command_in(name).args(arguments).status().context("starting the command")?;
    engine.stop()?;
    Ok(status_code(status))
}

/// The child's own status; 128 and the signal's number where a signal ended it, as shells say it.
pub(crate) fn status_code(status: std::process::ExitStatus) -> ExitCode {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}
