//! What a child says, and what of it can be seen where.

use std::io::Read;
use std::process::{Command, Stdio};

use cc_ci_process::cancel::Cancellation;
use cc_ci_process::child::{Stream, run_blocking};
use cc_ci_process::mask::{Masker, SecretValue, scan_folder};

use crate::Test;
use crate::stage::{Actor, run, run_with, shell};

pub(crate) const TESTS: &[Test] = &[
    ("a_line_is_seen_while_the_program_still_runs", a_line_is_seen_while_the_program_still_runs),
    ("a_secret_reaches_neither_sink_nor_memory_nor_evidence", a_secret_reaches_nothing),
    ("an_endless_output_is_kept_within_its_limit", an_endless_output_is_kept_within_its_limit),
    ("an_error_shows_the_last_useful_lines", an_error_shows_the_last_useful_lines),
    ("evidence_that_cannot_be_written_changes_nothing_else", evidence_that_cannot_be_written),
    ("a_closed_pipe_is_success", a_closed_pipe_is_success),
    ("the_log_is_masked_and_leaves_time_to_the_journal", the_log_is_masked),
];

fn a_line_is_seen_while_the_program_still_runs() {
    let folder = tempfile::tempdir().unwrap();
    // Waits for an answer that only somebody who has seen the line can give.
    let script = "echo question; while ! test -e answer; do sleep 0.01; done; echo done";
    let mut lines = Vec::new();
    let output = run_with(shell(script).cwd(folder.path()), |line| {
        if line.text == "question" {
            std::fs::write(folder.path().join("answer"), "").unwrap();
        }
        lines.push(line.text);
    });
    assert!(output.is_good());
    assert_eq!(lines, ["question", "done"]);
}

fn a_secret_reaches_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let masker = Masker::new();
    masker.add("test", &SecretValue::new("hunter2-hunter2")).unwrap();
    // In two writes, so that the border of a read falls into the secret.
    let script = "printf 'a hunter2-'; sleep 0.1; printf 'hunter2 b\\n'; echo hunter2-hunter2 | base64 >&2";
    let mut lines = Vec::new();
    let spec = shell(script).evidence(folder.path().join("log.txt"));
    let output =
        run_blocking(spec, &Cancellation::new(), &masker, |line| lines.push((line.stream, line.text)))
            .unwrap();
    assert_eq!(output.stdout, "a [masked] b\n");
    assert!(output.stderr.starts_with("[masked]"), "{}", output.stderr);
    assert!(lines.contains(&(Stream::Stdout, "a [masked] b".to_owned())), "{lines:?}");
    let evidence = std::fs::read_to_string(folder.path().join("log.txt")).unwrap();
    assert!(evidence.contains("a [masked] b\n"), "{evidence}");
    assert_eq!(masker.masked(), 2);
    assert!(scan_folder(folder.path(), &masker).unwrap().is_empty());
}

fn an_endless_output_is_kept_within_its_limit() {
    let folder = tempfile::tempdir().unwrap();
    let evidence = folder.path().join("log.txt");
    let mut count = 0;
    let spec = shell("seq 1 200000").keep_at_most(1000).evidence(&evidence);
    let output = run_with(spec, |_| count += 1);
    assert_eq!(count, 200_000, "the sink gets every line");
    assert!(output.is_cut);
    assert!(output.stdout.starts_with("1\n2\n") && output.stdout.ends_with("\n200000\n"));
    assert!(output.stdout.len() < 1100 && output.stdout.contains("bytes left out"));
    assert!(std::fs::metadata(&evidence).unwrap().len() < 1100);
    assert_eq!(output.notes.len(), 2, "{:?}", output.notes);
}

fn an_error_shows_the_last_useful_lines() {
    let output = run(shell("echo progress; echo 'no such network: proxy' >&2; echo >&2; exit 1"));
    assert_eq!(
        output.ok_or_error().unwrap_err().to_string(),
        "testing: sh ended with code 1 and said: no such network: proxy"
    );
}

fn evidence_that_cannot_be_written() {
    let output = run(shell("echo fine").evidence("/nonexistent/log.txt"));
    assert_eq!(output.stdout, "fine\n");
    assert!(output.is_good());
    assert!(output.notes[0].contains("/nonexistent/log.txt"), "{:?}", output.notes);
}

fn a_closed_pipe_is_success() {
    let mut talker = Actor::role(&["talker"]);
    assert_eq!(talker.line(), "line 0");
    talker.close();
    assert_eq!(talker.end().code(), Some(0));
}

fn the_log_is_masked() {
    let log = |journal: bool| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["role", "logger"]).env_remove("JOURNAL_STREAM").env_remove("CCCI_LOG");
        if journal {
            command.env("JOURNAL_STREAM", "8:1");
        }
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut text = String::new();
        child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        assert!(child.wait().unwrap().success());
        text
    };
    let line = log(true);
    assert!(line.trim_start().starts_with("INFO") && line.contains("logging in"), "{line}");
    assert!(line.contains("[masked]") && !line.contains("hunter2") && !line.contains("details"), "{line}");
    assert!(log(false).starts_with("20"), "outside the journal a line begins with the year");
}
