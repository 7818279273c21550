//! The line about leftovers: what the next sweep would do, by the same types and decisions as the sweep's own.

use cc_ci_model::doctor::Line;
use cc_ci_model::sweep::{Candidate, Code, Decision, LockFacts, candidates, decide, settle};
use cc_ci_swarm::docker::Docker;
use cc_ci_swarm::inventory::survey;
use cc_ci_swarm::lock::{HeldLock, Probe};
use cc_ci_swarm::traces::traces;

use super::{Host, no_engine, within};

const CHECKED: &str = "leftovers";

/// So many are named; the sweep itself names all.
const NAMED: usize = 5;

pub(super) async fn examine(host: &Host<'_>, docker: Option<&Docker>) -> Line {
    let Some(docker) = docker else { return no_engine(CHECKED) };
    let asked = within("surveying the swarm", survey(docker)).await;
    let inventory = match asked.and_then(|answer| answer.map_err(|error| error.to_string())) {
        Ok(inventory) => inventory,
        Err(why) => return Line::warn(CHECKED, why, "mend what the line names"),
    };
    let zone = &host.settings.zone;
    let mut decisions = Vec::new();
    let gathered = traces(inventory, host.paths, zone, &mut |decision| decisions.push(decision));
    let (traces, folders) = match gathered {
        Ok(gathered) => gathered,
        Err(why) => return Line::warn(CHECKED, why, "mend what the line names"),
    };
    let (found, skipped) = candidates(&traces, zone);
    decisions.extend(skipped);
    decisions.extend(found.iter().filter_map(|candidate| decide(candidate, &probe(host, candidate))));
    decisions.extend(folders.iter().filter_map(|folder| settle(&folder.trace)));
    judge(&decisions)
}

/// A lock file that is there is asked, and nothing is made: as in a dry sweep.
fn probe(host: &Host<'_>, candidate: &Candidate) -> LockFacts {
    if !candidate.has_lock_file {
        return LockFacts::NoFile;
    }
    match HeldLock::try_probe(&host.paths.locks, &candidate.domain) {
        Ok(Probe::Free(_freed_at_once)) => LockFacts::Free,
        Ok(Probe::Held(holder)) => {
            LockFacts::Held { holder: holder.map(|holder| holder.to_string()), held_for: None }
        }
        Err(error) => LockFacts::Unknown(error.to_string()),
    }
}

fn judge(decisions: &[Decision]) -> Line {
    let lives = decisions.iter().filter(|decision| decision.code == Code::KeepLive).count();
    let left: Vec<String> = decisions
        .iter()
        .filter(|decision| decision.code != Code::KeepLive)
        .map(|decision| format!("{} {}", decision.code.word(), decision.subject))
        .collect();
    let lives = if lives == 0 { String::new() } else { format!("; runs under way: {lives}") };
    if left.is_empty() {
        return Line::ok(CHECKED, format!("none{lives}"));
    }
    let more = left.len().saturating_sub(NAMED);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let named = left[..left.len().min(NAMED)].join(", ");
    Line::warn(
        CHECKED,
        format!("{named}{more}{lives}"),
        "cc-ci-janitor sweep (its codes: docs/operating.md); with --dry-run it says why",
    )
}
