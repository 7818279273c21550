//! `cc-ci lint` as people call it: no Docker, a table with file and line, one exit status.

use std::path::Path;

use cc_ci_testkit::program::{Ended, Program};
use cc_ci_testkit::recipe_repository::RecipeRepository;

fn bundled(folder: &Path) -> RecipeRepository {
    RecipeRepository::bundled("custom-html", &folder.join("custom-html"), "127.0.0.1:5000")
        .expect("a recipe")
        .0
}

/// Runs `cc-ci lint`; no engine is there to be asked.
fn lint(folder: &Path, arguments: &[&str]) -> Ended {
    let settings = folder.join("settings.toml");
    let recipes = folder.join("recipes");
    std::fs::write(&settings, format!("zone = \"ci.test\"\nrecipes = {recipes:?}\n")).expect("settings");
    let program = Program::new(env!("CARGO_BIN_EXE_cc-ci")).arg("lint").args(arguments).folder(folder);
    let program = program.env("CCCI_SETTINGS", settings).env("NO_COLOR", "1");
    program.env("DOCKER_HOST", "unix:///nonexistent/docker.sock").outcome().expect("it ends by itself")
}

fn change(folder: &Path, file: &str, old: &str, new: &str) {
    let path = folder.join("custom-html").join(file);
    let text = std::fs::read_to_string(&path).expect("a file of the recipe");
    assert!(text.contains(old), "{file} has no {old}");
    std::fs::write(path, text.replace(old, new)).expect("a file of the recipe");
}

#[test]
fn the_bundled_recipe_lints_clean_of_errors() {
    let folder = tempfile::tempdir().expect("a folder");
    let _recipe = bundled(folder.path());
    let ended = lint(folder.path(), &["custom-html"]);
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    insta::assert_snapshot!("lint-custom-html", ended.stdout);
}

#[test]
fn an_edit_in_the_folder_is_judged_before_it_is_committed() {
    let folder = tempfile::tempdir().expect("a folder");
    let _recipe = bundled(folder.path());
    change(folder.path(), "site.conf.tmpl", "nosniff", "nosniff always");
    let ended = lint(folder.path(), &["custom-html"]);
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.stdout.contains("C004 error") && ended.stdout.contains("  compose.yml:4"), "{ended:?}");
}

#[test]
fn a_repository_is_linted_like_a_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let recipe = bundled(folder.path());
    let address = format!("file://{}", recipe.path().display());
    let from_folder = lint(folder.path(), &["custom-html"]);
    let from_git = lint(folder.path(), &[address.as_str()]);
    assert_eq!((from_git.status.code(), from_git.stdout), (Some(0), from_folder.stdout));
}

#[test]
fn what_the_gate_refuses_has_an_exit_status_of_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let _recipe = bundled(folder.path());
    change(folder.path(), "compose.yml", "content:/usr", "/var/run/docker.sock:/usr");
    let ended = lint(folder.path(), &["custom-html"]);
    assert_eq!(ended.status.code(), Some(3), "{ended:?}");
    assert!(
        ended.stdout.contains("the compose gate refuses") && ended.stdout.contains("compose.yml:14"),
        "{ended:?}"
    );
}

#[test]
fn a_folder_that_is_not_there_is_a_bad_argument() {
    let folder = tempfile::tempdir().expect("a folder");
    for arguments in [&["nothing"][..], &["ext::sh -c x://"], &["file:///nonexistent/x"], &[]] {
        let ended = lint(folder.path(), arguments);
        assert_eq!(ended.status.code(), Some(64), "{arguments:?}: {ended:?}");
        assert!(ended.stdout.is_empty() && !ended.stderr.is_empty(), "{ended:?}");
    }
}

#[test]
fn what_cannot_be_looked_at_is_neither_clean_nor_red() {
    let folder = tempfile::tempdir().expect("a folder");
    let _recipe = bundled(folder.path());
    let refs = folder.path().join("custom-html/.git/refs/heads/main");
    std::fs::write(refs, "not a commit\n").expect("a broken repository");
    let ended = lint(folder.path(), &["custom-html"]);
    assert_eq!(ended.status.code(), Some(2), "{ended:?}");
    assert!(ended.stdout.contains("could not lint"), "{ended:?}");
}

#[test]
fn an_app_that_our_data_calls_one_without_a_page_needs_no_route() {
    let folder = tempfile::tempdir().expect("a folder");
    let _recipe = bundled(folder.path());
    change(folder.path(), "compose.yml", "traefik.enable=true", "traefik.enable=false");
    let ended = lint(folder.path(), &["custom-html"]);
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.stdout.contains("R010 error"), "{ended:?}");
    let data = folder.path().join("recipes/custom-html");
    std::fs::create_dir_all(&data).expect("a folder");
    std::fs::write(data.join("recipe.toml"), "schema = 1\napp.serves = \"tcp\"\n").expect("test data");
    let ended = lint(folder.path(), &["custom-html"]);
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(ended.stdout.contains("app.serves is tcp: there is no page to show"), "{ended:?}");
}

#[test]
fn json_holds_rule_level_file_and_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let _recipe = bundled(folder.path());
    change(folder.path(), "compose.yml", "nginx:1.1", "nginx:latest");
    let ended = lint(folder.path(), &["--json", "custom-html"]);
    assert_eq!(ended.status.code(), Some(0), "a warning is no error: {ended:?}");
    let object: serde_json::Value = serde_json::from_str(&ended.stdout).expect("one JSON object");
    assert_eq!((&object["recipe"], &object["outcome"]), (&"custom-html".into(), &"clean".into()));
    let rows = object["lint"]["rows"].as_array().expect("rows");
    let row = rows.iter().find(|row| row["reference"] == "R004").expect("a row of R004");
    assert_eq!((&row["severity"], &row["state"]), (&"warn".into(), &"violated".into()));
    assert_eq!(row["findings"][0]["at"], serde_json::json!({ "file": "compose.yml", "line": 5 }));
}

/// What a shell hands over where a folder was empty, a pattern matched nothing or a variable was not set.
#[test]
fn empty_enrolment_is_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("empty")).expect("a folder");
    for mode in [&[][..], &["--blast-radius"]] {
        for (recipes, code, named) in [
            (&[][..], 64, "<"),
            (&["recipes/*"], 64, "recipes/*"),
            (&[""], 64, "\"\""),
            (&["empty"], 1, "empty"),
        ] {
            let ended = lint(folder.path(), &[mode, recipes].concat());
            let said = format!("{}{}", ended.stdout, ended.stderr);
            // An empty folder is red, or could not be looked at; it is never clean.
            let is_bad = ended.status.code().is_some_and(|got| got == code || (code == 1 && got == 2));
            assert!(is_bad && said.contains(named), "{mode:?} {recipes:?}: {ended:?}");
        }
    }
}

#[test]
fn blast_radius_names_the_policy_and_who_would_notice() {
    let folder = tempfile::tempdir().expect("a folder");
    let _recipe = bundled(folder.path());
    let row = |ended: &Ended| {
        ended.stdout.lines().nth(1).unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let ended = lint(folder.path(), &["--blast-radius", "custom-html"]);
    assert_eq!(
        (ended.status.code(), row(&ended).as_str()),
        (Some(0), "custom-html app rollback start-first none no high")
    );
    let data = folder.path().join("recipes/custom-html");
    std::fs::create_dir_all(data.join("tests/upgrade")).expect("a folder");
    std::fs::write(data.join("recipe.toml"), "schema = 1\n").expect("test data");
    let overlay = "version: \"3.8\"\nservices: {app: {deploy: {update_config: {order: stop-first}}}}\n";
    std::fs::write(data.join("compose.ccci.yml"), overlay).expect("an overlay");
    let ended = lint(folder.path(), &["--blast-radius", "custom-html"]);
    assert_eq!(row(&ended), "custom-html app rollback start-first stop-first yes latent");
}
