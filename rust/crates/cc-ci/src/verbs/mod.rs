//! The verbs: each takes its arguments and returns an exit status.

mod app;
mod cancel;
mod check_config;
mod completions;
mod console;
mod doctor;
mod drain;
mod enroll;
mod history;
mod lint;
mod lint_source;
mod man;
mod plan;
mod run;
mod setup;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use cc_ci_model::result_line::ResultLine;
use cc_ci_process::exit::ExitStatus;
use cc_ci_process::mask::Masker;
use cc_ci_process::printer::{Printer, Style};
use clap::Parser;

use crate::args::{Cli, Command};

/// Parses the command line, carries the verb out and prints what went wrong, once, on one line.
///
/// The code is an [`ExitStatus`], except for `cc-ci app`, where a test's command passes its own through.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let masker = Masker::new();
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let is_run = arguments.get(1).is_some_and(|verb| verb == "run");
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let status = usage(&error, &masker);
            if is_run && status == ExitStatus::Usage {
                say_no_run(&error.render().to_string(), &masker);
            }
            return status.into();
        }
    };
    match carry_out(cli, &masker) {
        Ok(status) => status,
        Err(error) => {
            let mut printer = Printer::stderr(&masker);
            let word = printer.style(Style::Fail, "cc-ci:");
            printer.line(&format!("{word} {error:#}"));
            let status = status_of(&error);
            if is_run && status == ExitStatus::Usage {
                say_no_run(&format!("{error:#}"), &masker);
            }
            status.into()
        }
    }
}

/// Drone keeps the log, and the bridge has nothing else of a call that made no run folder: its last line says so.
fn say_no_run(sentence: &str, masker: &Masker) {
    if !run::is_build() {
        return;
    }
    // A sentence is text, and text can be said in JSON.
    if let Ok(line) = ResultLine::bad_argument(sentence).line() {
        Printer::stdout(masker).line(&line);
    }
}

fn carry_out(cli: Cli, masker: &Masker) -> Result<ExitCode> {
    cc_ci_process::logging::start(masker)?;
    let status = match cli.command {
        Command::App(args) => return app::app(args, masker).map(ExitCode::from),
        Command::Run(args) => run::run(args, masker),
        Command::Plan(args) => plan::plan(args, masker),
        Command::Lint(args) => lint::lint(&args, masker),
        Command::Show(args) => history::show(&args, masker),
        Command::Runs(args) => history::runs(&args, masker),
        Command::Cancel(args) => cancel::cancel(&args, masker),
        Command::Release(args) => cancel::release(&args, masker),
        Command::Drain(args) => drain::drain(&args, masker),
        Command::Doctor(args) => doctor::doctor(&args, masker),
        Command::Enroll(args) => enroll::enroll(&args, masker),
        Command::CheckConfig(args) => check_config::check_config(&args, masker),
        Command::Completions(args) => completions::completions(&args, masker),
        Command::Man(args) => man::man(&args, masker),
    };
    status.map(ExitCode::from)
}

/// A bad argument is 64, everything else that ends up here is ours.
fn status_of(error: &anyhow::Error) -> ExitStatus {
    if error.chain().any(|cause| cause.is::<BadArgument>()) { ExitStatus::Usage } else { ExitStatus::Trouble }
}

/// Marks an error as the caller's: exit 64.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct BadArgument(String);

/// clap's own messages: help and version are answers, everything else is a bad argument.
fn usage(error: &clap::Error, masker: &Masker) -> ExitStatus {
    let text = error.render();
    let asked =
        matches!(error.kind(), clap::error::ErrorKind::DisplayHelp | clap::error::ErrorKind::DisplayVersion);
    let mut printer = if asked { Printer::stdout(masker) } else { Printer::stderr(masker) };
    let text = match printer.colour() {
        cc_ci_process::printer::Colour::Yes => text.ansi().to_string(),
        cc_ci_process::printer::Colour::No => text.to_string(),
    };
    printer.line(text.trim_end());
    if asked { ExitStatus::Good } else { ExitStatus::Usage }
}
