//! Each canary turns a run red in the tier of its defect, with words that name the cause; the sound one is green.

use cc_ci_model::outcome::Status;
use cc_ci_model::tier::Tier;
use cc_ci_testkit::canaries::{self, Canary};
use cc_ci_testkit::engine_or_skip;
use cc_ci_testkit::onlooker::Onlooker;
use cc_ci_testkit::run_host::{Ended, RunHost};
use cc_ci_testkit::testbed::TestEngine;

/// The program under test.
const CC_CI: &str = env!("CARGO_BIN_EXE_cc-ci");

fn canary(engine: &TestEngine, name: &str) -> Canary {
    canaries::all(engine).into_iter().find(|canary| canary.name == name).expect("a canary of that name")
}

/// Runs a canary and compares everything a run says about it with what it must say.
///
/// The host comes back too, because the run's folder lives as long as it.
fn is_as_expected(engine: &TestEngine, canary: &Canary) -> (RunHost, Ended) {
    let host = RunHost::new(CC_CI, engine);
    let ended = host.run(&host.prepare(canary));
    let expected = &canary.expected;
    assert_eq!(ended.code, expected.exit, "{}: {ended}", canary.defect);
    let result = ended.result();
    for report in &result.tiers {
        let is_to_fail = expected.failing == Some(report.name);
        assert_eq!(report.status == Status::Fail, is_to_fail, "{} of {}: {ended}", report.name, canary.name);
    }
    for tier in &expected.passing {
        assert_eq!(ended.tier(*tier).status, Status::Pass, "{tier} of {}: {ended}", canary.name);
    }
    let said = match expected.failing {
        Some(tier) => {
            let report = ended.tier(tier);
            assert!(!report.reason.is_empty(), "the reason of {tier} says nothing: {ended}");
            ended.words_of(tier)
        }
        None => result.trouble.as_ref().map(|trouble| trouble.what.clone()).unwrap_or_default(),
    };
    for words in &expected.words {
        assert!(said.contains(words), "{words:?} is missing in {said:?}: {ended}");
    }
    nothing_is_left(engine, &ended);
    (host, ended)
}

/// The onlooker finds nothing of the run's stack nor with its mark, and the result says the same.
fn nothing_is_left(engine: &TestEngine, ended: &Ended) {
    let result = ended.result();
    let onlooker = Onlooker::of(engine);
    let stack = result.run.stack.expect("a run that reached the swarm has a stack");
    assert_eq!(onlooker.everything_with(&stack), Vec::<String>::new(), "{ended}");
    assert_eq!(onlooker.everything_with(result.run.id.as_str()), Vec::<String>::new(), "{ended}");
    let teardown = result.teardown.expect("a run that reached the swarm has a teardown");
    assert_eq!(teardown.evidence.left, Vec::<String>::new(), "{ended}");
    assert_eq!(teardown.evidence.created, teardown.evidence.removed, "{ended}");
}

#[test]
fn the_sound_recipe_is_green_and_its_tiers_really_checked_something() {
    let engine = engine_or_skip!();
    let sound = canaries::sound(&engine);
    let (_host, ended) = is_as_expected(&engine, &sound);
    let deploys = ended.result().deploys;
    assert_eq!((deploys.counted, deploys.expected), (1, 1));
    for tier in &sound.expected.passing {
        let passed = ended.tier(*tier).checks.iter().filter(|check| check.status == Status::Pass).count();
        assert!(passed > 0, "{tier}: {ended}");
    }
    // Both seeds, the generic marker in the volume and the recipe's own note, were looked for after the upgrade.
    let upgrade = ended.words_of(Tier::Upgrade);
    assert!(upgrade.contains("a note"), "{upgrade}");
}

#[test]
fn look_at_a_task_that_did_not_last_is_taken_again() {
    let engine = engine_or_skip!();
    let (_host, ended) = is_as_expected(&engine, &canaries::crashes_once(&engine));
    let install = ended.tier(Tier::Install);
    let of = |name: &str| install.checks.iter().filter(|check| check.name == name).collect::<Vec<_>>();
    assert!(of("deploy converges")[0].message.contains("after 1 restarts"), "{ended}");
    assert_eq!(of("is really serving").len(), 1, "only one look is told of: {ended}");
}

#[test]
fn crash_loop_is_red_at_install() {
    let engine = engine_or_skip!();
    is_as_expected(&engine, &canary(&engine, "canary-crash-loop"));
}

#[test]
fn app_that_starts_and_does_not_serve_is_red_at_install() {
    let engine = engine_or_skip!();
    is_as_expected(&engine, &canary(&engine, "canary-not-serving"));
}

#[test]
fn healthcheck_that_never_passes_is_red_at_install() {
    let engine = engine_or_skip!();
    is_as_expected(&engine, &canary(&engine, "canary-never-healthy"));
}

#[test]
fn image_that_does_not_exist_is_red_at_install() {
    let engine = engine_or_skip!();
    is_as_expected(&engine, &canary(&engine, "canary-image-missing"));
}

#[test]
fn registry_that_is_down_is_trouble_and_no_tier_fails() {
    let engine = engine_or_skip!();
    let (_host, ended) = is_as_expected(&engine, &canary(&engine, "canary-registry-down"));
    let trouble = ended.result().trouble.expect("the trouble is stored");
    assert!(trouble.retry, "another try may help: {trouble:?}");
}

#[test]
fn upgrade_that_rolls_back_is_red_though_the_old_task_serves() {
    let engine = engine_or_skip!();
    is_as_expected(&engine, &canary(&engine, "canary-rolls-back"));
}

#[test]
fn upgrade_that_pauses_is_red() {
    let engine = engine_or_skip!();
    is_as_expected(&engine, &canary(&engine, "canary-pauses"));
}

#[test]
fn upgrade_that_silently_keeps_the_old_image_is_red() {
    let engine = engine_or_skip!();
    is_as_expected(&engine, &canary(&engine, "canary-keeps-image"));
}

#[test]
fn upgrade_that_loses_a_volume_is_red() {
    let engine = engine_or_skip!();
    is_as_expected(&engine, &canary(&engine, "canary-loses-volume"));
}
