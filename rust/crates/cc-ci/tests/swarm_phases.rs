//! Runs that are told to end, or whose time is over, in each phase: all of them go through the one teardown.
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::time::{Duration, Instant};

use cc_ci_model::outcome::VerdictWord;
use cc_ci_model::result::RunState;
use cc_ci_testkit::canaries::{self, Canary};
use cc_ci_testkit::engine_or_skip;
use cc_ci_testkit::patience;
use cc_ci_testkit::run_host::{LiveRun, RUN_LIMIT, RunHost};
use cc_ci_testkit::testbed::TestEngine;
use nix::sys::signal::Signal;

mod support;
use support::{CC_CI, leaves_nothing};

/// The phases of a run. The first is entered with the first result, each other with its own event.
const PHASES: [&str; 7] = ["checkout", "install", "upgrade", "backup", "restore", "custom", "teardown"];

/// A check that waits for a port which never comes, so that the custom tier lasts.
const PATIENT: &str = "
[[check]]
tier = \"custom\"
name = \"a port that never comes\"
within = \"10m\"
tcp = { port = 9 }
";

/// A deadline that nobody meets before its phase is tried again with a longer one, so often.
const TRIES: u32 = 4;

fn canary(engine: &TestEngine, phase: &str) -> Canary {
    let mut canary = canaries::sound(engine);
    if phase == "custom" {
        canary.recipe_toml.push_str(PATIENT);
    }
    canary
}

fn event(phase: &str) -> String {
    format!("\"tier_started\",\"tier\":\"{phase}\"")
}

/// Waits until a run is in a phase.
fn wait_for_phase(run: &mut LiveRun, phase: &str) {
    if phase == PHASES[0] {
        run.wait_until("its first result", |_, _| Some(()));
    } else {
        run.wait_for_event(&event(phase));
    }
}

/// How a run has to end that was told to in a phase: with its removal it is over, and its verdict stands.
fn expected(phase: &str, code: i32, verdict: VerdictWord) -> (i32, Option<VerdictWord>) {
    if phase == "teardown" { (0, Some(VerdictWord::Pass)) } else { (code, Some(verdict)) }
}

/// TERM in a phase; how long the run took until there.
fn term(engine: &TestEngine, host: &RunHost, arguments: &[String], phase: &str) -> Duration {
    let begin = Instant::now();
    let mut run = host.start(arguments);
    wait_for_phase(&mut run, phase);
    let until = begin.elapsed();
    run.signal(Signal::SIGTERM);
    let ended = run.wait();
    let result = ended.result();
    assert_eq!(
        (ended.code, result.verdict),
        expected(phase, 143, VerdictWord::Cancelled),
        "{phase}: {ended}"
    );
    assert_eq!(result.run.state, RunState::Finished, "{phase}");
    let events = ended.file("events.jsonl");
    assert!(events.matches(&event("teardown")).count() <= 1, "{phase}: {events}");
    leaves_nothing(engine, host);
    until
}

/// A run whose deadline passes while it is in a phase: it stands still from the phase's beginning until then. Whether the
/// phase was reached in time.
fn deadline(engine: &TestEngine, host: &RunHost, arguments: &[String], phase: &str, limit: Duration) -> bool {
    host.write_settings(&format!("[limits]\nrun = \"{}s\"\n", limit.as_secs()));
    let begin = Instant::now();
    let run = host.start(arguments);
    let is_there = patience::until(phase, RUN_LIMIT, Duration::from_millis(10), || {
        let Some(folder) = run.folder() else { return Err("no result".to_owned()) };
        let events = std::fs::read_to_string(folder.join("events.jsonl")).unwrap_or_default();
        // Each phase but the last ends in a removal: one that comes first means that the time was too short.
        let is_past = phase != "teardown" && events.contains(&event("teardown"));
        if is_past || events.contains("\"finished\"") {
            return Ok(false);
        }
        let is_in = phase == PHASES[0] || events.contains(&event(phase));
        if is_in { Ok(true) } else { Err(events) }
    });
    let is_there = is_there.unwrap();
    if is_there {
        run.signal(Signal::SIGSTOP);
        let passed = || (begin.elapsed() > limit).then_some(()).ok_or_else(String::new);
        patience::until("the deadline", RUN_LIMIT, Duration::from_millis(50), passed).unwrap();
        run.signal(Signal::SIGCONT);
    }
    let ended = run.wait();
    if is_there {
        let expected = expected(phase, 142, VerdictWord::Trouble);
        assert_eq!((ended.code, ended.result().verdict), expected, "{phase}, {limit:?}: {ended}");
    }
    leaves_nothing(engine, host);
    is_there
}

#[test]
fn term_and_deadline_in_every_phase_end_through_the_one_teardown() {
    let engine = engine_or_skip!();
    // Beside each other, each phase on a host of its own: a run mostly waits.
    std::thread::scope(|scope| {
        for phase in PHASES {
            let engine = &engine;
            scope.spawn(move || {
                let host = RunHost::new(CC_CI, engine);
                let arguments = host.prepare(&canary(engine, phase));
                let until = term(engine, &host, &arguments, phase);
                let limits =
                    (0..TRIES).map(|tried| (until * 5 / 4 + Duration::from_secs(2)) * 2u32.pow(tried));
                let mut limits = limits.map(|limit| Duration::from_secs(limit.as_secs()));
                let is_met = limits.any(|limit| deadline(engine, &host, &arguments, phase, limit));
                assert!(is_met, "{phase} was never reached before the deadline");
            });
        }
    });
}
