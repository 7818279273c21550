//! The forge for tests: people, pipeline and runner work together as on a server.

use std::time::Duration;

use cc_ci_testkit::forge::Forge;
use cc_ci_testkit::forge::gitea::{MEMBER, STRANGER};
use cc_ci_testkit::patience;
use cc_ci_testkit::recipe_repository::RecipeRepository;

const PIPELINE: &str = "\
kind: pipeline
type: exec
name: recipe
platform: {os: linux, arch: amd64}
trigger: {event: [custom]}
clone: {disable: true}
steps:
  - name: run
    commands: ['echo \"$RECIPE for $GREETING\"']
";

#[test]
fn a_build_made_over_the_api_runs_on_the_runner_with_its_parameters() {
    let _engine = cc_ci_testkit::engine_or_skip!();
    let greeting = ("GREETING".to_owned(), "everybody".to_owned());
    let mut forge = Forge::start(PIPELINE, &[greeting]).unwrap();
    forge.drone.start_runner().unwrap();
    let build = forge.build(&[("branch", "main"), ("RECIPE", "custom-html; id")]).unwrap();
    let number = build["number"].as_u64().unwrap();
    let look = || match forge.build_state(number) {
        Ok(state) if state["status"] == "success" => Ok(()),
        other => Err(format!("{other:?}")),
    };
    let wait =
        patience::until("the build to succeed", Duration::from_secs(60), Duration::from_millis(50), look);
    wait.unwrap_or_else(|error| panic!("{error}\n{}", forge.drone.logs()));
    let log = format!("/repos/boss/cc-ci/builds/{number}/logs/1/1");
    let log = forge.drone.api(forge.web(), "GET", &log, None).unwrap();
    assert!(log.text.contains("custom-html; id for everybody"), "{log:?}");

    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("custom-html");
    RecipeRepository::bundled("custom-html", &source, "127.0.0.1:5000").unwrap();
    let pr = forge.add_recipe("custom-html", &source).unwrap();
    for who in [MEMBER, STRANGER] {
        forge.comment(who, &pr, "!testme").unwrap();
        assert_eq!(forge.comments_of(who, &pr).unwrap().len(), 1);
    }
    assert!(forge.statuses(&pr.repository, &pr.head).unwrap().is_empty());
    forge.restart_gitea().unwrap();
    forge.restart_drone().unwrap();
    assert_eq!(forge.builds().unwrap().len(), 1);
}
