//! `cargo xtask bench janitor`: how long a sweep takes to decide over many lock files and stacks.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use cc_ci_model::inventory::{Inventory, Kind, Object};
use cc_ci_model::names::{CommitSha, PrNumber, Recipe, RunDomain, Zone};
use cc_ci_model::sweep::{LockFacts, Traces, candidates, decide};
use cc_ci_process::exit::ExitStatus;
use cc_ci_swarm::lock::{HeldLock, Probe};

const LOCKS: u32 = 1000;
const STACKS: u32 = 200;
/// A sweep must not be the reason that a run waits.
const LIMIT: Duration = Duration::from_secs(1);

/// Makes the files, decides, and is good if it was quick enough.
pub(crate) fn run() -> anyhow::Result<ExitCode> {
    let folder = tempfile::tempdir().context("making a folder for lock files")?;
    let zone = Zone::parse("bench.test")?;
    let domains: Vec<RunDomain> = (0..LOCKS).map(|number| domain(number, &zone)).collect::<Result<_, _>>()?;
    let mut held = Vec::new();
    for (number, domain) in domains.iter().enumerate() {
        // Every tenth run lives.
        match HeldLock::try_probe(folder.path(), domain)? {
            Probe::Free(lock) if number % 10 == 0 => held.push(lock),
            Probe::Free(_) | Probe::Held(_) => {}
        }
    }
    let objects = domains.iter().take(STACKS as usize).flat_map(|domain| {
        let stack = domain.stack().to_string();
        [Kind::Service, Kind::Network, Kind::Volume, Kind::Secret].map(|kind| Object {
            kind,
            id: format!("{stack}-{}", kind.word()),
            name: format!("{stack}_{}", kind.word()),
            stack: Some(stack.clone()),
            run: None,
            fingerprint: String::new(),
        })
    });
    let inventory = Inventory::new(objects.collect());
    let begin = Instant::now();
    let lock_files = std::fs::read_dir(folder.path())?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<std::io::Result<Vec<String>>>()?;
    let traces = Traces { inventory, lock_files, ..Traces::default() };
    let (found, _) = candidates(&traces, &zone);
    let mut decisions = Vec::new();
    for candidate in &found {
        let (facts, _lock) = match HeldLock::try_probe(folder.path(), &candidate.domain)? {
            Probe::Free(lock) => (LockFacts::Free, Some(lock)),
            Probe::Held(holder) => {
                (LockFacts::Held { holder: holder.map(|holder| holder.to_string()), held_for: None }, None)
            }
        };
        decisions.extend(decide(candidate, &facts));
    }
    let took = begin.elapsed();
    anyhow::ensure!(decisions.len() == LOCKS as usize, "{} decisions about {LOCKS} locks", decisions.len());
    let verdict = if took <= LIMIT { "in time" } else { "TOO SLOW" };
    crate::out::line(format!(
        "{LOCKS} lock files ({} held), {STACKS} stacks: decided in {:.0} ms, limit {} ms: {verdict}",
        held.len(),
        took.as_secs_f64() * 1000.0,
        LIMIT.as_millis()
    ));
    Ok(if took <= LIMIT { ExitStatus::Good } else { ExitStatus::Red }.into())
}

fn domain(number: u32, zone: &Zone) -> anyhow::Result<RunDomain> {
    let commit = CommitSha::parse(&format!("{number:040x}"))?;
    Ok(RunDomain::of(&Recipe::parse("bench")?, PrNumber(number), &commit, zone))
}
