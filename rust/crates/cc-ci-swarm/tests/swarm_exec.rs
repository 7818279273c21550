//! Commands in containers of a real swarm: what ran is answered, what did not run is an error.
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::time::{Duration, Instant};

use cc_ci_model::names::ServiceName;
use cc_ci_swarm::convergence::Converging;
use cc_ci_swarm::exec::{ExecError, ExecLimits, ExecOutput, exec, running_container};
use cc_ci_testkit::engine_or_skip;

mod support;
use support::{LIMITS, Probe, TestRun};

const QUICK: ExecLimits = ExecLimits {
    container: Duration::from_secs(20),
    command: Duration::from_secs(20),
    output_bytes: 100_000,
};

async fn run_in_app(
    run: &TestRun,
    argv: &[&str],
    stdin: &[u8],
    limits: ExecLimits,
) -> Result<ExecOutput, ExecError> {
    let app = ServiceName::parse("app").unwrap();
    exec(&run.docker, &run.stack, &app, argv, stdin, limits, &run.never).await
}

async fn start_nginx(run: &TestRun, environment: &[(&str, &str)]) {
    let image = run.engine.image("nginx:1.0").reference.clone();
    let probe = Probe { with_health_check: false, environment, ..Probe::new(&image, "base") };
    let converging = Converging::begin(&run.docker, &run.stack).await.unwrap();
    run.deploy(&probe.compose());
    converging.wait(&run.sent("base"), &LIMITS, &run.never, |_| {}).await.unwrap();
}

#[tokio::test]
async fn exit_code_and_both_streams_come_back_and_input_goes_in() {
    let engine = engine_or_skip!();
    let run = TestRun::start(engine, "streams").await;
    start_nginx(&run, &[]).await;
    let script = "cat; echo bad >&2; exit 7";
    let output = run_in_app(&run, &["sh", "-c", script], b"some\nlines", QUICK).await.unwrap();
    assert_eq!(
        (output.code, output.stdout.as_slice(), output.stderr.as_slice()),
        (7, &b"some\nlines"[..], &b"bad\n"[..])
    );
    assert!(!output.is_cut);

    let big = vec![b'x'; 2_000_000];
    let output = run_in_app(&run, &["wc", "-c"], &big, QUICK).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "2000000");
    let output = run_in_app(&run, &["cat"], &big, QUICK).await.unwrap();
    assert_eq!((output.code, output.stdout.len(), output.is_cut), (0, QUICK.output_bytes, true));

    let output = run_in_app(&run, &["no-such-program"], b"", QUICK).await;
    assert!(matches!(&output, Ok(ExecOutput { code: 126 | 127, .. })), "{output:?}");
    run.tear_down().await;
}

#[tokio::test]
async fn test_helpers_resolve_paths_from_the_running_image() {
    let engine = engine_or_skip!();
    let run = TestRun::start(engine, "layout").await;
    // The same program in another place, as after a change to another image; the command names no place.
    for folder in ["/usr/local/admin/bin", "/opt/other/tools"] {
        start_nginx(&run, &[("PATH", &format!("{folder}:/usr/sbin:/usr/bin:/sbin:/bin"))]).await;
        let script = format!(
            "mkdir -p {folder} && printf '#!/bin/sh\necho \"$0\"\n' > {folder}/admin && chmod +x {folder}/admin"
        );
        let made = run_in_app(&run, &["sh", "-c", &script], b"", QUICK).await.unwrap();
        assert_eq!(made.code, 0, "{made:?}");
        let output = run_in_app(&run, &["admin"], b"", QUICK).await.unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!((output.code, said), (0, format!("{folder}/admin\n")));
    }
    run.tear_down().await;
}

#[tokio::test]
async fn retry_covers_failed_execs_never_wrong_content() {
    let engine = engine_or_skip!();
    let run = TestRun::start(engine, "once").await;
    start_nginx(&run, &[]).await;
    // Each execution leaves a line; a wrong answer must not be asked for again.
    let script = "echo ran >> /tmp/count; wc -l < /tmp/count; exit 1";
    let output = run_in_app(&run, &["sh", "-c", script], b"", QUICK).await.unwrap();
    assert_eq!((output.code, output.stdout.as_slice()), (1, &b"1\n"[..]));
    run.tear_down().await;
}

#[tokio::test]
async fn exec_in_a_cycling_container_waits_then_errors() {
    let engine = engine_or_skip!();
    let run = TestRun::start(engine, "cycling").await;
    let image = run.engine.image("probe:1.0").reference.clone();
    let short = ExecLimits { container: Duration::from_secs(2), ..QUICK };

    let missing = run_in_app(&run, &["/probe", "check"], b"", short).await;
    assert!(matches!(missing, Err(ExecError::NoContainer { .. })), "{missing:?}");

    let crash = Probe { environment: &[("PROBE_CRASH_AFTER_MS", "1")], ..Probe::new(&image, "base") };
    run.deploy(&crash.compose().replace("delay: 0.1s", "delay: 60s"));
    let start = Instant::now();
    let cycling = run_in_app(&run, &["/probe", "check"], b"", short).await;
    assert!(matches!(cycling, Err(ExecError::NoContainer { .. })), "{cycling:?}");
    assert!(start.elapsed() >= short.container, "it did not wait");

    // It comes up only after a while, which is waited for.
    let slow = Probe {
        environment: &[("PROBE_READY_AFTER_MS", "2000")],
        with_health_check: false,
        more: "    healthcheck: { test: [CMD, /probe, check], interval: 0.5s, start_period: 30s }\n",
        ..Probe::new(&image, "head")
    };
    run.deploy(&slow.compose());
    let output = run_in_app(&run, &["/probe", "check"], b"", QUICK).await.unwrap();
    assert_eq!(output.code, 0);
    run.tear_down().await;
}

#[tokio::test]
async fn command_whose_container_ends_has_no_answer() {
    let engine = engine_or_skip!();
    let run = TestRun::start(engine, "interrupted").await;
    start_nginx(&run, &[]).await;
    let container = running_container(&run.docker, &run.service("app")).await.unwrap().unwrap();
    let engine = run.engine.clone();
    let name = container.clone();
    // Killed from a thread of its own, once the command is known to have started.
    let killer = std::thread::spawn(move || {
        let look = || match engine.docker().args(["top", &name]).run().unwrap() {
            text if text.contains("sleep 60") => Ok(()),
            text => Err(text),
        };
        let (limit, step) = (Duration::from_secs(20), Duration::from_millis(50));
        cc_ci_testkit::patience::until("the command to start", limit, step, look).unwrap();
        engine.docker().args(["rm", "--force", &name]).run().unwrap();
    });
    let answer = run_in_app(&run, &["sh", "-c", "echo partial; sleep 60"], b"", QUICK).await;
    killer.join().unwrap();
    assert!(matches!(answer, Err(ExecError::Interrupted { .. })), "{answer:?}");
    run.tear_down().await;
}

#[tokio::test]
async fn command_without_end_is_a_time_out() {
    let engine = engine_or_skip!();
    let run = TestRun::start(engine, "endless").await;
    start_nginx(&run, &[]).await;
    let short = ExecLimits { command: Duration::from_secs(1), ..QUICK };
    let answer = run_in_app(&run, &["sleep", "60"], b"", short).await;
    assert!(matches!(answer, Err(ExecError::TimedOut { .. })), "{answer:?}");
    run.tear_down().await;
}
