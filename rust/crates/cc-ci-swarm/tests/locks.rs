//! The lock of a run's domain on the real kernel, between tasks, threads and processes.
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cc_ci_model::names::RunDomain;
use cc_ci_process::cancel::{Cancellation, Cause};
use cc_ci_swarm::lock::{HeldLock, LockError, LockNews, Probe};

mod support;
use support::{domain, run_id};

const LONG: Duration = Duration::from_secs(30);

async fn acquire(folder: &Path, domain: &RunDomain) -> HeldLock {
    HeldLock::acquire(folder, domain, &run_id(), LONG, &Cancellation::new(), |_| {}).await.unwrap()
}

fn is_free(folder: &Path, domain: &RunDomain) -> bool {
    matches!(HeldLock::try_probe(folder, domain).unwrap(), Probe::Free(_))
}

/// A child that is killed and awaited when the test ends.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn waiting_for_a_lock_is_visible_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let domain = domain("visible");
    let first = acquire(folder.path(), &domain).await;
    let holder = first.last_holder().unwrap();
    let (heard, mut news) = tokio::sync::mpsc::unbounded_channel();
    let (path, own) = (folder.path().to_owned(), domain.clone());
    let second = tokio::spawn(async move {
        let tell = move |news: &LockNews| drop(heard.send(news.to_string()));
        HeldLock::acquire(&path, &own, &run_id(), LONG, &Cancellation::new(), tell).await
    });
    let waiting = news.recv().await.unwrap();
    assert_eq!(waiting, format!("in flight — waiting ({holder})"));
    assert!(waiting.contains(&format!("pid {}", std::process::id())), "{waiting}");
    drop(first);
    assert_eq!(news.recv().await.unwrap(), "acquired");
    assert!(second.await.unwrap().is_ok());
    assert_eq!(news.recv().await, None, "one line when it waits, one when it is held, no more");
}

#[tokio::test]
async fn a_lock_that_is_not_freed_in_time_is_an_error_that_names_the_holder() {
    let folder = tempfile::tempdir().unwrap();
    let domain = domain("bounded");
    let held = acquire(folder.path(), &domain).await;
    let short = Duration::from_millis(50);
    let error = HeldLock::acquire(folder.path(), &domain, &run_id(), short, &Cancellation::new(), |_| {})
        .await
        .unwrap_err();
    let holder = held.last_holder().unwrap();
    assert!(matches!(error, LockError::Waiting { .. }), "{error:?}");
    assert!(error.to_string().contains(&holder.to_string()), "{error}");
}

#[tokio::test]
async fn a_cancelled_run_stops_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let domain = domain("cancelled");
    let _held = acquire(folder.path(), &domain).await;
    let cancellation = Cancellation::new();
    let cancel = cancellation.clone();
    let tell = move |_: &LockNews| _ = cancel.cancel(Cause::Term);
    let start = Instant::now();
    let error =
        HeldLock::acquire(folder.path(), &domain, &run_id(), LONG, &cancellation, tell).await.unwrap_err();
    assert!(error.to_string().contains("SIGTERM"), "{error}");
    assert!(start.elapsed() < LONG);
}

#[tokio::test]
async fn lock_descriptor_is_closed_on_exec() {
    let folder = tempfile::tempdir().unwrap();
    let domain = domain("exec");
    let lock = acquire(folder.path(), &domain).await;
    let mut child = Guard(Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().unwrap());
    drop(lock);
    // A child that another test starts at this moment has the descriptor until it executes its program, no longer.
    let end = Instant::now() + LONG;
    while !is_free(folder.path(), &domain) {
        assert!(Instant::now() < end, "the child holds the lock of its dead run");
        tokio::task::yield_now().await;
    }
    assert!(child.0.try_wait().unwrap().is_none(), "the child still lives");
}

/// The processes that hold a lock on a file, and those that wait for it, as the kernel lists them (`proc_locks(5)`).
fn kernels_list(file: &Path) -> (Vec<u32>, Vec<u32>) {
    let inode = format!(":{}", std::fs::metadata(file).unwrap().ino());
    let (mut holding, mut waiting) = (Vec::new(), Vec::new());
    for line in std::fs::read_to_string("/proc/locks").unwrap().lines() {
        // `1: FLOCK  ADVISORY  WRITE 4711 fe:00:12345 0 EOF`, with `->` after the number for one that waits.
        let words: Vec<&str> = line.split_whitespace().skip(1).collect();
        let (list, words) = match words.as_slice() {
            ["->", words @ ..] => (&mut waiting, words),
            words => (&mut holding, words),
        };
        if let ["FLOCK", _, "WRITE", pid, place, ..] = words
            && place.ends_with(&inode)
        {
            list.push(pid.parse().unwrap());
        }
    }
    (holding, waiting)
}

#[tokio::test]
async fn lock_tests_use_the_real_kernel_and_real_children() {
    let folder = tempfile::tempdir().unwrap();
    let domain = domain("kernel");
    let lock = acquire(folder.path(), &domain).await;
    let file = folder.path().join(format!("{domain}.lock"));
    assert_eq!(kernels_list(&file), (vec![std::process::id()], vec![]), "our lock is the kernel's");
    let mut child = Guard(
        Command::new("flock")
            .args(["--exclusive", "--no-fork"])
            .arg(&file)
            .args(["sleep", "60"])
            .spawn()
            .unwrap(),
    );
    let wait_for = |wanted: (Vec<u32>, Vec<u32>), what: &str| {
        let end = Instant::now() + LONG;
        while kernels_list(&file) != wanted {
            assert!(Instant::now() < end, "{what}: {:?}", kernels_list(&file));
            std::thread::yield_now();
        }
    };
    let child_id = child.0.id();
    wait_for(
        (vec![std::process::id()], vec![child_id]),
        "the child, a program that is not ours, waits for us",
    );
    drop(lock);
    wait_for((vec![child_id], vec![]), "the child has it after us");
    assert!(!is_free(folder.path(), &domain), "and our probe sees that");
    child.0.kill().unwrap();
    child.0.wait().unwrap();
    assert_eq!(kernels_list(&file), (vec![], vec![]));
    assert!(is_free(folder.path(), &domain));
}

#[tokio::test]
async fn lock_lives_exactly_as_long_as_its_owner() {
    let folder = tempfile::tempdir().unwrap();
    let domain = domain("owner");
    drop(acquire(folder.path(), &domain).await);
    let file = folder.path().join(format!("{domain}.lock"));
    let mut owner = Guard(
        Command::new("flock")
            .args(["--exclusive", "--no-fork"])
            .arg(&file)
            .args(["sleep", "60"])
            .spawn()
            .unwrap(),
    );
    let end = Instant::now() + LONG;
    while is_free(folder.path(), &domain) {
        assert!(Instant::now() < end, "the other process never took the lock");
        tokio::task::yield_now().await;
    }
    owner.0.kill().unwrap();
    owner.0.wait().unwrap();
    assert!(is_free(folder.path(), &domain), "the lock outlived its killed owner");
}

#[tokio::test]
async fn a_probe_tells_the_living_from_the_dead_and_names_who_died() {
    let folder = tempfile::tempdir().unwrap();
    let domain = domain("probe");
    let lock = acquire(folder.path(), &domain).await;
    let holder = lock.last_holder();
    assert!(holder.is_some());
    match HeldLock::try_probe(folder.path(), &domain).unwrap() {
        Probe::Held(found) => assert_eq!(found, holder),
        Probe::Free(_) => panic!("two owners"),
    }
    drop(lock);
    match HeldLock::try_probe(folder.path(), &domain).unwrap() {
        Probe::Free(lock) => assert_eq!(lock.last_holder(), holder),
        Probe::Held(found) => panic!("still held by {found:?}"),
    }
}

#[tokio::test]
async fn the_lock_file_is_the_groups_to_use_and_goes_with_its_owner() {
    let folder = tempfile::tempdir().unwrap();
    let domain = domain("mode");
    let lock = acquire(folder.path(), &domain).await;
    let file = folder.path().join(format!("{domain}.lock"));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o660);
    lock.remove().unwrap();
    assert!(!file.exists());
}

#[test]
fn an_unusable_lock_folder_is_an_error_and_not_a_free_lock() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    let error = HeldLock::try_probe(&missing, &domain("missing")).unwrap_err();
    assert!(error.to_string().contains("check the rights of its folder"), "{error}");
}

#[test]
fn waiter_on_an_unlinked_lock_file_starts_over() {
    const THREADS: usize = 6;
    const ROUNDS: usize = 400;
    let folder = tempfile::tempdir().unwrap();
    let domain = domain("race");
    let (is_owned, taken) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (folder, domain, is_owned, taken) = (folder.path(), &domain, &is_owned, &taken);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let lock = loop {
                        match HeldLock::try_probe(folder, domain) {
                            Ok(Probe::Free(lock)) => break lock,
                            // So many removers at once may well replace the file ten times in a row.
                            Ok(Probe::Held(_)) | Err(LockError::Replaced { .. }) => std::thread::yield_now(),
                            Err(error) => panic!("{error}"),
                        }
                    };
                    assert!(!is_owned.swap(true, Ordering::AcqRel), "two owners");
                    std::thread::yield_now();
                    taken.fetch_add(1, Ordering::AcqRel);
                    is_owned.store(false, Ordering::Release);
                    if (thread + round) % 3 == 0 { drop(lock) } else { lock.remove().unwrap() }
                }
            });
        }
    });
    assert_eq!(taken.load(Ordering::Acquire), THREADS * ROUNDS);
}

#[tokio::test]
async fn another_user_of_the_folders_group_can_probe_a_lock_and_one_outside_it_cannot() {
    const GROUP: u32 = 12_345;
    if !nix::unistd::geteuid().is_root() {
        cc_ci_testkit::progress::say("SKIP another_user_of_the_folders_group_can_probe_a_lock: needs root");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(folder.path(), None, Some(GROUP)).unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o2775)).unwrap();
    let domain = domain("group");
    let lock = acquire(folder.path(), &domain).await;
    let file = folder.path().join(format!("{domain}.lock"));
    // What a janitor or a run of another user does, without our program: flock(1) ends with 1 where it is held and with
    // 66 where it may not even open the file.
    let probe = |group: u32| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=12346", &format!("--regid={group}"), "--clear-groups"]);
        command.args(["flock", "--nonblock", "--exclusive"]).arg(&file).arg("true");
        command.stderr(Stdio::null()).status().unwrap().code()
    };
    assert_eq!(probe(GROUP), Some(1), "held");
    drop(lock);
    // A child that another test starts at this moment has the descriptor until it executes its program, no longer.
    let end = Instant::now() + LONG;
    while probe(GROUP) != Some(0) {
        assert!(Instant::now() < end, "free, and yet not to be had");
    }
    assert_eq!(probe(12_347), Some(66), "a stranger's");
}
