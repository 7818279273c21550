//! `cc-ci run`: one whole run.

use std::sync::Arc;

use anyhow::{Context, Result};
use cc_ci_harness::claim::{self, Claim};
use cc_ci_harness::own_build;
use cc_ci_harness::run::{Finished, run as run_story};
use cc_ci_harness::setup::WhenRed;
use cc_ci_model::request::Receipt;
use cc_ci_model::result_line::PREFIX;
use cc_ci_process::cancel::Cancellation;
use cc_ci_process::environment;
use cc_ci_process::exit::ExitStatus;
use cc_ci_process::mask::Masker;
use cc_ci_process::parent::ParentBond;
use cc_ci_process::printer::{Printer, Style};

use super::BadArgument;
use super::console::Console;
use super::setup::{mask_host_secrets, setup};
use crate::args::RunArgs;
use crate::table::print_result;

pub(super) fn run(args: RunArgs, masker: &Masker) -> Result<ExitStatus> {
    // The parent is noted before anything else, so that one that dies meanwhile is noticed.
    let bond = bond()?;
    let mut setup = setup(args.request)?;
    mask_host_secrets(&setup.settings, masker)?;
    if args.keep {
        if is_build() {
            let what = "--keep is for a person who looks: in a build of Drone it would hold a slot for hours";
            return Err(BadArgument(what.to_owned()).into());
        }
        setup.when_red = WhenRed::Keep;
    }
    if let Claim::Duplicate(by) = claim::take(&setup.paths, &setup.request.receipt)? {
        return duplicate(&setup.request.receipt, &by, masker);
    }
    let cancellation = Cancellation::new();
    let console = Arc::new(Console::new(masker, args.json));
    let told = console.clone();
    cancellation.on_later_causes(move |cause, _| {
        use cc_ci_harness::report::{Line, Mark, Watcher};
        let text = format!("{cause}: noted; the removal goes on under its own bound");
        told.line(&Line { mark: Mark::Warn, depth: 0, text });
    });
    let _signals = if args.bound_to_parent {
        cancellation.install_signals_with(bond)?
    } else {
        cancellation.install_signals()?
    };
    if args.bound_to_parent {
        bond.bind(&cancellation)?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("starting the run's threads")?;
    if let Some(build) = own_build::address(|name| std::env::var(name).ok()).filter(|_| args.bound_to_parent)
    {
        runtime.spawn(own_build::watch(build, cancellation.clone()));
    }
    let finished = runtime.block_on(run_story(setup, console.clone(), masker, &cancellation));
    console.close();
    let (result, conclusion) = match finished {
        Finished::Result(result, conclusion) => (result, conclusion),
        Finished::BadArgument(what) => return Err(BadArgument(what).into()),
        Finished::NoResult(trouble) => anyhow::bail!("{}: {}", trouble.place, trouble.what),
    };
    let mut printer = Printer::stdout(masker);
    if args.json {
        printer.line(&serde_json::to_string_pretty(&result)?);
    } else {
        print_result(&mut printer, &result);
        // Drone keeps the log, and the bridge may have nothing else of this machine.
        if is_build() {
            let line = format!("{PREFIX}{}", serde_json::to_string(&result)?);
            printer.line(&printer.style(Style::Dim, &line));
        }
    }
    printer.finish()?;
    Ok(ExitStatus::from_code(i32::from(conclusion.exit_code())).unwrap_or(ExitStatus::Trouble))
}

/// The caller: as it says itself, which leaves no gap in which it could die unnoticed, else as the kernel says.
fn bond() -> Result<ParentBond> {
    let said = std::env::var(environment::CCCI_PARENT).ok().filter(|text| !text.is_empty());
    let Some(text) = said else { return Ok(ParentBond::note()) };
    let pid = text
        .parse()
        .map_err(|_| BadArgument(format!("{}={text}: not a process id", environment::CCCI_PARENT)))?;
    Ok(ParentBond::expecting(pid))
}

/// Whether this is a step of a Drone build.
pub(super) fn is_build() -> bool {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    is_set(environment::DRONE) || is_set(environment::DRONE_BUILD_NUMBER)
}

/// A surplus build of the same comment and attempt: nothing is run, and the last line says so for the bridge.
fn duplicate(receipt: &Receipt, by: &str, masker: &Masker) -> Result<ExitStatus> {
    let mut printer = Printer::stdout(masker);
    let (comment, attempt) = (receipt.comment.unwrap_or_default(), receipt.attempt.unwrap_or_default());
    printer.line(&format!(
        "duplicate: attempt {attempt} for comment {comment} was begun by {by}; nothing is run. To run again, comment again."
    ));
    let line =
        serde_json::json!({"schema": 1, "duplicate": {"comment": comment, "attempt": attempt, "by": by}});
    printer.line(&format!("cc-ci-result: {line}"));
    printer.finish()?;
    Ok(ExitStatus::Good)
}
