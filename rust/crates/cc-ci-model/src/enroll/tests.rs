use proptest::prelude::*;

use super::*;
use crate::names::{CommitSha, PrNumber, RunDomain, Zone};
use crate::recipe_toml::RecipeToml;
use crate::tier::Tier;

fn stack() -> StackName {
    let recipe = Recipe::parse("notes").unwrap();
    let commit = CommitSha::parse(&"0".repeat(40)).unwrap();
    RunDomain::of(&recipe, PrNumber(0), &commit, &Zone::parse("ci.test").unwrap()).stack()
}

fn of(files: &[(&str, &str)]) -> String {
    let mut recipe = RecipeFiles::default();
    recipe.files.extend(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())));
    draft(&recipe, &Recipe::parse("notes").unwrap(), &stack())
}

/// Reads the draft with the strict reader: as it is, and with its examples taken into effect.
#[track_caller]
fn read(text: &str) -> RecipeToml {
    let live: String = text
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if !rest.starts_with(' ') && !rest.is_empty() => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    RecipeToml::parse("live", &live).unwrap_or_else(|error| panic!("{error}\n{live}"));
    RecipeToml::parse("draft", text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

const COMPOSE: &str = "\
version: \"3.8\"
services:
  app:
    image: notes:1
    environment: [\"ADMIN=${ADMIN_MAIL:?who is told}\"]
    volumes: [\"data:/var/lib/notes/\"]
    healthcheck:
      test: \"curl -f http://localhost:8080/api/health?x=1 || exit 1\"
    deploy:
      resources: {limits: {memory: 300M}}
      labels:
        - \"traefik.enable=true\"
        - \"traefik.http.services.${STACK_NAME}.loadbalancer.server.port=8080\"
        - \"coop-cloud.${STACK_NAME}.timeout=${TIMEOUT:-240}\"
        - \"backupbot.backup=true\"
  db:
    image: registry.example/library/postgres:16-alpine
    deploy: {replicas: 2, resources: {reservations: {memory: 100M}}}
volumes: {data: }
";

#[test]
fn a_whole_recipe_becomes_guesses_with_their_reasons() {
    let text = of(&[
        ("compose.yml", COMPOSE),
        (".env.sample", "DOMAIN=notes.example\n"),
        ("README.md", "* **Category**: Apps\n* **Backups**: Yes\n* **SSO**: 3 (OAuth)\n"),
    ]);
    insta::assert_snapshot!(text);
    let toml = read(&text);
    assert_eq!(toml.app.health.path.as_str(), "/api/health?x=1");
    assert_eq!(toml.app.timeouts.deploy.map(|limit| limit.0.as_secs()), Some(240));
    // 300 and twice 100 MB as the CLI counts them: powers of two.
    assert_eq!(toml.app.memory.map(|memory| memory.bytes() >> 20), Some(500));
    assert_eq!(toml.app.port, None, "the label says it");
    assert!(
        toml.check.is_empty() && toml.seed.is_empty() && toml.needs.is_empty(),
        "examples take no effect"
    );
}

#[test]
fn what_the_labels_leave_out_is_guessed_from_the_health_check_and_the_ports() {
    let compose = |more: &str| format!("version: \"3.8\"\nservices:\n  web:\n    image: x\n{more}");
    let toml = read(&of(&[(
        "compose.yml",
        &compose("    healthcheck: {test: [CMD, wget, \"http://[::1]:3000/\"]}\n"),
    )]));
    assert_eq!(toml.app.service.map(|name| name.to_string()), Some("web".to_owned()));
    assert_eq!((toml.app.port.map(u16::from), toml.app.health.path.as_str()), (Some(3000), "/"));
    let toml = read(&of(&[("compose.yml", &compose("    ports: [\"80:9000\"]\n"))]));
    assert_eq!(toml.app.port.map(u16::from), Some(9000));
    let labels = "    deploy: {labels: [\"traefik.enable=true\", \"traefik.http.services.x.loadbalancer.healthcheck.path=/up\"]}\n";
    let toml = read(&of(&[("compose.yml", &compose(labels))]));
    assert_eq!((toml.app.service, toml.app.health.path.as_str()), (None, "/up"));
}

#[test]
fn a_recipe_without_backups_says_so_with_the_readmes_reason() {
    let compose = "version: \"3.8\"\nservices: {app: {image: x}}\n";
    for (words, is_declared) in
        [("No", true), ("N/A", true), ("none yet", true), ("Yes", false), ("Not tested", false)]
    {
        let readme = format!("<!-- metadata -->\n* **Backups**: {words}\n");
        let toml = read(&of(&[("compose.yml", compose), ("README.md", &readme)]));
        assert_eq!(toml.not_applicable.reason(Tier::Backup).is_some(), is_declared, "{words}");
        assert_eq!(toml.not_applicable.reason(Tier::Restore).is_some(), is_declared, "{words}");
    }
}

#[test]
fn a_corpus_of_odd_recipes_gives_files_that_the_strict_reader_takes() {
    let with = |service: &str| format!("version: \"3.8\"\nservices:\n  app:\n    image: x\n{service}");
    let odd: Vec<(&str, String)> = vec![
        ("nothing at all", String::new()),
        ("no mapping", "- a\n- b\n".to_owned()),
        ("no services", "version: \"3.8\"\n".to_owned()),
        (
            "no service has a name that can be used",
            "version: \"3.8\"\nservices: {\"-\": {image: x}}\n".to_owned(),
        ),
        ("a quote in a volume", with("    volumes: ['v:/a\"b]]\\c']\nvolumes: {v: }\n")),
        (
            "a path that leaves its string",
            with("    healthcheck: {test: \"curl http://x/a\\\"\\n[evil]\"}\n"),
        ),
        ("a path with a variable", with("    healthcheck: {test: \"curl http://x/$$A\"}\n")),
        ("a port that is none", with("    healthcheck: {test: \"curl http://x:99999/a\"}\n")),
        (
            "memory beyond all machines",
            with("    deploy: {replicas: 18446744073709551615, resources: {limits: {memory: 900P}}}\n"),
        ),
        (
            "a timeout that is none",
            with("    deploy: {labels: {\"coop-cloud.${STACK_NAME}.timeout\": \"-1\"}}\n"),
        ),
        ("a message with a line end", with("    environment: {A: \"${B:?one\\n[evil]\\ntwo}\"}\n")),
        ("a variable that steers programs", with("    environment: {A: \"${LD_PRELOAD:?x}\"}\n")),
        (
            "port zero",
            with("    deploy: {labels: {traefik.http.services.x.loadbalancer.server.port: \"0\"}}\n"),
        ),
        (
            "another database",
            with("    environment: [A=b]\n").replace("image: x", "image: MARIADB:11@sha256:aa"),
        ),
    ];
    for (what, compose) in odd {
        let readme = "* **Backups**: No\u{1b}[31m\u{85}[evil] \u{7f}\n* **SSO**: \"\"\" \u{2028} ]]\n";
        let text = of(&[("compose.yml", &compose), ("README.md", readme)]);
        let toml = read(&text);
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{what}: {text:?}");
        assert!(!toml.app.env.keys().any(|name| name.as_str() == "LD_PRELOAD"), "{what}");
    }
    let toml = read(&of(&[(".env.sample", "COMPOSE_FILE=gone.yml\n")]));
    assert_eq!(toml, RecipeToml::absent());
}

proptest! {
    #[test]
    fn whatever_a_recipe_says_the_file_can_be_read(
        path in "\\PC{0,30}", label in "[ -~]{0,30}", words in any::<String>(), folder in "\\PC{0,20}"
    ) {
        let compose = serde_json::json!({ "version": "3.8", "services": { "app": {
            "image": "x", "volumes": [format!("v:/{folder}")], "healthcheck": { "test": format!("curl http://x/{path}") },
            "deploy": { "labels": { "traefik.http.services.x.loadbalancer.healthcheck.path": label.replace('$', "") } },
        } }, "volumes": { "v": {} } });
        let readme = format!("* **Backups**: {words}\n* **SSO**: {words}\n");
        read(&of(&[("compose.yml", &compose.to_string()), ("README.md", &readme)]));
    }
}
