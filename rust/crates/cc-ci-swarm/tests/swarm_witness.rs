//! The witness on a real swarm: each way to touch it is named, and nothing else is.
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use cc_ci_model::inventory::Inventory;
use cc_ci_swarm::docker::Docker;
use cc_ci_swarm::inventory::survey;
use cc_ci_swarm::witness::Witness;
use cc_ci_testkit::engine_or_skip;
use cc_ci_testkit::testbed::TestEngine;

async fn look(docker: &Docker) -> Inventory {
    survey(docker).await.unwrap()
}

#[tokio::test]
async fn exactly_the_changed_witness_object_is_named() {
    let engine: TestEngine = engine_or_skip!();
    let docker = Docker::connect(Some(&engine.docker_host)).await.unwrap();
    assert_eq!(Witness::of(&look(&docker).await), None, "a host without witness has none");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("compose.yml");
    let image = &engine.image("probe:1.0").reference;
    let compose = format!(
        "version: \"3.8\"\nservices:\n  app:\n    image: {image}\n    volumes: [\"data:/data\"]\nvolumes:\n  data:\n\
         configs:\n  conf:\n    file: ./compose.yml\n"
    );
    std::fs::write(&file, &compose).unwrap();
    let cli = |words: &[&str]| engine.docker().args(words).run().unwrap();
    let path = file.to_string_lossy();
    cli(&["stack", "deploy", "--resolve-image=never", "--compose-file", &path, "cc-ci-witness"]);
    let has_volume =
        || cli(&["volume", "ls", "-q"]).contains("cc-ci-witness_data").then_some(()).ok_or_else(String::new);
    let (limit, step) = (std::time::Duration::from_secs(20), std::time::Duration::from_millis(100));
    cc_ci_testkit::patience::until("the witness's volume", limit, step, has_volume).unwrap();

    let witness = Witness::of(&look(&docker).await).unwrap();
    let service = "cc-ci-witness_app";
    let touched = async || witness.changes(&look(&docker).await);
    assert_eq!(touched().await, [""; 0]);
    cli(&["service", "scale", "--detach", &format!("{service}=2")]);
    assert_eq!(touched().await, [format!("service {service}")]);
    cli(&["service", "scale", "--detach", &format!("{service}=1")]);
    assert_eq!(touched().await, [""; 0], "swarm's own bookkeeping is no change");
    cli(&["service", "update", "--detach", "--label-add", "touched=1", service]);
    assert_eq!(touched().await, [format!("service {service}")]);
    cli(&["service", "update", "--detach", "--label-rm", "touched", service]);
    cli(&["config", "rm", "cc-ci-witness_conf"]);
    assert_eq!(touched().await, ["config cc-ci-witness_conf"]);
    cli(&["stack", "rm", "cc-ci-witness"]);
    let is_gone = || {
        let containers = cli(&["ps", "-aq", "--filter", "label=com.docker.stack.namespace=cc-ci-witness"]);
        if containers.is_empty() { Ok(()) } else { Err(containers) }
    };
    cc_ci_testkit::patience::until("the witness to go", limit * 2, step, is_gone).unwrap();
    cli(&["volume", "rm", "cc-ci-witness_data"]);
}
