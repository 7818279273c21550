//! Generic checks that are left out for local work: said loudly, and neutral to everything else.

use cc_ci_model::outcome::Status;
use cc_ci_model::result::{Origin, RunResult};
use cc_ci_model::tier::Tier;
use cc_ci_testkit::canaries;
use cc_ci_testkit::engine_or_skip;
use cc_ci_testkit::onlooker::Onlooker;
use cc_ci_testkit::run_host::RunHost;

const CC_CI: &str = env!("CARGO_BIN_EXE_cc-ci");

/// What the recipe's own checks came to.
fn own_checks(result: &RunResult) -> Vec<(Tier, String, Status)> {
    let checks = result.tiers.iter().flat_map(|tier| tier.checks.iter().map(move |check| (tier.name, check)));
    let own = checks.filter(|(_, check)| check.origin != Origin::Generic);
    own.map(|(tier, check)| (tier, check.name.clone(), check.status)).collect()
}

#[test]
fn opt_out_of_generic_tests_changes_no_other_verdict() {
    let engine = engine_or_skip!();
    let sound = canaries::sound(&engine);
    let whole = RunHost::new(CC_CI, &engine);
    let without = RunHost::new(CC_CI, &engine).started_by(&["env", "CCCI_SKIP_GENERIC=1"]);
    // Beside another run, where a race that the generic checks had hidden would show.
    let runs = [whole.start(&whole.prepare(&sound)), without.start(&without.prepare(&sound))];
    let [whole, without] = runs.map(cc_ci_testkit::run_host::LiveRun::wait);
    for ended in [&whole, &without] {
        assert_eq!(ended.code, 0, "{ended}");
        let stack = ended.result().run.stack.expect("a run on the swarm has a stack");
        assert_eq!(Onlooker::of(&engine).everything_with(&stack), Vec::<String>::new(), "{ended}");
    }
    assert_eq!(own_checks(&whole.result()), own_checks(&without.result()), "{without}");
    assert!(whole.words_of(Tier::Upgrade).contains("is really serving"), "{whole}");
    for tier in [Tier::Install, Tier::Upgrade, Tier::Restore] {
        let said = without.words_of(tier);
        assert!(
            !said.contains("is really serving") && !said.contains("_data is there after restore"),
            "{tier}: {said}"
        );
    }
    // The recipe's seed is all that was looked for, so install and upgrade still prove something.
    for tier in [Tier::Install, Tier::Upgrade, Tier::Backup, Tier::Restore, Tier::Custom] {
        assert_eq!(without.tier(tier).status, Status::Pass, "{tier}: {without}");
    }
    let result = without.result();
    let loud = result.customisation.iter().filter(|line| line.starts_with("!! ")).count();
    assert_eq!(loud, 4, "{:?}", result.customisation);
    assert!(without.file("log.txt").contains("!! the generic checks of upgrade are left out"), "{without}");
    assert!(result.replay.starts_with("CCCI_SKIP_GENERIC=1 cc-ci run"), "{}", result.replay);
}
