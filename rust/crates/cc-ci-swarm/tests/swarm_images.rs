//! Pulling from a real registry, and the container that helps.
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::time::Duration;

use cc_ci_model::inventory::Kind;
use cc_ci_process::mask::Masker;
use cc_ci_swarm::exec::running_container;
use cc_ci_swarm::helper_container::{HelperError, HelperJob, HelperNetwork, HelperVolume, run_helper};
use cc_ci_swarm::inventory::survey;
use cc_ci_swarm::pull::{PullError, pull_missing};
use cc_ci_swarm::registry_login::Logins;
use cc_ci_testkit::engine_or_skip;
use cc_ci_testkit::own_registry::OwnRegistry;

mod support;
use support::{LIMITS, Probe, TestRun};

const LIMIT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn only_missing_images_are_pulled_and_digests_are_recorded() {
    let engine = engine_or_skip!();
    let run = TestRun::start(engine, "pull").await;
    let there = run.engine.image("probe:1.0").clone();
    let pulled = pull_missing(
        &run.docker,
        &[there.reference.clone(), there.reference.clone()],
        &Logins::none(),
        LIMIT,
        &run.never,
    )
    .await
    .unwrap();
    assert_eq!(pulled.len(), 1);
    assert_eq!((pulled[0].digest.as_deref(), pulled[0].took), (Some(there.digest.as_str()), None));

    // By its digest it is not known here, though the registry has it.
    let gone = run.engine.image("nginx:1.2").clone();
    run.cli(&["image", "rm", "--force", &gone.reference]);
    let pulled =
        pull_missing(&run.docker, std::slice::from_ref(&gone.reference), &Logins::none(), LIMIT, &run.never)
            .await
            .unwrap();
    assert_eq!(pulled[0].digest.as_deref(), Some(gone.digest.as_str()));
    assert!(pulled[0].took.is_some() && pulled[0].size_bytes > 0, "{pulled:?}");
}

#[tokio::test]
async fn image_pull_time_is_not_convergence_time() {
    let engine = engine_or_skip!();
    let run = TestRun::start(engine, "refused").await;
    let unknown = format!("{}/nothing:9", run.engine.registry);
    let error = pull_missing(&run.docker, std::slice::from_ref(&unknown), &Logins::none(), LIMIT, &run.never)
        .await
        .unwrap_err();
    assert!(matches!(&error, PullError::Missing { image, .. } if *image == unknown), "{error}");
    assert!(error.is_recipes_fault());

    let down = "127.0.0.1:1/nothing:9".to_owned();
    let error = pull_missing(&run.docker, &[down], &Logins::none(), LIMIT, &run.never).await.unwrap_err();
    assert!(matches!(error, PullError::Registry { .. }) && !error.is_recipes_fault(), "{error}");
    assert!(error.to_string().contains("127.0.0.1:1/nothing:9"), "{error}");
}

/// `tester` with this password is the only one whom a closed registry knows.
const PASSWORD: &str = "open-sesame";
/// The same, hashed with the least effort that bcrypt knows.
const TESTER: &str = "tester:$2b$04$usVwPtyeePNjeusR4PlByOJqE/LLezdrKno/gLZ/aLUkq1Zqjg9ei";

#[tokio::test]
async fn a_closed_registry_is_pulled_from_with_the_users_login_and_is_trouble_without() {
    let engine = engine_or_skip!();
    let registry = OwnRegistry::closed(TESTER).unwrap();
    let run = TestRun::start(engine, "closed").await;
    let image = format!("{}/private:1", registry.address());
    let config = run.folder.path().join("docker");
    std::fs::create_dir(&config).unwrap();
    let login = |password: &str| {
        let auth = cc_ci_testkit::own_registry::basic("tester", password);
        let text = format!("{{\"auths\": {{\"{}\": {{\"auth\": \"{auth}\"}}}}}}", registry.address());
        std::fs::write(config.join("config.json"), text).unwrap();
        Logins::read(&config.join("config.json"), None, &Masker::new()).unwrap()
    };
    let own = login(PASSWORD);
    run.cli(&["tag", &run.engine.image("probe:1.0").reference, &image]);
    run.cli(&["--config", &config.to_string_lossy(), "push", "--quiet", &image]);
    run.cli(&["image", "rm", &image]);

    let wanted = std::slice::from_ref(&image);
    for (logins, said) in [(Logins::none(), "needs a login"), (login("wrong-word"), "this host's login")] {
        let error = pull_missing(&run.docker, wanted, &logins, LIMIT, &run.never).await.unwrap_err();
        assert!(matches!(error, PullError::Denied { .. }) && !error.is_recipes_fault(), "{error}");
        assert!(
            error.to_string().contains(said) && error.to_string().contains(registry.address()),
            "{error}"
        );
    }
    let pulled = pull_missing(&run.docker, wanted, &own, LIMIT, &run.never).await.unwrap();
    assert!(pulled[0].took.is_some(), "{pulled:?}");
    run.cli(&["image", "rm", &image]);
    let other = format!("{}/private:2", registry.address());
    let error = pull_missing(&run.docker, &[other], &own, LIMIT, &run.never).await.unwrap_err();
    assert!(error.is_recipes_fault(), "with a login it is known what is not there: {error}");
}

fn job(run: &TestRun, argv: &[&str]) -> HelperJob {
    HelperJob {
        stack: run.stack.clone(),
        run: run.run.clone(),
        // Any image with a shell shows what is asked here.
        image: run.engine.image("nginx:1.0").reference.clone(),
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        environment: vec!["WORD=seed".to_owned()],
        volumes: Vec::new(),
        network: HelperNetwork::None,
    }
}

#[tokio::test]
async fn helper_reads_and_writes_a_volume_and_leaves_nothing() {
    let engine = engine_or_skip!();
    let run = TestRun::start(engine, "helper").await;
    let volume = format!("{}_data", run.stack);
    run.cli(&["volume", "create", &volume]);
    let seen =
        |is_read_only| vec![HelperVolume { volume: volume.clone(), target: "/v".to_owned(), is_read_only }];
    let script = "cat > /v/file; echo $WORD; echo told >&2; exit 5";
    let write = HelperJob { volumes: seen(false), ..job(&run, &["sh", "-c", script]) };
    let output = run_helper(&run.docker, &write, b"content", LIMIT, &run.lock, &run.never).await.unwrap();
    assert_eq!(
        (output.code, output.stdout.as_slice(), output.stderr.as_slice()),
        (5, &b"seed\n"[..], &b"told\n"[..])
    );
    let read = HelperJob { volumes: seen(true), ..job(&run, &["sh", "-c", "cat /v/file; echo x > /v/file"]) };
    let output = run_helper(&run.docker, &read, b"", LIMIT, &run.lock, &run.never).await.unwrap();
    assert_eq!((output.code, output.stdout.as_slice()), (1, &b"content"[..]), "it may only read");
    let left = survey(&run.docker).await.unwrap().of_stack(&run.stack);
    assert_eq!(left.titles(), [format!("volume {volume}")]);
    run.tear_down().await;
}

#[tokio::test]
async fn helper_asks_a_task_on_its_own_loopback() {
    let engine = engine_or_skip!();
    let run = TestRun::start(engine, "inside").await;
    let image = run.engine.image("probe:1.0").reference.clone();
    let probe = Probe { environment: &[("PROBE_TEXT", "it is me")], ..Probe::new(&image, "base") };
    let converging = cc_ci_swarm::convergence::Converging::begin(&run.docker, &run.stack).await.unwrap();
    run.deploy(&probe.compose());
    converging.wait(&run.sent("base"), &LIMITS, &run.never, |_| {}).await.unwrap();
    let container = running_container(&run.docker, &run.service("app")).await.unwrap().unwrap();
    let ask = HelperJob {
        network: HelperNetwork::Container(container),
        ..job(&run, &["wget", "-q", "-O", "-", "http://127.0.0.1:8080/"])
    };
    let output = run_helper(&run.docker, &ask, b"", LIMIT, &run.lock, &run.never).await.unwrap();
    assert_eq!((output.code, output.stdout.as_slice()), (0, &b"it is me"[..]));
    run.tear_down().await;
}

#[tokio::test]
async fn helper_without_end_is_removed_and_missing_image_names_the_command() {
    let engine = engine_or_skip!();
    let run = TestRun::start(engine, "endless").await;
    let short = Duration::from_secs(1);
    let endless = job(&run, &["sleep", "60"]);
    let error = run_helper(&run.docker, &endless, b"", short, &run.lock, &run.never).await.unwrap_err();
    assert!(matches!(error, HelperError::TimedOut { .. }), "{error}");
    let containers = survey(&run.docker).await.unwrap().of_stack(&run.stack);
    assert_eq!(containers.of_kind(Kind::Container).count(), 0, "{:?}", containers.titles());

    let missing = HelperJob { image: "cc-ci-helper:none".to_owned(), ..endless };
    let error = run_helper(&run.docker, &missing, b"", short, &run.lock, &run.never).await.unwrap_err();
    assert!(error.to_string().contains("cargo xtask helper"), "{error}");
}
