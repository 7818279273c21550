//! `cc-ci cancel` and `cc-ci release`: a file in the run's folder, and the wait until the run has gone through its teardown.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use cc_ci_harness::folder::RunFolder;
use cc_ci_model::names::RunId;
use cc_ci_model::result::RunResult;
use cc_ci_model::sweep::Liveness;
use cc_ci_process::alive::liveness;
use cc_ci_process::atomic::{AtomicError, write_json};
use cc_ci_process::cancel::Cancellation;
use cc_ci_process::exit::ExitStatus;
use cc_ci_process::mask::Masker;
use cc_ci_process::printer::Printer;
use cc_ci_process::state::StatePaths;
use cc_ci_process::wait::{Look, Waiting, wait_for_blocking};

use super::BadArgument;
use super::setup::settings;
use crate::args::{CancelArgs, ReleaseArgs};

const INTERVAL: Duration = Duration::from_millis(200);

/// What a run may take beside its teardown until it is gone: hearing of the cancel, ending its children, its report.
const MARGIN: Duration = Duration::from_secs(60);

pub(super) fn cancel(args: &CancelArgs, masker: &Masker) -> Result<ExitStatus> {
    let mut printer = Printer::stdout(masker);
    if let Some((id, folder)) = living(&args.run, &mut printer)? {
        tell(&folder.cancel()).with_context(|| format!("cancelling run {id}"))?;
        printer.line(&format!("run {id} is told to end; waiting for its teardown"));
        wait_for_its_end(&id, &folder, &mut printer)?;
    }
    printer.finish()?;
    Ok(ExitStatus::Good)
}

pub(super) fn release(args: &ReleaseArgs, masker: &Masker) -> Result<ExitStatus> {
    let mut printer = Printer::stdout(masker);
    if let Some((id, folder)) = living(&args.run, &mut printer)? {
        // Asked first: a run that begins to keep its stack at this moment finds the file.
        let is_kept = folder.kept().exists();
        tell(&folder.release()).with_context(|| format!("releasing the stack of run {id}"))?;
        if is_kept {
            printer.line(&format!("the stack of run {id} may go; waiting for its removal"));
            wait_for_its_end(&id, &folder, &mut printer)?;
        } else {
            printer.line(&format!("run {id} is still at work; it will not keep its stack"));
        }
    }
    printer.finish()?;
    Ok(ExitStatus::Good)
}

/// The folder of a run that lives; says how it stands where it does not.
fn living(run: &str, printer: &mut Printer) -> Result<Option<(RunId, RunFolder)>> {
    let id = RunId::parse(run).map_err(|error| BadArgument(error.to_string()))?;
    let folder = RunFolder::of(&StatePaths::from_environment().runs, &id);
    if !folder.root().is_dir() {
        let place = folder.root().display().to_string();
        return Err(BadArgument(format!("there is no run {id} ({place}): `cc-ci runs` lists them")).into());
    }
    if liveness(folder.root()) == Liveness::Dead {
        printer.line(&format!("run {id} is not under way: {}", word(&folder)));
        return Ok(None);
    }
    Ok(Some((id, folder)))
}

/// Makes the file that the run looks for.
fn tell(file: &Path) -> Result<(), AtomicError> {
    write_json(file, &serde_json::json!({ "at": jiff::Timestamp::now().to_string() }))
}

fn wait_for_its_end(id: &RunId, folder: &RunFolder, printer: &mut Printer) -> Result<()> {
    let own = Cancellation::new();
    let _signals = own.install_signals()?;
    let bound: Duration = settings()?.limits.teardown.into();
    let waiting = Waiting { deadline: bound + MARGIN, interval: INTERVAL };
    let sentence = format!("waiting for run {id} to end");
    let ended = wait_for_blocking(&sentence, waiting, &own, || match liveness(folder.root()) {
        Liveness::Dead => Ok(Look::There(())),
        Liveness::Lives => Ok(Look::NotYet("it is still there".to_owned())),
        Liveness::Unknown(reason) => Err(reason),
    });
    if let Err(error) = ended {
        bail!("{error}; `cc-ci show {id}` tells how far it is");
    }
    printer.line(&format!("run {id} has ended: {}", word(folder)));
    Ok(())
}

/// How the run stands, in one word.
fn word(folder: &RunFolder) -> String {
    let read = std::fs::read_to_string(folder.result()).map_err(|error| error.to_string());
    match read.and_then(|text| RunResult::read(&text).map_err(|error| error.to_string())) {
        Ok(result) => result.verdict.map_or_else(
            || "interrupted; the next sweep of cc-ci-janitor removes what it left".to_owned(),
            |verdict| verdict.word().to_owned(),
        ),
        Err(reason) => format!("its result cannot be read: {reason}"),
    }
}
