//! Jobs and one-shot helpers on a real swarm: settled when they ended well, the recipe's fault when they did not.
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::collections::BTreeMap;

use cc_ci_model::convergence::{Failure, Sent};
use cc_ci_swarm::convergence::{Converging, Settled, Unsettled};
use cc_ci_testkit::engine_or_skip;

mod support;
use support::{LIMITS, TestRun};

/// A stack of one service `task` that runs this program, in this mode and under this restart policy.
fn compose(image: &str, version: &str, program: &[&str], deploy: &str) -> String {
    format!(
        "version: \"3.8\"\nservices:\n  task:\n    image: {image}\n    entrypoint: {program:?}\n    environment: {{ \
         PROBE_CRASH_AFTER_MS: \"100\" }}\n    deploy:\n      labels: {{ test.version: \"{version}\" }}\n{deploy}"
    )
}

async fn roll(run: &TestRun, compose: &str, version: &str) -> Result<Settled, Unsettled> {
    let converging = Converging::begin(&run.docker, &run.stack).await.unwrap();
    run.deploy(compose);
    let labels = BTreeMap::from([("test.version".to_owned(), version.to_owned())]);
    let sent = BTreeMap::from([(run.service("task"), Sent { labels, image: None })]);
    converging.wait(&sent, &LIMITS, &run.never, |_| {}).await
}

/// An old CLI refuses a job by its mode; there is nothing to wait for then.
fn is_refused(run: &TestRun, compose: &str) -> bool {
    if run.engine.cli_knows_jobs() {
        return false;
    }
    let refusal = run.try_deploy(compose).unwrap_err();
    assert!(refusal.contains("Unknown mode"), "{refusal}");
    true
}

const ENDS_WELL: [&str; 4] = ["/probe", "write", "/done", "x"];
const ENDS_BADLY: [&str; 1] = ["/probe"];

#[tokio::test]
async fn a_job_settles_when_it_ended_well_at_install_and_at_upgrade() {
    let engine = engine_or_skip!();
    let image = engine.image("probe:1.0").reference.clone();
    let run = TestRun::start(engine, "job").await;
    for (mode, versions) in [("replicated-job", ["base", "head"]), ("global-job", ["base", "head"])] {
        let deploy = format!("      mode: {mode}\n");
        if is_refused(&run, &compose(&image, "base", &ENDS_WELL, &deploy)) {
            run.tear_down().await;
            continue;
        }
        let mut last = String::new();
        for version in versions {
            let settled = roll(&run, &compose(&image, version, &ENDS_WELL, &deploy), version).await.unwrap();
            let service = &settled.services[&run.service("task")];
            assert!(service.containers.is_empty(), "{mode}: nothing of a job goes on running");
            // Each deploy runs a job anew: what ended before it proves nothing.
            let tasks = run.cli(&["service", "ps", "--quiet", "--no-trunc", &run.service("task")]);
            assert_ne!(tasks, last, "{mode}");
            last = tasks;
        }
        run.tear_down().await;
    }
}

#[tokio::test]
async fn a_job_that_fails_is_told_with_its_last_words() {
    let engine = engine_or_skip!();
    let image = engine.image("probe:1.0").reference.clone();
    let run = TestRun::start(engine, "badjob").await;
    let once = "      mode: replicated-job\n      restart_policy: { condition: none }\n";
    let again = "      mode: replicated-job\n      restart_policy: { condition: on-failure, delay: 0.1s }\n";
    for deploy in [once, again] {
        if is_refused(&run, &compose(&image, "base", &ENDS_BADLY, deploy)) {
            run.tear_down().await;
            continue;
        }
        match roll(&run, &compose(&image, "base", &ENDS_BADLY, deploy), "base").await {
            Err(Unsettled::Failed { failure, log }) => {
                let is_known = matches!(failure, Failure::GaveUp { .. } | Failure::RestartLoop { .. });
                assert!(is_known && !failure.is_trouble(), "{failure}");
                assert!(failure.to_string().contains("non-zero exit (3)"), "{failure}");
                assert!(log.iter().any(|line| line.contains("crashing as told")), "{log:?}");
            }
            other => panic!("expected a failure, got {other:?}"),
        }
        run.tear_down().await;
    }
}

#[tokio::test]
async fn a_one_shot_helper_settles_when_it_ended_well() {
    let engine = engine_or_skip!();
    let image = engine.image("probe:1.0").reference.clone();
    let run = TestRun::start(engine, "oneshot").await;
    for condition in ["none", "on-failure"] {
        let deploy = format!("      restart_policy: {{ condition: {condition} }}\n");
        let settled = roll(&run, &compose(&image, "base", &ENDS_WELL, &deploy), "base").await.unwrap();
        assert!(settled.services[&run.service("task")].containers.is_empty(), "{condition}");
        run.tear_down().await;
    }
    let deploy = "      restart_policy: { condition: none }\n";
    let told = roll(&run, &compose(&image, "base", &ENDS_BADLY, deploy), "base").await;
    assert!(matches!(told, Err(Unsettled::Failed { failure: Failure::GaveUp { .. }, .. })), "{told:?}");
    run.tear_down().await;
}
