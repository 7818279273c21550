//! What a child gets, and what of it stays.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use cc_ci_process::cancel::{Cancellation, Cause};
use cc_ci_process::child::{
    ChildEnvironment, ChildError, ChildHost, ChildSpec, Exit, Input, Stream, TerminalSize, run_blocking,
};
use cc_ci_process::mask::Masker;
use nix::fcntl::{Flock, FlockArg};

use crate::Test;
use crate::stage::{Actor, LONG, environment, is_running, run, run_with, shell, until_gone};

pub(crate) const TESTS: &[Test] = &[
    ("every_child_gets_home_and_abra_dir_explicitly", every_child_gets_home_and_abra_dir_explicitly),
    ("build_parameters_never_pass_through_a_shell", build_parameters_never_pass_through_a_shell),
    ("command_that_needs_a_terminal_gets_one", command_that_needs_a_terminal_gets_one),
    ("processes_are_ended_by_group_never_by_name", processes_are_ended_by_group_never_by_name),
    ("a_group_that_ignores_term_is_killed", a_group_that_ignores_term_is_killed),
    ("a_group_that_cleans_up_on_term_may_finish", a_group_that_cleans_up_on_term_may_finish),
    ("no_child_outlives_the_one_that_started_it", no_child_outlives_the_one_that_started_it),
    ("a_process_that_left_its_group_holds_nobody_up", a_process_that_left_its_group_holds_nobody_up),
    ("dropping_a_run_leaves_no_child", dropping_a_run_leaves_no_child),
    ("a_child_holds_no_lock_of_its_parent", a_child_holds_no_lock_of_its_parent),
    ("a_child_reads_its_input_to_the_end", a_child_reads_its_input_to_the_end),
    ("a_cancelled_program_starts_no_child", a_cancelled_program_starts_no_child),
    ("a_program_that_is_not_there_is_named", a_program_that_is_not_there_is_named),
    ("many_children_at_once_keep_their_outputs_apart", many_children_at_once_keep_their_outputs_apart),
];

/// Every way to start a child: what holds must hold in each.
fn hosts() -> [ChildHost; 3] {
    [ChildHost::current_exe(), ChildHost::at(std::env::current_exe().unwrap()), ChildHost::direct()]
}

fn every_child_gets_home_and_abra_dir_explicitly() {
    // This process has an environment of its own to keep out; cargo sees to that.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    for host in hosts() {
        let environment = ChildEnvironment::new(Path::new("/runs/1/home"), Path::new("/runs/1/abra"))
            .set("PATH", "/usr/bin:/bin")
            .set("EMPTY", "");
        let output = run(ChildSpec::new("testing", "env", environment, LONG).host(host));
        let mut lines: Vec<&str> = output.stdout.lines().collect();
        lines.sort_unstable();
        assert_eq!(
            lines,
            ["ABRA_DIR=/runs/1/abra", "EMPTY=", "HOME=/runs/1/home", "LANG=C.UTF-8", "PATH=/usr/bin:/bin"]
        );
    }
}

fn build_parameters_never_pass_through_a_shell() {
    let hostile = ["x; id", "$(id)", "`id`", "a\nb", "*", "", "-n", "'\"\\", "~"];
    for host in hosts() {
        let output = run(ChildSpec::new("testing", "printf", environment(), LONG)
            .arg("<%s>")
            .args(hostile)
            .host(host));
        let expected: String = hostile.iter().map(|arg| format!("<{arg}>")).collect();
        assert_eq!(output.stdout, expected);
    }
}

fn command_that_needs_a_terminal_gets_one() {
    let script = "for i in 0 1 2; do test -t $i || exit 9; done; test -w /dev/tty || exit 8; \
                  stty size; printf '\\033[1;32mgreen\\033[0m\\n'; echo error >&2; exit 7";
    assert_eq!(run(shell(script)).exit, Exit::Exited(9), "the script must notice a missing terminal");
    for host in hosts() {
        let mut lines = Vec::new();
        let output = run_with(shell(script).terminal(TerminalSize::WIDE).host(host), |line| lines.push(line));
        assert_eq!(output.exit, Exit::Exited(7));
        assert_eq!(output.stdout, "50 400\ngreen\nerror\n");
        assert!(lines.iter().all(|line| line.stream == Stream::Terminal));
    }
    // And it can be typed on, up to an end of input.
    let typed = Input::Bytes(b"yes\n".to_vec());
    let output = run(shell("read a; cat; echo got $a").terminal(TerminalSize::WIDE).stdin(typed));
    assert_eq!(output.stdout, "got yes\n");
}

fn processes_are_ended_by_group_never_by_name() {
    let mut foreign = Actor::start({
        let mut command = Command::new("sleep");
        command.arg("600");
        command
    });
    for host in hosts() {
        let output = run(ChildSpec::new("testing", "sleep", environment(), Duration::from_millis(100))
            .arg("600")
            .host(host));
        assert_eq!(output.exit, Exit::TimedOut(Duration::from_millis(100)));
        assert!(foreign.child.try_wait().unwrap().is_none(), "a foreign process of that name was ended");
    }
}

fn a_group_that_ignores_term_is_killed() {
    for host in hosts() {
        let script = "trap '' TERM; (sleep 600) & echo $$ $!; wait; sleep 600";
        let spec = shell(script).grace(Duration::from_millis(50)).host(host);
        let cancellation = Cancellation::new();
        let mut pids = String::new();
        let output = run_blocking(spec, &cancellation, &Masker::new(), |line| {
            pids = line.text;
            cancellation.cancel(Cause::Term);
        })
        .unwrap();
        assert_eq!(output.exit, Exit::Cancelled(Cause::Term));
        assert_eq!(output.notes, ["its group did not end when asked and was killed"]);
        for pid in pids.split(' ') {
            until_gone(pid.parse().unwrap());
        }
    }
}

fn a_group_that_cleans_up_on_term_may_finish() {
    // The leader ends at once; the other one of its group says its last words later.
    let script = "(trap 'sleep 0.2; echo cleaned up; exit' TERM; echo ready; while :; do sleep 0.05; done) & \
                  trap 'exit 0' TERM; wait";
    let cancellation = Cancellation::new();
    let output = run_blocking(shell(script), &cancellation, &Masker::new(), |line| {
        if line.text == "ready" {
            cancellation.cancel(Cause::Term);
        }
    })
    .unwrap();
    assert_eq!(output.stdout, "ready\ncleaned up\n");
    assert!(output.notes.is_empty(), "{:?}", output.notes);
}

fn no_child_outlives_the_one_that_started_it() {
    for host in hosts() {
        let output = run(shell("sleep 600 & echo $!").host(host));
        assert_eq!(output.exit, Exit::Exited(0));
        // Killed at once, and not only after the time for strangers who hold the output.
        assert!(output.notes.is_empty(), "{:?}", output.notes);
        until_gone(output.stdout.trim().parse().unwrap());
    }
}

fn a_process_that_left_its_group_holds_nobody_up() {
    let mut stranger = None;
    // The leader ends only when the other one has left its group and spoken.
    let script = "mkfifo gone; setsid sh -c 'echo $$; echo > gone; exec sleep 600' & read x < gone; exit 3";
    let folder = tempfile::tempdir().unwrap();
    let output = run_with(shell(script).cwd(folder.path()), |line| stranger = line.text.parse().ok());
    let stranger: i32 = stranger.unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(stranger), nix::sys::signal::Signal::SIGKILL).unwrap();
    assert_eq!(output.exit, Exit::Exited(3));
    assert!(output.took < LONG / 2, "{:?}", output.took);
    assert!(output.notes.iter().any(|note| note.contains("left the group")), "{:?}", output.notes);
}

fn dropping_a_run_leaves_no_child() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (cancellation, masker) = (Cancellation::new(), Masker::new());
    let mut pids = Vec::<i32>::new();
    runtime.block_on(async {
        let started = tokio::sync::Notify::new();
        let running = cc_ci_process::child::run(
            shell("sleep 600 & echo $$; echo $!; wait"),
            &cancellation,
            &masker,
            |line| {
                pids.push(line.text.parse().unwrap());
                if pids.len() == 2 {
                    started.notify_one();
                }
            },
        );
        tokio::select! {
            _ = running => panic!("it ended by itself"),
            () = started.notified() => {}
        }
    });
    assert_eq!(pids.len(), 2);
    for pid in pids {
        until_gone(pid);
    }
}

fn a_child_holds_no_lock_of_its_parent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lock");
    let open = || std::fs::File::create(&path).unwrap();
    for host in hosts() {
        let mut held = Some(Flock::lock(open(), FlockArg::LockExclusiveNonblock).unwrap());
        let mut is_free = false;
        let cancellation = Cancellation::new();
        let child = shell("echo $$; exec sleep 600").host(host);
        run_blocking(child, &cancellation, &Masker::new(), |line| {
            // Closing the file, and not unlocking it, is what frees a lock of a process that dies.
            let file = held.take().unwrap();
            drop(file);
            assert!(is_running(line.text.parse().unwrap()));
            is_free = Flock::lock(open(), FlockArg::LockExclusiveNonblock).is_ok();
            cancellation.cancel(Cause::Term);
        })
        .unwrap();
        assert!(is_free, "the child holds the lock");
    }
}

fn a_child_reads_its_input_to_the_end() {
    let bytes: Vec<u8> = (0..300_000u32).flat_map(|number| format!("{number}\n").into_bytes()).collect();
    let spec = || ChildSpec::new("testing", "cksum", environment(), LONG);
    let whole = run(spec().stdin(Input::Bytes(bytes.clone()))).stdout;
    assert!(whole.contains(&format!(" {}", bytes.len())), "{whole}");
    let piped = Input::Piped(Box::new(std::io::Cursor::new(bytes.clone())));
    assert_eq!(run(spec().stdin(piped)).stdout, whole);
    assert_eq!(run(ChildSpec::new("testing", "cat", environment(), LONG)).stdout, "");
    // A child that does not want it all is no error.
    assert!(run(ChildSpec::new("testing", "true", environment(), LONG).stdin(Input::Bytes(bytes))).is_good());
}

fn a_cancelled_program_starts_no_child() {
    let folder = tempfile::tempdir().unwrap();
    let cancellation = Cancellation::new();
    cancellation.cancel(Cause::Int);
    let spec = shell("touch started").cwd(folder.path());
    let error = run_blocking(spec, &cancellation, &Masker::new(), |_| ()).unwrap_err();
    assert_eq!(error.to_string(), "testing: not started because SIGINT came");
    assert_eq!(error.cancelled(), Some(&Cause::Int));
    assert!(!folder.path().join("started").exists());
}

fn a_program_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("plain"), "not executable").unwrap();
    for program in ["no-such-program-here", "./plain", "/nonexistent/abra"] {
        let spec = ChildSpec::new("asking abra", program, environment(), LONG).cwd(folder.path());
        let error = run_blocking(spec, &Cancellation::new(), &Masker::new(), |_| ()).unwrap_err();
        assert!(matches!(error, ChildError::NotFound { .. }), "{error}");
        assert!(error.to_string().starts_with(&format!("asking abra: the program {program} ")), "{error}");
    }
}

fn many_children_at_once_keep_their_outputs_apart() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..24)
            .map(|number| {
                tokio::spawn(async move {
                    let spec =
                        shell(&format!("for i in 1 2 3; do echo {number} $i; echo e{number} >&2; done"));
                    let output =
                        cc_ci_process::child::run(spec, &Cancellation::new(), &Masker::new(), |_| ()).await;
                    (number, output.unwrap())
                })
            })
            .collect();
        for task in tasks {
            let (number, output) = task.await.unwrap();
            assert_eq!(output.stdout, format!("{number} 1\n{number} 2\n{number} 3\n"));
            assert_eq!(output.stderr, format!("e{number}\n").repeat(3));
        }
    });
}
