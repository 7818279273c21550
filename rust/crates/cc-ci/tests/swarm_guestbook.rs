//! A web app with a real database is green in every tier, and what is proven of it is proven by what people see of it.

use cc_ci_model::outcome::{Status, VerdictWord};
use cc_ci_model::tier::Tier;
use cc_ci_testkit::engine_or_skip;
use cc_ci_testkit::onlooker::Onlooker;
use cc_ci_testkit::run_host::{Ended, RunHost};
use cc_ci_testkit::testbed::TestEngine;

const CC_CI: &str = env!("CARGO_BIN_EXE_cc-ci");

const RECIPE: &str = "guestbook";

fn is_green(engine: &TestEngine, ended: &Ended) {
    assert_eq!(ended.code, 0, "{ended}");
    let result = ended.result();
    assert_eq!(result.verdict, Some(VerdictWord::Pass));
    for tier in Tier::PLANNABLE.into_iter().chain([Tier::Teardown]) {
        assert_eq!(ended.tier(tier).status, Status::Pass, "{tier}: {ended}");
    }
    assert_eq!(result.level, 5, "{}: {ended}", result.level_reason);
    assert_eq!((result.deploys.counted, result.deploys.expected), (2, 2), "{ended}");
    let elsewhere = result.elsewhere.expect("a plan says something of it");
    assert_eq!(elsewhere.status, Some(Status::Pass), "{ended}");
    for stack in [result.run.stack, elsewhere.stack] {
        let stack = stack.expect("a run on the swarm has two stacks");
        assert_eq!(Onlooker::of(engine).everything_with(&stack), Vec::<String>::new(), "{ended}");
    }
    let secrets = result.teardown.expect("a teardown").evidence.created;
    let secrets = serde_json::to_value(&secrets).expect("counts are JSON");
    assert_eq!(secrets["secret"], 4, "two generated secrets in each of two stacks: {ended}");
}

/// The words of a tier contain each of these.
fn says(ended: &Ended, tier: Tier, words: &[&str]) {
    let said = ended.words_of(tier);
    for word in words {
        assert!(said.contains(word), "{word:?} is missing in {said:?}: {ended}");
    }
}

#[test]
fn real_database_survives_upgrade_backup_and_restore() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    let ended = host.run(&host.prepare_bundled(RECIPE, &engine.registry));
    is_green(&engine, &ended);
    // The entry went into the database through the app, and was looked for through the app.
    says(&ended, Tier::Upgrade, &["seed an entry", "seed a picture", "marker in", "columns of this release"]);
    let backup = [
        "backup pre-hook of db",
        "backup post-hook of db",
        "2 paths, 1 dumps read to their end",
        "seed an entry",
    ];
    says(&ended, Tier::Backup, &backup);
    let restore = [
        "restore post-hook of db",
        "seed an entry is there after restore",
        "the change of seed an entry is gone after restore",
        "_pictures is there after restore",
        "elsewhere: seed an entry is there after restore",
        "elsewhere: seed a picture is there after restore",
    ];
    says(&ended, Tier::Restore, &restore);
    says(&ended, Tier::Custom, &["moderator_removes_an_entry", "every table of the database is sound"]);
}

#[test]
fn real_database_is_green_through_the_proxy() {
    let engine = engine_or_skip!();
    if engine.traefik.is_none() {
        let say = cc_ci_testkit::progress::say;
        say("SKIP real_database_is_green_through_the_proxy: no proxy (run cargo xtask test swarm)");
        return;
    }
    let host = RunHost::behind_proxy(CC_CI, &engine);
    let mut arguments = host.prepare_bundled(RECIPE, &engine.registry);
    let way = arguments.iter_mut().find(|word| *word == "direct").expect("a way is named");
    *way = "proxy".to_owned();
    let ended = host.run(&arguments);
    is_green(&engine, &ended);
    assert_eq!(ended.result().run.via.as_deref(), Some("proxy"), "{ended}");
}
