//! The programs that the tests start: small, but with the order of steps that a real program has.

use std::convert::Infallible;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use cc_ci_process::atomic::write_json;
use cc_ci_process::cancel::{Cancellation, Cause};
use cc_ci_process::child::{ChildHost, run_blocking};
use cc_ci_process::exit::ExitStatus;
use cc_ci_process::logging;
use cc_ci_process::mask::{Masker, SecretValue};
use cc_ci_process::parent::ParentBond;
use cc_ci_process::printer::Printer;
use cc_ci_process::wait::{Look, Waiting, wait_for_blocking};

use crate::stage::{LONG, shell};

pub(crate) fn play(args: &[String]) -> ExitStatus {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["exit", code] => ExitStatus::from_code(code.parse().unwrap()).unwrap(),
        ["harness", folder] => harness(Path::new(folder), ParentBond::note(), LONG),
        ["harness", folder, "deadline", millis] => {
            harness(Path::new(folder), ParentBond::note(), Duration::from_millis(millis.parse().unwrap()))
        }
        ["harness", folder, "parent", parent] => {
            harness(Path::new(folder), ParentBond::expecting(parent.parse().unwrap()), LONG)
        }
        ["writer", path, first] => writer(Path::new(path), first.parse().unwrap()),
        ["talker"] => talker(),
        ["logger"] => logger(),
        _ => ExitStatus::Usage,
    }
}

fn say(text: &str) {
    let mut stdout = std::io::stdout();
    // The reader may be gone; that is no reason for a panic in the middle of a teardown.
    let _ = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
}

/// Guards, one child that hangs, and a teardown that waits for a file `go` where there is a file `slow`.
fn harness(folder: &Path, bond: ParentBond, deadline: Duration) -> ExitStatus {
    let cancellation = Cancellation::new();
    let _signals = cancellation.install_signals_with(bond).unwrap();
    bond.bind(&cancellation).unwrap();
    let _deadline = cancellation.with_deadline(deadline).unwrap();
    cancellation.on_later_causes(|cause, count| say(&format!("noted {count}: {cause}; teardown goes on")));
    let child = shell("sleep 600 & echo child $$ $!; wait").host(ChildHost::current_exe());
    let _ = run_blocking(child, &cancellation, &Masker::new(), |line| say(&line.text));
    let cause = cancellation.cause().unwrap();
    teardown(folder, &cause);
    cause.exit_status()
}

fn teardown(folder: &Path, cause: &Cause) {
    let (own, _bound) = Cancellation::for_teardown(LONG).unwrap();
    let mut record = OpenOptions::new().create(true).append(true).open(folder.join("teardown")).unwrap();
    if folder.join("slow").exists() {
        say("teardown begins");
        let waiting = Waiting { deadline: LONG, interval: Duration::from_millis(5) };
        let go = folder.join("go");
        let look = || Ok::<_, Infallible>(Look::from_option(go.exists().then_some(()), "no go"));
        wait_for_blocking("waiting for go", waiting, &own, look).unwrap();
    }
    // A teardown needs children of its own, which the cancelled run must not take with it.
    let removed = run_blocking(shell("echo removed"), &own, &Masker::new(), |_| ()).unwrap();
    writeln!(record, "{} because {cause}", removed.stdout.trim()).unwrap();
}

/// Replaces a file for ever, by contents whose parts have to fit together.
fn writer(path: &Path, first: u64) -> ExitStatus {
    for number in first.. {
        // Tens of kilobytes, so that a write in place would be met half done, and of many sizes.
        let filling = vec![number; 3_000 + (number as usize * 997) % 3_000];
        let length = filling.len();
        write_json(path, &serde_json::json!({ "number": number, "filling": filling, "length": length }))
            .unwrap();
    }
    ExitStatus::Good
}

fn talker() -> ExitStatus {
    let mut printer = Printer::stdout(&Masker::new());
    for number in 0..100_000 {
        printer.line(&format!("line {number}"));
    }
    printer.finish().map_or(ExitStatus::Trouble, |()| ExitStatus::Good)
}

fn logger() -> ExitStatus {
    let masker = Masker::new();
    masker.add("test", &SecretValue::new("hunter2-hunter2")).unwrap();
    logging::start(&masker).unwrap();
    tracing::info!(password = "hunter2-hunter2", "logging in");
    tracing::debug!("details");
    ExitStatus::Good
}
