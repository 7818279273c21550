//! What contributors call: demo, test, check, bench, docs, helper, engine.

mod bench;
mod check;
mod demo;
mod dependency_table;
mod docs;
mod engine;
mod helper;
mod interrupts;
mod nix_layer;
mod out;
mod proof_table;
mod test;
mod test_binaries;
mod test_layers;
mod workspace;

use std::process::ExitCode;

use cc_ci_process::exit::ExitStatus;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "What contributors call")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Deploy the bundled recipe for real, upgrade it, check it, remove it, and show the result
    ///
    /// As root on a private Docker engine that is gone afterwards, as a normal user on the running Docker.
    Demo(demo::DemoArguments),
    /// Run the tests, all layers or those named, and count them
    Test(test::TestArguments),
    /// Format, lints, licences and generated pages: what every change has to pass
    Check,
    /// Compare a run with the same work done by hand
    Bench(bench::BenchArguments),
    /// Write the generated pages anew
    Docs {
        /// Only say whether they are what the code would write
        #[arg(long)]
        check: bool,
    },
    /// Build the helper image, with restic in it, and load it into the running Docker
    Helper,
    /// Start a private Docker engine, run a command in its network, remove everything (needs root)
    ///
    /// The command finds the engine in DOCKER_HOST, 127.0.0.1 is the engine's host, and CCCI_TEST_ENGINE names a JSON
    /// file with registry, images, zone and proxy. It ends with the command's own status.
    Engine(engine::EngineArguments),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().verb {
        Verb::Demo(arguments) => demo::run(&arguments),
        Verb::Test(arguments) => test::run(&arguments),
        Verb::Check => check::run(),
        Verb::Bench(arguments) => bench::run(&arguments),
        Verb::Docs { check: true } => docs::check().map(|()| ExitCode::SUCCESS),
        Verb::Docs { check: false } => docs::write().map(|()| ExitCode::SUCCESS),
        Verb::Helper => helper::run(),
        Verb::Engine(arguments) => engine::run(&arguments),
    };
    outcome.unwrap_or_else(|error| {
        cc_ci_testkit::progress::say(format!("cargo xtask: {error:#}"));
        ExitStatus::Trouble.into()
    })
}
