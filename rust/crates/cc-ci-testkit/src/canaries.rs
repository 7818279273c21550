//! Canary recipes: a sound one, and copies of it with one defect each, for which a run must be red in one known tier.
//!
//! Whatever is not the defect is the sound recipe to the letter, and the sound one is green: so the defect alone is
//! what turns a run red.

mod edited;

use std::path::Path;

use cc_ci_model::tier::Tier;

use crate::recipe_repository::{RecipeRepository, RepositoryError};
use crate::testbed::TestEngine;

pub use edited::{binds_root, binds_socket, nested_default};

/// A recipe with at most one defect, and what a run of it must say.
#[derive(Debug, Clone)]
pub struct Canary {
    /// The recipe's name.
    pub name: &'static str,
    /// What is wrong with it, in one sentence.
    pub defect: &'static str,
    /// Files of its one release (path, text); without one, install is judged at head.
    pub base: Option<Files>,
    /// Files of the commit under test.
    pub head: Files,
    /// Our test data about it.
    pub recipe_toml: String,
    /// How a run of it must end.
    pub expected: Expected,
}

/// Files of a commit: path and text.
pub type Files = Vec<(String, String)>;

/// How a run of a canary must end.
#[derive(Debug, Clone)]
pub struct Expected {
    /// Exit status of the run.
    pub exit: i32,
    /// The one tier that fails; none in a run that is green, or in trouble.
    pub failing: Option<Tier>,
    /// The tiers that pass before it.
    pub passing: Vec<Tier>,
    /// Words that what the run says about it must contain, each of them.
    pub words: Vec<String>,
}

/// The version of every canary's release.
pub const RELEASE: &str = "0.1.0+1.0";

/// The version of every canary's head, as its label says it.
pub const HEAD: &str = "0.2.0+1.1";

impl Canary {
    /// The canary's repository in `folder`, and the id of the commit under test. Where the canary has a release, the
    /// commit is pull request 1 on top of it.
    ///
    /// # Errors
    /// A file cannot be written, or git fails.
    pub fn repository(&self, folder: &Path) -> Result<(RecipeRepository, String), RepositoryError> {
        let mut repository = RecipeRepository::create(folder)?;
        let Some(base) = &self.base else {
            repository.put(&self.head)?;
            let head = repository.commit("a first recipe")?;
            return Ok((repository, head));
        };
        repository.put(base)?;
        repository.commit(&format!("release {RELEASE}"))?;
        repository.release(RELEASE)?;
        let head = repository.pull_request(1, &self.head)?;
        Ok((repository, head))
    }
}

/// The sound recipe: one probe with a volume, a release and a head.
pub fn sound(engine: &TestEngine) -> Canary {
    Canary {
        name: "canary-sound",
        defect: "none",
        base: Some(base(engine).files()),
        head: head(engine).files(),
        recipe_toml: format!("{RECIPE_TOML}{NOTE}"),
        expected: Expected {
            exit: 0,
            failing: None,
            passing: vec![Tier::Install, Tier::Upgrade, Tier::Backup, Tier::Restore, Tier::Custom],
            words: Vec::new(),
        },
    }
}

/// The canary with its snapshot restored elsewhere too, which costs a deploy and which the canaries leave out.
#[must_use]
pub fn with_elsewhere(canary: Canary) -> Canary {
    let lines = canary.recipe_toml.lines();
    let kept =
        lines.filter(|line| !line.starts_with("[not_applicable]") && !line.starts_with("elsewhere = "));
    let recipe_toml = kept.map(|line| format!("{line}\n")).collect();
    Canary { recipe_toml, ..canary }
}

/// The sound recipe with a port that the host has once: two stacks of it cannot be there at the same time.
pub fn publishes_a_port(engine: &TestEngine) -> Canary {
    let mut canary = with_elsewhere(sound(engine));
    for (file, text) in canary.base.iter_mut().flatten().chain(&mut canary.head) {
        if file == "compose.yml" {
            *text = text.replacen("    deploy:\n", "    ports: [\"24738:8080\"]\n    deploy:\n", 1);
        }
    }
    Canary { name: "canary-publishes", ..canary }
}

/// The sound recipe whose head takes so many MiB of memory.
pub fn takes_memory(engine: &TestEngine, mebibytes: u32) -> Canary {
    let mut canary = sound(engine);
    for (file, text) in &mut canary.head {
        if file == "compose.yml" {
            let more = format!("      - PROBE_TEXT=sound\n      - PROBE_MEMORY_MB={mebibytes}\n");
            *text = text.replacen("      - PROBE_TEXT=sound\n", &more, 1);
        }
    }
    Canary { name: "canary-takes-memory", ..canary }
}

/// Green, and not at the first look: its first task serves, and crashes when it has been looked at.
pub fn crashes_once(engine: &TestEngine) -> Canary {
    let environment = &["PROBE_CRASH_AFTER_MS=4000", "PROBE_CRASH_ONCE=/data/crashed"];
    let side = Side { environment, ..head(engine) };
    let mut canary = red_at_install("canary-crashes-once", "its first task ends after 4 s", &side, &[]);
    canary.expected = Expected { exit: 0, failing: None, passing: vec![Tier::Install], words: Vec::new() };
    canary
}

/// The canaries, each with one defect.
pub fn all(engine: &TestEngine) -> Vec<Canary> {
    let mut all = vec![
        crash_loop(engine),
        not_serving(engine),
        never_healthy(engine),
        image_missing(engine),
        registry_down(engine),
        rolls_back(engine),
        pauses(engine),
        keeps_image(engine),
        loses_volume(engine),
    ];
    all.extend(edited::all(engine));
    all
}

fn crash_loop(engine: &TestEngine) -> Canary {
    let side = Side { environment: &["PROBE_CRASH_AFTER_MS=200"], ..head(engine) };
    let words = ["_app: restart loop", "non-zero exit (3)", "crashing as told"];
    red_at_install("canary-crash-loop", "its process ends by itself after a moment", &side, &words)
}

fn not_serving(engine: &TestEngine) -> Canary {
    let side = Side { environment: &["PROBE_PORT=none"], has_healthcheck: false, ..head(engine) };
    red_at_install(
        "canary-not-serving",
        "it runs, and nothing listens on the port its labels name",
        &side,
        &["listens on no port", "8080"],
    )
}

fn never_healthy(engine: &TestEngine) -> Canary {
    let side = Side { environment: &["PROBE_NEVER_HEALTHY=1"], ..head(engine) };
    let words = ["unhealthy container"];
    red_at_install("canary-never-healthy", "it serves, and its own health check never passes", &side, &words)
}

fn image_missing(engine: &TestEngine) -> Canary {
    let side = Side { image: format!("{}/probe:9.9", engine.registry), ..head(engine) };
    let words = [side.image.as_str(), "manifest unknown", "compose.yml"];
    red_at_install("canary-image-missing", "the registry has no such tag", &side, &words)
}

/// Not a defect of the recipe: nothing answers where its image is said to be.
fn registry_down(engine: &TestEngine) -> Canary {
    // Port 9 (discard) of loopback: nobody listens there, so the kernel refuses at once.
    let side = Side { image: "127.0.0.1:9/probe:1.1".to_owned(), ..head(engine) };
    let words = [side.image.as_str(), "connection refused"];
    let mut canary =
        red_at_install("canary-registry-down", "none: the registry of its image is down", &side, &words);
    canary.expected = Expected { exit: 2, failing: None, ..canary.expected };
    canary
}

fn rolls_back(engine: &TestEngine) -> Canary {
    let side = Side { environment: &["PROBE_CRASH_AFTER_MS=200"], ..head(engine) };
    let words = ["_app: the update failed and was rolled back", "non-zero exit (3)"];
    red_at_upgrade(
        engine,
        "canary-rolls-back",
        "head crashes beside the old task, which serves on",
        &side,
        &words,
    )
}

fn pauses(engine: &TestEngine) -> Canary {
    let side = Side {
        environment: &["PROBE_CRASH_AFTER_MS=200"],
        order: "stop-first",
        on_failure: "pause",
        ..head(engine)
    };
    let words = ["_app: the update failed and is paused", "non-zero exit (3)"];
    red_at_upgrade(engine, "canary-pauses", "head crashes in the place of the old task", &side, &words)
}

/// The tag goes up and the digest behind it stays, as an edit by hand leaves it: Docker follows the digest, so the old
/// image runs under a new name, with new tasks, a completed update and every label of head.
fn keeps_image(engine: &TestEngine) -> Canary {
    let (old, new) = (engine.image("probe:1.0"), engine.image("probe:1.1"));
    let pinned = |tag: &str| format!("{tag}@{}", old.digest);
    let base = Side { image: pinned(&old.reference), ..base(engine) };
    let head = Side { image: pinned(&new.reference), ..head(engine) };
    let words = ["probe:1.1", "old image", old.digest.as_str()];
    let mut canary = red_at_upgrade(
        engine,
        "canary-keeps-image",
        "head raises the tag of its image and keeps the digest of the old one",
        &head,
        &words,
    );
    canary.base = Some(base.files());
    canary
}

fn loses_volume(engine: &TestEngine) -> Canary {
    let side = Side { volume: "files", ..head(engine) };
    let words = ["_files", "data is lost"];
    red_at_upgrade(
        engine,
        "canary-loses-volume",
        "head renames its volume, so the data stays behind",
        &side,
        &words,
    )
}

fn red_at_install(name: &'static str, defect: &'static str, side: &Side<'_>, words: &[&str]) -> Canary {
    let expected =
        Expected { exit: 1, failing: Some(Tier::Install), passing: Vec::new(), words: owned(words) };
    Canary { name, defect, base: None, head: side.files(), recipe_toml: RECIPE_TOML.to_owned(), expected }
}

fn red_at_upgrade(
    engine: &TestEngine,
    name: &'static str,
    defect: &'static str,
    side: &Side<'_>,
    words: &[&str],
) -> Canary {
    let expected =
        Expected { exit: 1, failing: Some(Tier::Upgrade), passing: vec![Tier::Install], words: owned(words) };
    let base = Some(base(engine).files());
    Canary { name, defect, base, head: side.files(), recipe_toml: RECIPE_TOML.to_owned(), expected }
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Short limits: what a canary waits for in vain has to be over soon.
const RECIPE_TOML: &str = "\
schema = 1

[app]
timeouts = { deploy = \"60s\", http = \"4s\" }

[not_applicable]
elsewhere = \"another canary proves it\"
";

/// What the sound recipe's data says beyond that.
const NOTE: &str = "
[[check]]
tier = \"custom\"
name = \"the probe answers\"
http = { path = \"/\", contains = [\"sound\"] }

[[seed]]
name = \"a note\"
plant = { http = { method = \"PUT\", path = \"/files/note\", body = \"note {{marker}}\" } }
expect = { http = { path = \"/files/note\", contains = [\"note {{marker}}\"] } }
";

/// One commit of a canary, as far as canaries differ.
#[derive(Debug, Clone)]
struct Side<'a> {
    version: &'a str,
    image: String,
    environment: &'a [&'a str],
    has_healthcheck: bool,
    volume: &'a str,
    order: &'a str,
    on_failure: &'a str,
}

fn base(engine: &TestEngine) -> Side<'static> {
    Side {
        version: RELEASE,
        image: engine.image("probe:1.0").reference.clone(),
        environment: &[],
        has_healthcheck: true,
        volume: "data",
        order: "start-first",
        on_failure: "rollback",
    }
}

fn head(engine: &TestEngine) -> Side<'static> {
    Side { version: HEAD, image: engine.image("probe:1.1").reference.clone(), ..base(engine) }
}

impl Side<'_> {
    fn files(&self) -> Files {
        let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        vec![file("compose.yml", &self.compose()), file(".env.sample", ENV_SAMPLE), file("README.md", README)]
    }

    /// Short intervals, so that a run takes seconds: swarm's own default for `monitor` is 5 s.
    fn compose(&self) -> String {
        let environment: String =
            self.environment.iter().map(|setting| format!("      - {setting}\n")).collect();
        let healthcheck = if self.has_healthcheck { HEALTHCHECK } else { "" };
        let Self { version, image, volume, order, on_failure, .. } = self;
        format!(
            "\
version: \"3.8\"

services:
  app:
    image: {image}
    networks: [proxy]
    environment:
      - DOMAIN
      - PROBE_TEXT=sound
{environment}    volumes: [\"{volume}:/data\"]
{healthcheck}    deploy:
      update_config:
        order: {order}
        failure_action: {on_failure}
        monitor: 1s
      rollback_config:
        monitor: 500ms
      restart_policy:
        delay: 100ms
      labels:
        - \"traefik.enable=true\"
        - \"traefik.http.services.${{STACK_NAME}}.loadbalancer.server.port=8080\"
        - \"traefik.http.routers.${{STACK_NAME}}.rule=Host(`${{DOMAIN}}`)\"
        - \"traefik.http.routers.${{STACK_NAME}}.entrypoints=web-secure\"
        - \"traefik.http.routers.${{STACK_NAME}}.tls.certresolver=${{LETS_ENCRYPT_ENV}}\"
        - \"coop-cloud.${{STACK_NAME}}.version={version}\"
        - \"backupbot.backup=true\"

networks:
  proxy:
    external: true

volumes:
  {volume}:
"
        )
    }
}

const HEALTHCHECK: &str = "    healthcheck:
      test: [CMD, /probe, check]
      interval: 500ms
      timeout: 5s
      retries: 2
";

const ENV_SAMPLE: &str = "TYPE=canary\nDOMAIN=canary.example.com\nLETS_ENCRYPT_ENV=production\n";

const README: &str = "\
# canary

<!-- metadata -->
* **Category**: Utilities
* **Status**: 0, alpha
* **Healthcheck**: Yes
* **Backups**: Yes
* **Email**: N/A
* **Tests**: 0
* **SSO**: N/A
<!-- endmetadata -->
";

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use cc_ci_model::recipe_toml::RecipeToml;

    use super::*;
    use crate::stock::StockImage;

    fn engine() -> TestEngine {
        let image = |name: &str, digit: &str| StockImage {
            reference: format!("127.0.0.1:5000/{name}"),
            digest: format!("sha256:{}", digit.repeat(64)),
        };
        let images = [("probe:1.0", "0"), ("probe:1.1", "1")];
        TestEngine {
            docker_host: String::new(),
            registry: "127.0.0.1:5000".to_owned(),
            images: images.map(|(name, digit)| (name.to_owned(), image(name, digit))).into(),
            zone: "ccci.test".to_owned(),
            traefik: None,
            helper_image: None,
            settings: Default::default(),
        }
    }

    #[test]
    fn each_canary_has_a_name_and_test_data_that_can_be_read() {
        let engine = engine();
        let mut names = BTreeMap::new();
        for canary in all(&engine).into_iter().chain([sound(&engine)]) {
            cc_ci_model::names::Recipe::parse(canary.name).unwrap();
            RecipeToml::parse("recipe.toml", &canary.recipe_toml).unwrap();
            assert!(names.insert(canary.name, canary.defect).is_none(), "{} is there twice", canary.name);
        }
    }

    #[test]
    fn a_canary_differs_from_the_sound_recipe_by_its_defect_alone() {
        let engine = engine();
        let text = |canary: &Canary| format!("{}{}", canary.head[0].1, canary.recipe_toml);
        let sound: Vec<String> = text(&sound(&engine)).lines().map(str::to_owned).collect();
        let others = [binds_root(&engine), binds_socket(&engine), nested_default(&engine)];
        for canary in all(&engine).into_iter().chain(others) {
            let text = text(&canary);
            let added = text.lines().filter(|line| !sound.iter().any(|known| known == line)).count();
            assert!((1..=3).contains(&added), "{}: {added} lines that the sound recipe lacks", canary.name);
        }
    }

    /// Those of backup and restore are databases (`cc-ci/tests/database`).
    #[test]
    fn each_red_fixture_is_red_at_its_own_tier() {
        let all = all(&engine());
        for tier in [Tier::Install, Tier::Upgrade, Tier::Custom] {
            assert!(all.iter().any(|canary| canary.expected.failing == Some(tier)), "none is red at {tier}");
        }
        for Canary { name, expected, base, .. } in all {
            assert_eq!(expected.failing.is_some(), expected.exit == 1, "{name}: red, and in which tier?");
            let before = |tier: &Tier| expected.failing.is_none_or(|failing| *tier < failing);
            assert!(expected.passing.iter().all(before), "{name}: a tier behind the red one cannot pass");
            assert!(!expected.words.is_empty(), "{name}: red for which reason?");
            assert!(
                expected.failing != Some(Tier::Upgrade) || base.is_some(),
                "{name}: nothing to upgrade from"
            );
        }
    }

    #[test]
    fn a_pull_request_of_a_canary_stands_on_its_release() {
        let folder = tempfile::tempdir().unwrap();
        let (repository, head) = sound(&engine()).repository(&folder.path().join("canary")).unwrap();
        let read = |name: &str| std::fs::read_to_string(repository.path().join(name)).unwrap();
        assert!(read("compose.yml").contains(RELEASE), "main stays at the release");
        assert_eq!(head.len(), 40);
    }
}
