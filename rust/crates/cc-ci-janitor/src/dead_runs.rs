//! Dead runs' own things: processes that work on for them, and results that still say "running".

use std::collections::BTreeMap;

use cc_ci_model::inventory::{Kind, TeardownEvidence};
use cc_ci_model::outcome::Trouble;
use cc_ci_model::result::{RunResult, RunState, Teardown, WitnessState};
use cc_ci_model::sweep::{Code, Liveness, settle as decide};
use cc_ci_process::alive::liveness;
use cc_ci_process::atomic::write_json;
use cc_ci_process::cancel::Cancellation;
use cc_ci_swarm::processes;
use cc_ci_swarm::reap::remove_working_files;
use cc_ci_swarm::traces::{Content, Folder};

use crate::diary::Diary;
use crate::host::Host;
use crate::sweep::{Mode, Outcome};

/// Ends processes of runs that are dead and left nothing else behind.
pub(crate) async fn end_processes(
    host: &Host,
    mode: Mode,
    folders: &[Folder],
    cancellation: &Cancellation,
    diary: &mut Diary,
) {
    let found = match processes::of_runs(&host.paths.runs) {
        Ok(found) => found,
        Err(error) => {
            diary.say(Code::CouldNotCheck, "processes", format!("listing them: {error}"));
            return;
        }
    };
    for (run, left) in found {
        let is_dead = |folder: &Folder| folder.trace.id == run && folder.trace.liveness == Liveness::Dead;
        // Asked once more: a folder that was listed at the moment it was made was not locked yet.
        if !folders.iter().any(is_dead) || liveness(&host.paths.runs.join(run.as_str())) != Liveness::Dead {
            continue;
        }
        let names: Vec<String> = left.iter().map(ToString::to_string).collect();
        diary.say(Code::EndProcess, run.as_str(), format!("its run is gone: {}", names.join(", ")));
        if mode == Mode::Real
            && let Err(error) = processes::end(&host.paths.runs, &run, cancellation).await
        {
            diary.say(Code::ReapIncomplete, run.as_str(), error);
        }
    }
}

/// Settles results that say "running" where nobody runs.
pub(crate) fn settle(
    host: &Host,
    mode: Mode,
    folders: &[Folder],
    outcomes: &BTreeMap<String, Outcome>,
    diary: &mut Diary,
) {
    for folder in folders {
        let Some(decision) = decide(&folder.trace) else { continue };
        let code = decision.code;
        diary.note(decision);
        let (Code::SettleInterrupted, Mode::Real, Content::Result(result)) = (code, mode, &folder.content)
        else {
            continue;
        };
        let domain = folder.trace.domain.as_ref();
        let outcome = domain.and_then(|domain| outcomes.get(domain.as_str()));
        let root = host.paths.runs.join(folder.trace.id.as_str());
        let settled = interrupted(result, outcome, jiff::Timestamp::now());
        if let Err(error) = write_json(&root.join("result.json"), &settled) {
            diary.say(Code::ReapIncomplete, folder.trace.id.as_str(), error.to_string());
            continue;
        }
        // Only with the proof: what was not looked at, or not removed, still needs the .env to be found.
        if !matches!(outcome, Some(Outcome::Left(_) | Outcome::NotDone(_)))
            && let Err(error) = remove_working_files(&root)
        {
            diary.say(Code::ReapIncomplete, folder.trace.id.as_str(), error.to_string());
        }
    }
}

/// The result of a run that was killed: no verdict, and what was found of it.
fn interrupted(result: &RunResult, outcome: Option<&Outcome>, now: jiff::Timestamp) -> RunResult {
    let mut settled = result.clone();
    settled.run.state = RunState::Interrupted;
    settled.run.finished = Some(now.to_string());
    settled.verdict = None;
    "the run was interrupted".clone_into(&mut settled.level_reason);
    let (what, removed, left): (String, BTreeMap<Kind, usize>, Vec<String>) = match outcome {
        Some(Outcome::Reaped(reaped)) => (
            format!("the janitor removed {} and proved it", reaped.words()),
            reaped.removed.clone(),
            Vec::new(),
        ),
        Some(Outcome::Left(left)) => {
            let what = format!("the janitor could not remove everything: {}", left.join(", "));
            (what, BTreeMap::new(), left.clone())
        }
        Some(Outcome::NotDone(why)) => {
            (format!("what it left was not looked for: {why}"), BTreeMap::new(), Vec::new())
        }
        None => ("nothing of it was left on the swarm".to_owned(), BTreeMap::new(), Vec::new()),
    };
    settled.trouble = Some(Trouble {
        what: format!("the run's process ended before its verdict was written; {what}"),
        place: "run".to_owned(),
        retry: true,
    });
    if settled.teardown.is_none() && matches!(outcome, Some(Outcome::Reaped(_) | Outcome::Left(_))) {
        let evidence =
            TeardownEvidence { created: removed.clone(), removed, left, ..TeardownEvidence::default() };
        settled.teardown = Some(Teardown { evidence, witness: WitnessState::None });
    }
    settled
}
