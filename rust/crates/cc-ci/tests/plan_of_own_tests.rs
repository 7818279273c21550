//! Tests in the recipe's own repository are in the plan exactly where this host approves of running them.
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::os::unix::fs::PermissionsExt;

use cc_ci_testkit::recipe_repository::RecipeRepository;
use cc_ci_testkit::run_host::RunHost;
use cc_ci_testkit::testbed::TestEngine;

const CC_CI: &str = env!("CARGO_BIN_EXE_cc-ci");

/// The plan of the custom tier: what is decided, and why.
fn custom_tier(host: &RunHost, arguments: &[String]) -> (String, String) {
    let ended = host.run(arguments);
    assert_eq!(ended.code, 0, "{ended}");
    let plan: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    let tiers = plan["tiers"].as_array().unwrap().clone();
    let custom = tiers.into_iter().find(|tier| tier["tier"] == "custom").unwrap();
    let word = |key: &str| custom[key].as_str().unwrap().to_owned();
    (word("decision"), word("reason"))
}

#[test]
fn approved_tests_of_the_recipe_alone_are_enough_to_plan_the_custom_tier() {
    let engine = TestEngine {
        docker_host: "unix:///nonexistent/docker.sock".to_owned(),
        registry: "127.0.0.1:9".to_owned(),
        images: Default::default(),
        zone: "ccci.test".to_owned(),
        traefik: None,
        helper_image: None,
        settings: Default::default(),
    };
    let host = RunHost::new(CC_CI, &engine);
    let mut repository = RecipeRepository::create(&host.path("repositories/some-recipe")).unwrap();
    repository.put(&[("compose.yml", "services: {}\n"), ("tests/custom/opens", "#!/bin/sh\n")]).unwrap();
    let program = repository.path().join("tests/custom/opens");
    std::fs::set_permissions(program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let head = repository.commit("a recipe with a test of its own").unwrap();
    let mut arguments = host.arguments_for("some-recipe", &repository, &head);
    arguments[0] = "plan".to_owned();
    arguments.push("--json".to_owned());

    let not_planned = ("not_planned".to_owned(), "no custom checks yet".to_owned());
    assert_eq!(custom_tier(&host, &arguments), not_planned);
    host.write_settings("approved_recipe_tests = [\"some-recipe\"]\n");
    assert_eq!(custom_tier(&host, &arguments), ("run".to_owned(), "1 checks".to_owned()));
    host.write_settings("approved_recipe_tests = [\"another-recipe\"]\n");
    assert_eq!(custom_tier(&host, &arguments), not_planned);
}
