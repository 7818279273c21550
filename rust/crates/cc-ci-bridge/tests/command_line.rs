//! The command line of the bridge, as a person meets it.
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use cc_ci_testkit::program::{Ended, Program};

fn bridge(words: &[&str]) -> Ended {
    let program = Program::new(env!("CARGO_BIN_EXE_cc-ci-bridge")).args(words);
    program.env("NO_COLOR", "1").env("COLUMNS", "100").outcome().unwrap()
}

#[test]
fn help_of_each_verb_reads_so() {
    let mut text = String::new();
    for words in [
        &["--help"][..],
        &["serve", "--help"],
        &["once", "--help"],
        &["check-config", "--help"],
        &["say", "--help"],
    ] {
        let ended = bridge(words);
        assert!(ended.status.success(), "{ended:?}");
        text.push_str(&ended.stdout);
        text.push_str("=====\n");
    }
    insta::assert_snapshot!(text);
}

#[test]
fn check_config_names_what_is_wrong_and_asks_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bridge.toml");
    let path = file.to_string_lossy().into_owned();
    // Addresses that nobody answers at: a check that asked them would fail.
    let good = "gitea = \"http://127.0.0.1:1\"\ndrone = \"http://127.0.0.1:1\"\norganisations = [\"recipes\"]\npipeline = \"a/b\"\n";
    std::fs::write(&file, good).unwrap();
    let ended = bridge(&["check-config", "--config", &path]);
    assert!(ended.status.success() && ended.stdout.contains("ok"), "{ended:?}");
    std::fs::write(&file, format!("{good}polll = \"15s\"\n")).unwrap();
    let ended = bridge(&["check-config", "--config", &path]);
    assert_eq!(ended.status.code(), Some(2));
    assert!(ended.stderr.contains("line 5") && ended.stderr.contains("did you mean `poll`"), "{ended:?}");
    let ended = bridge(&["check-config", "--config", "/nowhere/bridge.toml"]);
    assert!(ended.stderr.contains("name the file with --config"), "{ended:?}");
    assert_eq!(bridge(&["serf"]).status.code(), Some(64));
}
