//! What somebody or something does in the middle of a run: it is blamed on nobody who did not do it, and it is never overlooked.
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::time::Duration;

use cc_ci_model::outcome::Status;
use cc_ci_model::tier::Tier;
use cc_ci_testkit::canaries::{self, Canary};
use cc_ci_testkit::engine_or_skip;
use cc_ci_testkit::onlooker::Onlooker;
use cc_ci_testkit::patience;
use cc_ci_testkit::run_host::{LiveRun, RunHost};
use cc_ci_testkit::testbed::TestEngine;

mod database;
mod secrets;
mod support;
use secrets::{drops_a_secret, remove_when_dropped};
use support::{CC_CI, leaves_nothing};

const SOON: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(50);

fn start(host: &RunHost, canary: &Canary, tiers: &str) -> LiveRun {
    let mut arguments = host.prepare(canary);
    arguments.extend(["--tiers".to_owned(), tiers.to_owned()]);
    host.start(&arguments)
}

fn stack_of(run: &mut LiveRun) -> String {
    run.wait_until("its stack", |_, result| result.run.stack.clone())
}

/// The running container of a service.
fn container(engine: &TestEngine, service: &str) -> String {
    let filter = format!("label=com.docker.swarm.service.name={service}");
    let words = ["ps", "--quiet", "--no-trunc", "--filter", &filter];
    patience::until("a container of the service", SOON, STEP, || {
        let found = Onlooker::of(engine).ask(&words).map_err(|error| error.to_string())?;
        found.lines().next().map(str::to_owned).ok_or_else(|| format!("{service} has none"))
    })
    .unwrap()
}

const WAITS_THEN_ASKS: &str = r#"
schema = 1

[app]
timeouts = { deploy = "60s", http = "10s" }
health = { path = "/" }

[[check]]
tier = "custom"
name = "waits until it may go on"
exec = { service = "db", command = ["sh", "-c", "until [ -e /data/go ]; do sleep 0.1; done; echo went"], contains = ["went"] }

[[check]]
tier = "custom"
name = "the page"
within = "3s"
http = { path = "/" }
"#;

#[test]
fn helper_that_dies_in_mid_run_is_trouble_and_never_the_recipes_fault() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    let mut arguments = database::prepare_on(&host, &engine, "database-helper", &database::labels());
    host.set_test_data("database-helper", WAITS_THEN_ASKS);
    arguments.extend(["--tiers".to_owned(), "install,custom".to_owned()]);
    let mut run = host.start(&arguments);
    let stack = stack_of(&mut run);
    run.wait_for_event("\"tier_started\",\"tier\":\"custom\"");
    let onlooker = Onlooker::of(&engine);
    let id = run.wait_until("its id", |_, result| Some(result.run.id.to_string()));
    let helper = engine.helper_image.clone().unwrap();
    let mark = format!("label=cc-ci.run={id}");
    let list = ["ps", "--filter", &mark, "--format", "{{.ID}} {{.Image}} {{.Command}}", "--no-trunc"];
    let listed = onlooker.ask(&list).unwrap();
    let relays: Vec<&str> = listed
        .lines()
        .filter(|line| line.contains(&helper) && line.contains("relay"))
        .filter_map(|line| line.split(' ').next())
        .collect();
    let [relay] = relays.as_slice() else { panic!("one relay leads to the task: {listed}") };
    onlooker.ask(&["kill", relay]).unwrap();
    let database = container(&engine, &format!("{stack}_db"));
    onlooker.ask(&["exec", &database, "touch", "/data/go"]).unwrap();
    let ended = run.wait();
    assert_eq!(ended.code, 2, "{ended}");
    assert!(ended.result().tiers.iter().all(|tier| tier.status != Status::Fail), "{ended}");
    let said = ended.words_of(Tier::Custom);
    assert!(said.contains("the page: the helper container") && said.contains("has ended"), "{said}");
    leaves_nothing(&engine, &host);
}

#[test]
fn upgrade_keeps_volumes_secrets_and_address() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    let mut run = start(&host, &drops_a_secret(&engine), "install,upgrade");
    let stack = stack_of(&mut run);
    let onlooker = Onlooker::of(&engine);
    let (service, secret) = (format!("{stack}_app"), format!("{stack}_token_v1"));
    let rule = format!("{{{{index .Spec.Labels \"traefik.http.routers.{stack}.rule\"}}}}");
    let portrait = |what: &str| {
        let task = container(&engine, &service);
        let secret =
            onlooker.ask(&["secret", "inspect", "--format", "{{.ID}} {{.CreatedAt}}", &secret]).unwrap();
        let rule = onlooker.ask(&["service", "inspect", "--format", &rule, &service]).unwrap();
        let value = onlooker.ask(&["exec", &task, "/probe", "read", "/run/secrets/token"]).unwrap();
        let file = onlooker.ask(&["exec", &task, "/probe", "read", "/data/of-the-test"]);
        (secret, rule, value, file.unwrap_or_else(|error| panic!("{what}: {error}")))
    };
    // Seconds pass before it is known that the base stands.
    let task = container(&engine, &service);
    onlooker.ask(&["exec", &task, "/probe", "write", "/data/of-the-test", "still here"]).unwrap();
    let before = portrait("before the upgrade");
    // Head no longer uses this one, and here somebody takes it away for good.
    remove_when_dropped(&engine, &stack);
    patience::until("the old task to be replaced", SOON, STEP, || {
        let present = container(&engine, &service);
        if present == task { Err(present) } else { Ok(()) }
    })
    .unwrap();
    assert_eq!(portrait("after it"), before, "the same secret, address and volume");
    let ended = run.wait();
    assert_eq!(ended.code, 1, "{ended}");
    assert_eq!(ended.tier(Tier::Upgrade).status, Status::Fail, "{ended}");
    let said = ended.tier(Tier::Upgrade).reason;
    assert_eq!(said, format!("the upgrade replaced or removed secret {stack}_old_v1"), "{ended}");
    leaves_nothing(&engine, &host);
}

/// No path of ours writes past the mask, so somebody else puts the secret that the run made into its folder.
#[test]
fn planted_leak_makes_the_run_trouble() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    let mut canary = drops_a_secret(&engine);
    canary.base = None;
    let mut run = start(&host, &canary, "install");
    let stack = stack_of(&mut run);
    let task = container(&engine, &format!("{stack}_app"));
    let secret = Onlooker::of(&engine).ask(&["exec", &task, "/probe", "read", "/run/secrets/token"]).unwrap();
    let folder = run.wait_until("its folder", |folder, _| Some(folder.to_owned()));
    std::fs::write(folder.join("tiers/planted.txt"), format!("the token is {}\n", secret.trim())).unwrap();
    let ended = run.wait();
    assert_eq!(ended.code, 2, "{ended}");
    let result = ended.result();
    assert_eq!(ended.tier(Tier::Install).status, Status::Pass, "nothing is wrong with the recipe: {ended}");
    let trouble = result.trouble.unwrap();
    assert_eq!((trouble.place.as_str(), result.redaction.leaks), ("redaction", 1), "{trouble:?}");
    assert!(trouble.what.contains("rotate them"), "{trouble:?}");
    leaves_nothing(&engine, &host);
}

/// A service of somebody else on the proxy's network; it goes with this value.
struct Neighbour<'e>(Onlooker<'e>, String);

impl Drop for Neighbour<'_> {
    fn drop(&mut self) {
        let _ = self.0.ask(&["service", "rm", &self.1]);
    }
}

#[test]
fn name_that_a_neighbour_has_on_the_proxys_network_is_told_with_its_owner() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    let neighbour = Neighbour(Onlooker::of(&engine), format!("shop-{:08x}_web", rand::random::<u32>()));
    let image = &engine.image("probe:1.0").reference;
    let alias = format!("shared-{:08x}", rand::random::<u32>());
    let network = format!("name=proxy,alias={alias}");
    let words = ["service", "create", "--detach", "--name", &neighbour.1, "--network", &network, image];
    neighbour.0.ask(&words).unwrap();
    let mut canary = canaries::sound(&engine);
    canary.name = "canary-alias";
    canary.base = None;
    let networks = format!("networks: {{ proxy: {{ aliases: [{alias}, nobody-elses] }} }}\n");
    for (_, text) in &mut canary.head {
        *text = text.replacen("networks: [proxy]\n", &networks, 1);
    }
    let ended = start(&host, &canary, "install").wait();
    assert_eq!(ended.code, 0, "a warning, whoever was first: {ended}");
    let limits = ended.result().limits;
    let told: Vec<&String> = limits.iter().filter(|line| line.contains("proxy's network")).collect();
    let [told] = told.as_slice() else { panic!("one name is shared: {limits:?}") };
    assert!(told.starts_with("compose.yml:6: service app is called"), "{told}");
    assert!(told.contains(&alias) && told.ends_with(&format!("it is also {}", neighbour.1)), "{told}");
    assert!(ended.stdout.contains(told.as_str()) || ended.stderr.contains(told.as_str()), "{ended}");
}
