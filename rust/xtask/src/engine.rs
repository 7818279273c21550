//! `cargo xtask engine`: one command beside a private Docker engine that is gone afterwards.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Context;
use cc_ci_testkit::engine::{EngineOptions, PrivateEngine};
use cc_ci_testkit::packages;
use cc_ci_testkit::progress::say;
use cc_ci_testkit::stock::Proxy;
use cc_ci_testkit::testbed::{self, Testbed};

/// How much stands around the engine.
#[derive(clap::Args)]
pub(crate) struct EngineArguments {
    /// Only the engine: no registry, no images
    #[arg(long, conflicts_with = "traefik")]
    bare: bool,
    /// Traefik in front of it, too (its first build takes 5 to 10 minutes)
    #[arg(long)]
    traefik: bool,
    /// The command and its arguments; a shell if there is none
    #[arg(last = true)]
    command: Vec<OsString>,
}

/// Runs the command in the network of a private engine and passes its status on.
pub(crate) fn run(arguments: &EngineArguments) -> anyhow::Result<ExitCode> {
    packages::ensure(packages::ENGINE)?;
    if arguments.bare {
        say("starting a private Docker engine");
        let engine = PrivateEngine::start(&EngineOptions::default())?;
        let status = call(&engine, &arguments.command, None)?;
        engine.stop()?;
        return Ok(status);
    }
    packages::ensure(packages::TOOLCHAINS)?;
    let proxy = if arguments.traefik { Proxy::Traefik } else { Proxy::Without };
    say("starting a private Docker engine with registry and test images");
    let bed = Testbed::start(proxy)?;
    let status = call(&bed.engine, &arguments.command, Some(&bed))?;
    bed.stop()?;
    Ok(status)
}

fn call(engine: &PrivateEngine, command: &[OsString], bed: Option<&Testbed>) -> anyhow::Result<ExitCode> {
    let shell = [std::env::var_os("SHELL").unwrap_or_else(|| "sh".into())];
    let command = if command.is_empty() { &shell[..] } else { command };
    let (name, arguments) = command.split_first().context("a command of no words cannot be run")?;
    let mut command = engine.command_in(name);
    command.args(arguments);
    if let Some(bed) = bed {
        command.env(testbed::VARIABLE, bed.description_file());
    }
    Ok(status_code(command.status().context("starting the command")?))
}

/// The child's own status; 128 and the signal's number where a signal ended it, as shells say it.
pub(crate) fn status_code(status: std::process::ExitStatus) -> ExitCode {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}
