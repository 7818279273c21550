//! `cc-ci enroll` as people call it: a file that our own reader takes, then lint and plan; nothing is overwritten.

use std::path::Path;

use cc_ci_model::recipe_toml::RecipeToml;
use cc_ci_testkit::program::{Ended, Program};
use cc_ci_testkit::recipe_repository::RecipeRepository;

fn enroll(folder: &Path, arguments: &[&str]) -> Ended {
    let settings = folder.join("settings.toml");
    std::fs::write(&settings, "zone = \"ci.test\"\n").expect("settings");
    let program = Program::new(env!("CARGO_BIN_EXE_cc-ci")).arg("enroll").args(arguments).folder(folder);
    let program = program.env("CCCI_SETTINGS", settings).env("NO_COLOR", "1");
    // What Drone hands to a run is nothing to this verb.
    let program = program.env("RECIPE", "another").env("SRC", "/nonexistent");
    program.env("DOCKER_HOST", "unix:///nonexistent/docker.sock").outcome().expect("it ends by itself")
}

fn bundled(folder: &Path) -> RecipeRepository {
    RecipeRepository::bundled("custom-html", &folder.join("custom-html"), "127.0.0.1:5000")
        .expect("a recipe")
        .0
}

fn read(path: &Path) -> RecipeToml {
    let text = std::fs::read_to_string(path).expect("a recipe.toml");
    RecipeToml::parse("recipe.toml", &text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[test]
fn bundled_recipe_is_enrolled_and_shown_with_lint_and_plan() {
    let folder = tempfile::tempdir().expect("a folder");
    let _recipe = bundled(folder.path());
    let ended = enroll(folder.path(), &["custom-html", "--write", "data"]);
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let written = read(&folder.path().join("data/custom-html/recipe.toml"));
    assert_eq!(written.app.health.path.as_str(), "/health");
    let said = &ended.stdout;
    assert!(said.starts_with("wrote data/custom-html/recipe.toml: "), "{said}");
    assert!(said.contains("custom-html  clean") && said.contains("R015  warn "), "lint: {said}");
    assert!(said.contains("custom-html  0.2.0+1.1 → ") && said.contains("deploys   "), "plan: {said}");
}

#[test]
fn each_bundled_recipe_gives_a_file_that_our_own_reader_takes() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../recipes");
    for entry in std::fs::read_dir(data).expect("the bundled recipes").flatten() {
        let name = entry.file_name().into_string().expect("a plain name");
        let folder = tempfile::tempdir().expect("a folder");
        let _made =
            RecipeRepository::bundled(&name, &folder.path().join(&name), "127.0.0.1:5000").expect("a recipe");
        let ended = enroll(folder.path(), &[&name, "--write", "data"]);
        assert_eq!(ended.status.code(), Some(0), "{name}: {ended:?}");
        let written = read(&folder.path().join("data").join(&name).join("recipe.toml"));
        assert_ne!(written, RecipeToml::absent(), "{name}: something is known of it");
    }
}

#[test]
fn a_file_that_is_there_stays_unless_it_is_forced() {
    let folder = tempfile::tempdir().expect("a folder");
    let _recipe = bundled(folder.path());
    let path = folder.path().join("recipes/custom-html/recipe.toml");
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    std::fs::write(&path, "schema = 1 # mine\n").expect("a file");
    let ended = enroll(folder.path(), &["custom-html"]);
    assert_eq!(ended.status.code(), Some(64), "{ended:?}");
    assert!(ended.stderr.contains("is there already; --force replaces it"), "{ended:?}");
    assert_eq!(std::fs::read_to_string(&path).expect("the file"), "schema = 1 # mine\n");
    let ended = enroll(folder.path(), &["custom-html", "--force"]);
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert_eq!(read(&path).app.health.path.as_str(), "/health");
}

#[test]
fn hostile_names_are_refused_and_write_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["UPPER", "a b", "$(id)", "x;y", "a\"]\nb"] {
        std::fs::create_dir(folder.path().join(name)).expect("a folder");
        let ended = enroll(folder.path(), &[name, "--write", "data"]);
        assert_eq!(ended.status.code(), Some(64), "{name:?}: {ended:?}");
        assert!(ended.stderr.contains("--name"), "{ended:?}");
    }
    for name in ["../x", "/etc/x", "-", "x\ny"] {
        let ended = enroll(folder.path(), &["UPPER", "--write", "data", &format!("--name={name}")]);
        assert_eq!(ended.status.code(), Some(64), "{name:?}: {ended:?}");
    }
    assert!(!folder.path().join("data").exists());
}

#[test]
fn a_folder_without_a_repository_is_enrolled_without_a_plan() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("Odd")).expect("a folder");
    let ended = enroll(folder.path(), &["Odd", "--name", "odd", "--write", "data"]);
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert_eq!(read(&folder.path().join("data/odd/recipe.toml")), RecipeToml::absent());
    assert!(ended.stdout.contains("no plan: this folder is no git repository"), "{ended:?}");
}
