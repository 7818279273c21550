//! The upgrade through every release: each step is judged by itself.

use cc_ci_model::outcome::Status;
use cc_ci_model::tier::Tier;
use cc_ci_testkit::engine_or_skip;
use cc_ci_testkit::onlooker::Onlooker;
use cc_ci_testkit::probe_recipe::ProbeCommit;
use cc_ci_testkit::recipe_repository::RecipeRepository;
use cc_ci_testkit::run_host::RunHost;

const CC_CI: &str = env!("CARGO_BIN_EXE_cc-ci");

const RECIPE_TOML: &str = r#"
schema = 1

[app]
timeouts = { deploy = "180s", http = "60s" }

[[seed]]
name = "a note"
plant = { http = { method = "PUT", path = "/files/note", body = "note {{marker}}" } }
expect = { http = { path = "/files/note", contains = ["note {{marker}}"] } }

[[check]]
tier = "upgrade"
name = "what only head shows"
http = { path = "/", contains = ["head"] }
"#;

#[test]
fn one_bad_old_release_in_a_ladder_of_four_is_red_for_exactly_that_step() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    host.set_test_data("probe-ladder", RECIPE_TOML);
    let mut repository = RecipeRepository::create(&host.path("repositories/probe-ladder")).unwrap();
    let releases: [(&str, &[&str]); 4] = [
        ("0.1.0+1.0", &[]),
        ("0.2.0+1.0", &["PROBE_CRASH_AFTER_MS=200"]),
        ("0.3.0+1.0", &["PROBE_TEXT=third"]),
        ("0.10.0+1.0", &["PROBE_TEXT=fourth"]),
    ];
    for (version, environment) in releases {
        let commit = ProbeCommit { version, tag: "1.0", environment };
        repository.put(&commit.files(&engine)).unwrap();
        repository.commit(&format!("release {version}")).unwrap();
        repository.release(version).unwrap();
    }
    let head = ProbeCommit { version: "0.11.0+1.1", tag: "1.1", environment: &["PROBE_TEXT=head"] };
    let head = repository.pull_request(1, &head.files(&engine)).unwrap();
    let mut arguments = host.arguments_for("probe-ladder", &repository, &head);
    arguments.extend(["--from", "all", "--tiers", "install,upgrade"].map(str::to_owned));

    let ended = host.run(&arguments);
    assert_eq!(ended.code, 1, "{ended}");
    let result = ended.result();
    let steps: Vec<(&str, &str, Status)> =
        result.ladder.iter().map(|step| (step.from.as_str(), step.to.as_str(), step.status)).collect();
    assert_eq!(
        steps,
        [
            ("0.1.0+1.0", "0.2.0+1.0", Status::Fail),
            ("0.2.0+1.0", "0.3.0+1.0", Status::Pass),
            ("0.3.0+1.0", "0.10.0+1.0", Status::Pass),
            ("0.10.0+1.0", &head[..8], Status::Pass),
        ],
        "{ended}"
    );
    assert!(result.ladder[0].reason.contains("rolled back"), "{}", result.ladder[0].reason);
    assert_eq!(ended.tier(Tier::Install).status, Status::Pass, "{ended}");
    let upgrade = ended.tier(Tier::Upgrade);
    assert!(upgrade.reason.starts_with("0.1.0+1.0 → 0.2.0+1.0: "), "{}", upgrade.reason);
    // A step behind the bad one looks for data of its own, and only head has to know what head shows.
    let names: Vec<&str> = upgrade.checks.iter().map(|check| check.name.as_str()).collect();
    assert!(names.contains(&"0.3.0+1.0 → 0.10.0+1.0: seed a note is there after upgrade"), "{names:?}");
    assert_eq!(names.iter().filter(|name| name.contains("what only head shows")).count(), 1, "{names:?}");
    // One install and three rungs were planned and made; head goes in place over the last of them.
    assert_eq!((result.deploys.counted, result.deploys.expected), (4, 4), "{ended}");
    assert_eq!(result.base.map(|base| base.version), Some("0.1.0+1.0".to_owned()));
    assert!(result.replay.contains("--from all"), "{}", result.replay);
    let shown = host.run(&["show", result.run.id.as_str()]).stdout;
    assert!(shown.contains("0.2.0+1.0 → 0.3.0+1.0"), "{shown}");
    let stack = result.run.stack.expect("a run on the swarm has a stack");
    assert_eq!(Onlooker::of(&engine).everything_with(&stack), Vec::<String>::new(), "{ended}");
}
