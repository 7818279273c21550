//! Sweeps that cannot look: they say so, change nothing, and never call a host clean.
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::path::Path;

use cc_ci_testkit::program::{Ended, Program};

/// A sweep on a host whose engine is not there, with this folder of locks.
fn sweep(state: &Path, locks: &Path) -> Ended {
    let settings = state.join("settings.toml");
    std::fs::write(&settings, "zone = \"blind.test\"\n").unwrap();
    Program::new(env!("CARGO_BIN_EXE_cc-ci-janitor"))
        .args(["sweep", "--json"])
        .env("CCCI_STATE_DIR", state)
        .env("CCCI_APP_LOCK_DIR", locks)
        .env("CCCI_SETTINGS", &settings)
        .env("CCCI_RUNS_DIR", state.join("runs"))
        .env("DOCKER_HOST", format!("unix://{}", state.join("no.sock").display()))
        .outcome()
        .unwrap()
}

fn subjects(ended: &Ended) -> Vec<String> {
    let report: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    let decisions = report["decisions"].as_array().unwrap().iter();
    decisions
        .map(|one| format!("{} {}", one["code"].as_str().unwrap(), one["subject"].as_str().unwrap()))
        .collect()
}

#[test]
fn docker_unreachable_means_could_not_check() {
    let state = tempfile::tempdir().unwrap();
    let locks = state.path().join("locks");
    std::fs::create_dir(&locks).unwrap();
    std::fs::write(locks.join("a-00000a.blind.test.lock"), "").unwrap();
    let ended = sweep(state.path(), &locks);
    assert_eq!(ended.status.code(), Some(2));
    assert_eq!(subjects(&ended), ["could-not-check docker"]);
    assert!(locks.join("a-00000a.blind.test.lock").exists(), "nothing was concluded from a free lock");
    let diary = std::fs::read_to_string(state.path().join("diary.jsonl")).unwrap();
    assert_eq!(diary.lines().count(), 1, "no line says that the host is clean: {diary}");
    let health = std::fs::read_to_string(state.path().join("health.json")).unwrap();
    let health: serde_json::Value = serde_json::from_str(&health).unwrap();
    assert!(health["live_runs"].is_null() && health["disks"]["state"].is_object(), "{health}");
}

#[test]
fn missing_lock_folder_is_empty_but_an_unreadable_one_is_an_error() {
    let state = tempfile::tempdir().unwrap();
    let missing = sweep(state.path(), &state.path().join("not/yet"));
    assert_eq!(subjects(&missing), ["could-not-check docker"], "the locks are no obstacle");
    // Unreadable for root, too: something else stands there.
    let file = state.path().join("file");
    std::fs::write(&file, "").unwrap();
    let unreadable = sweep(state.path(), &file);
    assert_eq!(unreadable.status.code(), Some(2));
    let subject = subjects(&unreadable).pop().unwrap();
    assert!(subject == "could-not-check state" || subject == "could-not-check locks", "{subject}");
    assert!(unreadable.stdout.contains("file"), "{}", unreadable.stdout);
}

#[test]
fn a_verb_that_does_not_exist_is_wrong_usage_and_help_is_an_answer() {
    let call =
        |words: &[&str]| Program::new(env!("CARGO_BIN_EXE_cc-ci-janitor")).args(words).outcome().unwrap();
    assert_eq!(call(&["tidy"]).status.code(), Some(64));
    let help = call(&["sweep", "--help"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(help.stdout.contains("--dry-run") && help.stdout.contains("could not be checked"));
}
