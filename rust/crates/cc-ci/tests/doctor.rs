//! `cc-ci doctor` where there is no engine: every line is there, what is fatal is named, nothing is made.

use std::path::Path;

use cc_ci_testkit::program::{Ended, Program};

fn doctor(folder: &Path, arguments: &[&str], settings: Option<&str>) -> Ended {
    let mut program = Program::new(env!("CARGO_BIN_EXE_cc-ci")).arg("doctor").args(arguments);
    if let Some(text) = settings {
        let path = folder.join("settings.toml");
        std::fs::write(&path, text).expect("settings");
        program = program.env("CCCI_SETTINGS", path);
    }
    let program = program.env("DOCKER_HOST", "unix:///nonexistent/docker.sock");
    let program =
        program.env("CCCI_STATE_DIR", folder.join("state")).env("CCCI_RUNS_DIR", folder.join("state/runs"));
    program.env("CCCI_APP_LOCK_DIR", folder.join("locks")).outcome().expect("it ends by itself")
}

fn line<'a>(object: &'a serde_json::Value, checked: &str) -> &'a serde_json::Value {
    let lines = object["lines"].as_array().expect("lines");
    let line = lines.iter().find(|line| line["checked"] == checked);
    line.unwrap_or_else(|| panic!("no line about {checked}: {object:#}"))
}

#[test]
fn host_without_an_engine_is_not_fit_and_nothing_is_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let ended = doctor(folder.path(), &[], Some("zone = \"ci.test\"\n"));
    assert_eq!(ended.status.code(), Some(2), "{ended:?}");
    let last = ended.stdout.lines().last().unwrap_or_default();
    assert!(last.starts_with("not fit for runs: ") && last.contains("Docker"), "{last}");
    for checked in [
        "settings file",
        "Docker",
        "swarm",
        "IPVS",
        "network proxy",
        "address room",
        "helper image",
        "memory",
        "disk of run folders",
        "inodes of run folders",
        "disk of Docker's data",
        "Docker CLI",
        "git",
        "bubblewrap",
        "abra",
        "clock",
        "state folder",
        "run folders",
        "lock folder",
        "zone",
        "DNS of the zone",
        "certificate of the zone",
        "leftovers",
    ] {
        let is_there = ended.stdout.lines().any(|line| {
            line.get(..).is_some_and(|line| {
                ["✔", "!", "✘", "–"].iter().any(|sign| {
                    line.strip_prefix(sign)
                        .is_some_and(|rest| rest.trim_start().starts_with(&format!("{checked} ")))
                })
            })
        });
        assert!(is_there, "no line about {checked}:\n{}", ended.stdout);
    }
    let docker = ended.stdout.lines().skip_while(|line| !line.contains("✘  Docker ")).nth(1);
    assert!(
        docker.is_some_and(|line| line.contains("→ start it: systemctl start docker")),
        "{}",
        ended.stdout
    );
    assert!(!ended.stdout.contains('\u{1b}'), "colour is for terminals");
    let names: Vec<_> =
        std::fs::read_dir(folder.path()).expect("a folder").flatten().map(|it| it.file_name()).collect();
    assert_eq!(names, ["settings.toml"], "doctor changes nothing");
}

#[test]
fn settings_that_cannot_be_read_are_one_fatal_line_among_the_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let ended = doctor(folder.path(), &["--json"], Some("[limits]\nlock_wiat = \"1h\"\n"));
    assert_eq!(ended.status.code(), Some(2), "{ended:?}");
    let object: serde_json::Value = serde_json::from_str(&ended.stdout).expect("one JSON object");
    assert_eq!(object["fit"], false);
    let settings = line(&object, "settings file");
    assert_eq!(settings["sign"], "bad");
    assert!(settings["found"].as_str().is_some_and(|found| found.contains("lock_wait")), "{settings}");
    assert!(settings["todo"].is_string(), "{settings}");
    assert_eq!(line(&object, "git")["sign"], "ok");
    assert_eq!(line(&object, "leftovers")["sign"], "skipped");
}

#[test]
fn limits_that_the_host_cannot_hold_are_fatal() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = "[limits]\ndisk_floor = \"9000TiB\"\nmemory_floor = \"9000TiB\"\n";
    let ended = doctor(folder.path(), &["--json"], Some(settings));
    let object: serde_json::Value = serde_json::from_str(&ended.stdout).expect("one JSON object");
    let fatal = object["fatal"].as_array().expect("names");
    for name in ["memory", "disk of run folders"] {
        assert!(fatal.contains(&name.into()), "{name}: {fatal:?}");
    }
}

#[test]
fn folders_that_cannot_be_used_and_a_deployer_that_is_not_there_are_fatal() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("locks"), "a file where a folder belongs").expect("a file");
    let ended = doctor(folder.path(), &["--json"], Some("deployer = \"abra\"\n"));
    let object: serde_json::Value = serde_json::from_str(&ended.stdout).expect("one JSON object");
    assert_eq!(
        (&line(&object, "lock folder")["sign"], &line(&object, "abra")["sign"]),
        (&"bad".into(), &"bad".into())
    );
}
