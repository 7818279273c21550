//! A run that is killed anywhere leaves nothing that one sweep does not remove, and never a wrong verdict.
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::time::{Duration, Instant};

use cc_ci_model::outcome::VerdictWord;
use cc_ci_model::result::RunState;
use cc_ci_testkit::run_host::RunHost;
use cc_ci_testkit::testbed::TestEngine;
use cc_ci_testkit::{canaries, engine_or_skip, patience};
use nix::sys::signal::Signal;

mod support;
use support::{CC_CI, janitor, leaves_nothing};

/// How many moments of a run are tried; `CCCI_TEST_KILLS` asks for more.
const KILLS: u32 = 8;

/// Somebody else's service, which no sweep may touch.
struct Bystander<'a> {
    engine: &'a TestEngine,
    name: String,
}

impl<'a> Bystander<'a> {
    fn new(engine: &'a TestEngine) -> Self {
        let name = format!("bystander-{:08x}", rand::random::<u32>());
        let words = ["service", "create", "--quiet", "--no-resolve-image", "--name", &name];
        engine.docker().args(words).arg(&engine.image("probe:1.0").reference).run().unwrap();
        Self { engine, name }
    }

    /// Its spec, and the container that runs: a sweep that restarted it would show.
    fn looks(&self) -> String {
        let spec = ["service", "inspect", "--format", "{{.ID}} {{.Version.Index}}", &self.name];
        let filter = format!("name={}", self.name);
        let container = ["ps", "--quiet", "--no-trunc", "--filter", &filter];
        let ask = |words: &[&str]| self.engine.docker().args(words).run().unwrap();
        ask(&spec) + &ask(&container)
    }
}

impl Drop for Bystander<'_> {
    fn drop(&mut self) {
        let _ = self.engine.docker().args(["service", "rm", &self.name]).run();
    }
}

#[test]
fn a_run_killed_anywhere_is_gone_after_one_sweep() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    let arguments = host.prepare(&canaries::sound(&engine));
    let bystander = Bystander::new(&engine);
    let looked = bystander.looks();
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
        assert_eq!(bystander.looks(), looked, "{told}");
    }
    assert!(interrupted >= kills / 2, "only {interrupted} of {kills} kills came before the verdict");
    // What was killed stands in nobody's way.
    let after = host.run(&arguments);
    assert_eq!(after.code, 0, "{after}");
}
