//! A run that is killed anywhere leaves nothing that one sweep does not remove, and never a wrong verdict.
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::time::{Duration, Instant};

use cc_ci_model::outcome::VerdictWord;
use cc_ci_model::result::{RunState, WitnessState};
use cc_ci_testkit::onlooker::Onlooker;
use cc_ci_testkit::run_host::RunHost;
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

#[test]
fn a_run_killed_anywhere_is_gone_after_one_sweep() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    let arguments = host.prepare(&canaries::sound(&engine));
    let witness = Witness::new(&engine);
    let looked = witness.looks();
    assert!(looked.contains("service ") && looked.contains("container ") && looked.contains("volume "));
    let begin = Instant::now();
    assert_eq!(host.run(&arguments).code, 0);
    let whole = begin.elapsed();
    let kills = std::env::var("CCCI_TEST_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    let mut interrupted = 0;
    for kill in 1..=kills {
        let moment = whole * kill / (kills + 1);
        let mut run = host.start(&arguments);
        let begin = Instant::now();
        let waited = patience::until(
            "the moment of the kill",
            Duration::from_secs(150),
            Duration::from_millis(2),
            || (begin.elapsed() >= moment).then_some(()).ok_or_else(String::new),
        );
        waited.unwrap();
        let folder = run.wait_until("its first result", |folder, _| Some(folder.to_owned()));
        run.signal(Signal::SIGKILL);
        let ended = run.wait();
        let sweep = janitor(&host, &engine);
        let told = format!("killed after {moment:?}: {ended}\n{}\n{}", sweep.stdout, sweep.stderr);
        assert_eq!(sweep.status.code(), Some(0), "{told}");
        let text = std::fs::read_to_string(folder.join("result.json")).unwrap();
        let result = cc_ci_model::result::RunResult::read(&text).unwrap();
        match result.run.state {
            // The verdict was committed before the kill, and stands.
            RunState::Finished => assert_eq!(result.verdict, Some(VerdictWord::Pass), "{told}"),
            RunState::Interrupted => {
                interrupted += 1;
                assert_eq!(result.verdict, None, "{told}");
                assert!(result.trouble.as_ref().is_some_and(|trouble| trouble.retry), "{told}");
            }
            RunState::Running => panic!("nobody settled it: {told}"),
        }
        leaves_nothing(&engine, &host);
        assert_eq!(witness.looks(), looked, "{told}");
    }
    assert!(interrupted >= kills / 2, "only {interrupted} of {kills} kills came before the verdict");
    // What was killed stands in nobody's way.
    let after = host.run(&arguments);
    assert_eq!(after.code, 0, "{after}");
    assert_eq!(after.result().teardown.unwrap().witness, WitnessState::Unchanged);
}
