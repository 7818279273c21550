//! `cc-ci doctor` on a real engine: fit, and leftovers of a dead run are named and left alone.

mod support;

use cc_ci_testkit::engine_or_skip;
use cc_ci_testkit::onlooker::Onlooker;
use cc_ci_testkit::program::{Ended, Program};
use cc_ci_testkit::run_host::RunHost;
use cc_ci_testkit::testbed::TestEngine;
use support::CC_CI;

fn doctor(host: &RunHost, engine: &TestEngine) -> (Ended, serde_json::Value) {
    let ended = Program::new(CC_CI)
        .args(["doctor", "--json"])
        .env("DOCKER_HOST", &engine.docker_host)
        .env("CCCI_STATE_DIR", host.path("state"))
        .env("CCCI_RUNS_DIR", host.path("state/runs"))
        .env("CCCI_APP_LOCK_DIR", host.path("locks"))
        .env("CCCI_SETTINGS", host.path("settings.toml"))
        .outcome()
        .expect("it ends by itself");
    let object = serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"));
    (ended, object)
}

fn line(object: &serde_json::Value, checked: &str) -> (String, String) {
    let lines = object["lines"].as_array().expect("lines");
    let line = lines.iter().find(|line| line["checked"] == checked).expect("a line about it");
    let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
    (text("sign"), text("found"))
}

#[test]
fn engine_of_the_tests_is_fit_and_leftovers_are_named_and_left_alone() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    let (ended, object) = doctor(&host, &engine);
    assert_eq!(ended.status.code(), Some(0), "{object:#}");
    for checked in ["Docker", "swarm", "network proxy", "address room", "helper image", "Docker CLI", "zone"]
    {
        assert_eq!(line(&object, checked).0, "ok", "{checked}: {object:#}");
    }
    assert_eq!(line(&object, "leftovers"), ("ok".to_owned(), "none".to_owned()));
    // A volume with the name of a run's stack and nobody behind it is what a killed run leaves.
    let name = format!("cust-0a1b2c.{}", host.zone).replace('.', "_") + "_content";
    let onlooker = Onlooker::of(&engine);
    onlooker.ask(&["volume", "create", &name]).expect("a volume");
    let (ended, object) = doctor(&host, &engine);
    let still = onlooker.everything_with(&name);
    onlooker.ask(&["volume", "rm", &name]).expect("it goes");
    let (sign, found) = line(&object, "leftovers");
    assert_eq!((ended.status.code(), sign.as_str()), (Some(0), "warn"), "{object:#}");
    assert!(found.contains(&format!("reap-dead cust-0a1b2c.{}", host.zone)), "{found}");
    assert_eq!(still, [format!("volume {name}")], "doctor changes nothing");
    assert!(!host.path("state/host-id").exists(), "nor does it claim the zone");
}
