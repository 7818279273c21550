//! `cargo xtask bench`: which comparisons there are.

mod janitor;

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
enum Bench {
    /// How long a sweep takes to decide over 1000 lock files and the names of 200 stacks
    Janitor,
}

/// Runs one comparison; without one, says which there are.
pub(crate) fn run(arguments: &BenchArguments) -> anyhow::Result<ExitCode> {
    match &arguments.what {
        Some(Bench::Janitor) => janitor::run(),
        None => {
            crate::out::line("no comparison named; there is: janitor");
            Ok(ExitStatus::Usage.into())
        }
    }
}
