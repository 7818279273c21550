//! The witness: a stack that no run may change, and what a run says when it did. One test alone in its program,
//! because the witness is the engine's, and a changed one spoils every run beside it.

use std::time::Duration;

use cc_ci_model::inventory::WITNESS_STACK;
use cc_ci_model::outcome::Status;
use cc_ci_model::result::WitnessState;
use cc_ci_model::tier::Tier;
use cc_ci_testkit::canaries;
use cc_ci_testkit::engine_or_skip;
use cc_ci_testkit::onlooker::Onlooker;
use cc_ci_testkit::patience;
use cc_ci_testkit::run_host::RunHost;
use cc_ci_testkit::testbed::TestEngine;

const CC_CI: &str = env!("CARGO_BIN_EXE_cc-ci");

struct Witness<'a>(&'a TestEngine);

impl<'a> Witness<'a> {
    fn make(engine: &'a TestEngine) -> Self {
        let compose = format!(
            "version: \"3.8\"\nservices:\n  app:\n    image: {}\n    volumes: [\"data:/data\"]\nvolumes:\n  data:\n",
            engine.image("probe:1.0").reference
        );
        let deploy = ["stack", "deploy", "--resolve-image=never", "-c", "-", WITNESS_STACK];
        engine.docker().args(deploy).input(compose).run().expect("a witness");
        let witness = Self(engine);
        let runs = || {
            let all = ["stack", "ps", "--format", "{{.CurrentState}}", WITNESS_STACK];
            let states = Onlooker::of(engine).ask(&all).map_err(|error| error.to_string())?;
            if states.starts_with("Running") { Ok(()) } else { Err(states) }
        };
        let limit = Duration::from_secs(60);
        patience::until("the witness to run", limit, Duration::from_millis(100), runs).expect("it runs");
        witness
    }
}

impl Drop for Witness<'_> {
    fn drop(&mut self) {
        let onlooker = Onlooker::of(self.0);
        let _ = onlooker.ask(&["stack", "rm", WITNESS_STACK]);
        let volume = format!("{WITNESS_STACK}_data");
        let removed =
            || onlooker.ask(&["volume", "rm", "--force", &volume]).map_err(|error| error.to_string());
        let _ =
            patience::until("its volume to go", Duration::from_secs(60), Duration::from_millis(300), removed);
    }
}

#[test]
fn unchanged_witness_is_said_and_a_changed_one_is_named_and_never_green() {
    let engine = engine_or_skip!();
    let onlooker = Onlooker::of(&engine);
    let sound = canaries::sound(&engine);
    let host = RunHost::new(CC_CI, &engine);
    let mut arguments = host.prepare(&sound);
    arguments.extend(["--tiers".to_owned(), "install".to_owned()]);

    let without = host.run(&arguments);
    assert_eq!(without.code, 0, "{without}");
    let state =
        |ended: &cc_ci_testkit::run_host::Ended| ended.result().teardown.map(|teardown| teardown.witness);
    assert_eq!(state(&without), Some(WitnessState::None), "a host without a witness says nothing of one");

    let _witness = Witness::make(&engine);
    let before = onlooker.portrait_of_stack(WITNESS_STACK);
    let untouched = host.run(&arguments);
    assert_eq!(untouched.code, 0, "{untouched}");
    assert_eq!(state(&untouched), Some(WitnessState::Unchanged), "{untouched}");
    assert_eq!(onlooker.portrait_of_stack(WITNESS_STACK), before);

    let mut run = host.start(&arguments);
    run.wait_for_event("\"tier_started\",\"tier\":\"install\"");
    let service = format!("{WITNESS_STACK}_app");
    let change = ["service", "update", "--detach", "--quiet", "--label-add", "touched=yes", &service];
    onlooker.ask(&change).expect("a change of the witness");
    let changed = run.wait();
    assert_eq!(changed.code, 1, "{changed}");
    assert_eq!(state(&changed), Some(WitnessState::Changed), "{changed}");
    assert_eq!(changed.tier(Tier::Install).status, Status::Pass, "{changed}");
    let teardown = changed.tier(Tier::Teardown);
    assert_eq!(teardown.status, Status::Fail, "{changed}");
    assert!(teardown.reason.contains(&service), "{changed}");
}
