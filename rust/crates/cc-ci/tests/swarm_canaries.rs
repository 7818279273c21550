//! Each canary turns a run red in the tier of its defect, with words that name the cause; the sound one is green.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use cc_ci_model::outcome::{Status, VerdictWord};
use cc_ci_model::tier::Tier;
use cc_ci_testkit::canaries::{self, Canary};
use cc_ci_testkit::engine_or_skip;
use cc_ci_testkit::onlooker::Onlooker;
use cc_ci_testkit::patience;
use cc_ci_testkit::recipe_repository::RecipeRepository;
use cc_ci_testkit::run_host::{Ended, RunHost};
use cc_ci_testkit::testbed::TestEngine;
use nix::sys::signal::Signal;

/// The program under test.
const CC_CI: &str = env!("CARGO_BIN_EXE_cc-ci");

fn canary(engine: &TestEngine, name: &str) -> Canary {
    canaries::all(engine).into_iter().find(|canary| canary.name == name).expect("a canary of that name")
}

/// Runs a canary and compares everything a run says about it with what it must say.
///
/// The host comes back too, because the run's folder lives as long as it.
fn is_as_expected(engine: &TestEngine, canary: &Canary) -> (RunHost, Ended) {
    let host = RunHost::new(CC_CI, engine);
    let ended = host.run(&host.prepare(canary));
    let expected = &canary.expected;
    assert_eq!(ended.code, expected.exit, "{}: {ended}", canary.defect);
    let result = ended.result();
    // Lint may name the defect as well: it changes no verdict.
    for report in result.tiers.iter().filter(|report| report.name != Tier::Lint) {
        let is_to_fail = expected.failing == Some(report.name);
        assert_eq!(report.status == Status::Fail, is_to_fail, "{} of {}: {ended}", report.name, canary.name);
    }
    for tier in &expected.passing {
        assert_eq!(ended.tier(*tier).status, Status::Pass, "{tier} of {}: {ended}", canary.name);
    }
    let said = match expected.failing {
        Some(tier) => {
            let report = ended.tier(tier);
            assert!(!report.reason.is_empty(), "the reason of {tier} says nothing: {ended}");
            ended.words_of(tier)
        }
        None if expected.exit == 3 => format!("{}{}", ended.stdout, ended.stderr),
        None => result.trouble.as_ref().map(|trouble| trouble.what.clone()).unwrap_or_default(),
    };
    for words in &expected.words {
        assert!(said.contains(words), "{words:?} is missing in {said:?}: {ended}");
    }
    nothing_is_left(engine, &ended);
    (host, ended)
}

/// The onlooker finds nothing of the run's stack nor with its mark, and the result says the same.
fn nothing_is_left(engine: &TestEngine, ended: &Ended) {
    let result = ended.result();
    if result.deploys.counted == 0 && result.teardown.is_none() {
        // It ended before anything was made.
        let stack = result.run.stack.expect("a run that was read has a stack");
        assert_eq!(Onlooker::of(engine).everything_with(&stack), Vec::<String>::new(), "{ended}");
        return;
    }
    let onlooker = Onlooker::of(engine);
    let stack = result.run.stack.expect("a run that reached the swarm has a stack");
    assert_eq!(onlooker.everything_with(&stack), Vec::<String>::new(), "{ended}");
    assert_eq!(onlooker.everything_with(result.run.id.as_str()), Vec::<String>::new(), "{ended}");
    let teardown = result.teardown.expect("a run that reached the swarm has a teardown");
    assert_eq!(teardown.evidence.left, Vec::<String>::new(), "{ended}");
    assert_eq!(teardown.evidence.created, teardown.evidence.removed, "{ended}");
}

#[test]
fn the_sound_recipe_is_green_and_its_tiers_really_checked_something() {
    let engine = engine_or_skip!();
    let sound = canaries::sound(&engine);
    let (_host, ended) = is_as_expected(&engine, &sound);
    let deploys = ended.result().deploys;
    assert_eq!((deploys.counted, deploys.expected), (1, 1));
    for tier in &sound.expected.passing {
        let passed = ended.tier(*tier).checks.iter().filter(|check| check.status == Status::Pass).count();
        assert!(passed > 0, "{tier}: {ended}");
    }
    // Both seeds, the generic marker in the volume and the recipe's own note, were looked for after the upgrade.
    let upgrade = ended.words_of(Tier::Upgrade);
    assert!(upgrade.contains("a note"), "{upgrade}");
}

#[test]
fn look_at_a_task_that_did_not_last_is_taken_again() {
    let engine = engine_or_skip!();
    let (_host, ended) = is_as_expected(&engine, &canaries::crashes_once(&engine));
    let install = ended.tier(Tier::Install);
    let of = |name: &str| install.checks.iter().filter(|check| check.name == name).collect::<Vec<_>>();
    assert!(of("deploy converges")[0].message.contains("after 1 restarts"), "{ended}");
    assert_eq!(of("is really serving").len(), 1, "only one look is told of: {ended}");
}

#[test]
fn crash_loop_is_red_at_install() {
    let engine = engine_or_skip!();
    is_as_expected(&engine, &canary(&engine, "canary-crash-loop"));
}

#[test]
fn app_that_starts_and_does_not_serve_is_red_at_install() {
    let engine = engine_or_skip!();
    is_as_expected(&engine, &canary(&engine, "canary-not-serving"));
}

#[test]
fn healthcheck_that_never_passes_is_red_at_install() {
    let engine = engine_or_skip!();
    is_as_expected(&engine, &canary(&engine, "canary-never-healthy"));
}

#[test]
fn image_that_does_not_exist_is_red_at_install() {
    let engine = engine_or_skip!();
    is_as_expected(&engine, &canary(&engine, "canary-image-missing"));
}

#[test]
fn registry_that_is_down_is_trouble_and_no_tier_fails() {
    let engine = engine_or_skip!();
    let (_host, ended) = is_as_expected(&engine, &canary(&engine, "canary-registry-down"));
    let trouble = ended.result().trouble.expect("the trouble is stored");
    assert!(trouble.retry, "another try may help: {trouble:?}");
}

#[test]
fn old_task_still_serving_does_not_prove_the_upgrade() {
    let engine = engine_or_skip!();
    is_as_expected(&engine, &canary(&engine, "canary-rolls-back"));
}

#[test]
fn defect_that_appears_on_head_is_upgrade_red_not_infrastructure() {
    let engine = engine_or_skip!();
    is_as_expected(&engine, &canary(&engine, "canary-pauses"));
}

#[test]
fn deployed_images_are_the_ones_head_names() {
    let engine = engine_or_skip!();
    is_as_expected(&engine, &canary(&engine, "canary-keeps-image"));
}

#[test]
fn upgrade_that_loses_a_volume_is_red() {
    let engine = engine_or_skip!();
    is_as_expected(&engine, &canary(&engine, "canary-loses-volume"));
}

#[test]
fn crash_after_swarm_has_stopped_looking_is_red_at_upgrade() {
    let engine = engine_or_skip!();
    is_as_expected(&engine, &canary(&engine, "canary-crashes-late"));
}

#[test]
fn head_without_enough_memory_is_red_at_upgrade_and_says_so() {
    let engine = engine_or_skip!();
    is_as_expected(&engine, &canary(&engine, "canary-out-of-memory"));
}

#[test]
fn recipes_own_check_that_fails_is_red_at_custom_alone() {
    let engine = engine_or_skip!();
    is_as_expected(&engine, &canary(&engine, "canary-check-fails"));
}

#[test]
fn secret_that_cannot_be_made_is_the_recipes_fault_and_named() {
    let engine = engine_or_skip!();
    is_as_expected(&engine, &canary(&engine, "canary-secret"));
}

#[test]
fn config_name_that_docker_would_refuse_is_red_before_anything_is_deployed() {
    let engine = engine_or_skip!();
    let (_host, ended) = is_as_expected(&engine, &canary(&engine, "canary-long-name"));
    assert_eq!(ended.result().deploys.counted, 0, "{ended}");
}

#[test]
fn host_binds_are_refused_and_nothing_is_deployed() {
    let engine = engine_or_skip!();
    for canary in [canaries::binds_root(&engine), canaries::binds_socket(&engine)] {
        let (_host, ended) = is_as_expected(&engine, &canary);
        let result = ended.result();
        assert_eq!(result.verdict, Some(VerdictWord::Refused), "{ended}");
        assert_eq!(result.deploys.counted, 0, "{ended}");
    }
}

#[test]
fn nested_default_reaches_the_app_as_the_cli_leaves_it_and_lint_names_it() {
    let engine = engine_or_skip!();
    let (_host, ended) = is_as_expected(&engine, &canaries::nested_default(&engine));
    let lint = ended.words_of(Tier::Lint);
    assert!(lint.contains("no default holds another variable") && lint.contains("compose.yml:"), "{lint}");
}

/// The recipe is sound and one of its tags is not annotated: a person who looks at the verdict alone sees nothing of it.
#[test]
fn recipe_with_lightweight_tags_deploys() {
    let engine = engine_or_skip!();
    let sound = canaries::sound(&engine);
    let host = RunHost::new(CC_CI, &engine);
    host.set_test_data(sound.name, &sound.recipe_toml);
    let folder = host.path("repositories").join(sound.name);
    let mut repository = RecipeRepository::create(&folder).expect("a new repository");
    repository.put(sound.base.as_ref().expect("the sound recipe has a release")).expect("its files");
    repository.commit("a release").expect("a commit");
    repository.lightweight_release(canaries::RELEASE).expect("a tag");
    let head = repository.pull_request(1, &sound.head).expect("a pull request");
    let ended = host.run(&host.arguments_for(sound.name, &repository, &head));
    assert_eq!(ended.code, 0, "{ended}");
    let result = ended.result();
    assert_eq!(result.verdict, Some(VerdictWord::Pass), "{ended}");
    for tier in &sound.expected.passing {
        assert_eq!(ended.tier(*tier).status, Status::Pass, "{tier}: {ended}");
    }
    assert_eq!(ended.tier(Tier::Lint).status, Status::Fail, "{ended}");
    let lint = ended.words_of(Tier::Lint);
    assert!(lint.contains("R014") && lint.contains(canaries::RELEASE), "{lint}");
    assert_eq!((result.level, result.level_reason.as_str()), (4, "lint failed"), "{ended}");
    nothing_is_left(&engine, &ended);
}

/// A program that says itself that it tested nothing, as a suite whose tests were all skipped.
#[test]
fn custom_tier_in_which_no_test_ran_is_trouble_and_never_a_pass() {
    let engine = engine_or_skip!();
    let mut sound = canaries::sound(&engine);
    sound.base = None;
    sound.recipe_toml =
        sound.recipe_toml.replace("[[check]]\ntier = \"custom\"", "[[check]]\ntier = \"install\"");
    let host = RunHost::new(CC_CI, &engine);
    let mut arguments = host.prepare(&sound);
    arguments.extend(["--tiers".to_owned(), "install,custom".to_owned()]);
    let program = host.path("recipes").join(sound.name).join("tests/custom/signs_in");
    std::fs::create_dir_all(program.parent().expect("it lies in a folder")).expect("a folder for it");
    std::fs::write(&program, "#!/bin/sh\necho 'no provider to sign in with'\nexit 77\n").expect("a program");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("a file of ours");
    let ended = host.run(&arguments);
    assert_eq!(ended.code, 2, "{ended}");
    assert_eq!(ended.tier(Tier::Install).status, Status::Pass, "{ended}");
    assert_eq!(ended.tier(Tier::Custom).status, Status::Unverified, "{ended}");
    let custom = ended.words_of(Tier::Custom);
    assert!(custom.contains("tested nothing") && custom.contains("no provider to sign in with"), "{custom}");
    let trouble = ended.result().trouble.expect("the trouble is stored");
    assert!(trouble.what.contains("custom was planned"), "{trouble:?}");
    nothing_is_left(&engine, &ended);
}

#[test]
fn failure_keeps_logs_and_inspect_output() {
    let engine = engine_or_skip!();
    let (_host, ended) = is_as_expected(&engine, &canary(&engine, "canary-crash-loop"));
    assert!(ended.file("tiers/install/tasks.txt").contains("non-zero exit (3)"), "{ended}");
    let services: serde_json::Value =
        serde_json::from_str(&ended.file("tiers/install/services.json")).expect("services as JSON");
    assert!(services.to_string().contains("PROBE_CRASH_AFTER_MS=200"), "the service as it was: {services}");
    let folder = ended.folder.as_ref().expect("a run folder").join("tiers/install");
    let entries = std::fs::read_dir(folder).expect("the folder of the tier").flatten();
    let logs = entries.filter(|entry| entry.path().extension().is_some_and(|end| end == "log"));
    let said = logs.map(|log| std::fs::read_to_string(log.path()).expect("a log")).collect::<String>();
    assert!(said.contains("crashing as told"), "what the container said: {said:?}");
}

/// A service that head has dropped would go on running beside it, as a deploy alone leaves it.
#[test]
fn service_dropped_by_head_is_gone_after_the_upgrade() {
    let engine = engine_or_skip!();
    let mut canary = canaries::sound(&engine);
    for (name, text) in canary.base.iter_mut().flatten() {
        if name == "compose.yml" {
            let image = &engine.image("probe:1.0").reference;
            *text = text.replace("services:\n", &format!("services:\n  helper:\n    image: {image}\n"));
        }
    }
    let host = RunHost::new(CC_CI, &engine);
    let mut arguments = host.prepare(&canary);
    arguments.extend(["--tiers".to_owned(), "install,upgrade".to_owned()]);
    let mut run = host.start(&arguments);
    run.wait_for_event("\"tier_ended\",\"tier\":\"upgrade\"");
    // Standing still, so that what the onlooker sees is what was judged.
    run.signal(Signal::SIGSTOP);
    let stack = run.wait_until("its stack", |_, result| result.run.stack.clone());
    let services = Onlooker::of(&engine).ask(&["stack", "services", "--format", "{{.Name}}", stack.as_str()]);
    run.signal(Signal::SIGCONT);
    assert_eq!(services.expect("the services of the stack").trim(), format!("{stack}_app"));
    let ended = run.wait();
    assert_eq!(ended.code, 0, "{ended}");
    let upgrade = ended.words_of(Tier::Upgrade);
    assert!(
        upgrade.contains("services dropped by head are removed") && upgrade.contains("_helper"),
        "{upgrade}"
    );
    nothing_is_left(&engine, &ended);
}

/// Somebody deploys another commit over head while the run watches it: what stands at the end is not what was to be tested.
#[test]
fn upgrade_to_any_other_commit_than_head_is_red() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    let mut arguments = host.prepare(&canaries::sound(&engine));
    arguments.extend(["--tiers".to_owned(), "install,upgrade".to_owned()]);
    let mut run = host.start(&arguments);
    run.wait_for_event("\"tier_started\",\"tier\":\"upgrade\"");
    let stack = run.wait_until("its stack", |_, result| result.run.stack.clone());
    let (service, label) = (format!("{stack}_app"), format!("coop-cloud.{stack}.chaos-version"));
    let shown = format!("{{{{index .Spec.Labels \"{label}\"}}}}");
    let onlooker = Onlooker::of(&engine);
    let of_service = || onlooker.ask(&["service", "inspect", "--format", &shown, &service]);
    let base = of_service().expect("the label of the base");
    let head = || match of_service() {
        Ok(label) if label != base => Ok(()),
        other => Err(format!("{other:?}")),
    };
    let step = Duration::from_millis(50);
    patience::until("head to be deployed", Duration::from_secs(60), step, head).expect("it is deployed");
    let other = format!("{label}=0123456789abcdef");
    onlooker
        .ask(&["service", "update", "--detach", "--label-add", &other, &service])
        .expect("another commit");
    let ended = run.wait();
    assert_eq!(ended.code, 1, "{ended}");
    assert_eq!(ended.tier(Tier::Install).status, Status::Pass, "{ended}");
    assert_eq!(ended.tier(Tier::Upgrade).status, Status::Fail, "{ended}");
    let said = ended.words_of(Tier::Upgrade);
    assert!(said.contains("0123456789abcdef"), "{said}");
    nothing_is_left(&engine, &ended);
}

/// Checks only look: however many there are in a tier, its operation is done once.
#[test]
fn each_op_runs_once_whatever_tests_exist() {
    let engine = engine_or_skip!();
    let mut canary = canaries::sound(&engine);
    canary.base = None;
    for tier in ["install", "backup", "restore", "custom"] {
        for number in 1..=2 {
            canary.recipe_toml.push_str(&format!(
                "\n[[check]]\ntier = \"{tier}\"\nname = \"look {number}\"\nhttp = {{ path = \"/\" }}\n"
            ));
        }
    }
    let (_host, ended) = {
        let host = RunHost::new(CC_CI, &engine);
        let ended = host.run(&host.prepare(&canary));
        (host, ended)
    };
    assert_eq!(ended.code, 0, "{ended}");
    let result = ended.result();
    assert_eq!((result.deploys.counted, result.deploys.expected), (1, 1), "{ended}");
    for (tier, operation) in [
        (Tier::Install, "deploy converges"),
        (Tier::Backup, "a snapshot is made"),
        (Tier::Restore, "the snapshot is put back"),
    ] {
        let checks = ended.tier(tier).checks;
        let of = |name: &str| checks.iter().filter(|check| check.name == name).count();
        assert_eq!((of(operation), of("look 1"), of("look 2")), (1, 1, 1), "{tier}: {ended}");
    }
}

#[test]
fn result_names_tools_and_infrastructure_it_ran_on() {
    let engine = engine_or_skip!();
    let (_host, ended) = is_as_expected(&engine, &canary(&engine, "canary-image-missing"));
    let tools = ended.result().tools;
    let shown =
        engine.docker().args(["version", "--format", "{{.Server.Version}}"]).run().expect("a version");
    assert_eq!(tools.docker.as_deref(), Some(shown.trim()), "{ended}");
    assert_eq!(tools.cc_ci, env!("CARGO_PKG_VERSION"), "{ended}");
    for (name, found) in [("CLI", &tools.docker_cli), ("git", &tools.git), ("kernel", &tools.kernel)] {
        assert!(found.as_ref().is_some_and(|text| !text.is_empty()), "{name}: {ended}");
    }
    assert!(tools.free_memory_bytes.is_some_and(|bytes| bytes > 0), "{ended}");
}
