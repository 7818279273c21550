//! What needs an engine of the test's own: one that restarts, and one whose addresses run out.
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::path::PathBuf;

use cc_ci_model::convergence::{Failure, Limits};
use cc_ci_swarm::convergence::{Converging, Unsettled};
use cc_ci_swarm::docker::Docker;
use cc_ci_swarm::inventory::survey;
use cc_ci_testkit::can_start_engines;
use cc_ci_testkit::engine::{EngineOptions, PrivateEngine, Signal};
use cc_ci_testkit::stock::{self, Proxy, StockImages};
use cc_ci_testkit::testbed::{TestEngine, ZONE};

mod support;
use support::{LIMITS, Probe, TestRun};

/// An engine with the test images, and its description as a run wants it.
fn engine(address_pool: Option<&str>) -> (PrivateEngine, TestEngine) {
    let (data, images): (PathBuf, StockImages) = stock::kept(Proxy::Without).unwrap();
    let options = EngineOptions { data_from: Some(data), address_pool: address_pool.map(str::to_owned) };
    let engine = PrivateEngine::start(&options).unwrap();
    let description = TestEngine {
        docker_host: engine.docker_host(),
        registry: String::new(),
        images,
        zone: ZONE.to_owned(),
        traefik: None,
        helper_image: None,
        settings: engine.folder().join("settings.toml"),
    };
    (engine, description)
}

#[tokio::test]
async fn engine_that_restarts_in_mid_deploy_is_marked_and_watched_anew() {
    if !can_start_engines() {
        return;
    }
    let (mut private, description) = engine(None);
    let image = description.image("probe:1.0").reference.clone();
    let run = TestRun::start(description, "restart").await;
    let converging = Converging::begin(&run.docker, &run.stack).await.unwrap();
    run.deploy(&Probe::new(&image, "base").compose());
    let (started, restarted) = tokio::sync::oneshot::channel();
    // A restart blocks for seconds, so it has a thread of its own.
    let restart = std::thread::spawn(move || {
        restarted.blocking_recv().unwrap();
        private.restart(Signal::Kill).unwrap();
        private
    });
    let mut started = Some(started);
    let slow = Limits { stability: std::time::Duration::from_secs(4), ..LIMITS };
    let settled = converging
        .wait(&run.sent("base"), &slow, &run.never, |reason| {
            if reason.contains("watching")
                && let Some(started) = started.take()
            {
                started.send(()).unwrap();
            }
        })
        .await
        .unwrap();
    assert!(settled.is_engine_restarted);
    let mut private = restart.join().unwrap();
    let running = &settled.services[&run.service("app")].containers;
    assert_eq!(running.len(), 1);
    let found = run.docker.api().inspect_container(&running[0], None).await.unwrap();
    assert_eq!(found.state.unwrap().running, Some(true), "settled on a container from before the restart");

    // A teardown that begins while the engine is away waits for it and ends with the proof.
    private.halt(Signal::Kill).unwrap();
    let back = std::thread::spawn(move || {
        private.resume().unwrap();
        private
    });
    run.tear_down().await;
    let private = back.join().unwrap();
    assert!(survey(&run.docker).await.unwrap().of_stack(&run.stack).is_empty());

    // What is written on the node outlives nothing but its label.
    let node = run.docker.info().await.unwrap().swarm_node.unwrap();
    run.docker.set_node_label(&node, "cc-ci.zone.ccci.test", Some("me")).await.unwrap();
    assert_eq!(run.docker.node_labels(&node).await.unwrap()["cc-ci.zone.ccci.test"], "me");
    run.docker.set_node_label(&node, "cc-ci.zone.ccci.test", None).await.unwrap();
    assert!(run.docker.node_labels(&node).await.unwrap().is_empty());

    let host = run.docker.host().to_owned();
    private.stop().unwrap();
    let lost = survey(&run.docker).await.unwrap_err();
    assert!(lost.is_connection(), "a list that cannot be had is not an empty one: {lost:?}");
    assert!(Docker::connect(Some(&host)).await.unwrap_err().is_connection());
}

#[tokio::test]
async fn network_is_removed_only_after_the_tasks_have_ended() {
    if !can_start_engines() {
        return;
    }
    // Room for three networks of /24, beside the ingress network.
    let (private, description) = engine(Some("10.201.0.0/22"));
    let image = description.image("probe:1.0").reference.clone();
    let run = TestRun::start(description, "pool").await;
    // More often than there are networks: one that lost its addresses would be missed.
    for round in 0..6 {
        let converging = Converging::begin(&run.docker, &run.stack).await.unwrap();
        run.deploy(&Probe { with_health_check: false, ..Probe::new(&image, "base") }.compose());
        let quick = Limits { stability: std::time::Duration::from_millis(500), ..LIMITS };
        let settled = converging.wait(&run.sent("base"), &quick, &run.never, |_| {}).await;
        assert!(settled.is_ok(), "round {round}: {settled:?}");
        run.tear_down().await;
    }

    // Exhaustion is silent in swarm; here it has a name and is trouble.
    for number in 0..4 {
        run.cli(&["network", "create", "--driver", "overlay", "--attachable", &format!("filler-{number}")]);
        let helper = format!("filler-{number}");
        let _ = run.engine.docker().args(["run", "--detach", "--network", &helper, &image]).run();
    }
    let converging = Converging::begin(&run.docker, &run.stack).await.unwrap();
    run.deploy(&Probe::new(&image, "base").compose());
    match converging.wait(&run.sent("base"), &LIMITS, &run.never, |_| {}).await {
        Err(Unsettled::Failed { failure, .. }) => {
            assert!(failure.is_trouble(), "{failure}");
            let name = run.service("default");
            assert!(
                matches!(&failure, Failure::AllocationFailure { network, .. } if network.contains(&name)),
                "{failure}"
            );
        }
        other => panic!("expected an allocation failure, got {other:?}"),
    }
    // A network without driver and subnet is removed as well.
    run.tear_down().await;
    assert!(survey(&run.docker).await.unwrap().of_stack(&run.stack).is_empty());
    private.stop().unwrap();
}
