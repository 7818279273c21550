//! A run that is killed anywhere leaves nothing that one sweep does not remove, and never a wrong verdict.
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use cc_ci_model::outcome::VerdictWord;
use cc_ci_model::result::{RunResult, RunState, WitnessState};
use cc_ci_testkit::onlooker::Onlooker;
use cc_ci_testkit::progress::say;
use cc_ci_testkit::run_host::{Ended, RUN_LIMIT, RunHost};
use cc_ci_testkit::testbed::TestEngine;
use cc_ci_testkit::{canaries, engine_or_skip, patience, witness};
use nix::sys::signal::Signal;

mod support;
use support::{CC_CI, janitor, leaves_nothing};

/// How many moments of a run are tried; `CCCI_TEST_KILLS` asks for more.
const KILLS: u32 = 8;

/// The witness of the engine, for as long as this is held.
struct Witness<'a>(&'a TestEngine);

impl<'a> Witness<'a> {
    fn new(engine: &'a TestEngine) -> Self {
        witness::deploy(engine, &engine.image("probe:1.0").reference).unwrap();
        Self(engine)
    }

    /// Identity and version of all its objects, and its container: a sweep that touched it would show.
    fn looks(&self) -> String {
        Onlooker::of(self.0).portrait_of_stack(witness::STACK)
    }
}

impl Drop for Witness<'_> {
    fn drop(&mut self) {
        let _ = witness::remove(self.0);
    }
}

/// How many moments are tried beside each other, each on a host of its own: a run mostly waits.
const LANES: u32 = 4;

/// A host whose runs are killed, and what it was measured with.
struct Lane<'a> {
    engine: &'a TestEngine,
    host: RunHost,
    arguments: Vec<String>,
    witness: &'a Witness<'a>,
    looked: &'a str,
}

impl<'a> Lane<'a> {
    fn new(engine: &'a TestEngine, witness: &'a Witness<'a>, looked: &'a str) -> Self {
        let host = RunHost::new(CC_CI, engine);
        // Many kills hit the fresh stack of a restore elsewhere, too; for few, a test of its own does.
        let (sound, is_long) = (canaries::sound(engine), std::env::var("CCCI_TEST_KILLS").is_ok());
        let canary = if is_long { canaries::with_elsewhere(sound) } else { sound };
        let arguments = host.prepare(&canary);
        Self { engine, host, arguments, witness, looked }
    }

    /// Kills a run at this moment, sweeps once, and looks; whether the kill came before the verdict.
    fn kill_at(&self, moment: &Moment) -> bool {
        let mut run = self.host.start(&self.arguments);
        if let Some(words) = &moment.after {
            run.wait_for_event(words);
        }
        let begin = Instant::now();
        let waited = patience::until("the moment of the kill", RUN_LIMIT, Duration::from_millis(2), || {
            (begin.elapsed() >= moment.later).then_some(()).ok_or_else(String::new)
        });
        waited.unwrap();
        let folder = run.wait_until("its first result", |folder, _| Some(folder.to_owned()));
        run.signal(Signal::SIGKILL);
        let ended = run.wait();
        let last_event = last_event(&folder);
        let sweep = janitor(&self.host, self.engine);
        let told = format!("killed at {moment:?}, {last_event}: {ended}\n{}\n{}", sweep.stdout, sweep.stderr);
        assert_eq!(sweep.status.code(), Some(0), "{told}");
        let text = std::fs::read_to_string(folder.join("result.json")).unwrap();
        let result = RunResult::read(&text).unwrap();
        let is_interrupted = match result.run.state {
            // The verdict was committed before the kill, and stands.
            RunState::Finished => {
                assert_eq!(result.verdict, Some(VerdictWord::Pass), "{told}");
                false
            }
            RunState::Interrupted => {
                assert_eq!(result.verdict, None, "{told}");
                assert!(result.trouble.as_ref().is_some_and(|trouble| trouble.retry), "{told}");
                true
            }
            RunState::Running => panic!("nobody settled it: {told}"),
        };
        leaves_nothing(self.engine, &self.host);
        assert_eq!(self.witness.looks(), self.looked, "{told}");
        let (after, later) = (moment.after.as_deref().unwrap_or("its start"), moment.later.as_secs_f32());
        say(format!("killed {later:.1} s after {after}: {:?}; {last_event}", result.run.state));
        is_interrupted
    }
}

/// A moment of a run: so long after it has entered a phase, by the event that it writes then. The speed of a machine changes
/// from run to run, and the moments stay spread over all phases.
#[derive(Debug)]
struct Moment {
    after: Option<String>,
    later: Duration,
}

/// The phases of a run that was not killed: when each began, and the words of its event.
fn phases(green: &Ended) -> Vec<(Duration, Option<String>)> {
    let started: jiff::Timestamp = green.result().run.started.parse().unwrap();
    let events = green.file("events.jsonl");
    let begun = events.lines().filter(|line| line.contains("\"tier_started\"")).map(|line| {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        let at: jiff::Timestamp = event["at"].as_str().unwrap().parse().unwrap();
        let words = format!("\"tier_started\",\"tier\":{}", event["tier"]);
        (Duration::try_from(at.duration_since(started)).unwrap_or_default(), Some(words))
    });
    let phases: Vec<_> = std::iter::once((Duration::ZERO, None)).chain(begun).collect();
    assert!(phases.len() > 6, "{phases:?}");
    phases
}

/// What a moment of the run that was not killed is in any run.
fn moment(phases: &[(Duration, Option<String>)], at: Duration) -> Moment {
    let (begun, after) = phases.iter().rfind(|(begun, _)| *begun <= at).unwrap();
    Moment { after: after.clone(), later: at - *begun }
}

/// What a run was about when it was killed.
fn last_event(folder: &Path) -> String {
    let events = std::fs::read_to_string(folder.join("events.jsonl")).unwrap_or_default();
    events.lines().last().unwrap_or("no event").to_owned()
}

#[test]
fn a_run_killed_anywhere_is_gone_after_one_sweep() {
    let engine = engine_or_skip!();
    let witness = Witness::new(&engine);
    let looked = witness.looks();
    assert!(looked.contains("service ") && looked.contains("container ") && looked.contains("volume "));
    let kills = std::env::var("CCCI_TEST_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    let interrupted = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for first in 1..=LANES {
            let (engine, witness, looked, interrupted) = (&engine, &witness, &looked, &interrupted);
            scope.spawn(move || {
                let lane = Lane::new(engine, witness, looked);
                let begin = Instant::now();
                let green = lane.host.run(&lane.arguments);
                assert_eq!(green.code, 0, "{green}");
                assert_eq!(green.result().teardown.unwrap().witness, WitnessState::Unchanged);
                let (whole, phases) = (begin.elapsed(), phases(&green));
                for kill in (first..=kills).step_by(LANES as usize) {
                    let is_interrupted = lane.kill_at(&moment(&phases, whole * kill / (kills + 1)));
                    interrupted.fetch_add(u32::from(is_interrupted), Ordering::AcqRel);
                }
                if first == 1 {
                    // What was killed stands in nobody's way.
                    let tiers = ["--tiers", "install,upgrade"].map(str::to_owned);
                    let after = lane.host.run(&[&lane.arguments[..], &tiers].concat());
                    assert_eq!(after.code, 0, "{after}");
                    assert_eq!(after.result().teardown.unwrap().witness, WitnessState::Unchanged);
                }
            });
        }
    });
    let interrupted = interrupted.into_inner();
    say(format!("{interrupted} of {kills} kills came before the verdict"));
    assert!(interrupted >= kills / 2, "only {interrupted} of {kills} kills came before the verdict");
}
