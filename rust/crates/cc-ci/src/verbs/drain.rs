//! `cc-ci drain`: let running runs end and start none.

use std::time::Duration;

use anyhow::{Result, bail};
use cc_ci_harness::drain;
use cc_ci_process::cancel::Cancellation;
use cc_ci_process::exit::ExitStatus;
use cc_ci_process::mask::Masker;
use cc_ci_process::printer::Printer;
use cc_ci_process::state::StatePaths;
use cc_ci_process::wait::{Look, Waiting, wait_for_blocking};

use super::setup::settings;
use crate::args::DrainArgs;

const INTERVAL: Duration = Duration::from_millis(500);

pub(super) fn drain(args: &DrainArgs, masker: &Masker) -> Result<ExitStatus> {
    let paths = StatePaths::from_environment();
    let mut printer = Printer::stdout(masker);
    if args.off {
        let was = drain::end(&paths)?;
        printer.line(if was { "runs may start again" } else { "this host was not draining" });
        printer.finish()?;
        return Ok(ExitStatus::Good);
    }
    paths.create()?;
    // The file first: a run that begins from here on sees it, and one that began before is seen below.
    drain::begin(&paths, jiff::Timestamp::now())?;
    let living = drain::living(&paths.runs)?;
    let names: Vec<String> = living.iter().map(ToString::to_string).collect();
    match names.len() {
        0 => printer.line("no run is under way, and none starts until `cc-ci drain --off`"),
        count => printer.line(&format!(
            "{count} runs are under way ({}), and none starts until `cc-ci drain --off`",
            names.join(", ")
        )),
    }
    if args.wait {
        let limits = settings()?.limits;
        // A run's own time stands still while it waits for a lock or for room.
        let waits = [limits.lock_wait, limits.admission_wait, limits.run, limits.teardown];
        let longest: Duration = waits.into_iter().map(Duration::from).sum();
        let own = Cancellation::new();
        let _signals = own.install_signals()?;
        let waiting = Waiting { deadline: longest, interval: INTERVAL };
        let ended = wait_for_blocking("waiting for the last run to end", waiting, &own, || {
            let living = drain::living(&paths.runs)?;
            let names: Vec<String> = living.iter().map(ToString::to_string).collect();
            Ok::<_, drain::DrainError>(if names.is_empty() {
                Look::There(())
            } else {
                Look::NotYet(names.join(", "))
            })
        });
        if let Err(error) = ended {
            bail!("{error}; the host keeps draining");
        }
        printer.line("no run is under way any more");
    }
    printer.finish()?;
    Ok(ExitStatus::Good)
}
