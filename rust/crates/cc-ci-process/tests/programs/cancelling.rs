//! Ending a program early, through its teardown, with the right exit status.

use std::fs;
use std::path::Path;
use std::process::Command;

use cc_ci_process::exit::ExitStatus;
use nix::sys::signal::{Signal, killpg};

use crate::Test;
use crate::stage::{Actor, until_gone};

pub(crate) const TESTS: &[Test] = &[
    (
        "cancel_reaches_the_whole_group_and_teardown_runs_once",
        cancel_reaches_the_whole_group_and_teardown_runs_once,
    ),
    (
        "second_term_during_teardown_neither_restarts_nor_aborts_it",
        second_term_during_teardown_neither_restarts_nor_aborts_it,
    ),
    (
        "hung_run_hits_the_deadline_tears_down_and_exits_142",
        hung_run_hits_the_deadline_tears_down_and_exits_142,
    ),
    ("wrapper_returns_exactly_the_harness_exit_code", wrapper_returns_exactly_the_harness_exit_code),
];

fn harness(folder: &Path, more: &[&str]) -> Actor {
    Actor::role(&[&["harness", folder.to_str().unwrap()], more].concat())
}

fn torn_down(folder: &Path) -> String {
    fs::read_to_string(folder.join("teardown")).unwrap()
}

fn all_gone(line: &str) {
    for pid in line.split(' ').skip(1) {
        until_gone(pid.parse().unwrap());
    }
}

fn cancel_reaches_the_whole_group_and_teardown_runs_once() {
    for (signal, cause) in [(Signal::SIGTERM, "SIGTERM came"), (Signal::SIGINT, "SIGINT came")] {
        let folder = tempfile::tempdir().unwrap();
        let mut harness = harness(folder.path(), &[]);
        let children = harness.line();
        harness.signal(signal);
        assert_eq!(harness.end().code(), Some(143));
        assert_eq!(torn_down(folder.path()), format!("removed because {cause}\n"));
        all_gone(&children);
    }
    // A wrapper that ends with the group: the harness hears the signal, its parent's death, or both.
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    command
        .args([
            "-c",
            "trap 'wait $harness; exit $?' TERM; \"$0\" role harness \"$1\" & harness=$!; wait $harness",
        ])
        .arg(std::env::current_exe().unwrap())
        .arg(folder.path());
    let mut wrapper = Actor::start(command);
    let children = wrapper.line();
    killpg(wrapper.pid(), Signal::SIGTERM).unwrap();
    assert_eq!(wrapper.end().code(), Some(143));
    assert_eq!(torn_down(folder.path()), "removed because SIGTERM came\n");
    all_gone(&children);
}

fn second_term_during_teardown_neither_restarts_nor_aborts_it() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("slow"), "").unwrap();
    let mut harness = harness(folder.path(), &[]);
    harness.line();
    harness.signal(Signal::SIGTERM);
    assert_eq!(harness.line(), "teardown begins");
    harness.signal(Signal::SIGTERM);
    assert_eq!(harness.line(), "noted 1: SIGTERM came; teardown goes on");
    harness.signal(Signal::SIGINT);
    assert_eq!(harness.line(), "noted 2: SIGINT came; teardown goes on");
    assert_eq!(torn_down(folder.path()), "", "it waits, and nothing hurries it");
    fs::write(folder.path().join("go"), "").unwrap();
    assert_eq!(harness.end().code(), Some(143));
    assert_eq!(torn_down(folder.path()), "removed because SIGTERM came\n");
}

fn hung_run_hits_the_deadline_tears_down_and_exits_142() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = harness(folder.path(), &["deadline", "500"]);
    assert_eq!(harness.end().code(), Some(142));
    assert_eq!(torn_down(folder.path()), "removed because the deadline of 500ms passed\n");
}

fn wrapper_returns_exactly_the_harness_exit_code() {
    for status in ExitStatus::ALL {
        let code = status.code().to_string();
        assert_eq!(Actor::role(&["exit", &code]).end().code(), Some(i32::from(status.code())));
        // As a pipeline step calls it: a shell that stops at the first failure.
        let mut command = Command::new("sh");
        command.args(["-ec", "\"$0\" role exit \"$1\""]).arg(std::env::current_exe().unwrap()).arg(&code);
        assert_eq!(Actor::start(command).end().code(), Some(i32::from(status.code())));
    }
}
