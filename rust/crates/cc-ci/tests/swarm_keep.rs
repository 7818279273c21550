//! `--keep`: the stack of a red run stays, under its lock, until somebody lets it go.
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use cc_ci_model::names::{RunDomain, Zone};
use cc_ci_model::outcome::VerdictWord;
use cc_ci_model::result::RunState;
use cc_ci_swarm::lock::{HeldLock, Probe};
use cc_ci_testkit::onlooker::Onlooker;
use cc_ci_testkit::run_host::{LiveRun, RunHost};
use cc_ci_testkit::testbed::TestEngine;
use cc_ci_testkit::{canaries, engine_or_skip};
use nix::sys::signal::Signal;

mod support;
use support::{CC_CI, janitor, leaves_nothing};

/// The arguments of a run that is red at install, soon.
fn red(host: &RunHost, engine: &TestEngine) -> Vec<String> {
    let all = canaries::all(engine);
    let canary = all.iter().find(|one| one.name == "canary-not-serving").unwrap();
    let mut arguments = host.prepare(canary);
    arguments.push("--keep".to_owned());
    arguments
}

/// Waits until the run is over and keeps its stack; returns its id and its stack.
fn wait_until_kept(run: &mut LiveRun) -> (String, String) {
    run.wait_until("a kept stack", |folder, result| {
        let stack = result.run.stack.clone()?;
        folder.join("state/kept").exists().then(|| (result.run.id.to_string(), stack))
    })
}

#[test]
fn a_red_stack_is_kept_under_its_lock_until_it_is_released() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    let arguments = red(&host, &engine);
    let mut run = host.start(&arguments);
    let (id, stack) = wait_until_kept(&mut run);
    let counts = || Onlooker::of(&engine).counts_of_stack(&stack);
    assert_eq!(counts().get("service"), Some(&1), "{:?}", counts());
    let zone = Zone::parse(&host.zone).unwrap();
    let domain = run.wait_until("its domain", |_, result| result.run.domain.clone());
    let domain = RunDomain::parse_in(&domain, &zone).unwrap();
    let holder = match HeldLock::try_probe(&host.path("locks"), &domain).unwrap() {
        Probe::Held(holder) => holder.unwrap(),
        Probe::Free(_) => panic!("the lock of a kept stack is free: {}", run.said()),
    };
    let hint = format!("`cc-ci release {id}`");
    assert!(holder.run.contains(&hint), "{holder}");
    // Neither the janitor nor the next run of this commit takes it away.
    let sweep = janitor(&host, &engine);
    assert_eq!(sweep.status.code(), Some(0), "{}{}", sweep.stdout, sweep.stderr);
    assert!(!sweep.stdout.contains("reap"), "{}", sweep.stdout);
    host.write_settings("[limits]\nlock_wait = \"1s\"\n");
    let next = host.run(&arguments);
    assert_eq!(next.code, 2, "{next}");
    assert!(next.file("log.txt").contains("in flight — waiting") && next.stdout.contains(&hint), "{next}");
    assert_eq!(counts().get("service"), Some(&1), "{:?}", counts());

    let released = host.run(&["release", &id]);
    assert_eq!(released.code, 0, "{released}");
    assert!(released.stdout.contains(&format!("run {id} has ended: fail")), "{released}");
    let ended = run.wait();
    assert_eq!(ended.code, 1, "{ended}");
    assert_eq!(ended.result().verdict, Some(VerdictWord::Fail), "{ended}");
    assert!(ended.stdout.contains("the kept stack goes: it was released"), "{ended}");
    leaves_nothing(&engine, &host);
    let again = host.run(&["release", &id]);
    assert!(again.code == 0 && again.stdout.contains("is not under way: fail"), "{again}");
}

#[test]
fn a_kept_stack_goes_when_its_time_is_over_and_when_the_host_drains() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    host.write_settings("[limits]\nkeep = \"1s\"\n");
    let arguments = red(&host, &engine);
    let ended = host.run(&arguments);
    assert_eq!(ended.code, 1, "{ended}");
    assert!(ended.stdout.contains("the kept stack goes: waiting for the release"), "{ended}");
    leaves_nothing(&engine, &host);

    // The run's own deadline ends its work, and has no say in how long a person looks.
    host.write_settings("[limits]\nkeep = \"1h\"\n");
    let mut run = host.start(&arguments);
    wait_until_kept(&mut run);
    let drain = host.run(&["drain", "--wait"]);
    assert_eq!(drain.code, 0, "{drain}");
    let ended = run.wait();
    assert_eq!((ended.code, ended.result().verdict), (1, Some(VerdictWord::Fail)), "{ended}");
    leaves_nothing(&engine, &host);
}

#[test]
fn a_green_run_keeps_nothing_and_a_cancelled_keeper_stays_red() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    let mut arguments = host.prepare(&canaries::sound(&engine));
    arguments.extend(["--tiers", "install", "--keep"].map(str::to_owned));
    let ended = host.run(&arguments);
    assert_eq!(ended.code, 0, "{ended}");
    assert!(!ended.stdout.contains("kept"), "{ended}");
    leaves_nothing(&engine, &host);

    let mut run = host.start(&red(&host, &engine));
    wait_until_kept(&mut run);
    run.signal(Signal::SIGINT);
    let ended = run.wait();
    assert_eq!((ended.code, ended.result().verdict), (1, Some(VerdictWord::Fail)), "{ended}");
    leaves_nothing(&engine, &host);
}

#[test]
fn a_killed_keeper_is_reaped_like_any_dead_run() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    let mut run = host.start(&red(&host, &engine));
    let (_, stack) = wait_until_kept(&mut run);
    run.signal(Signal::SIGKILL);
    let killed = run.wait();
    assert!(Onlooker::of(&engine).counts_of_stack(&stack).contains_key("service"), "it went by itself");
    let sweep = janitor(&host, &engine);
    assert_eq!(sweep.status.code(), Some(0), "{}{}", sweep.stdout, sweep.stderr);
    let result = killed.result();
    assert_eq!((result.run.state, result.verdict), (RunState::Interrupted, None), "{killed}");
    leaves_nothing(&engine, &host);
}
