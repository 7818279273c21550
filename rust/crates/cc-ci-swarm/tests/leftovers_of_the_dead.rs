//! What a killed run leaves on the kernel: a free lock, a dead folder, and processes that are found and ended.
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use cc_ci_model::names::RunId;
use cc_ci_model::sweep::Liveness;
use cc_ci_process::alive::{Alive, liveness};
use cc_ci_process::cancel::Cancellation;
use cc_ci_swarm::lock::{HeldLock, LockNews, Probe};
use cc_ci_swarm::processes::{end, of_runs};
use cc_ci_testkit::patience;

mod support;
use support::{domain, run_id};

const LONG: Duration = Duration::from_secs(30);
const STEP: Duration = Duration::from_millis(5);

/// A child that is killed and awaited when the test ends.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A folder of runs with one run in it.
struct Runs {
    folder: tempfile::TempDir,
    id: RunId,
}

impl Runs {
    fn new() -> Self {
        // An id of its own: processes are found by it, also those of the test beside this one.
        let (folder, id) = (tempfile::tempdir().unwrap(), RunId::new(jiff::Timestamp::now(), rand::random()));
        std::fs::create_dir_all(folder.path().join(id.as_str()).join("state")).unwrap();
        std::fs::create_dir_all(folder.path().join(id.as_str()).join("home")).unwrap();
        Self { folder, id }
    }

    fn run(&self) -> PathBuf {
        self.folder.path().join(self.id.as_str())
    }

    fn count(&self) -> usize {
        of_runs(self.folder.path()).unwrap().remove(&self.id).unwrap_or_default().len()
    }

    async fn end(&self) -> usize {
        end(self.folder.path(), &self.id, &Cancellation::new()).await.unwrap().len()
    }
}

/// A shell command with nothing in its environment but this.
fn shell(script: &str, variables: &[(&str, &Path)]) -> Guard {
    let mut command = Command::new("sh");
    command.args(["-c", script]).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    command.envs(variables.iter().copied()).current_dir("/").stdin(Stdio::null());
    Guard(command.spawn().unwrap())
}

fn wait_for(what: &str, look: impl Fn() -> bool) {
    patience::until(what, LONG, STEP, || look().then_some(()).ok_or_else(String::new)).unwrap();
}

#[tokio::test]
async fn a_grandchild_that_left_its_group_is_found_by_its_home_and_ended() {
    let runs = Runs::new();
    let home = runs.run().join("home");
    // Its starter is gone at once, and it is in a session of its own: what a daemon does.
    let mut starter = shell("setsid sleep 300 & exit 0", &[("HOME", &home)]);
    starter.0.wait().unwrap();
    wait_for("the orphan", || runs.count() == 1);
    assert_eq!(runs.end().await, 1);
    assert_eq!(runs.count(), 0);
}

#[tokio::test]
async fn a_process_deaf_to_term_is_killed() {
    let runs = Runs::new();
    let marker = runs.folder.path().join("deaf");
    let script = format!("trap '' TERM; : > {}; while :; do sleep 0.05; done", marker.display());
    let mut deaf = shell(&script, &[("ABRA_DIR", &runs.run().join("abra"))]);
    wait_for("the trap", || marker.exists());
    // It and the sleeps that it starts meanwhile.
    assert!(runs.end().await >= 1);
    assert!(!deaf.0.wait().unwrap().success());
    wait_for("the last of its sleeps", || runs.count() == 0);
}

#[tokio::test]
async fn a_test_of_a_run_is_found_by_the_runs_id_and_one_of_another_folder_is_not() {
    let runs = Runs::new();
    let others = Runs { folder: tempfile::tempdir().unwrap(), id: runs.id.clone() };
    let id = PathBuf::from(runs.id.as_str());
    let mut test = shell("exec sleep 300", &[("CCCI_RUN_ID", &id)]);
    wait_for("the test", || runs.count() == 1);
    // The same id, but no such folder there: somebody else's run.
    assert_eq!(others.count(), 0);
    assert_eq!(runs.end().await, 1);
    assert!(!test.0.wait().unwrap().success());
}

#[tokio::test]
async fn a_persons_shell_in_the_folder_of_a_run_is_none_of_its_processes() {
    let runs = Runs::new();
    let (folder, there) = (runs.run(), runs.folder.path().join("there"));
    // What a person starts from a shell in that folder: on a terminal, with PWD and OLDPWD as the shell left them.
    let looks = format!(
        "cd '{0}' && export PWD OLDPWD='{0}' && : > '{1}' && exec sleep 300",
        folder.display(),
        there.display()
    );
    let mut person = Command::new("script");
    person.args(["-q", "-e", "-c", &looks, "/dev/null"]).env("SHELL", "/bin/sh").current_dir("/");
    let mut person = Guard(person.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap());
    wait_for("the person's shell", || there.exists());
    assert_eq!(runs.count(), 0);
    // The same without a terminal works there.
    let mut left = shell(&format!("cd '{}' && exec sleep 300", folder.display()), &[]);
    wait_for("the leftover", || runs.count() == 1);
    assert_eq!(runs.end().await, 1);
    assert!(!left.0.wait().unwrap().success());
    assert!(person.0.try_wait().unwrap().is_none(), "a person's shell was ended");
}

#[tokio::test]
async fn processes_are_ended_by_what_they_belong_to_never_by_name() {
    let runs = Runs::new();
    let mut left = shell("exec sleep 300", &[("HOME", &runs.run().join("home"))]);
    let mut foreign = shell("exec sleep 300", &[("HOME", runs.folder.path())]);
    wait_for("the leftover", || runs.count() == 1);
    assert_eq!(runs.end().await, 1);
    assert!(!left.0.wait().unwrap().success());
    assert!(foreign.0.try_wait().unwrap().is_none(), "a process of the same name was ended");
}

#[test]
fn a_child_does_not_keep_the_folder_of_its_dead_run_alive() {
    let runs = Runs::new();
    let alive = Alive::hold(&runs.run()).unwrap();
    let mut child = shell("exec sleep 300", &[]);
    assert_eq!(liveness(&runs.run()), Liveness::Lives);
    drop(alive);
    // A child that another test starts at this moment has the descriptor until it executes its program, no longer.
    wait_for("the folder to be dead", || liveness(&runs.run()) == Liveness::Dead);
    assert!(child.0.try_wait().unwrap().is_none());
}

#[test]
fn a_killed_owner_leaves_a_dead_folder() {
    let runs = Runs::new();
    drop(Alive::hold(&runs.run()).unwrap());
    let file = runs.run().join("state/alive");
    let owner =
        Command::new("flock").args(["--exclusive", "--no-fork"]).arg(&file).args(["sleep", "300"]).spawn();
    let mut owner = Guard(owner.unwrap());
    wait_for("the owner", || liveness(&runs.run()) == Liveness::Lives);
    owner.0.kill().unwrap();
    owner.0.wait().unwrap();
    assert_eq!(liveness(&runs.run()), Liveness::Dead);
}

#[tokio::test]
async fn reaping_happens_under_the_probe_lock() {
    let folder = tempfile::tempdir().unwrap();
    let domain = domain("probe_lock");
    let Probe::Free(probe) = HeldLock::try_probe(folder.path(), &domain).unwrap() else { panic!("held") };
    probe.note_janitor().unwrap();
    let file = folder.path().join(format!("{domain}.lock"));
    let condemned = std::fs::metadata(&file).unwrap().ino();
    // Kept open, so that the kernel cannot give its number to the next file.
    let _open = std::fs::File::open(&file).unwrap();
    let (heard, mut news) = tokio::sync::mpsc::unbounded_channel();
    let (path, own) = (folder.path().to_owned(), domain.clone());
    let run = tokio::spawn(async move {
        let tell = move |news: &LockNews| drop(heard.send(news.to_string()));
        HeldLock::acquire(&path, &own, &run_id(), LONG, &Cancellation::new(), tell).await
    });
    let waiting = news.recv().await.unwrap();
    assert!(waiting.contains("janitor, which removes leftovers"), "the arriving run is told: {waiting}");
    // Now everything is removed, and last the file.
    probe.remove().unwrap();
    assert_eq!(news.recv().await.unwrap(), "acquired");
    let _lock = run.await.unwrap().unwrap();
    assert_ne!(std::fs::metadata(&file).unwrap().ino(), condemned, "it starts on a fresh file");
}

#[test]
fn of_many_probers_exactly_one_gets_the_lock() {
    let folder = tempfile::tempdir().unwrap();
    let domain = domain("probers");
    let barrier = std::sync::Barrier::new(8);
    let probes: Vec<Probe> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    HeldLock::try_probe(folder.path(), &domain).unwrap()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(probes.iter().filter(|probe| matches!(probe, Probe::Free(_))).count(), 1);
}
