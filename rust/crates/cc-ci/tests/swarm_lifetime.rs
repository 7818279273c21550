//! Who may end a run, and that it then ends through its teardown: Ctrl-C, the bridge's file, a caller that is gone.
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use cc_ci_model::names::{RunDomain, Zone};
use cc_ci_model::outcome::VerdictWord;
use cc_ci_model::result::{RunResult, RunState};
use cc_ci_swarm::lock::{HeldLock, Probe};
use cc_ci_swarm::processes::of_runs;
use cc_ci_testkit::run_host::{RUN_LIMIT, RunHost};
use cc_ci_testkit::{canaries, engine_or_skip, patience};
use nix::sys::signal::Signal;

mod support;
use support::{CC_CI, janitor, leaves_nothing};

const STEP: Duration = Duration::from_millis(50);

#[test]
fn ctrl_c_ends_a_run_through_its_teardown() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    let mut run = host.start(&host.prepare(&canaries::sound(&engine)));
    run.wait_for_event("\"tier_ended\",\"tier\":\"install\"");
    run.signal(Signal::SIGINT);
    let ended = run.wait();
    assert_eq!((ended.code, ended.result().verdict), (143, Some(VerdictWord::Cancelled)), "{ended}");
    leaves_nothing(&engine, &host);
}

#[test]
fn the_cancel_file_of_its_comment_and_attempt_ends_a_run_and_that_of_another_does_not() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine).started_by(&["env", "CCCI_COMMENT=77", "CCCI_ATTEMPT=2"]);
    let cancel = host.path("state/cancel");
    std::fs::create_dir_all(&cancel).unwrap();
    for other in ["77.1", "7.2", "77.22"] {
        std::fs::write(cancel.join(other), "").unwrap();
    }
    let mut run = host.start(&host.prepare(&canaries::sound(&engine)));
    run.wait_for_event("\"tier_ended\",\"tier\":\"install\"");
    std::fs::write(cancel.join("77.2"), "").unwrap();
    let ended = run.wait();
    assert_eq!((ended.code, ended.result().verdict), (143, Some(VerdictWord::Cancelled)), "{ended}");
    leaves_nothing(&engine, &host);
}

/// The process id of somebody who is gone.
fn gone() -> u32 {
    let mut child = std::process::Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    child.id()
}

/// The newest run folder that is not among these, once its run has ended, with the verdict.
fn next_verdict(host: &RunHost, known: &[PathBuf]) -> Option<VerdictWord> {
    let look = || {
        let folder = host.run_folders().into_iter().find(|folder| !known.contains(folder));
        let folder = folder.ok_or_else(|| "no folder".to_owned())?;
        let text = std::fs::read_to_string(folder.join("result.json")).unwrap_or_default();
        let result = RunResult::read(&text).map_err(|error| error.to_string())?;
        let is_over = result.run.state == RunState::Finished
            && cc_ci_process::alive::liveness(&folder) == cc_ci_model::sweep::Liveness::Dead;
        is_over.then_some(result.verdict).ok_or_else(|| "it runs".to_owned())
    };
    patience::until("the end of the orphaned run", RUN_LIMIT, STEP, look).unwrap()
}

#[test]
fn a_run_whose_caller_is_gone_before_it_could_bind_to_it_ends_at_once() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    let mut arguments = host.prepare(&canaries::sound(&engine));
    arguments.push("--bound-to-parent".to_owned());
    // Gone before the run was there at all.
    let host = host.started_by(&["env", &format!("CCCI_PARENT={}", gone())]);
    let ended = host.run(&arguments);
    assert_eq!((ended.code, ended.result().verdict), (143, Some(VerdictWord::Cancelled)), "{ended}");
    assert_eq!(ended.result().deploys.counted, 0, "{ended}");
    // Gone as soon as it can: whichever side of the arming that falls on.
    let host = host.started_by(&["sh", "-c", "CCCI_PARENT=$$ \"$@\" & exit 0", "step"]);
    for _ in 0..5 {
        let known = host.run_folders();
        assert_eq!(host.start(&arguments).wait().code, 0, "the caller itself");
        assert_eq!(next_verdict(&host, &known), Some(VerdictWord::Cancelled));
    }
    leaves_nothing(&engine, &host);
}

/// A `git` that leaves a daemon behind each time: in a session of its own, its starter gone. The folder of it and the path
/// with it first.
fn git_with_daemon() -> (tempfile::TempDir, String) {
    let path = std::env::var("PATH").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("git");
    let script = format!(
        "#!/bin/sh\n(setsid sleep 300 < /dev/null > /dev/null 2>&1 &)\nPATH='{path}' exec git \"$@\"\n"
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let variable = format!("PATH={}:{path}", folder.path().display());
    (folder, variable)
}

#[test]
fn a_daemon_that_left_its_group_goes_with_its_run_and_holds_no_lock_of_one_that_was_killed() {
    let engine = engine_or_skip!();
    let (_folder, path) = git_with_daemon();
    let host = RunHost::new(CC_CI, &engine).started_by(&["env", &path]);
    let mut arguments = host.prepare(&canaries::sound(&engine));
    arguments.extend(["--tiers", "install"].map(str::to_owned));
    // A run that comes to its end ends them itself, says so, and is green.
    let ended = host.run(&arguments);
    assert_eq!(ended.code, 0, "{ended}");
    assert!(ended.stdout.contains("ended what outlived its program: process "), "{ended}");
    leaves_nothing(&engine, &host);

    let mut run = host.start(&arguments);
    run.wait_for_event("\"tier_started\",\"tier\":\"install\"");
    let domain = run.wait_until("its domain", |_, result| result.run.domain.clone());
    run.signal(Signal::SIGKILL);
    let killed = run.wait();
    let runs = host.path("state/runs");
    let left = of_runs(&runs).unwrap().remove(&killed.result().run.id).unwrap_or_default();
    assert!(left.iter().any(|process| process.name == "sleep"), "{left:?}");
    let domain = RunDomain::parse_in(&domain, &Zone::parse(&host.zone).unwrap()).unwrap();
    let probe = HeldLock::try_probe(&host.path("locks"), &domain).unwrap();
    assert!(matches!(probe, Probe::Free(_)), "the lock is free, though its grandchildren live");
    drop(probe);
    let sweep = janitor(&host, &engine);
    assert_eq!(sweep.status.code(), Some(0), "{}{}", sweep.stdout, sweep.stderr);
    assert!(of_runs(&runs).unwrap().is_empty());
    leaves_nothing(&engine, &host);
}
