//! `show` and `runs`: what is stored of runs.

use std::path::Path;

use anyhow::{Context, Result, bail};
use cc_ci_harness::folder::RunFolder;
use cc_ci_model::names::{Recipe, RunId};
use cc_ci_model::result::RunResult;
use cc_ci_process::exit::ExitStatus;
use cc_ci_process::mask::Masker;
use cc_ci_process::printer::{Cell, Printer, Style, Table};
use cc_ci_process::state::StatePaths;

use super::BadArgument;
use crate::args::{RunsArgs, ShowArgs};
use crate::table::print_result;

pub(super) fn show(args: &ShowArgs, masker: &Masker) -> Result<ExitStatus> {
    let runs = StatePaths::from_environment().runs;
    let id = match &args.run {
        Some(text) => RunId::parse(text).map_err(|error| BadArgument(error.to_string()))?,
        None => ids(&runs)?
            .into_iter()
            .next()
            .with_context(|| format!("there are no runs in {}", runs.display()))?,
    };
    let path = RunFolder::of(&runs, &id).result();
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(BadArgument(format!(
                "there is no run {id} in {}: `cc-ci runs` lists them",
                runs.display()
            ))
            .into());
        }
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    };
    let mut printer = Printer::stdout(masker);
    let result = RunResult::read(&text).with_context(|| format!("reading {}", path.display()))?;
    if args.json {
        printer.line(text.trim_end());
    } else {
        print_result(&mut printer, &result);
    }
    printer.finish()?;
    Ok(ExitStatus::Good)
}

pub(super) fn runs(args: &RunsArgs, masker: &Masker) -> Result<ExitStatus> {
    let wanted = args
        .recipe
        .as_deref()
        .map(Recipe::parse)
        .transpose()
        .map_err(|error| BadArgument(error.to_string()))?;
    let runs = StatePaths::from_environment().runs;
    let mut printer = Printer::stdout(masker);
    let mut table = Table::new(["run", "recipe", "commit", "pr", "verdict", "level", "started"]);
    let mut shown = 0;
    for id in ids(&runs)? {
        if shown == args.limit {
            break;
        }
        let read = std::fs::read_to_string(RunFolder::of(&runs, &id).result());
        let read = read.map_err(|error| error.to_string());
        match read.and_then(|text| RunResult::read(&text).map_err(|error| error.to_string())) {
            Ok(result) => {
                if wanted.as_ref().is_some_and(|recipe| *recipe != result.request.recipe) {
                    continue;
                }
                if args.json {
                    printer.line(&serde_json::to_string(&result)?);
                }
                let (word, style) = verdict(&result);
                table.row([
                    id.to_string().into(),
                    result.request.recipe.to_string().into(),
                    result.request.reference.as_ref().map_or("", |commit| commit.short()).into(),
                    result.request.pr.to_string().into(),
                    Cell::styled(style, word),
                    result.level.to_string().into(),
                    result.run.started.clone().into(),
                ]);
            }
            // A broken folder is shown as such and never hides the others.
            Err(reason) if wanted.is_none() => {
                table
                    .row([id.to_string().into(), Cell::styled(Style::Warn, format!("unreadable: {reason}"))]);
            }
            Err(_) => continue,
        }
        shown += 1;
    }
    if !args.json {
        if shown == 0 {
            printer.line(&format!("no runs in {}", runs.display()));
        } else {
            printer.table(&table);
        }
    }
    printer.finish()?;
    Ok(ExitStatus::Good)
}

fn verdict(result: &RunResult) -> (&'static str, Style) {
    use cc_ci_model::outcome::VerdictWord;
    use cc_ci_model::result::RunState;
    match (result.verdict, result.run.state) {
        (Some(word @ VerdictWord::Pass), _) => (word.word(), Style::Ok),
        (Some(word @ VerdictWord::Fail), _) => (word.word(), Style::Fail),
        (Some(word), _) => (word.word(), Style::Warn),
        (None, RunState::Running) => ("running", Style::Dim),
        (None, RunState::Interrupted | RunState::Finished) => ("interrupted", Style::Warn),
    }
}

/// Ids of all run folders, newest first. What is no run id is not looked at.
fn ids(runs: &Path) -> Result<Vec<RunId>> {
    let entries = match std::fs::read_dir(runs) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => bail!("reading the folder of runs {}: {error}", runs.display()),
    };
    let mut ids: Vec<RunId> =
        entries.filter_map(|entry| RunId::parse(&entry.ok()?.file_name().to_string_lossy()).ok()).collect();
    ids.sort_unstable_by(|left, right| right.cmp(left));
    Ok(ids)
}
