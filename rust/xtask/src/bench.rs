//! `cargo xtask bench`: which comparisons there are.

mod bridge;
mod dashboard;
mod janitor;
mod parallel;
mod whole_run;

use std::process::ExitCode;

use cc_ci_process::exit::ExitStatus;

use bridge::BridgeBenchArguments;
use dashboard::DashboardBenchArguments;
use whole_run::RunBenchArguments;

/// What is measured.
#[derive(clap::Args)]
pub(crate) struct BenchArguments {
    #[command(subcommand)]
    what: Option<Bench>,
}

/// One comparison each.
#[derive(clap::Subcommand)]
enum Bench {
    /// From comment to build, and what looking for comments costs in requests, time and memory
    Bridge(BridgeBenchArguments),
    /// Start, memory and answers of the dashboard over many runs, beside nginx with the same bytes as a file
    Dashboard(DashboardBenchArguments),
    /// How long a sweep takes to decide over 1000 lock files and the names of 200 stacks
    Janitor,
    /// `cc-ci run` beside a shell script that does the same, and beside the least time Docker allows (needs root)
    Run(RunBenchArguments),
}

/// Runs one comparison; without one, says which there are.
pub(crate) fn run(arguments: &BenchArguments) -> anyhow::Result<ExitCode> {
    match &arguments.what {
        Some(Bench::Dashboard(arguments)) => dashboard::run(arguments),
        Some(Bench::Bridge(arguments)) => bridge::run(arguments),
        Some(Bench::Janitor) => janitor::run(),
        Some(Bench::Run(arguments)) => whole_run::run(arguments),
        None => {
            crate::out::line("no comparison named; there are: bridge, dashboard, janitor, run");
            Ok(ExitStatus::Usage.into())
        }
    }
}
