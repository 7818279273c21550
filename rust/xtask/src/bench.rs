//! `cargo xtask bench`: which comparisons there are.

use std::process::ExitCode;

use cc_ci_process::exit::ExitStatus;

/// What is measured.
#[derive(clap::Args)]
pub(crate) struct BenchArguments {
    #[command(subcommand)]
    what: Option<Bench>,
}

/// One comparison each.
#[derive(clap::Subcommand)]
enum Bench {}

/// Runs one comparison; without one, says which there are.
pub(crate) fn run(arguments: &BenchArguments) -> anyhow::Result<ExitCode> {
    match &arguments.what {
        Some(bench) => match *bench {},
        None => {
            crate::out::line("no comparison named; there is none yet");
            Ok(ExitStatus::Usage.into())
        }
    }
}
