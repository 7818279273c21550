//! Bad input ends with the right exit status and one clear sentence, before any engine is asked: there is none here.

use cc_ci_model::result_line::ResultLine;
use cc_ci_testkit::canaries::Files;
use cc_ci_testkit::recipe_repository::RecipeRepository;
use cc_ci_testkit::run_host::{Ended, RunHost};
use cc_ci_testkit::testbed::TestEngine;

const CC_CI: &str = env!("CARGO_BIN_EXE_cc-ci");

/// A host whose engine is not there: a run that gets as far as asking for it ends in trouble.
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

/// A sound recipe's files, with no image that could be pulled.
fn files() -> Files {
    let compose = "\
version: \"3.8\"
services:
  app:
    image: 127.0.0.1:9/nothing:1
    networks: [proxy]
    deploy:
      labels:
        - \"coop-cloud.${STACK_NAME}.version=0.1.0+1\"
        - \"traefik.enable=true\"
networks:
  proxy:
    external: true
";
    let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    vec![file("compose.yml", compose), file(".env.sample", "TYPE=x\nDOMAIN=x.example\nLETS_ENCRYPT_ENV=\n")]
}

/// A repository with one commit of these files; returns the arguments of a run of it.
fn recipe(host: &RunHost, files: &Files) -> Vec<String> {
    let folder = host.path("repositories/some-recipe");
    let mut repository = RecipeRepository::create(&folder).expect("a repository");
    repository.put(files).expect("its files");
    let head = repository.commit("a recipe").expect("a commit");
    host.arguments_for("some-recipe", &repository, &head)
}

fn replaced(arguments: &[String], option: &str, value: &str) -> Vec<String> {
    let mut arguments = arguments.to_vec();
    match arguments.iter().position(|word| word == option) {
        Some(place) => arguments[place + 1] = value.to_owned(),
        None => arguments.extend([option.to_owned(), value.to_owned()]),
    }
    arguments
}

/// The one sentence about it: a single line of standard error that begins with the program's name.
fn sentence(ended: &Ended) -> String {
    let lines: Vec<&str> = ended.stderr.lines().filter(|line| line.starts_with("cc-ci: ")).collect();
    assert_eq!(lines.len(), 1, "one sentence: {ended}");
    lines[0].to_owned()
}

#[track_caller]
fn is_bad_argument(host: &RunHost, ended: &Ended, words: &[&str]) {
    assert_eq!(ended.code, 64, "{ended}");
    let sentence = sentence(ended);
    for word in words {
        assert!(sentence.contains(word), "{word:?} is missing in {sentence:?}");
    }
    assert!(sentence.len() < 400, "short enough to be read: {sentence}");
    assert_eq!(host.run_folders(), Vec::<std::path::PathBuf>::new(), "no run folder: {ended}");
}

#[test]
fn hostile_recipe_names_are_refused_by_name() {
    let host = host();
    let arguments = recipe(&host, &files());
    let long = "x".repeat(300);
    for name in ["../x", "a b", "x\ny", "x; id", "$(id)", "UPPER", "-", &long] {
        let ended = host.run(&replaced(&arguments, "--recipe", name));
        is_bad_argument(&host, &ended, &["recipe name", "letters"]);
    }
    // The option parser meets this one first, and says so itself.
    let ended = host.run(&replaced(&arguments, "--recipe", "-rf"));
    assert_eq!(ended.code, 64, "{ended}");
    assert!(ended.stderr.contains("-rf") || ended.stderr.contains("'-r'"), "{ended}");
    assert_eq!(host.run_folders(), Vec::<std::path::PathBuf>::new());
    let ended = host.run(&["run", "--recipe=-rf"]);
    is_bad_argument(&host, &ended, &["recipe name", "-rf"]);
}

#[test]
fn unknown_tier_is_named_with_the_known_ones() {
    let host = host();
    let arguments = recipe(&host, &files());
    for tiers in ["instal", "install,,upgrade", "teardown", "INSTALL"] {
        let ended = host.run(&replaced(&arguments, "--tiers", tiers));
        is_bad_argument(&host, &ended, &["unknown tier", "lint, install, upgrade, backup, restore, custom"]);
    }
}

#[test]
fn ref_or_source_that_is_not_there_is_a_bad_argument_and_leaves_no_run_folder() {
    let host = host();
    let arguments = recipe(&host, &files());
    let nobody = "0123456789".repeat(4);
    let ended = host.run(&replaced(&arguments, "--ref", &nobody));
    is_bad_argument(&host, &ended, &[&nobody[..8]]);
    let ended = host.run(&replaced(&arguments, "--ref", "no-such-branch"));
    is_bad_argument(&host, &ended, &["no-such-branch"]);
    let ended = host.run(&replaced(&arguments, "--ref", "--upload-pack=id"));
    assert_eq!(ended.code, 64, "{ended}");
    let nowhere = host.path("repositories/nowhere");
    let ended = host.run(&replaced(&arguments, "--src", &nowhere.to_string_lossy()));
    is_bad_argument(&host, &ended, &["nowhere"]);
    let ended = host.run(&replaced(&arguments, "--from", "9.9.9+9"));
    is_bad_argument(&host, &ended, &["9.9.9+9"]);
    let ended = host.run(&replaced(&arguments, "--pr", "one"));
    is_bad_argument(&host, &ended, &["one"]);
}

#[test]
fn nothing_asked_is_a_bad_argument() {
    let host = host();
    is_bad_argument(&host, &host.run(&["run"]), &["no recipe given", "--recipe"]);
    assert_eq!(host.run::<&str>(&[]).code, 64);
    assert_eq!(host.run(&["run", "--nonsense"]).code, 64);
    assert_eq!(host.run(&["show", "../../etc/passwd"]).code, 64);
}

#[test]
fn compose_that_cannot_be_read_is_the_recipes_fault_with_its_place() {
    let host = host();
    for (compose, words) in [
        ("services:\n  app:\n    image: [\n", "compose.yml"),
        ("services:\n  app:\n    image: a\n    images: b\n", "compose.yml:4"),
        ("services:\n  app:\n    image: ${X:?set X}\n", "set X"),
        ("services: 1\n", "compose.yml"),
        ("", "compose.yml"),
        ("services:\n  web:\n    image: a\n", "no service called app"),
    ] {
        let mut files = files();
        files[0].1 = compose.to_owned();
        let ended = host.run(&recipe(&host, &files));
        assert_eq!(ended.code, 1, "{compose:?}: {ended}");
        let report = ended.tier(cc_ci_model::tier::Tier::Install);
        assert_eq!(report.status, cc_ci_model::outcome::Status::Fail);
        assert!(report.reason.contains(words), "{words:?} is missing in {:?}", report.reason);
        assert_eq!(ended.result().deploys.counted, 0, "nothing was deployed: {ended}");
    }
}

#[test]
fn recipe_without_env_sample_or_compose_is_red_with_what_to_add() {
    let host = host();
    let mut without_sample = files();
    without_sample.remove(1);
    let ended = host.run(&recipe(&host, &without_sample));
    assert_eq!(ended.code, 1, "{ended}");
    assert!(ended.words_of(cc_ci_model::tier::Tier::Install).contains(".env.sample"), "{ended}");
}

#[test]
fn compose_that_reaches_the_host_is_refused_before_deploy() {
    let host = host();
    let mut files = files();
    files[0].1 =
        files[0].1.replace("    networks: [proxy]\n", "    networks: [proxy]\n    volumes: [\"/:/host\"]\n");
    let ended = host.run(&recipe(&host, &files));
    assert_eq!(ended.code, 3, "{ended}");
    let result = ended.result();
    assert_eq!(result.verdict, Some(cc_ci_model::outcome::VerdictWord::Refused));
    assert_eq!(result.deploys.counted, 0);
    assert!((ended.stdout.clone() + &ended.stderr).contains("compose.yml:"), "the line is named: {ended}");
}

#[test]
fn unknown_keys_in_our_own_files_are_trouble_and_name_the_nearest_key() {
    let host = host();
    let arguments = recipe(&host, &files());
    host.set_test_data("some-recipe", "schema = 1\n[app]\nhelth = { path = \"/\" }\n");
    let ended = host.run(&arguments);
    assert_eq!(ended.code, 2, "{ended}");
    let said = sentence(&ended);
    assert!(said.contains("recipe.toml") && said.contains("helth") && said.contains("health"), "{said}");

    host.set_test_data("some-recipe", "schema = 1\n");
    host.write_settings("zoen = \"x.test\"\n");
    let ended = host.run(&arguments);
    assert_eq!(ended.code, 2, "{ended}");
    let said = sentence(&ended);
    assert!(said.contains("settings.toml") && said.contains("zoen") && said.contains("zone"), "{said}");
}

#[test]
fn engine_that_is_not_there_is_trouble_and_says_what_to_do() {
    let host = host();
    let ended = host.run(&recipe(&host, &files()));
    assert_eq!(ended.code, 2, "{ended}");
    let result = ended.result();
    let trouble = result.trouble.expect("trouble is stored");
    assert!(trouble.what.contains("cannot be reached"), "{trouble:?}");
    assert_eq!(result.deploys.counted, 0);
    for tier in result.tiers {
        assert_ne!(tier.status, cc_ci_model::outcome::Status::Fail, "{}", tier.name);
    }
}

#[test]
fn plan_says_what_a_run_would_do_and_needs_no_engine() {
    let host = host();
    let mut arguments = recipe(&host, &files());
    arguments[0] = "plan".to_owned();
    let ended = host.run(&arguments);
    assert_eq!(ended.code, 0, "{ended}");
    for tier in ["install", "upgrade", "custom"] {
        assert!(ended.stdout.contains(tier), "{ended}");
    }
    assert_eq!(host.run_folders(), Vec::<std::path::PathBuf>::new(), "a plan is no run");
}

#[test]
fn keeping_a_red_stack_is_refused_where_nobody_looks_at_it() {
    let plain = host();
    let mut arguments = recipe(&plain, &files());
    arguments.push("--keep".to_owned());
    let beside = plain.run(&[arguments.clone(), vec!["--bound-to-parent".to_owned()]].concat());
    assert_eq!(beside.code, 64, "{beside}");
    for variable in ["DRONE=true", "DRONE_BUILD_NUMBER=7"] {
        let build = host().started_by(&["env", variable]);
        let mut arguments = recipe(&build, &files());
        arguments.push("--keep".to_owned());
        let ended = build.run(&arguments);
        assert_eq!(ended.code, 64, "{variable}: {ended}");
        assert!(ended.stderr.contains("a build of Drone"), "{ended}");
        assert!(build.run_folders().is_empty(), "{variable}");
    }
}

#[test]
fn a_bad_argument_says_in_the_last_line_of_the_log_that_there_was_no_run() {
    let host = host().started_by(&["env", "DRONE_BUILD_NUMBER=7"]);
    let sound = recipe(&host, &files());
    let unknown: Vec<String> = sound.iter().cloned().chain(["--nonsense".to_owned()]).collect();
    for (arguments, words) in [
        (replaced(&sound, "--tiers", "install,nonsense"), "nonsense"),
        (replaced(&sound, "--ref", &"0".repeat(40)), "0000"),
        (unknown, "--nonsense"),
    ] {
        let ended = host.run(&arguments);
        assert_eq!(ended.code, 64, "{ended}");
        let last = ended.stdout.lines().last().unwrap_or_default();
        let line = ResultLine::of_log(last).unwrap_or_else(|| panic!("no result line: {ended}"));
        match line.expect("the line can be read") {
            ResultLine::BadArgument { exit: 64, bad_argument, .. } => {
                assert!(bad_argument.contains(words), "{bad_argument}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(host.run_folders(), Vec::<std::path::PathBuf>::new(), "no run folder: {ended}");
    }
    // A person at a terminal reads the sentence and nothing else.
    let ended = self::host().run(&replaced(&sound, "--tiers", "nonsense"));
    assert_eq!((ended.code, ended.stdout.as_str()), (64, ""), "{ended}");
}

#[test]
fn start_of_an_upgrade_that_cannot_be_is_a_bad_argument() {
    let host = host();
    let folder = host.path("repositories/released");
    let mut repository = RecipeRepository::create(&folder).expect("a repository");
    repository.put(&files()).expect("its files");
    let old = repository.commit("first").expect("a commit");
    repository.release("0.1.0+1").expect("a tag");
    repository.commit("second").expect("a commit");
    repository.release("0.2.0+1").expect("a tag");
    let head = repository.pull_request(1, &[("README.md", "x")]).expect("a pull request");
    let arguments = host.arguments_for("some-recipe", &repository, &head);

    let ended = host.run(&replaced(&arguments, "--from", "0.3.0+1"));
    is_bad_argument(&host, &ended, &["0.3.0+1", "its releases are: 0.2.0+1, 0.1.0+1"]);
    let at_old = replaced(&arguments, "--ref", &old);
    let ended = host.run(&replaced(&at_old, "--from", "0.1.0+1"));
    is_bad_argument(&host, &ended, &["the commit under test itself"]);
    let ended = host.run(&replaced(&at_old, "--from", "0.2.0+1"));
    is_bad_argument(&host, &ended, &["downgrade"]);
    let contradiction = replaced(&replaced(&arguments, "--from", "all"), "--tiers", "install");
    let ended = host.run(&contradiction);
    is_bad_argument(&host, &ended, &["--from all", "leave the upgrade out"]);

    let mut plan = replaced(&arguments, "--from", "all");
    plan[0] = "plan".to_owned();
    let ended = host.run(&plan);
    assert_eq!(ended.code, 0, "{ended}");
    assert!(ended.stdout.contains("from 0.1.0+1 through 0.2.0+1 to"), "{ended}");
    // The first release, one more on the way, and the restore elsewhere.
    assert!(ended.stdout.contains("deploys   3"), "{ended}");
}

#[test]
fn stale_base_repair_is_flagged_before_anything_is_touched() {
    let host = host();
    let folder = host.path("repositories/mended");
    let mut repository = RecipeRepository::create(&folder).expect("a repository");
    repository.put(&files()).expect("its files");
    repository.commit("first").expect("a commit");
    repository.release("0.2.0+1").expect("a tag");
    let head = repository.pull_request(1, &[("README.md", "x")]).expect("a pull request");
    let mut arguments = host.arguments_for("some-recipe", &repository, &head);
    arguments[0] = "plan".to_owned();
    let repair = host.path("recipes/some-recipe/previous");
    std::fs::create_dir_all(&repair).expect("a folder for test data");
    std::fs::write(repair.join("compose.previous.yml"), "services: {}\n").expect("a file");
    let ended = host.run(&arguments);
    assert_eq!(ended.code, 2, "{ended}");
    assert!(sentence(&ended).contains("no file VERSION"), "{ended}");

    std::fs::write(repair.join("VERSION"), "0.1.0+1").expect("a file");
    let ended = host.run(&arguments);
    assert_eq!(ended.code, 0, "{ended}");
    assert!(ended.stdout.contains("previous/ is stale: it mends release 0.1.0+1"), "{ended}");
    std::fs::write(repair.join("VERSION"), "0.2.0+1").expect("a file");
    let ended = host.run(&arguments);
    assert!(ended.stdout.contains("previous/ mends release 0.2.0+1: compose.previous.yml"), "{ended}");
}

#[test]
fn opt_out_that_means_nothing_is_a_bad_argument() {
    for (setting, words) in
        [("CCCI_SKIP_GENERIC_BAKCUP=1", "BACKUP"), ("CCCI_SKIP_GENERIC=yes", "set it to 1")]
    {
        let host = host().started_by(&["env", setting]);
        let arguments = recipe(&host, &files());
        is_bad_argument(&host, &host.run(&arguments), &[setting.split('=').next().expect("a name"), words]);
    }
}
