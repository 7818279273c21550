//! What contributors call: demo, test, check, bench, docs.

mod engine;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "What contributors call", version)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Start a private Docker engine, run a command in its network, remove everything (needs root)
    ///
    /// The command finds the engine in DOCKER_HOST, 127.0.0.1 is the engine's host, and CCCI_TEST_ENGINE names a JSON
    /// file with registry, images, zone and proxy. It ends with the command's own status.
    Engine(engine::EngineArguments),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().verb {
        Verb::Engine(arguments) => engine::run(&arguments),
    };
    outcome.unwrap_or_else(|error| {
        cc_ci_testkit::progress::say(format!("cargo xtask: {error:#}"));
        ExitCode::from(TROUBLE)
    })
}

/// Our fault, or something this machine lacks.
const TROUBLE: u8 = 2;
