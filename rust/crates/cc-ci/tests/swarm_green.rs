//! The bundled recipe is green in every tier, over both routes, as root and as a user who may only use Docker.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use cc_ci_model::outcome::{Status, VerdictWord};
use cc_ci_model::tier::Tier;
use cc_ci_testkit::engine_or_skip;
use cc_ci_testkit::onlooker::Onlooker;
use cc_ci_testkit::program::Program;
use cc_ci_testkit::run_host::{Ended, RunHost};
use cc_ci_testkit::testbed::TestEngine;

const CC_CI: &str = env!("CARGO_BIN_EXE_cc-ci");

const RECIPE: &str = "custom-html";

/// Puts the bundled recipe and our data about it on the host; returns the arguments of a run.
fn prepare(host: &RunHost, engine: &TestEngine) -> Vec<String> {
    host.prepare_bundled(RECIPE, &engine.registry)
}

fn is_green(engine: &TestEngine, ended: &Ended) {
    assert_eq!(ended.code, 0, "{ended}");
    let result = ended.result();
    assert_eq!(result.verdict, Some(VerdictWord::Pass));
    let tiers = [Tier::Install, Tier::Upgrade, Tier::Backup, Tier::Restore, Tier::Custom, Tier::Teardown];
    for tier in tiers {
        assert_eq!(ended.tier(tier).status, Status::Pass, "{tier}: {ended}");
    }
    let base = result.base.as_ref().map(|base| base.version.as_str());
    assert_eq!(base, Some("1.0.0+1.1"), "the newest older release: {ended}");
    assert_eq!((result.deploys.counted, result.deploys.expected), (2, 2), "{ended}");
    assert!(ended.words_of(Tier::Upgrade).contains("a page"), "the seed was looked for: {ended}");
    let custom = ended.words_of(Tier::Custom);
    for name in ["private pages are closed", "nginx accepts", "port 80", "token_opens_private_pages"] {
        assert!(custom.contains(name), "{name} is missing in {custom}");
    }
    // Digests come from the registry, base and head apart.
    let digest = |side: &str| {
        let image = result.images.iter().find(|image| image.side == side);
        image.and_then(|image| image.digest.clone()).unwrap_or_else(|| panic!("no digest of {side}: {ended}"))
    };
    assert_eq!(digest("base"), engine.image("nginx:1.1").digest);
    assert_eq!(digest("head"), engine.image("nginx:1.2").digest);
    let elsewhere = result.elsewhere.expect("a plan says something of it");
    assert_eq!(elsewhere.status, Some(Status::Pass), "{ended}");
    for stack in [result.run.stack, elsewhere.stack] {
        let stack = stack.expect("a run on the swarm has two stacks");
        assert_eq!(Onlooker::of(engine).everything_with(&stack), Vec::<String>::new(), "{ended}");
    }
}

#[test]
fn bundled_recipe_is_green_straight_to_its_task() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    is_green(&engine, &host.run(&prepare(&host, &engine)));
}

/// The whole life of an app, through Traefik with TLS, where no packet could reach any server of the world.
#[test]
fn lifecycle_is_testable_without_a_live_server() {
    let engine = engine_or_skip!();
    if engine.traefik.is_none() {
        let say = cc_ci_testkit::progress::say;
        say("SKIP lifecycle_is_testable_without_a_live_server: no proxy (run cargo xtask test swarm)");
        return;
    }
    let host = RunHost::behind_proxy(CC_CI, &engine);
    let mut arguments = prepare(&host, &engine);
    let way = arguments.iter_mut().find(|word| *word == "direct").expect("a way is named");
    *way = "proxy".to_owned();
    let ended = host.run(&arguments);
    is_green(&engine, &ended);
    assert_eq!(ended.result().run.via.as_deref(), Some("proxy"), "{ended}");
    let routes = std::fs::read_to_string("/proc/net/route").expect("the kernel's routes");
    let is_default = |line: &&str| line.split_whitespace().nth(1) == Some("00000000");
    assert_eq!(routes.lines().find(is_default), None, "nothing leads out of the engine's network");
}

/// One green proves little on a host that is otherwise idle. `CCCI_TEST_GREEN=all` (`cargo xtask test long`) runs every tier of each
/// bundled recipe.
#[test]
fn green_fixture_is_green_three_times_in_a_row() {
    let engine = engine_or_skip!();
    let is_all = std::env::var("CCCI_TEST_GREEN").is_ok_and(|value| value == "all");
    let three_times = |recipe: &str| {
        let host = RunHost::new(CC_CI, &engine);
        let mut arguments = host.prepare_bundled(recipe, &engine.registry);
        if !is_all {
            arguments.extend(["--tiers".to_owned(), "install".to_owned()]);
        }
        for round in 1..=3 {
            let ended = host.run(&arguments);
            assert_eq!(ended.code, 0, "{recipe}, round {round}: {ended}");
            assert_eq!(ended.result().retries, Vec::<String>::new(), "{recipe}, round {round}: {ended}");
        }
    };
    // Each beside the other's.
    std::thread::scope(|scope| {
        let beside = scope.spawn(|| three_times("guestbook"));
        three_times(RECIPE);
        beside.join().expect("the other recipe is green as well");
    });
}

/// A user and a group that exist on no machine by name, so that no account gets anything by this test.
const USER: u32 = 64_321;
const DOCKER_GROUP: u32 = 64_322;

#[test]
fn bundled_recipe_is_green_for_a_user_who_may_only_use_docker() {
    let engine = engine_or_skip!();
    let socket = PathBuf::from(engine.docker_host.trim_start_matches("unix://"));
    // The private engine's own socket, as a host's group docker would have it.
    let before = std::fs::metadata(&socket).expect("the engine's socket");
    chown(&socket, None, Some(DOCKER_GROUP)).expect("the test engine is root's");
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o660)).expect("as above");

    let folder = tempfile::Builder::new().prefix("cc-ci-program-").tempdir().expect("a folder");
    let open = |path: &Path| std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755));
    open(folder.path()).expect("a folder of ours");
    let program = folder.path().join("cc-ci");
    std::fs::copy(CC_CI, &program).expect("a copy where every user can reach it");
    let (user, group) = (format!("--reuid={USER}"), format!("--regid={USER}"));
    let groups = format!("--groups={DOCKER_GROUP}");
    let host =
        RunHost::new(&program, &engine).started_by(&["setpriv", &user, &group, &groups, "--no-new-privs"]);
    let arguments = prepare(&host, &engine);
    let owner = format!("{USER}:{USER}");
    Program::new("chown")
        .args(["-R", &owner])
        .arg(host.path(""))
        .run()
        .expect("the host's folder is the user's");

    let ended = host.run(&arguments);
    chown(&socket, None, Some(before.gid())).expect("as before");
    is_green(&engine, &ended);
    let folder = ended.folder.as_ref().expect("a run folder");
    let owner = std::fs::metadata(folder).expect("the run folder").uid();
    assert_eq!(owner, USER, "the run was the user's own");
}
