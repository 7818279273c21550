//! `cc-ci completions`: what a shell needs to complete our words, made from the command line itself.

use anyhow::{Context, Result};
use cc_ci_process::exit::ExitStatus;
use cc_ci_process::mask::Masker;
use cc_ci_process::printer::Printer;
use clap::CommandFactory;

use crate::args::{Cli, CompletionsArgs};

pub(super) fn completions(args: &CompletionsArgs, masker: &Masker) -> Result<ExitStatus> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "cc-ci", &mut script);
    let script = String::from_utf8(script).context("reading the completions that were made")?;
    let mut printer = Printer::stdout(masker);
    printer.line(script.trim_end());
    printer.finish()?;
    Ok(ExitStatus::Good)
}
