//! Whose fault it is and what it costs: what is found before a deploy, what proves nothing, what is left outside.
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use cc_ci_model::outcome::Status;
use cc_ci_model::tier::Tier;
use cc_ci_testkit::canaries::{self, Canary};
use cc_ci_testkit::engine_or_skip;
use cc_ci_testkit::onlooker::Onlooker;
use cc_ci_testkit::run_host::{Ended, RunHost};
use cc_ci_testkit::testbed::TestEngine;

mod support;
use support::CC_CI;

/// The sound recipe under another name, its files changed.
fn changed(
    engine: &TestEngine,
    name: &'static str,
    change: impl Fn(&str, bool, &mut String) -> bool,
) -> Canary {
    let mut canary = canaries::sound(engine);
    canary.name = name;
    for (files, is_head) in [(canary.base.as_mut().unwrap(), false), (&mut canary.head, true)] {
        files.retain_mut(|(path, text)| change(path, is_head, text));
    }
    canary
}

fn nothing_is_left(engine: &TestEngine, ended: &Ended) {
    let stack = ended.result().run.stack.unwrap();
    assert_eq!(Onlooker::of(engine).everything_with(&stack), Vec::<String>::new(), "{ended}");
}

/// Install passed, the upgrade failed before it began, and that is level 1.
fn is_level_one(engine: &TestEngine, ended: &Ended, words: &str) {
    assert_eq!(ended.code, 1, "{ended}");
    assert_eq!(ended.tier(Tier::Install).status, Status::Pass, "{ended}");
    assert_eq!(ended.tier(Tier::Upgrade).status, Status::Fail, "{ended}");
    assert!(ended.words_of(Tier::Upgrade).contains(words), "{ended}");
    let result = ended.result();
    assert_eq!((result.level, result.level_reason.as_str()), (1, "upgrade failed"), "{ended}");
    assert_eq!((result.deploys.counted, result.deploys.expected), (1, 1), "{ended}");
    let text = ended.file("events.jsonl");
    let at = |words: &str| text.find(words).unwrap_or_else(|| panic!("no {words}: {ended}"));
    assert!(
        at("\"tier_ended\",\"tier\":\"upgrade\"") < at("\"tier_started\",\"tier\":\"install\""),
        "it is named before anything is deployed: {ended}"
    );
    nothing_is_left(engine, ended);
}

#[test]
fn changed_config_without_version_bump_is_found_before_deploy_and_install_still_counts() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    let mut canary = changed(&engine, "canary-drift", |path, _, text| {
        if path == "compose.yml" {
            *text = text.replace("    networks: [proxy]\n", "    networks: [proxy]\n    configs: [conf]\n");
            text.push_str("\nconfigs:\n  conf:\n    name: ${STACK_NAME}_conf_v1\n    file: conf.txt\n");
        }
        true
    });
    canary.base.as_mut().unwrap().push(("conf.txt".to_owned(), "one\n".to_owned()));
    canary.head.push(("conf.txt".to_owned(), "two\n".to_owned()));
    is_level_one(&engine, &host.run(&host.prepare(&canary)), "conf");
}

#[test]
fn head_that_cannot_be_read_is_an_upgrade_that_failed_and_install_still_counts() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    let canary = changed(&engine, "canary-unsound", |path, is_head, text| {
        if is_head && path == "compose.yml" {
            *text = text.replace("    image:", "    imagine:");
        }
        true
    });
    is_level_one(&engine, &host.run(&host.prepare(&canary)), "imagine");
}

#[test]
fn run_faster_than_plausible_is_suspicious() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    // Head changes a page for readers and nothing that runs.
    let mut canary = canaries::sound(&engine);
    canary.name = "canary-idle";
    canary.head.clone_from(canary.base.as_ref().unwrap());
    canary.head.push(("CONTRIBUTING.md".to_owned(), "# How to help\n".to_owned()));
    let ended = host.run(&host.prepare(&canary));
    assert_eq!(ended.code, 0, "{ended}");
    assert_eq!(ended.tier(Tier::Upgrade).status, Status::Unverified, "{ended}");
    assert!(ended.tier(Tier::Upgrade).reason.contains("replaced no task"), "{ended}");
    assert_eq!(ended.result().level, 1, "{ended}");
    nothing_is_left(&engine, &ended);
}

#[test]
fn missing_data_check_is_reported() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    let mut canary = changed(&engine, "canary-unseeded", |_, _, text| {
        *text = text.replace("        - \"backupbot.backup=true\"\n", "");
        true
    });
    canary.recipe_toml = canary.recipe_toml.split("[[seed]]").next().unwrap().to_owned();
    let ended = host.run(&host.prepare(&canary));
    assert_eq!(ended.code, 0, "{ended}");
    let upgrade = ended.tier(Tier::Upgrade);
    assert_eq!(upgrade.status, Status::Pass, "{ended}");
    assert!(
        upgrade.reason.contains("the data check is missing") && upgrade.reason.contains("_data"),
        "{ended}"
    );
    // Where there is data to look for, nothing is said.
    let sound = host.run(&host.prepare(&canaries::sound(&engine)));
    assert_eq!(sound.tier(Tier::Upgrade).reason, "", "{sound}");
}

#[test]
fn what_the_recipe_left_outside_its_stack_fails_the_teardown() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    let mut run = host.start(&host.prepare(&canaries::sound(&engine)));
    run.wait_for_event("\"tier_started\",\"tier\":\"upgrade\"");
    let stack = run.wait_until("the stack", |_, result| result.run.stack.clone());
    // As a plugin or a daemon that the recipe reached would leave it: the app's name in it, and no label.
    let volume = format!("copy-of-{stack}");
    engine.docker().args(["volume", "create", &volume]).run().unwrap();
    let ended = run.wait();
    engine.docker().args(["volume", "rm", &volume]).run().unwrap();
    assert_eq!(ended.code, 1, "{ended}");
    let teardown = ended.tier(Tier::Teardown);
    assert_eq!(teardown.status, Status::Fail, "{ended}");
    assert!(teardown.reason.contains(&format!("made volume {volume} outside its stack")), "{ended}");
}
