//! Teardown on a real swarm: everything goes, nothing of others does, and what stays is told.
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::time::Duration;

use cc_ci_model::inventory::{Kind, Moments, WITNESS_STACK, difference};
use cc_ci_model::names::StackName;
use cc_ci_swarm::convergence::Converging;
use cc_ci_swarm::inventory::survey;
use cc_ci_swarm::teardown::{TeardownError, teardown};
use cc_ci_testkit::engine_or_skip;

mod support;
use support::{LIMITS, TestRun};

/// Three services (one deaf to TERM), volumes with and without a name, secrets with and without a label, a config.
fn everything(run: &TestRun, image: &str) -> String {
    let stack = &run.stack;
    std::fs::write(run.folder.path().join("file.txt"), "content").unwrap();
    format!(
        "version: \"3.8\"\nservices:\n  app:\n    image: {image}\n    volumes: [\"data:/data\", \"/anonymous\"]\n    \
         secrets: [external, labelled]\n    configs: [conf]\n  deaf:\n    image: {image}\n    stop_signal: SIGTERM\n    \
         volumes: [\"/anonymous\"]\n  third:\n    image: {image}\nvolumes:\n  data:\nsecrets:\n  external:\n    \
         external: true\n    name: {stack}_pw_v1\n  labelled:\n    file: ./file.txt\nconfigs:\n  conf:\n    file: ./file.txt\n    \
         name: {stack}_conf_v1\n"
    )
}

async fn deploy_everything(run: &TestRun) {
    let image = run.engine.image("probe:1.0").reference.clone();
    run.add_secret(&format!("{}_pw_v1", run.stack));
    let converging = Converging::begin(&run.docker, &run.stack).await.unwrap();
    run.deploy(&everything(run, &image));
    converging.wait(&Default::default(), &LIMITS, &run.never, |_| {}).await.unwrap();
}

#[tokio::test]
async fn stack_without_env_file_is_reaped_completely() {
    let engine = engine_or_skip!();
    let run = TestRun::start(engine, "reaped").await;
    let before = survey(&run.docker).await.unwrap();
    deploy_everything(&run).await;
    // Task history keeps exited containers, each with its volumes.
    let victim = run.cli(&["ps", "-q", "--filter", &format!("name={}_third", run.stack)]);
    run.cli(&["kill", &victim]);
    let deployed = survey(&run.docker).await.unwrap();
    let own = deployed.of_stack(&run.stack).counts();
    let expected =
        [(Kind::Service, 3), (Kind::Network, 1), (Kind::Volume, 3), (Kind::Secret, 2), (Kind::Config, 1)];
    for (kind, count) in expected {
        assert_eq!(own.get(&kind), Some(&count), "{kind:?}: {:?}", deployed.of_stack(&run.stack).titles());
    }

    let removed = run.tear_down().await;
    let after = survey(&run.docker).await.unwrap();
    let moments = Moments { before: &before, deployed: &deployed, after: &after };
    let evidence = difference(moments, std::slice::from_ref(&run.stack), &[WITNESS_STACK]);
    assert_eq!(evidence.created, own);
    assert_eq!(evidence.removed, evidence.created);
    assert_eq!(evidence.left, [""; 0]);
    assert!(removed.counts()[&Kind::Volume] >= 3, "{:?}", removed.counts());
    assert!(removed.took() < Duration::from_secs(15), "took {:?}", removed.took());
}

#[tokio::test]
async fn stack_removal_is_proven_not_believed() {
    let engine = engine_or_skip!();
    let run = TestRun::start(engine, "proven").await;
    let image = run.engine.image("probe:1.0").reference.clone();
    // Torn down while its tasks are just starting, when swarm may still make containers.
    run.deploy(&format!(
        "version: \"3.8\"\nservices:\n  app:\n    image: {image}\n    deploy: {{ replicas: 4 }}\n"
    ));
    let mut steps = Vec::new();
    let bound = Duration::from_secs(60);
    teardown(&run.docker, &run.stack, &run.lock, bound, &run.never, |step| steps.push(step.to_owned()))
        .await
        .unwrap();
    assert!(steps.iter().any(|step| step.ends_with(" left")), "{steps:?}");
    let left = survey(&run.docker).await.unwrap().of_stack(&run.stack);
    assert!(left.is_empty(), "{:?}", left.titles());
    // Nothing to do is done at once: it can be repeated.
    assert!(run.tear_down().await.took() < Duration::from_secs(5));
}

#[tokio::test]
async fn volumes_and_secrets_are_removed_by_stack_name_with_retry() {
    let engine = engine_or_skip!();
    let run = TestRun::start(engine, "byname").await;
    let (own, neighbour) = (format!("{}_data", run.stack), format!("{}0_data", run.stack));
    for name in [&own, &neighbour] {
        run.cli(&["volume", "create", name]);
        run.add_secret(name);
    }
    run.tear_down().await;
    let titles = survey(&run.docker).await.unwrap().titles();
    assert!(!titles.contains(&format!("volume {own}")) && !titles.contains(&format!("secret {own}")));
    assert!(
        titles.contains(&format!("volume {neighbour}")) && titles.contains(&format!("secret {neighbour}"))
    );
    run.cli(&["volume", "rm", &neighbour]);
    run.cli(&["secret", "rm", &neighbour]);
}

#[tokio::test]
async fn residue_after_teardown_turns_the_run_red() {
    let engine = engine_or_skip!();
    let run = TestRun::start(engine, "residue").await;
    let image = run.engine.image("probe:1.0").reference.clone();
    let volume = format!("{}_data", run.stack);
    let mount = format!("{volume}:/data");
    // A stranger's container keeps the volume busy.
    let stranger = run.cli(&["run", "--detach", "--network", "none", "--volume", &mount, &image]);
    let bound = Duration::from_secs(2);
    let error = teardown(&run.docker, &run.stack, &run.lock, bound, &run.never, |_| {}).await.unwrap_err();
    assert_eq!(error.left(), [format!("volume {volume}")]);
    let words = error.to_string();
    assert!(matches!(error, TeardownError::Left { .. }), "{words}");
    assert!(words.contains("volume is in use"), "{words}");
    run.cli(&["rm", "--force", &stranger]);
    run.tear_down().await;
}

#[tokio::test]
async fn networks_of_a_failed_deploy_are_removed_too() {
    let engine = engine_or_skip!();
    let run = TestRun::start(engine, "failed").await;
    let image = run.engine.image("probe:1.0").reference.clone();
    let failed = run.try_deploy(&format!(
        "version: \"3.8\"\nservices:\n  app:\n    image: {image}\n    secrets: [absent]\nsecrets:\n  absent:\n    \
         external: true\n"
    ));
    assert!(failed.is_err(), "{failed:?}");
    let left = survey(&run.docker).await.unwrap().of_stack(&run.stack);
    assert_eq!(left.counts().get(&Kind::Network), Some(&1), "the deploy left no network to remove");
    run.tear_down().await;
    assert!(survey(&run.docker).await.unwrap().of_stack(&run.stack).is_empty());
}

#[tokio::test]
async fn a_stack_that_is_torn_down_beside_another_leaves_that_one_alone() {
    let engine = engine_or_skip!();
    let (one, two) =
        (TestRun::start(engine.clone(), "beside").await, TestRun::start(engine, "besides").await);
    let image = one.engine.image("probe:1.0").reference.clone();
    let compose =
        format!("version: \"3.8\"\nservices:\n  app:\n    image: {image}\n    volumes: [\"/anonymous\"]\n");
    let converging = Converging::begin(&two.docker, &two.stack).await.unwrap();
    one.deploy(&compose);
    two.deploy(&compose);
    converging.wait(&Default::default(), &LIMITS, &two.never, |_| {}).await.unwrap();
    let titles = async |stack: &StackName| survey(&two.docker).await.unwrap().of_stack(stack).titles();
    let before = titles(&two.stack).await;
    let bound = Duration::from_secs(5);
    let refused = teardown(&two.docker, &two.stack, &one.lock, bound, &two.never, |_| {}).await.unwrap_err();
    assert!(matches!(refused, TeardownError::NotCovered(_)), "{refused}");
    one.tear_down().await;
    assert_eq!(titles(&two.stack).await, before);
    two.tear_down().await;
}
