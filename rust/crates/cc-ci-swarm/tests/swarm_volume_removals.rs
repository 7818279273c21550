//! Whether a volume is still the same one: an app that writes into it changes nothing, a removal is heard.
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

mod support;

use std::time::Duration;

use cc_ci_process::cancel::Cancellation;
use cc_ci_process::wait::{Look, Waiting, wait_for};
use cc_ci_swarm::docker::Docker;
use cc_ci_swarm::inventory::survey;
use cc_ci_swarm::volume_removals::VolumeRemovals;
use cc_ci_testkit::engine_or_skip;

#[tokio::test]
async fn volume_that_an_app_writes_to_is_the_same_and_one_made_anew_is_not() {
    let engine = engine_or_skip!();
    let docker = Docker::connect(Some(&engine.docker_host)).await.unwrap();
    let stack = support::domain("volume").stack();
    let name = format!("{stack}_data");
    let cli = |words: &[&str]| engine.docker().args(words).run().unwrap();
    let fingerprint = async || {
        let found = survey(&docker).await.unwrap();
        found.objects().iter().find(|object| object.name == name).unwrap().fingerprint.clone()
    };
    cli(&["volume", "create", &name]);
    let before = fingerprint().await;
    let removals = VolumeRemovals::watch(&docker, &stack);
    let mount = format!("{name}:/data");
    let image = &engine.image("probe:1.0").reference;
    let day = || cli(&["volume", "inspect", "--format", "{{.CreatedAt}}", &name]);
    let first = day();
    let (limit, step) = (Duration::from_secs(30), Duration::from_millis(300));
    let mut files = 0;
    let touched = || {
        files += 1;
        cli(&["run", "--rm", "--volume", &mount, image, "write", &format!("/data/{files}"), "text"]);
        // Engines from 23 on tell the day of the folder above, which no app reaches.
        let is_old = cli(&["version", "--format", "{{.Server.Version}}"]).starts_with("20.");
        if !is_old || day() != first { Ok(()) } else { Err("the engine says nothing new".to_owned()) }
    };
    cc_ci_testkit::patience::until("a change in the volume", limit, step, touched).unwrap();
    assert_eq!(fingerprint().await, before, "an app that writes changes nothing");
    assert_eq!(removals.so_far(), [""; 0]);

    cli(&["volume", "rm", &name]);
    cli(&["volume", "create", &name]);
    assert_eq!(fingerprint().await, before, "nothing else tells them apart");
    let waiting = Waiting { deadline: limit, interval: step };
    let never = Cancellation::new();
    let heard = wait_for("hearing of the removal", waiting, None, &never, || async {
        let found = removals.so_far();
        Ok::<_, std::convert::Infallible>(Look::from_option(
            (!found.is_empty()).then_some(found),
            "nothing yet",
        ))
    });
    assert_eq!(heard.await.unwrap(), std::slice::from_ref(&name));
    assert!(!removals.is_engine_lost());
    cli(&["volume", "rm", &name]);
}
