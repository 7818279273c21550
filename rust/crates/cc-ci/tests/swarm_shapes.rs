//! Recipes of every shape get a right verdict: a worker beside a job, an app of TCP alone, a port that is late.
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use cc_ci_model::outcome::Status;
use cc_ci_model::tier::Tier;
use cc_ci_testkit::canaries::{self, Canary};
use cc_ci_testkit::engine_or_skip;
use cc_ci_testkit::recipe_repository::RecipeRepository;
use cc_ci_testkit::run_host::{Ended, RunHost};
use cc_ci_testkit::testbed::TestEngine;

mod support;
use support::{CC_CI, leaves_nothing};

/// Runs a recipe of one commit that has these services.
fn run_of(engine: &TestEngine, services: &str, recipe_toml: &str) -> (RunHost, Ended) {
    let host = RunHost::new(CC_CI, engine);
    host.set_test_data("shape", &format!("schema = 1\n{recipe_toml}"));
    let mut repository = RecipeRepository::create(&host.path("repositories/shape")).unwrap();
    let compose =
        format!("version: \"3.8\"\nservices:\n{services}networks:\n  proxy: {{ external: true }}\n");
    let sample = "TYPE=shape\nDOMAIN=shape.example.com\nLETS_ENCRYPT_ENV=production\n";
    repository.put(&[("compose.yml", compose.as_str()), (".env.sample", sample)]).unwrap();
    let head = repository.commit("a recipe of its own shape").unwrap();
    let ended = host.run(&host.arguments_for("shape", &repository, &head));
    (host, ended)
}

fn service(name: &str, image: &str, more: &str, deploy: &str) -> String {
    format!(
        "  {name}:\n    image: {image}\n    networks: [proxy]\n{more}    deploy:\n      labels: \
         [\"coop-cloud.${{STACK_NAME}}.version=0.1.0+1\"]\n{deploy}"
    )
}

#[test]
fn a_worker_beside_a_job_is_green_and_the_result_says_what_was_not_looked_at() {
    let engine = engine_or_skip!();
    let image = engine.image("probe:1.0").reference.clone();
    let worker = service("app", &image, "    environment: { PROBE_PORT: none }\n", "");
    let job = "    entrypoint: [/probe, write, /done, x]\n";
    let job = service("setup", &image, job, "      mode: replicated-job\n");
    let (host, ended) = run_of(&engine, &(worker + &job), "[app]\ntimeouts = { deploy = \"90s\" }\n");
    if !engine.cli_knows_jobs() {
        // What this host cannot deploy is no fault of the recipe.
        assert_eq!(ended.code, 2, "{ended}");
        let trouble = ended.result().trouble.expect("the trouble is stored");
        assert!(trouble.what.contains("replicated-job"), "{trouble:?}");
        leaves_nothing(&engine, &host);
        return;
    }
    assert_eq!(ended.code, 0, "{ended}");
    let words = ended.words_of(Tier::Install);
    assert!(words.contains("its tasks run: 1 task; nobody could be asked"), "{words}");
    assert!(words.contains("it has no HTTP route and publishes no TCP port"), "{words}");
    let limits = ended.result().limits.join("; ");
    assert!(limits.contains("time limit deploy: 1m30s by recipe.toml"), "{limits}");
    leaves_nothing(&engine, &host);
}

#[test]
fn an_app_of_tcp_alone_is_asked_by_connections_to_its_port() {
    let engine = engine_or_skip!();
    let image = engine.image("probe:1.0").reference.clone();
    let ports = "    ports: [\"18080:8080\", \"18081:18081/udp\"]\n";
    let (host, ended) = run_of(&engine, &service("app", &image, ports, ""), "");
    assert_eq!(ended.code, 0, "{ended}");
    let words = ended.words_of(Tier::Install);
    assert!(words.contains("service app takes connections on port 8080: 3 in a row"), "{words}");
    assert!(words.contains("not looked at: port 18081/udp of service app"), "{words}");
    leaves_nothing(&engine, &host);

    // The same, and nobody listens there.
    let deaf = format!("    environment: {{ PROBE_PORT: none }}\n{ports}");
    let limits = "[app]\ntimeouts = { http = \"4s\" }\n";
    let (host, ended) = run_of(&engine, &service("app", &image, &deaf, ""), limits);
    assert_eq!(ended.code, 1, "{ended}");
    assert_eq!(ended.tier(Tier::Install).status, Status::Fail, "{ended}");
    leaves_nothing(&engine, &host);
}

#[test]
fn what_is_to_be_ready_is_waited_for_in_every_tier_with_checks() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    let sound = canaries::sound(&engine);
    let ready = "[[ready]]\nname = \"the port\"\ntcp = { port = 8080 }\n[[ready]]\nname = \"the service\"\n\
                 http = { service = \"app\", port = 8080, path = \"/env\", stable = 2 }\n";
    // Each look starts a container of ours, which on a loaded machine takes seconds.
    let patient = sound.recipe_toml.replace("http = \"4s\"", "http = \"60s\"");
    let ready = Canary { recipe_toml: format!("{patient}{ready}"), ..sound };
    let ended = host.run(&host.prepare(&ready));
    assert_eq!(ended.code, 0, "{ended}");
    for tier in [Tier::Install, Tier::Upgrade, Tier::Restore, Tier::Custom] {
        let words = ended.words_of(tier);
        assert!(words.contains("ready: the port: port 8080 took 3 connections"), "{tier}: {words}");
        assert!(words.contains("ready: the service: /env answers, 2 times in a row"), "{tier}: {words}");
        assert_eq!(words.matches("ready: the port").count(), 1, "once in a tier: {words}");
    }
    leaves_nothing(&engine, &host);
}

#[test]
fn http_up_but_service_port_down_is_not_ready() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    let sound = canaries::sound(&engine);
    let ready = "[[ready]]\nname = \"voice\"\ntcp = { port = 64738 }\n";
    let late = Canary { recipe_toml: format!("{}{ready}", sound.recipe_toml), ..sound };
    let ended = host.run(&host.prepare(&late));
    assert_eq!(ended.code, 1, "{ended}");
    let words = ended.words_of(Tier::Install);
    assert!(words.contains("ready: voice: "), "{words}");
    assert!(words.contains("is really serving"), "HTTP alone was up: {words}");
    leaves_nothing(&engine, &host);
}
