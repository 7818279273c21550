//! The command line of `cc-ci-janitor`.

use std::ffi::OsString;

use anyhow::{Context, Result};
use cc_ci_process::cancel::Cancellation;
use cc_ci_process::exit::ExitStatus;
use cc_ci_process::mask::Masker;
use cc_ci_process::printer::{Printer, Style};
use cc_ci_process::program;
use clap::{Parser, Subcommand};

use crate::host::Host;
use crate::sweep::{self, Mode, Report};

/// Looks at locks, removes what nobody owns, keeps a diary.
#[derive(Debug, Parser)]
#[command(name = "cc-ci-janitor", version, propagate_version = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Sweep once: remove what dead runs left, settle their results, trim folders and images.
    ///
    /// Exit status: 0 done, 2 something could not be checked or is still there, 143 cancelled.
    Sweep {
        /// Say what would be done and do nothing.
        #[arg(long)]
        dry_run: bool,
        /// Print what was decided as JSON on standard output.
        #[arg(long)]
        json: bool,
    },
}

/// Parses the command line, sweeps and says how it went.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitStatus {
    program::run(arguments, |cli: Cli, masker| {
        let Verb::Sweep { dry_run, json } = cli.verb;
        sweep_once(if dry_run { Mode::DryRun } else { Mode::Real }, json, masker)
    })
}

fn sweep_once(mode: Mode, json: bool, masker: &Masker) -> Result<ExitStatus> {
    cc_ci_process::logging::start(masker)?;
    let host = Host::from_environment()?;
    let cancellation = Cancellation::new();
    let _signals = cancellation.install_signals()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("starting the janitor's threads")?;
    let report = runtime.block_on(sweep::sweep(&host, mode, &cancellation));
    let mut printer = Printer::stdout(masker);
    if json {
        printer.line(&serde_json::to_string_pretty(&report)?);
    } else {
        print(&mut printer, &report);
    }
    printer.finish()?;
    Ok(match cancellation.cause() {
        Some(cause) => cause.exit_status(),
        None if report.is_trouble() => ExitStatus::Trouble,
        None => ExitStatus::Good,
    })
}

fn print(printer: &mut Printer, report: &Report) {
    for decision in &report.decisions {
        let style = if decision.code.is_trouble() { Style::Fail } else { Style::Dim };
        let code = printer.style(style, decision.code.word());
        printer.line(&format!("{code} {}: {}", decision.subject, decision.reason));
    }
    let count = report.decisions.len();
    printer.line(&format!("sweep {}: {count} decisions{}", report.id, report.mode.suffix()));
}
