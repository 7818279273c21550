//! The compose reader beside the Docker CLI: a corpus of small files, what `docker stack config` makes of each, and texts that are no files at all.
//!
//! A case is a folder under `tests/compose/corpus/`: the compose files (`compose.yml` first, then the others by name, or as the
//! variable `COMPOSE_FILE` says), `variables` with the caller's environment, and either `expected.yml` (what CLI 28 printed, with the
//! folder of the case as `/recipe`) or `expected.error` (what it said). `CCCI_RECORD_COMPOSE=1` writes these two anew with the CLI at hand.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cc_ci_model::compose::{self, Compose, ComposeError, ComposeSource, RECIPE_FOLDER};
use proptest::prelude::*;

/// One folder of the corpus.
struct Case {
    name: String,
    folder: PathBuf,
    files: Vec<String>,
    variables: BTreeMap<String, String>,
}

impl Case {
    fn sources(&self) -> Vec<ComposeSource> {
        self.files
            .iter()
            .map(|path| ComposeSource { path: path.clone(), text: read(&self.folder.join(path)) })
            .collect()
    }

    fn read(&self) -> Result<Compose, ComposeError> {
        let folder = self.folder.clone();
        compose::read(&self.sources(), &self.variables, &move |path| {
            fs::read_to_string(folder.join(path)).ok()
        })
    }

    /// What the CLI says, with the folder of the case as `/recipe`.
    fn ask(&self, docker: &Path) -> Result<String, String> {
        let parent = tempfile::tempdir().expect("a folder for temporary files exists");
        let recipe = parent.path().join("recipe");
        copy(&self.folder, &recipe);
        let mut command = Command::new(docker);
        command.env_clear().envs(&self.variables).current_dir(&recipe).args(["stack", "config"]);
        for file in &self.files {
            command.args(["-c", file]);
        }
        let output = command.output().expect("the docker command was found before");
        let said = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            let text = text.replace(&recipe.display().to_string(), RECIPE_FOLDER);
            text.replace(&parent.path().display().to_string(), "")
        };
        if output.status.success() { Ok(said(&output.stdout)) } else { Err(said(&output.stderr)) }
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("reading {}: {error}", path.display()))
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the temporary folder can be written");
    for entry in fs::read_dir(from).expect("the corpus is there") {
        let path = entry.expect("the corpus can be listed").path();
        let target = to.join(path.file_name().expect("an entry of a folder has a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).expect("the temporary folder can be written");
        }
    }
}

fn corpus_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compose/corpus")
}

fn corpus() -> Vec<Case> {
    let mut cases: Vec<Case> = fs::read_dir(corpus_folder())
        .expect("the corpus is there")
        .map(|entry| case(&entry.expect("the corpus can be listed").path()))
        .collect();
    cases.sort_by(|one, other| one.name.cmp(&other.name));
    cases
}

fn case(folder: &Path) -> Case {
    let name =
        |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let variables: BTreeMap<String, String> = fs::read_to_string(folder.join("variables"))
        .unwrap_or_default()
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let files = match variables.get("COMPOSE_FILE") {
        Some(list) => list.split(':').map(str::to_owned).collect(),
        None => {
            let mut files: Vec<String> = fs::read_dir(folder)
                .expect("the case is there")
                .map(|entry| name(&entry.expect("the case can be listed").path()))
                .filter(|name| name.starts_with("compose"))
                .collect();
            files.sort_by_key(|name| (name != "compose.yml", name.clone()));
            files
        }
    };
    Case { name: name(folder), folder: folder.to_owned(), files, variables }
}

/// The docker command, if its CLI can print merged compose files.
fn docker_with_config() -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let docker = std::env::split_paths(&path).map(|folder| folder.join("docker")).find(|file| file.is_file());
    let docker = docker.ok_or("there is no docker command")?;
    let help = Command::new(&docker).args(["stack", "config", "--help"]).output();
    match help {
        Ok(output)
            if output.status.success()
                && String::from_utf8_lossy(&output.stdout).contains("interpolation") =>
        {
            Ok(docker)
        }
        _ => Err("this docker CLI has no `stack config`; CLI 25 or newer has".to_owned()),
    }
}

/// The differences of one case from what the CLI said.
fn compare(case: &Case, cli: &Result<String, String>) -> Option<String> {
    match (case.read(), cli) {
        (Ok(ours), Ok(theirs)) => {
            let theirs = compose::yaml_to_json("expected.yml", theirs).expect("the CLI prints YAML");
            let ours = ours.to_value();
            if ours == theirs {
                return None;
            }
            Some(format!("{}:\n  ours   {ours}\n  theirs {theirs}", case.name))
        }
        (Err(_), Err(_)) => None,
        (Ok(_), Err(theirs)) => Some(format!("{}: accepted, but the CLI says: {theirs}", case.name)),
        (Err(ours), Ok(_)) => Some(format!("{}: the CLI accepts it, but: {ours}", case.name)),
    }
}

fn recorded(case: &Case) -> Result<String, String> {
    match fs::read_to_string(case.folder.join("expected.yml")) {
        Ok(text) => Ok(text),
        Err(_) => Err(read(&case.folder.join("expected.error"))),
    }
}

#[test]
fn corpus_reads_as_cli_28_recorded_it() {
    if std::env::var_os("CCCI_RECORD_COMPOSE").is_some() {
        let docker = docker_with_config().expect("recording needs the CLI");
        for case in corpus() {
            let (good, bad) = (case.folder.join("expected.yml"), case.folder.join("expected.error"));
            for file in [&good, &bad] {
                drop(fs::remove_file(file));
            }
            let (file, text) = match case.ask(&docker) {
                Ok(text) => (good, text),
                Err(text) => (bad, text),
            };
            fs::write(file, text).expect("the corpus can be written");
        }
    }
    let cases = corpus();
    assert!(cases.len() >= 60, "only {} cases in {}", cases.len(), corpus_folder().display());
    let differences: Vec<String> = cases.iter().filter_map(|case| compare(case, &recorded(case))).collect();
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn names_of_refused_cases_say_that_they_are_refused() {
    for case in corpus() {
        let says_refused = case.name.ends_with("-refused");
        let is_refused = recorded(&case).is_err();
        assert!(says_refused == is_refused, "{} and its recording disagree", case.name);
    }
}

#[test]
fn corpus_reads_as_the_cli_at_hand_does() {
    let docker = match docker_with_config() {
        Ok(docker) => docker,
        Err(why) => {
            println!("SKIP corpus_reads_as_the_cli_at_hand_does: {why}");
            return;
        }
    };
    let differences: Vec<String> =
        corpus().iter().filter_map(|case| compare(case, &case.ask(&docker))).collect();
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn refused_files_are_told_in_one_sentence_with_their_place() {
    let mut told = String::new();
    for case in corpus() {
        if let Err(error) = case.read() {
            assert!(error.position().is_some(), "{} has no place: {error}", case.name);
            let message = error.to_string();
            assert!(!message.contains('\n'), "{} spans lines: {message}", case.name);
            told.push_str(&format!("{}\n    {message}\n", case.name));
        }
    }
    insta::assert_snapshot!(told);
}

/// Reads with every variable unset and no files.
fn survives(text: &str) {
    let source = ComposeSource { path: "compose.yml".to_owned(), text: text.to_owned() };
    let over = ComposeSource { path: "compose.over.yml".to_owned(), text: text.to_owned() };
    if let Ok(compose) = compose::read(&[source, over], &BTreeMap::new(), &|_| None) {
        let printed = compose.to_value();
        assert!(printed.get("services").is_some(), "no services in {printed}");
        compose.deploy_fault();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        survives(&text);
    }

    #[test]
    fn any_yaml_like_text_is_read_or_refused(text in "(services|app|image|ports|volumes|x-|version|[a-z]{1,3}|[-:{}\\[\\],&*!|>%@`\"'#$?]|<<|\\$\\{|[0-9]{1,3}|\\n| |  ){0,60}") {
        survives(&text);
    }

    #[test]
    fn damaged_compose_files_are_read_or_refused(
        pick in any::<prop::sample::Index>(),
        cut in any::<prop::sample::Index>(),
        length in 0usize..12,
        insert in prop_oneof!["[ -~]{0,8}".boxed(), Just("\n".to_owned()).boxed(), "(&a|\\*a|<<: |\\$\\{|\\}|\\[|\\]|\u{0}|\u{feff}|é){0,3}".boxed()],
    ) {
        let cases = corpus();
        let sources = cases[pick.index(cases.len())].sources();
        let mut signs: Vec<char> = sources[0].text.chars().collect();
        let at = cut.index(signs.len() + 1);
        let end = (at + length).min(signs.len());
        signs.splice(at..end, insert.chars());
        survives(&signs.into_iter().collect::<String>());
    }
}

#[test]
fn bombs_of_aliases_and_of_nesting_are_refused_at_once() {
    let started = std::time::Instant::now();
    let mut bomb = "x-0: &a0 {a: b}\n".to_owned();
    for level in 1..60 {
        let before = level - 1;
        bomb.push_str(&format!("x-{level}: &a{level} {{a: *a{before}, b: *a{before}, <<: *a{before}}}\n"));
    }
    bomb.push_str("services: {}\n");
    for text in
        [bomb, "[".repeat(500_000), "- ".repeat(100_000), "{a: ".repeat(100_000), "a: ".repeat(10_000)]
    {
        let source = ComposeSource { path: "compose.yml".to_owned(), text };
        let read = compose::read(&[source], &BTreeMap::new(), &|_| None);
        assert!(matches!(read, Err(ComposeError::Malformed { .. })), "not refused: {read:?}");
    }
    assert!(started.elapsed().as_secs() < 20, "took {:?}", started.elapsed());
}
