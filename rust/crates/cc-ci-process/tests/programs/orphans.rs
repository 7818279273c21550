//! What happens to those whose parent is gone.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use nix::sys::signal::Signal;

use crate::Test;
use crate::stage::{Actor, dead_pid, is_running, until, until_gone};

pub(crate) const TESTS: &[Test] = &[
    (
        "orphaned_harness_dies_even_if_its_parent_died_first",
        orphaned_harness_dies_even_if_its_parent_died_first,
    ),
    ("orphaned_child_never_starts", orphaned_child_never_starts),
    ("a_harness_goes_down_with_its_parent", a_harness_goes_down_with_its_parent),
    ("no_child_outlives_the_harness", no_child_outlives_the_harness),
];

fn orphaned_harness_dies_even_if_its_parent_died_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let mut harness = Actor::role(&["harness", path, "parent", &dead_pid().to_string()]);
    assert_eq!(harness.end().code(), Some(143));
    assert_eq!(
        std::fs::read_to_string(folder.path().join("teardown")).unwrap(),
        "removed because the process that started this one is gone\n"
    );
    // And with a real parent that ends as soon as it can: whichever side of the arming that falls on.
    for _ in 0..10 {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command
            .args(["-c", "\"$0\" role harness \"$1\" parent $$ > /dev/null &"])
            .arg(std::env::current_exe().unwrap())
            .arg(folder.path());
        let mut parent = Actor::start(command);
        assert!(parent.end().success());
        let torn_down = until("waiting for the orphan's teardown", || {
            std::fs::read_to_string(folder.path().join("teardown")).ok().filter(|text| text.ends_with('\n'))
        });
        assert_eq!(torn_down, "removed because the process that started this one is gone\n");
    }
}

fn orphaned_child_never_starts() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["__child", &dead_pid().to_string(), "touch", "started"]).current_dir(folder.path());
    assert_eq!(Actor::start(command).end().code(), Some(143));
    assert!(!folder.path().join("started").exists());
    // The same call with the right parent does start it.
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["__child", &std::process::id().to_string(), "touch", "started"]).current_dir(folder.path());
    assert_eq!(Actor::start(command).end().code(), Some(0));
    assert!(folder.path().join("started").exists());
}

fn a_harness_goes_down_with_its_parent() {
    let folder = tempfile::tempdir().unwrap();
    // The second command keeps the shell from becoming the harness itself.
    let mut command = Command::new("sh");
    command
        .args(["-c", "\"$0\" role harness \"$1\"; exit $?"])
        .arg(std::env::current_exe().unwrap())
        .arg(folder.path());
    let mut wrapper = Actor::start(command);
    let children = wrapper.line();
    wrapper.signal(Signal::SIGKILL);
    assert_eq!(wrapper.end().signal(), Some(9));
    let torn_down = until("waiting for the teardown", || {
        std::fs::read_to_string(folder.path().join("teardown")).ok().filter(|text| text.ends_with('\n'))
    });
    assert_eq!(torn_down, "removed because the process that started this one is gone\n");
    for pid in children.split(' ').skip(1) {
        until_gone(pid.parse().unwrap());
    }
}

fn no_child_outlives_the_harness() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = Actor::role(&["harness", folder.path().to_str().unwrap()]);
    let line = harness.line();
    let pids: Vec<i32> = line.split(' ').skip(1).map(|pid| pid.parse().unwrap()).collect();
    assert!(pids.iter().all(|pid| is_running(*pid)));
    harness.signal(Signal::SIGKILL);
    assert_eq!(harness.end().signal(), Some(9));
    assert!(!folder.path().join("teardown").exists(), "nothing can be done after KILL");
    // The kernel ends the child; what the child had started itself is for the unit, or the janitor, to end.
    until_gone(pids[0]);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pids[1]), Signal::SIGKILL).unwrap();
}
