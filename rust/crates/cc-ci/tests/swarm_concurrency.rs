//! Runs beside each other, runs that are told to end, and runs that are not let in: real processes, real locks.
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::path::Path;

use cc_ci_model::outcome::VerdictWord;
use cc_ci_model::result::RunState;
use cc_ci_testkit::canaries;
use cc_ci_testkit::engine_or_skip;
use cc_ci_testkit::patience;
use cc_ci_testkit::run_host::{RUN_LIMIT, RunHost};
use cc_ci_testkit::testbed::TestEngine;
use nix::sys::signal::Signal;

mod support;
use support::{CC_CI, janitor, leaves_nothing};

fn sound(host: &RunHost, engine: &TestEngine) -> Vec<String> {
    host.prepare(&canaries::sound(engine))
}

/// The same with these tiers alone, where the others would only take time.
fn sound_with(host: &RunHost, engine: &TestEngine, tiers: &str) -> Vec<String> {
    let mut arguments = sound(host, engine);
    arguments.extend(["--tiers", tiers].map(str::to_owned));
    arguments
}

#[test]
fn second_run_of_same_domain_waits_and_keeps_its_own_deploy_count() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    let arguments = sound_with(&host, &engine, "install");
    let mut first = host.start(&arguments);
    first.wait_for_event("\"tier_started\",\"tier\":\"install\"");
    let second = host.start(&arguments);
    let (first, second) = (first.wait(), second.wait());
    for ended in [&first, &second] {
        assert_eq!(ended.code, 0, "{ended}");
        let result = ended.result();
        assert_eq!((result.deploys.counted, result.deploys.expected), (1, 1), "{ended}");
        assert_eq!(ended.file("state/deploys.jsonl").lines().count(), 1);
    }
    assert_eq!(first.result().run.domain, second.result().run.domain);
    assert_ne!(first.folder, second.folder);
    let waiting = format!("in flight — waiting (run {}", first.result().run.id);
    assert!(second.file("log.txt").contains(&waiting), "{second}");
    assert!(second.file("log.txt").contains(": acquired"), "{second}");
    leaves_nothing(&engine, &host);
}

#[test]
fn second_term_during_teardown_neither_restarts_nor_aborts_it() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    let mut run = host.start(&sound(&host, &engine));
    run.wait_for_event("\"tier_ended\",\"tier\":\"install\"");
    run.signal(Signal::SIGTERM);
    run.wait_for_event("\"tier_started\",\"tier\":\"teardown\"");
    run.signal(Signal::SIGTERM);
    let ended = run.wait();
    assert_eq!(ended.code, 143, "{ended}");
    assert!(ended.stdout.contains("noted; the removal goes on"), "{ended}");
    let events = ended.file("events.jsonl");
    assert_eq!(events.matches("\"tier_started\",\"tier\":\"teardown\"").count(), 1, "{events}");
    leaves_nothing(&engine, &host);
}

#[test]
fn waiting_for_another_run_uses_up_none_of_the_own_time() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    let arguments = sound_with(&host, &engine, "install");
    let mut first = host.start(&arguments);
    first.wait_for_event("\"tier_started\",\"tier\":\"install\"");
    // The lock stays where it is, held, while its holder stands still.
    first.signal(Signal::SIGSTOP);
    host.write_settings("[limits]\nrun = \"10s\"\nlock_wait = \"12s\"\n");
    let second = host.run(&arguments);
    first.signal(Signal::SIGCONT);
    // The wait's own bound is longer than the whole run's, and it is the one that ends it.
    assert_eq!(second.code, 2, "{second}");
    let trouble = second.result().trouble.unwrap();
    assert_eq!(trouble.place, "lock", "{second}");
    assert!(trouble.what.contains("not so after 12s"), "{second}");
    assert_eq!(first.wait().code, 0);
    leaves_nothing(&engine, &host);
}

#[test]
fn run_bound_to_its_parent_ends_when_the_parent_dies() {
    let engine = engine_or_skip!();
    // The shell waits in the foreground, as Drone's step does, and is killed so that it cannot pass anything on.
    let host = RunHost::new(CC_CI, &engine).started_by(&["sh", "-c", "\"$@\"; exit $?", "step"]);
    let mut arguments = sound(&host, &engine);
    arguments.push("--bound-to-parent".to_owned());
    let shell = host.start(&arguments);
    let folder = patience::until("the install of the run", RUN_LIMIT, STEP, || {
        let folder = host.run_folders().pop().ok_or_else(|| "no folder".to_owned())?;
        let events = std::fs::read_to_string(folder.join("events.jsonl")).unwrap_or_default();
        events.contains("\"tier_ended\",\"tier\":\"install\"").then_some(folder).ok_or_else(|| shell.said())
    });
    let folder = folder.unwrap();
    shell.signal(Signal::SIGKILL);
    assert_eq!(shell.wait().code, 137);
    let result = patience::until("the end of the orphaned run", RUN_LIMIT, STEP, || {
        let text = std::fs::read_to_string(folder.join("result.json")).unwrap_or_default();
        let result = cc_ci_model::result::RunResult::read(&text).map_err(|error| error.to_string())?;
        (result.run.state == RunState::Finished).then_some(result).ok_or_else(|| "it runs".to_owned())
    });
    assert_eq!(result.unwrap().verdict, Some(VerdictWord::Cancelled));
    is_dead(&folder);
    leaves_nothing(&engine, &host);
}

#[test]
fn cancel_ends_a_run_through_its_teardown_and_waits_for_it() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    let mut run = host.start(&sound(&host, &engine));
    run.wait_for_event("\"tier_started\",\"tier\":\"install\"");
    let id = run.wait_until("its id", |_, result| Some(result.run.id.to_string()));
    let cancel = host.run(&["cancel", &id]);
    assert_eq!(cancel.code, 0, "{cancel}");
    assert!(cancel.stdout.contains(&format!("run {id} has ended: cancelled")), "{cancel}");
    let ended = run.wait();
    assert_eq!(ended.code, 143, "{ended}");
    leaves_nothing(&engine, &host);
    let again = host.run(&["cancel", &id]);
    assert_eq!(again.code, 0, "{again}");
    assert!(again.stdout.contains("is not under way: cancelled"), "{again}");
    assert_eq!(host.run(&["cancel", "20260102T030405-1a2b3c"]).code, 64);
}

#[test]
fn a_draining_host_ends_its_runs_in_peace_and_starts_none() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    let arguments = sound_with(&host, &engine, "install");
    let mut run = host.start(&arguments);
    run.wait_for_event("\"tier_started\",\"tier\":\"install\"");
    let drain = host.start(&["drain", "--wait"]);
    patience::until("the drain", RUN_LIMIT, STEP, || {
        host.path("state/drain").exists().then_some(()).ok_or_else(|| drain.said())
    })
    .unwrap();
    let refused = host.run(&arguments);
    assert_eq!(refused.code, 2, "{refused}");
    let trouble = refused.result().trouble.unwrap();
    assert!(trouble.retry && trouble.what.contains("cc-ci drain --off"), "{trouble:?}");
    let drain = drain.wait();
    assert_eq!(drain.code, 0, "{drain}");
    assert!(drain.stdout.contains("no run is under way any more"), "{drain}");
    assert_eq!(run.wait().code, 0, "a run that was there is not disturbed");
    assert_eq!(host.run(&["drain", "--off"]).code, 0);
    leaves_nothing(&engine, &host);
}

#[test]
fn a_host_without_room_is_waited_for_visibly_and_then_trouble() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    host.write_settings("[limits]\nmemory_floor = \"999TiB\"\nadmission_wait = \"2s\"\n");
    let ended = host.run(&sound(&host, &engine));
    assert_eq!(ended.code, 2, "{ended}");
    assert!(ended.file("log.txt").contains("no room yet — waiting (memory: "), "{ended}");
    let trouble = ended.result().trouble.unwrap();
    assert_eq!((trouble.place.as_str(), trouble.retry), ("admission", true));
    assert_eq!(ended.result().deploys.counted, 0, "{ended}");
    leaves_nothing(&engine, &host);
}

#[test]
fn a_run_in_a_zone_of_another_host_is_trouble_and_touches_nothing() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    let node = engine.docker().args(["info", "--format", "{{.Swarm.NodeID}}"]).run().unwrap();
    let label = format!("cc-ci.zone.{}=0123456789abcdef", host.zone);
    engine.docker().args(["node", "update", "--label-add", &label, node.trim()]).run().unwrap();
    let ended = host.run(&sound(&host, &engine));
    assert_eq!(ended.code, 2, "{ended}");
    assert!(ended.result().trouble.unwrap().what.contains("0123456789abcdef"), "{ended}");
    assert_eq!(std::fs::read_dir(host.path("locks")).unwrap().count(), 0);
}

#[test]
fn a_sweep_beside_a_run_leaves_it_alone_and_its_verdict_green() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    let mut run = host.start(&sound_with(&host, &engine, "install,upgrade"));
    for words in [
        "\"tier_started\",\"tier\":\"install\"",
        "\"tier_ended\",\"tier\":\"install\"",
        "\"tier_started\",\"tier\":\"teardown\"",
    ] {
        run.wait_for_event(words);
        let sweep = janitor(&host, &engine);
        assert_eq!(sweep.status.code(), Some(0), "{}{}", sweep.stdout, sweep.stderr);
        assert!(!sweep.stdout.contains("reap"), "{}", sweep.stdout);
    }
    let ended = run.wait();
    assert_eq!(ended.code, 0, "{ended}");
    leaves_nothing(&engine, &host);
}

const STEP: std::time::Duration = std::time::Duration::from_millis(50);

fn is_dead(folder: &Path) {
    // The result is written a moment before the process is gone.
    patience::until("the end of the process", RUN_LIMIT, STEP, || {
        match cc_ci_process::alive::liveness(folder) {
            cc_ci_model::sweep::Liveness::Dead => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .unwrap();
}

#[test]
fn a_run_sweeps_its_own_domain_first_with_the_second_stacks_of_its_dead_predecessor() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    let arguments = sound_with(&host, &engine, "install");
    let mut run = host.start(&arguments);
    run.wait_for_event("\"tier_ended\",\"tier\":\"install\"");
    run.signal(Signal::SIGKILL);
    let dead = run.wait();
    // A further stack in the record of the dead run, as a dependency would be.
    let stack = dead.result().run.stack.unwrap();
    let (label, rest) = stack.split_once('_').unwrap();
    let second = format!("zz-00{}_{rest}", &label[label.len() - 4..]);
    engine.docker().args(["volume", "create", &format!("{second}_data")]).run().unwrap();
    let record = host.path(&format!("state/stacks/{stack}.json"));
    let text = std::fs::read_to_string(&record).unwrap();
    let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
    value["extra_stacks"] = serde_json::json!([second]);
    std::fs::write(&record, value.to_string()).unwrap();
    let ended = host.run(&arguments);
    assert_eq!(ended.code, 0, "{ended}");
    assert!(ended.file("log.txt").contains("removed what an earlier run left: 1 service"), "{ended}");
    leaves_nothing(&engine, &host);
    assert_eq!(janitor(&host, &engine).status.code(), Some(0));
}
