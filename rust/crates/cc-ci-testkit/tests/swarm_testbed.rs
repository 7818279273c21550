//! What the testbed offers to other tests is real: images with digests, a registry that can die, a proxy that routes.

use std::time::Duration;

use cc_ci_testkit::engine::{EngineOptions, PrivateEngine};
use cc_ci_testkit::stock::{self, Proxy};
use cc_ci_testkit::{engine_or_skip, patience, public_image};

#[test]
fn images_of_the_registry_are_pulled_by_their_digest() {
    let engine = engine_or_skip!();
    for release in stock::RELEASES {
        let image = engine.image(&format!("nginx:{release}"));
        let (repository, _) = image.reference.rsplit_once(':').unwrap();
        engine.docker().args(["pull", "--quiet", &format!("{repository}@{}", image.digest)]).run().unwrap();
    }
    assert_ne!(engine.image("nginx:1.0").digest, engine.image("nginx:1.1").digest);
}

#[test]
fn a_registry_that_is_down_answers_otherwise_than_an_image_that_is_missing() {
    if !cc_ci_testkit::can_start_engines() {
        return;
    }
    let (data, _) = stock::kept(Proxy::Without).unwrap();
    let options = EngineOptions { data_from: Some(data), ..EngineOptions::default() };
    let mut engine = PrivateEngine::start(&options).unwrap();
    let pull = |engine: &PrivateEngine, name: &str| {
        engine.docker().args(["pull", "--quiet", &format!("127.0.0.1:5000/{name}")]).outcome().unwrap().stderr
    };
    engine.start_registry().unwrap();
    let missing = pull(&engine, "nginx:none");
    assert!(missing.contains("manifest unknown"), "{missing}");
    engine.stop_registry().unwrap();
    let down = pull(&engine, "nginx:1.0");
    assert!(down.contains("connection refused"), "{down}");
    engine.start_registry().unwrap();
    assert_eq!(pull(&engine, "nginx:1.0"), "");
}

#[test]
fn an_image_of_another_registry_is_mirrored_and_a_registry_that_is_not_there_is_no_error() {
    if !cc_ci_testkit::can_start_engines() {
        return;
    }
    let (data, images) = stock::kept(Proxy::Without).unwrap();
    let options = EngineOptions { data_from: Some(data), ..EngineOptions::default() };
    let mut engine = PrivateEngine::start(&options).unwrap();
    engine.start_registry().unwrap();
    let there = &images["nginx:1.0"];
    let mirrored = public_image::mirror(&engine, &there.reference, "127.0.0.1:5000/mirrored:1.0").unwrap();
    assert!(mirrored);
    let pull = format!("127.0.0.1:5000/mirrored@{}", there.digest);
    engine.docker().args(["pull", "--quiet", &pull]).run().unwrap();
    assert!(
        !public_image::nginx(&engine, "127.0.0.1:5000").unwrap(),
        "this engine reaches no public registry"
    );
}

#[test]
fn an_app_is_reached_through_the_proxy_with_the_wildcard_certificate() {
    let engine = engine_or_skip!();
    let proxy = engine.traefik.clone().unwrap();
    let (stack, host) = ("kit-proxy", format!("kit-proxy.{}", engine.zone));
    let compose = format!(
        r#"{{"version": "3.8", "services": {{"app": {{"image": "{image}", "networks": ["proxy"],
            "environment": {{"PROBE_TEXT": "reached"}}, "deploy": {{"labels": {{
            "traefik.enable": "true", "traefik.http.routers.{stack}.rule": "Host(`{host}`)",
            "traefik.http.routers.{stack}.entrypoints": "web-secure", "traefik.http.routers.{stack}.tls.certresolver": "",
            "traefik.http.services.{stack}.loadbalancer.server.port": "8080"}}}}}}}},
            "networks": {{"proxy": {{"external": true}}}}}}"#,
        image = engine.image("probe:1.0").reference,
    );
    let deploy = ["stack", "deploy", "--resolve-image=never", "--compose-file", "-", stack];
    engine.docker().args(deploy).input(compose).run().unwrap();
    let answer = patience::until(
        "the app behind the proxy",
        Duration::from_secs(60),
        Duration::from_millis(200),
        || {
            let client = cc_ci_testkit::program::Program::new("openssl").args([
                "s_client",
                "-quiet",
                "-verify_return_error",
            ]);
            let client =
                client.args(["-connect", &format!("127.0.0.1:{}", proxy.https_port), "-servername", &host]);
            let client = client.args(["-verify_hostname", &host]).arg("-CAfile").arg(&proxy.ca_pem);
            let asked = client.input(format!("GET / HTTP/1.0\r\nHost: {host}\r\n\r\n")).outcome();
            let said = asked.map_err(|error| error.to_string())?;
            if said.stdout.contains("200 OK") { Ok(said.stdout) } else { Err(said.stdout + &said.stderr) }
        },
    );
    engine.docker().args(["stack", "rm", stack]).run().unwrap();
    assert!(answer.unwrap().ends_with("reached"));
}
