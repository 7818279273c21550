//! Reaping on a real swarm stops where somebody is found to live after all; and one zone has one owner.
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::collections::BTreeSet;
use std::time::Duration;

use cc_ci_model::names::Zone;
use cc_ci_process::cancel::Cancellation;
use cc_ci_swarm::docker::Docker;
use cc_ci_swarm::inventory::survey;
use cc_ci_swarm::lock::{HeldLock, Probe};
use cc_ci_swarm::reap::{Ground, reap};
use cc_ci_swarm::zone::{self, ZoneError};
use cc_ci_testkit::engine_or_skip;

mod support;
use support::{domain, zone as test_zone};

const BOUND: Duration = Duration::from_secs(60);

#[tokio::test]
async fn object_born_after_the_sweep_mark_stops_the_reaping() {
    let engine = engine_or_skip!();
    let docker = Docker::connect(Some(&engine.docker_host)).await.unwrap();
    let (state, zone, domain) = (tempfile::tempdir().unwrap(), test_zone(), domain("newborn"));
    let stack = domain.stack();
    let old = format!("{stack}_old");
    let young = format!("{stack}_young");
    let secret = |name: &str| engine.docker().args(["secret", "create", name, "-"]).input("x").run().unwrap();
    secret(&old);
    let mark = survey(&docker).await.unwrap();
    secret(&young);
    let probe = || match HeldLock::try_probe(state.path(), &domain).unwrap() {
        Probe::Free(lock) => lock,
        Probe::Held(holder) => panic!("held by {holder:?}"),
    };
    let ground = Ground { docker: &docker, zone: &zone, state: state.path(), runs: state.path() };
    let (stacks, runs, never) = (BTreeSet::from([stack.clone()]), BTreeSet::new(), Cancellation::new());
    let error = reap(&ground, &stacks, &runs, probe(), &mark, BOUND, &never).await.unwrap_err();
    assert!(error.is_newborn() && error.to_string().contains(&young), "{error}");
    assert_eq!(error.left().len(), 2, "nothing was deleted: {error}");
    // The next sweep sees it from the start.
    let mark = survey(&docker).await.unwrap();
    let reaped = reap(&ground, &stacks, &runs, probe(), &mark, BOUND, &never).await.unwrap();
    assert_eq!(reaped.words(), "2 secret");
    assert!(survey(&docker).await.unwrap().of_stack(&stack).is_empty());
}

#[tokio::test]
async fn a_zone_belongs_to_whoever_used_it_first_on_this_swarm() {
    let engine = engine_or_skip!();
    let docker = Docker::connect(Some(&engine.docker_host)).await.unwrap();
    let zone = Zone::parse(&format!("z{}.test", std::process::id())).unwrap();
    let states: Vec<_> = (0..4).map(|_| tempfile::tempdir().unwrap()).collect();
    let claims = states.iter().map(|state| zone::claim(&docker, &zone, state.path()));
    let claims = futures_util::future::join_all(claims).await;
    let owners: Vec<usize> = (0..4).filter(|place| claims[*place].is_ok()).collect();
    let [owner] = owners[..] else { panic!("one owner of four who came at once: {claims:?}") };
    let own = claims[owner].as_ref().unwrap();
    let loser = (0..4).find(|place| *place != owner).unwrap();
    let Err(ZoneError::Foreign { owner: found, own: theirs, .. }) = &claims[loser] else {
        panic!("{claims:?}")
    };
    assert_eq!(found, own.as_str());
    assert_ne!(theirs, own.as_str());
    assert!(
        zone::release(&docker, &zone, states[loser].path()).await.is_err(),
        "only its owner gives it back"
    );
    zone::release(&docker, &zone, states[owner].path()).await.unwrap();
    zone::claim(&docker, &zone, states[loser].path()).await.unwrap();
    zone::release(&docker, &zone, states[loser].path()).await.unwrap();
}
