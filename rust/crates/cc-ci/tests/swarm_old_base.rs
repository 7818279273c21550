//! A base release that does not deploy any more: shown, mended for itself alone, and never head's fault.
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use cc_ci_model::outcome::Status;
use cc_ci_model::tier::Tier;
use cc_ci_testkit::engine_or_skip;
use cc_ci_testkit::onlooker::Onlooker;
use cc_ci_testkit::probe_recipe::ProbeCommit;
use cc_ci_testkit::recipe_repository::RecipeRepository;
use cc_ci_testkit::run_host::{Ended, RunHost};
use cc_ci_testkit::testbed::TestEngine;

const CC_CI: &str = env!("CARGO_BIN_EXE_cc-ci");

const BASE: &str = "0.1.0+1.0";

const RECIPE_TOML: &str = r#"
schema = 1

[app]
timeouts = { deploy = "180s", http = "60s" }

[[seed]]
name = "a note"
plant = { http = { method = "PUT", path = "/files/note", body = "note {{marker}}" } }
expect = { http = { path = "/files/note", contains = ["note {{marker}}"] } }
"#;

/// What the two sides show tells which settings each of them got.
const SETTINGS: &str = r#"
[upgrade]
env = { GREETING = "hello" }

[[check]]
tier = "install"
name = "base is mended, and knows nothing of head's settings"
http = { path = "/", contains = ["mended nothing"] }

[[check]]
tier = "upgrade"
name = "head has its own settings, and nothing of the repair"
http = { path = "/", contains = ["head hello"] }
"#;

/// A release that crashes, and a head that is sound.
fn prepare(engine: &TestEngine, host: &RunHost, recipe: &str, settings: &str) -> Vec<String> {
    host.set_test_data(recipe, &format!("{RECIPE_TOML}{settings}"));
    let folder = host.path("repositories").join(recipe);
    let mut repository = RecipeRepository::create(&folder).unwrap();
    let base = ProbeCommit { version: BASE, tag: "1.0", environment: &["PROBE_CRASH_AFTER_MS=200"] };
    repository.put(&base.files(engine)).unwrap();
    repository.commit("a release").unwrap();
    repository.release(BASE).unwrap();
    let environment = ["PROBE_TEXT=head ${GREETING:-nothing}"];
    let head = ProbeCommit { version: "0.2.0+1.1", tag: "1.1", environment: &environment };
    let head = repository.pull_request(1, &head.files(engine)).unwrap();
    let mut arguments = host.arguments_for(recipe, &repository, &head);
    arguments.extend(["--tiers", "install,upgrade"].map(str::to_owned));
    arguments
}

fn leaves_nothing(engine: &TestEngine, ended: &Ended) {
    let stack = ended.result().run.stack.expect("a run on the swarm has a stack");
    assert_eq!(Onlooker::of(engine).everything_with(&stack), Vec::<String>::new(), "{ended}");
}

#[test]
fn base_that_does_not_deploy_is_shown_and_install_is_judged_at_head() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    let ended = host.run(&prepare(&engine, &host, "probe-base", ""));
    assert_eq!(ended.code, 0, "{ended}");
    let result = ended.result();
    assert_eq!(ended.tier(Tier::Install).status, Status::Pass, "{ended}");
    let upgrade = ended.tier(Tier::Upgrade);
    assert_eq!(upgrade.status, Status::Unverified, "{ended}");
    for words in ["the base release does not deploy", "restart loop", "judged at head"] {
        assert!(upgrade.reason.contains(words), "{words:?} is missing in {:?}", upgrade.reason);
    }
    assert!(upgrade.checks.iter().any(|check| check.status == Status::Fail), "what was seen of it: {ended}");
    assert_eq!((result.deploys.counted, result.deploys.expected), (2, 2), "{ended}");
    assert_eq!((result.level, result.level_reason.as_str()), (1, "upgrade is unverified"), "{ended}");
    leaves_nothing(&engine, &ended);
}

#[test]
fn base_and_head_have_separate_settings() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    let arguments = prepare(&engine, &host, "probe-mended", SETTINGS);
    let repair = host.path("recipes/probe-mended/previous");
    std::fs::create_dir_all(&repair).unwrap();
    std::fs::write(repair.join("VERSION"), format!("{BASE}\n")).unwrap();
    let overlay = r#"version: "3.8"
services:
  app:
    environment:
      - "PROBE_CRASH_AFTER_MS=86400000"
      - "PROBE_TEXT=mended ${GREETING:-nothing}"
"#;
    std::fs::write(repair.join("compose.previous.yml"), overlay).unwrap();
    let ended = host.run(&arguments);
    assert_eq!(ended.code, 0, "{ended}");
    for tier in [Tier::Install, Tier::Upgrade] {
        assert_eq!(ended.tier(tier).status, Status::Pass, "{ended}");
    }
    let result = ended.result();
    assert_eq!((result.deploys.counted, result.deploys.expected), (1, 1), "{ended}");
    let line = format!("previous/ mends release {BASE}: compose.previous.yml");
    assert!(result.customisation.contains(&line), "{:?}", result.customisation);
    leaves_nothing(&engine, &ended);
}
