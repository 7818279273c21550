//! The end of a run, on every way out: removal, proof, the difference, the verdict.

use std::time::{Duration, Instant};

use cc_ci_model::event::Happening;
use cc_ci_model::inventory::{Inventory, Moments, Object, WITNESS_STACK, difference, made_outside};
use cc_ci_model::level::level;
use cc_ci_model::names::StackName;
use cc_ci_model::outcome::{Aftermath, Conclusion, Ending, Status, TierOutcome, Trouble, conclude};
use cc_ci_model::result::{RunState, Teardown, TierReport, WitnessState};
use cc_ci_model::tier::Tier;
use cc_ci_process::cancel::Cancellation;
use cc_ci_process::mask::scan_folder;
use cc_ci_process::wait::{Look, WaitError, Waiting, wait_for};
use cc_ci_swarm::docker::Docker;
use cc_ci_swarm::inventory::survey;
use cc_ci_swarm::lock::HeldLock;
use cc_ci_swarm::processes;
use cc_ci_swarm::record::StackRecord;
use cc_ci_swarm::teardown::{Removed, teardown};
use futures_util::future::join_all;

use crate::report::Reporter;
use crate::tier_run::rounded;

/// What was known of the world at the moments that are compared.
pub struct World {
    /// Before the run made anything.
    pub before: Inventory,
    /// The run's first stack.
    pub stack: StackName,
    /// Its further stacks, as its record names them.
    pub further: Vec<StackName>,
}

impl World {
    /// All stacks the run may remove, the first one last: its end is what record and lock wait for.
    #[must_use]
    pub fn stacks(&self) -> Vec<StackName> {
        self.further.iter().chain([&self.stack]).cloned().collect()
    }
}

/// What a run has made that lasts beyond its stacks, and the stacks that are gone already.
pub struct Made {
    /// The lock of its domain.
    pub lock: HeldLock,
    /// Its record.
    pub record: StackRecord,
    /// Proofs of stacks that were removed before.
    pub gone: Vec<Removed>,
}

/// What teardown found.
#[derive(Debug, Default)]
pub struct Removal {
    /// What is still there.
    pub left: Vec<String>,
    /// Objects the recipe made outside its stack.
    pub left_by_recipe: Vec<String>,
    /// Witness objects that changed.
    pub witness_changed: Vec<String>,
}

/// Removes the stacks within `bound`, surveys again and reports teardown like a tier. `.env`, record and lock go last, and
/// only with the proof.
pub async fn remove(
    docker: &Docker,
    world: &World,
    Made { lock, record, gone }: Made,
    state: &std::path::Path,
    bound: Duration,
    reporter: &Reporter,
) -> Removal {
    let started = Instant::now();
    reporter.tier_started(Tier::Teardown);
    let mut removal = Removal::default();
    let mut problems: Vec<String> = Vec::new();
    let deployed = survey(docker).await;
    // The run's own cancellation is spent by now, perhaps: removal stands under a bound of its own.
    let unbound = Cancellation::new();
    let stacks = world.stacks();
    let (lock_of_all, unbound_of_all) = (&lock, &unbound);
    let removals = stacks.iter().map(|stack| {
        let progress = |text: &str| reporter.progress(&format!("removing: {text}"));
        teardown(docker, stack, lock_of_all, bound, unbound_of_all, progress)
    });
    let mut proof: Option<Removed> = None;
    let mut is_proven = true;
    for removed in join_all(removals).await {
        match removed {
            Ok(removed) => proof = Some(removed),
            Err(error) => {
                is_proven = false;
                removal.left.extend(error.left().iter().cloned());
                if error.left().is_empty() {
                    removal.left.push("something that could not be listed".to_owned());
                }
                problems.push(error.to_string());
            }
        }
    }
    let proof = proof.filter(|_| is_proven);
    match (deployed, survey(docker).await) {
        (Ok(deployed), Ok(after)) => {
            let moments = Moments { before: &world.before, deployed: &deployed, after: &after };
            let mut evidence = difference(moments, &stacks, &[WITNESS_STACK]);
            for (kind, count) in gone.iter().flat_map(Removed::counts) {
                *evidence.created.entry(*kind).or_default() += count;
                *evidence.removed.entry(*kind).or_default() += count;
            }
            // What carries the run's mark is the run's, wherever it lies; the stack's removal does not reach it.
            let id = reporter.result().run.id;
            let is_ours = |object: &Object| stacks.iter().any(|stack| object.belongs_to(stack));
            let is_stray = |object: &&Object| object.run.as_ref() == Some(&id) && !is_ours(object);
            let strays = after.objects().iter().filter(is_stray).map(Object::title);
            evidence.left.extend(strays);
            let outside = stacks.iter().flat_map(|stack| made_outside(&world.before, &after, stack));
            removal.left_by_recipe = outside.collect();
            let has_witness = !world.before.labelled(WITNESS_STACK).is_empty();
            let witness = match (has_witness, evidence.witness_changed.is_empty()) {
                (false, _) => WitnessState::None,
                (true, true) => WitnessState::Unchanged,
                (true, false) => WitnessState::Changed,
            };
            removal.left.extend(evidence.left.iter().cloned());
            removal.left.dedup();
            removal.witness_changed.clone_from(&evidence.witness_changed);
            reporter.update(|result| result.teardown = Some(Teardown { evidence, witness }));
        }
        // The proof of teardown stands by itself; without it nothing is known.
        (Err(error), _) | (_, Err(error)) => {
            problems
                .push(format!("the difference is not known, as the world could not be surveyed: {error}"));
            if proof.is_none() {
                removal.left.push("unknown, as the survey failed".to_owned());
            }
        }
    }
    if let Err(error) = processes_are_gone(reporter, &unbound).await {
        problems.push(error.clone());
        removal.left.push(error);
    }
    if let Some(proof) = proof.filter(|_| removal.left.is_empty()) {
        if let Err(error) = reporter.folder().remove_working_files() {
            problems.push(format!("removing the run's working files: {error}"));
            removal.left.push(format!("files below {}", reporter.folder().abra().display()));
        }
        if let Err(error) = record.remove(state, &proof) {
            problems.push(error.to_string());
        }
        if let Err(error) = lock.remove() {
            problems.push(error.to_string());
        }
    }
    let clean =
        removal.left.is_empty() && removal.witness_changed.is_empty() && removal.left_by_recipe.is_empty();
    let reason = if clean && problems.is_empty() {
        String::new()
    } else {
        let witness = removal.witness_changed.iter().map(|name| format!("the witness changed: {name}"));
        let outside = removal.left_by_recipe.iter().map(|name| {
            format!("the recipe made {name} outside its stack and left it there; remove it by hand")
        });
        problems.into_iter().chain(witness).chain(outside).collect::<Vec<_>>().join("; ")
    };
    reporter.tier_ended(TierReport {
        name: Tier::Teardown,
        status: if clean { Status::Pass } else { Status::Fail },
        reason,
        seconds: rounded(started.elapsed().as_secs_f64()),
        checks: Vec::new(),
    });
    removal
}

/// Waits for the last processes of the run, since one that was just ended takes a moment to be gone; and ends those that
/// left their group and go on, such as a daemon that a program of the run has made.
async fn processes_are_gone(reporter: &Reporter, cancellation: &Cancellation) -> Result<(), String> {
    let waiting = Waiting { deadline: Duration::from_secs(2), interval: Duration::from_millis(50) };
    let sentence = "waiting for the run's processes to end";
    let (id, folder) = (reporter.result().run.id, reporter.folder().clone());
    let runs = folder.root().parent().unwrap_or(folder.root());
    let gone = wait_for(sentence, waiting, None, cancellation, || async {
        let left = processes::of_run(runs, &id)?;
        let names: Vec<String> = left.iter().map(ToString::to_string).collect();
        Ok::<_, std::io::Error>(if names.is_empty() {
            Look::There(())
        } else {
            Look::NotYet(names.join(", "))
        })
    });
    match gone.await {
        Ok(()) => Ok(()),
        Err(WaitError::Failed { reason, .. }) => Err(format!("{sentence}: {reason}")),
        Err(WaitError::TimedOut { .. } | WaitError::Cancelled { .. }) => {
            let ended = processes::end(runs, &id, cancellation).await?;
            let names: Vec<String> = ended.iter().map(ToString::to_string).collect();
            reporter.note(format!("ended what outlived its program: {}", names.join(", ")));
            Ok(())
        }
    }
}

/// Decides the verdict, writes the result for good and says the last line of the log.
pub fn conclude_run(
    reporter: &Reporter,
    tiers: &[(Tier, TierOutcome)],
    ending: &Ending,
    removal: Removal,
) -> Conclusion {
    let masker = reporter.masker();
    let mut faults = Vec::new();
    let leaks = match scan_folder(reporter.folder().root(), masker) {
        Ok(leaks) => leaks.count,
        Err(error) => {
            faults.push(error.to_string());
            0
        }
    };
    faults.extend(reporter.write_failure());
    let deploys = reporter.result().deploys;
    let after = Aftermath {
        left: removal.left,
        left_by_recipe: removal.left_by_recipe,
        witness_changed: removal.witness_changed,
        leaks,
        deploys: (deploys.counted, deploys.expected),
    };
    let conclusion = match (conclude(tiers, ending, &after), faults.is_empty()) {
        // What was not written or not looked at cannot be vouched for.
        (Conclusion::Recipe(_), false) => {
            Conclusion::Trouble(Trouble { what: faults.join("; "), place: "result".to_owned(), retry: true })
        }
        (conclusion, _) => conclusion,
    };
    let statuses: Vec<(Tier, Status)> =
        tiers.iter().map(|(tier, outcome)| (*tier, outcome.status())).collect();
    let reached = level(&statuses);
    reporter.update(|result| {
        result.tiers.sort_by_key(|tier| tier.name);
        result.run.state = RunState::Finished;
        result.run.finished = Some(jiff::Timestamp::now().to_string());
        result.verdict = Some(conclusion.word());
        result.trouble = conclusion.trouble().cloned();
        result.refusal = conclusion.refusal().map(str::to_owned);
        result.level = reached.level;
        result.level_reason = reached.reason;
        result.redaction.masked = masker.masked();
        result.redaction.leaks = leaks;
    });
    reporter.event(Happening::Finished { verdict: conclusion.word(), level: reached.level });
    conclusion
}
