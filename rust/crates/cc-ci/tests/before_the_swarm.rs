//! What a run and a plan say before any engine is asked: there is none here.

use std::net::TcpListener;

use cc_ci_model::result::RunState;
use cc_ci_testkit::recipe_repository::RecipeRepository;
use cc_ci_testkit::run_host::RunHost;
use cc_ci_testkit::testbed::TestEngine;
use nix::sys::signal::Signal;

const CC_CI: &str = env!("CARGO_BIN_EXE_cc-ci");

/// A host whose engine is not there.
fn host() -> RunHost {
    let engine = TestEngine {
        docker_host: "unix:///nonexistent/docker.sock".to_owned(),
        registry: "127.0.0.1:9".to_owned(),
        images: Default::default(),
        zone: "ccci.test".to_owned(),
        traefik: None,
        helper_image: None,
        settings: Default::default(),
    };
    RunHost::new(CC_CI, &engine)
}

const RECIPE: &str = "custom-html";

/// The arguments of a run of a bundled recipe, without test data.
fn bundled(host: &RunHost) -> Vec<String> {
    let folder = host.path("repositories").join(RECIPE);
    let made = RecipeRepository::bundled(RECIPE, &folder, "127.0.0.1:9");
    let (repository, head) = made.expect("the bundled recipe");
    host.arguments_for(RECIPE, &repository, &head)
}

#[test]
fn result_exists_from_the_first_second() {
    let host = host();
    // Whoever clones from here waits for an answer that never comes.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let source = format!("http://{}/recipe.git", silent.local_addr().expect("its address"));
    let mut run = host.start(&["run", "--recipe", RECIPE, "--src", &source, "--pr", "7"]);
    let told = run.wait_until("a first result", |_, result| Some(result.clone()));
    assert_eq!((told.run.state, told.verdict), (RunState::Running, None));
    assert_eq!(told.request.recipe.as_str(), RECIPE);
    assert!(!told.run.started.is_empty() && !told.run.host.is_empty(), "{told:?}");
    run.signal(Signal::SIGKILL);
    let ended = run.wait();
    assert_eq!(ended.code, 137);
    // Nobody had the time to write anything more, and it can be read all the same.
    assert_eq!(ended.result().run.state, RunState::Running);
}

#[test]
fn environment_overlay_is_listed_in_the_result() {
    let host = host();
    let arguments = bundled(&host);
    host.set_test_data(
        RECIPE,
        "schema = 1\napp.env = { GREETING = \"Hi\" }\nupgrade.env = { EXTRA = \"1\" }\n",
    );
    let overlay =
        "version: \"3.8\"\nservices:\n  app:\n    deploy:\n      update_config: { order: stop-first }\n";
    std::fs::write(host.path("recipes").join(RECIPE).join("compose.ccci.yml"), overlay).expect("an overlay");
    let ended = host.run(&arguments);
    assert_eq!(ended.code, 2, "there is no engine: {ended}");
    let log = ended.file("log.txt");
    for line in ["overlay compose.ccci.yml", "env GREETING for base and head", "env EXTRA for head only"] {
        let result = ended.result();
        assert!(result.customisation.iter().any(|said| said == line), "{line}: {:?}", result.customisation);
        assert!(log.contains(&format!("customised: {line}")), "{line}: {log}");
    }
}

#[test]
fn local_run_and_server_run_agree() {
    // Two installations, each with its own zone and folders, and one command line.
    let plans = [host(), host()].map(|host| {
        let mut arguments = bundled(&host);
        arguments[0] = "plan".to_owned();
        let ended = host.run(&arguments);
        assert_eq!(ended.code, 0, "{ended}");
        let own = host.path("").to_string_lossy().into_owned();
        ended.stdout.replace(&own, "")
    });
    assert_eq!(plans[0], plans[1]);
    assert!(plans[0].contains("1.0.0+1.1"), "{}", plans[0]);
}
