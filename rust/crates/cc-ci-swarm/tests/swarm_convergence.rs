//! Deployments on a real swarm, and what is said of them.
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::time::Duration;

use cc_ci_model::convergence::{Failure, Limits};
use cc_ci_process::cancel::Cause;
use cc_ci_swarm::convergence::{Converging, Settled, Unsettled};
use cc_ci_testkit::engine_or_skip;
use cc_ci_testkit::testbed::TestEngine;

mod support;
use support::{LIMITS, Probe, TestRun};

/// Deploys and waits, as every test here does.
async fn roll(run: &TestRun, probe: &Probe<'_>) -> Result<Settled, Unsettled> {
    roll_within(run, probe, &LIMITS).await
}

async fn roll_within(run: &TestRun, probe: &Probe<'_>, limits: &Limits) -> Result<Settled, Unsettled> {
    let converging = Converging::begin(&run.docker, &run.stack).await.unwrap();
    run.deploy(&probe.compose());
    converging.wait(&run.sent(probe.version), limits, &run.never, |_| {}).await
}

fn failure(outcome: Result<Settled, Unsettled>) -> Failure {
    match outcome {
        Err(Unsettled::Failed { failure, .. }) => failure,
        other => panic!("expected a failure, got {other:?}"),
    }
}

fn image(engine: &TestEngine, release: &str) -> String {
    engine.image(&format!("probe:{release}")).reference.clone()
}

#[tokio::test]
async fn install_upgrade_and_label_only_upgrade_converge() {
    let engine = engine_or_skip!();
    let (old, new) = (image(&engine, "1.0"), image(&engine, "1.1"));
    let run = TestRun::start(engine, "upgrade").await;
    let app = run.service("app");

    let first = roll(&run, &Probe::new(&old, "base")).await.unwrap();
    let before = first.services[&app].containers.clone();
    assert_eq!((before.len(), first.services[&app].restarts), (1, 0));

    let second = roll(&run, &Probe::new(&new, "head")).await.unwrap();
    let after = second.services[&app].containers.clone();
    assert_eq!(after.len(), 1);
    assert_ne!(after, before, "the container of the former spec is still the one");
    assert_eq!(second.services[&app].image, new);

    let third = roll(&run, &Probe::new(&new, "label-only")).await.unwrap();
    assert_eq!(third.services[&app].containers, after, "a label replaces no task");
    let start_first = Probe { order: "start-first", ..Probe::new(&old, "start-first") };
    let fourth = roll(&run, &start_first).await.unwrap();
    assert_eq!(fourth.services[&app].containers.len(), 1, "both copies still run");
    run.tear_down().await;
}

#[tokio::test]
async fn rollback_completed_is_not_convergence() {
    let engine = engine_or_skip!();
    let image = image(&engine, "1.0");
    let run = TestRun::start(engine, "rollback").await;
    roll(&run, &Probe::new(&image, "base")).await.unwrap();
    for order in ["stop-first", "start-first"] {
        let crash =
            Probe { environment: &[("PROBE_CRASH_AFTER_MS", "200")], order, ..Probe::new(&image, "head") };
        let told = failure(roll(&run, &crash).await);
        assert!(matches!(told, Failure::RolledBack { .. }), "{order}: {told}");
        assert!(told.to_string().contains("non-zero exit (3)"), "{order}: {told}");
        assert!(!told.is_trouble());
        // The way back must have ended before the next update, or that one would be judged by its remains.
        roll(&run, &Probe::new(&image, &format!("base again after {order}"))).await.unwrap();
    }
    run.tear_down().await;
}

#[tokio::test]
async fn never_healthy_task_under_start_first_is_a_rollback() {
    let engine = engine_or_skip!();
    let image = image(&engine, "1.0");
    let run = TestRun::start(engine, "unhealthy").await;
    roll(&run, &Probe::new(&image, "base")).await.unwrap();
    let sick = Probe {
        environment: &[("PROBE_NEVER_HEALTHY", "1")],
        order: "start-first",
        ..Probe::new(&image, "head")
    };
    let told = failure(roll(&run, &sick).await);
    assert!(matches!(&told, Failure::RolledBack { cause, .. } if cause.contains("unhealthy")), "{told}");
    run.tear_down().await;
}

#[tokio::test]
async fn paused_update_is_not_convergence() {
    let engine = engine_or_skip!();
    let image = image(&engine, "1.0");
    let run = TestRun::start(engine, "paused").await;
    roll(&run, &Probe::new(&image, "base")).await.unwrap();
    let crash = Probe {
        environment: &[("PROBE_CRASH_AFTER_MS", "200")],
        on_failure: "pause",
        ..Probe::new(&image, "head")
    };
    let told = failure(roll(&run, &crash).await);
    assert!(matches!(told, Failure::Paused { .. }), "{told}");
    run.tear_down().await;
}

#[tokio::test]
async fn crash_loop_is_failed_early() {
    let engine = engine_or_skip!();
    let image = image(&engine, "1.0");
    let run = TestRun::start(engine, "loop").await;
    let crash = Probe { environment: &[("PROBE_CRASH_AFTER_MS", "100")], ..Probe::new(&image, "base") };
    let start = std::time::Instant::now();
    match roll(&run, &crash).await {
        Err(Unsettled::Failed { failure: Failure::RestartLoop { failures, .. }, log }) => {
            assert!(failures >= LIMITS.loop_failures, "{failures}");
            assert!(log.iter().any(|line| line.contains("crashing as told")), "{log:?}");
        }
        other => panic!("expected a restart loop, got {other:?}"),
    }
    assert!(start.elapsed() < LIMITS.time / 2, "took {:?}", start.elapsed());
    run.tear_down().await;
}

#[tokio::test]
async fn crash_after_swarms_own_monitor_is_seen() {
    let engine = engine_or_skip!();
    let image = image(&engine, "1.0");
    let run = TestRun::start(engine, "late").await;
    roll(&run, &Probe::new(&image, "base")).await.unwrap();
    let late = Probe { environment: &[("PROBE_CRASH_AFTER_MS", "1800")], ..Probe::new(&image, "head") };
    let told = failure(roll(&run, &late).await);
    assert!(matches!(told, Failure::RestartLoop { .. }), "{told}");
    run.tear_down().await;
}

#[tokio::test]
async fn converging_upgrade_is_not_failed_by_the_tools_own_monitor() {
    let engine = engine_or_skip!();
    let image = image(&engine, "1.0");
    let run = TestRun::start(engine, "slow").await;
    roll(&run, &Probe::new(&image, "base")).await.unwrap();
    let slow = Probe {
        environment: &[("PROBE_READY_AFTER_MS", "4000")],
        with_health_check: false,
        more: "    healthcheck: { test: [CMD, /probe, check], interval: 0.5s, retries: 2, start_period: 30s }\n",
        ..Probe::new(&image, "head")
    };
    let settled = roll(&run, &slow).await.unwrap();
    assert!(settled.took > Duration::from_secs(4), "{:?}", settled.took);
    let limits = Limits { time: Duration::from_secs(2), ..LIMITS };
    let slower = Probe {
        environment: &[("PROBE_READY_AFTER_MS", "20000")],
        with_health_check: false,
        more: slow.more,
        ..Probe::new(&image, "too slow")
    };
    let told = failure(roll_within(&run, &slower, &limits).await);
    assert!(matches!(told, Failure::TimeLimit { .. }), "{told}");
    run.tear_down().await;
}

#[tokio::test]
async fn image_that_does_not_exist_is_named() {
    let engine = engine_or_skip!();
    let run = TestRun::start(engine, "missing").await;
    let told = failure(roll(&run, &Probe::new("127.0.0.1:1/nowhere:9", "base")).await);
    assert!(
        matches!(&told, Failure::ImageMissing { image, .. } if image == "127.0.0.1:1/nowhere:9"),
        "{told}"
    );
    run.tear_down().await;
}

#[tokio::test]
async fn bind_source_that_does_not_exist_is_a_rejection() {
    let engine = engine_or_skip!();
    let image = image(&engine, "1.0");
    let run = TestRun::start(engine, "bind").await;
    let bind = Probe { more: "    volumes: [\"/nowhere-at-all:/x\"]\n", ..Probe::new(&image, "base") };
    let told = failure(roll(&run, &bind).await);
    assert!(
        matches!(&told, Failure::TaskRejected { error, .. } if error.contains("/nowhere-at-all")),
        "{told}"
    );
    run.tear_down().await;
}

#[tokio::test]
async fn memory_limit_is_named_as_the_cause() {
    let engine = engine_or_skip!();
    let image = image(&engine, "1.0");
    let run = TestRun::start(engine, "memory").await;
    let hog = Probe {
        environment: &[("PROBE_MEMORY_MB", "200")],
        more_deploy: "      resources: { limits: { memory: 20M } }\n",
        ..Probe::new(&image, "base")
    };
    let told = failure(roll(&run, &hog).await);
    assert!(matches!(told, Failure::OutOfMemory { .. }), "{told}");
    run.tear_down().await;
}

#[tokio::test]
async fn restart_policy_that_gives_up_is_told() {
    let engine = engine_or_skip!();
    let image = image(&engine, "1.0");
    let run = TestRun::start(engine, "gaveup").await;
    let once = Probe { environment: &[("PROBE_CRASH_AFTER_MS", "100")], ..Probe::new(&image, "base") };
    let converging = Converging::begin(&run.docker, &run.stack).await.unwrap();
    run.deploy(&once.compose().replace("{ delay: 0.1s }", "{ condition: none }"));
    let told = failure(converging.wait(&run.sent("base"), &LIMITS, &run.never, |_| {}).await);
    assert!(matches!(told, Failure::GaveUp { .. }), "{told}");
    run.tear_down().await;
}

#[tokio::test]
async fn global_service_and_service_without_replicas_converge() {
    let engine = engine_or_skip!();
    let image = image(&engine, "1.0");
    let run = TestRun::start(engine, "modes").await;
    let global = Probe { more_deploy: "      mode: global\n", ..Probe::new(&image, "global") };
    let settled = roll(&run, &global).await.unwrap();
    assert_eq!(settled.services[&run.service("app")].containers.len(), 1);
    run.tear_down().await;
    let none = Probe { more_deploy: "      replicas: 0\n", ..Probe::new(&image, "none") };
    let settled = roll(&run, &none).await.unwrap();
    assert!(settled.services[&run.service("app")].containers.is_empty());
    run.tear_down().await;
}

#[tokio::test]
async fn other_commit_than_the_one_sent_is_still_old() {
    let engine = engine_or_skip!();
    let image = image(&engine, "1.0");
    let run = TestRun::start(engine, "stillold").await;
    let converging = Converging::begin(&run.docker, &run.stack).await.unwrap();
    run.deploy(&Probe::new(&image, "base").compose());
    let told = failure(converging.wait(&run.sent("head"), &LIMITS, &run.never, |_| {}).await);
    assert!(told.to_string().contains("label test.version is base, deployed was head"), "{told}");
    run.tear_down().await;
}

#[tokio::test]
async fn a_cancelled_run_stops_waiting() {
    let engine = engine_or_skip!();
    let image = image(&engine, "1.0");
    let run = TestRun::start(engine, "cancel").await;
    let sick = Probe { environment: &[("PROBE_READY_AFTER_MS", "60000")], ..Probe::new(&image, "base") };
    let converging = Converging::begin(&run.docker, &run.stack).await.unwrap();
    run.deploy(&sick.compose());
    let cancel = run.never.clone();
    let outcome =
        converging.wait(&run.sent("base"), &LIMITS, &run.never, |_| _ = cancel.cancel(Cause::Term)).await;
    assert!(matches!(outcome, Err(Unsettled::Cancelled { .. })), "{outcome:?}");
    let never = cc_ci_process::cancel::Cancellation::new();
    let bound = Duration::from_secs(60);
    cc_ci_swarm::teardown::teardown(&run.docker, &run.stack, &run.lock, bound, &never, |_| {}).await.unwrap();
}

#[tokio::test]
async fn port_that_somebody_else_holds_is_trouble() {
    let engine = engine_or_skip!();
    let image = image(&engine, "1.0");
    let run = TestRun::start(engine, "port").await;
    let holder = run.cli(&["run", "--detach", "--publish", "64738:8080", &image]);
    let voice = Probe {
        more: "    ports: [{ target: 8080, published: 64738, mode: host }]\n",
        ..Probe::new(&image, "base")
    };
    let told = failure(roll(&run, &voice).await);
    run.tear_down().await;
    run.cli(&["rm", "--force", "--volumes", &holder]);
    assert!(told.is_trouble(), "{told}");
    assert!(told.to_string().contains("held by somebody else"), "{told}");
}
