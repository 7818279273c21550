//! Each rule has a fixture that breaks exactly it, beside a sound recipe that breaks none.

use std::collections::BTreeSet;

use super::*;
use crate::names::Zone;

const COMPOSE: &str = r#"version: "3.8"
services:
  app:
    image: registry.example/notebin:1.4.2
    networks: [proxy, internal]
    environment:
      - DB_URL=postgres://db:5432/notebin
      - GREETING=${GREETING:-Hello}
    configs: [{source: app_conf, target: /etc/notebin.conf}]
    volumes: ["uploads:/data"]
    secrets: [cookie_key]
    healthcheck: {test: [CMD, "true"]}
    deploy:
      update_config: {failure_action: rollback, order: stop-first}
      labels:
        - "traefik.enable=true"
        - "coop-cloud.${STACK_NAME}.version=0.2.0+1.4.2"
        - "backupbot.backup=true"
  db:
    image: registry.example/postgres:16.4
    networks: [internal]
    volumes: ["pgdata:/var/lib/postgresql/data"]
    healthcheck: {test: [CMD, "true"]}
    deploy:
      labels:
        backupbot.backup.pre-hook: "/dump"
        backupbot.backup.volumes.pgdata.path: "dump.sql"
        backupbot.restore.post-hook: "/load"
networks: {proxy: {external: true}, internal: {}}
volumes: {uploads: {}, pgdata: {}}
configs:
  app_conf: {name: "${STACK_NAME}_app_conf_${APP_CONF_VERSION}", file: app.conf}
secrets:
  cookie_key: {external: true, name: "${STACK_NAME}_cookie_key_${SECRET_COOKIE_KEY_VERSION}"}
"#;

const OVERLAY: &str = r#"version: "3.8"
services:
  mailer:
    image: registry.example/mailer:2.0
    healthcheck: {test: [CMD, "true"]}
    secrets: [smtp_pass]
secrets:
  smtp_pass: {external: true, name: "${STACK_NAME}_smtp_pass_${SECRET_SMTP_PASS_VERSION}"}
"#;

const SAMPLE: &str = "TYPE=notebin\nDOMAIN=notebin.example.com\nLETS_ENCRYPT_ENV=production\nSECRET_COOKIE_KEY_VERSION=v1\n\
                      #COMPOSE_FILE=\"compose.yml:compose.mail.yml\"\n#SECRET_SMTP_PASS_VERSION=v1\n";

const README: &str = "# notebin\n<!-- metadata -->\n* **Category**: Apps\n* **Status**: 3\n* **Image**: [`a`](b), 4\n* **Healthcheck**: Yes\n\
                      * **Backups**: Yes\n* **Email**: N/A\n* **Tests**: 2\n* **SSO**: N/A\n<!-- endmetadata -->\n";

fn sound() -> RecipeFiles {
    let files = [
        ("compose.yml", COMPOSE),
        ("compose.mail.yml", OVERLAY),
        (".env.sample", SAMPLE),
        ("abra.sh", "export APP_CONF_VERSION=v1\n"),
        ("app.conf", "listen 8080\n"),
        ("README.md", README),
    ];
    RecipeFiles {
        files: files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect(),
        links_out: Vec::new(),
        tags: Some(vec![Tag { name: "0.1.0+1.4.1".to_owned(), is_annotated: true }]),
    }
}

fn stack() -> StackName {
    StackName::parse_in("note-1a2b3c_ci_example_org", &Zone::parse("ci.example.org").unwrap()).unwrap()
}

fn linted(head: &RecipeFiles) -> Lint {
    lint(LintInput { head, base: Some(&sound()), stack: &stack(), serves: None })
}

/// The sound recipe with a text replaced in one of its files.
fn with(file: &str, old: &str, new: &str) -> RecipeFiles {
    let mut recipe = sound();
    let text = recipe.files.get_mut(file).unwrap();
    assert!(text.contains(old), "{file} has no {old}");
    *text = text.replace(old, new);
    recipe
}

fn without(file: &str) -> RecipeFiles {
    let mut recipe = sound();
    recipe.files.remove(file).unwrap();
    recipe
}

/// Per rule: a recipe that breaks it and nothing else, and what the finding must say.
fn fixtures() -> Vec<(&'static str, RecipeFiles, &'static str)> {
    let app = "    healthcheck: {test: [CMD, \"true\"]}\n    deploy:\n      update_config";
    let no_check = COMPOSE.replacen(app, "    deploy:\n      update_config", 1);
    let image = "registry.example/notebin:1.4.2";
    let internal = "networks: [proxy, internal]";
    let mut lightweight = sound();
    lightweight.tags = Some(vec![Tag { name: "0.1.0+1.4.1".to_owned(), is_annotated: false }]);
    let mut nested_secret = with("compose.yml", "cookie_key", "cookie_signing_key");
    let sample = nested_secret.files.get_mut(".env.sample").unwrap();
    sample.push_str("SECRET_COOKIE_SIGNING_KEY_VERSION=v1\n");
    let app_alias = COMPOSE
        .replace("networks: [internal]", "networks: [internal, proxy]")
        .replace(
            "image: registry.example/postgres:16.4",
            "image: registry.example/postgres:16.4\n    command: [\"--call\", \"http://app:8080/\"]",
        )
        .replace("postgres://db:5432/notebin", "none");
    vec![
        (
            "R001",
            with("compose.mail.yml", "version: \"3.8\"\n", "\n").also(
                "compose.yml",
                "version: \"3.8\"\n",
                "\n",
            ),
            "compose.yml:1: states no version",
        ),
        ("R002", with("compose.yml", COMPOSE, &no_check), "compose.yml:3: service app has no healthcheck"),
        (
            "R003",
            with("compose.yml", image, "registry.example:5000/notebin"),
            "compose.yml:4: service app: the image \"registry.example:5000/notebin\" has no tag",
        ),
        ("R007", with("README.md", "**Status**: 3", "**Status**:"), "README.md:4: Status is empty"),
        ("R008", without(".env.sample"), ".env.sample: there is no .env.sample"),
        (
            "R010",
            with("compose.yml", "traefik.enable=true", "traefik.enable=false"),
            "compose.yml: no service has the label",
        ),
        (
            "R012",
            with("abra.sh", "export APP_CONF_VERSION=v1", "APP_CONF_VERSION=v1"),
            "compose.yml:32: abra.sh does not export APP_CONF_VERSION",
        ),
        ("R014", lightweight, "the tag 0.1.0+1.4.1 is lightweight"),
        ("R015", nested_secret, "compose.yml:34: the secret cookie_signing_key has 18 characters"),
        (
            "C001",
            with("compose.yml", "volumes: [\"uploads:/data\"]", "volumes: [\"upload:/data\"]"),
            "compose.yml:10: service \"app\": uses \"upload\", which volumes does not declare",
        ),
        (
            "C002",
            with("compose.yml", "_app_conf_$", "_app_configuration_with_a_name_that_goes_on_$"),
            "Docker allows 64",
        ),
        (
            "C003",
            with("compose.yml", "${GREETING:-Hello}", "${GREETING:-Hello} ${FAREWELL}"),
            "compose.yml:8: FAREWELL has no default",
        ),
        ("C004", with("app.conf", "8080", "8081"), "compose.yml:32: config app_conf: its content changed"),
        ("C005", with("compose.yml", COMPOSE, &app_alias), "service db calls app"),
        (
            "C006",
            with(
                "compose.yml",
                "backupbot.backup=true",
                "backupbot.backup=true\"\n        - \"backupbot.backup.prehook=x",
            ),
            "compose.yml:19: the label backupbot.backup.prehook has no effect: no such label is known; the nearest is backupbot.backup.pre-hook",
        ),
        (
            "C007",
            with("compose.yml", "backupbot.restore.post-hook: \"/load\"", ""),
            "service db runs a hook before its backup and none at restore",
        ),
        ("C008", with("compose.yml", "stop-first", "start-first"), "compose.yml:14: service app rolls back"),
        (
            "C009",
            with("compose.yml", "${GREETING:-Hello}", "${GREETING:-${DOMAIN}}"),
            "compose.yml:8: services.app.environment: where GREETING is not set, the app gets \"${DOMAIN\"",
        ),
        (
            "C010",
            with(
                "compose.yml",
                "backupbot.backup.pre-hook",
                "backupbot.backup: \"true\"\n        backupbot.backup.pre-hook",
            ),
            "service db switches the backup on too",
        ),
        (
            "C011",
            with(
                "compose.yml",
                internal,
                &format!("{internal}\n    labels: [\"traefik.http.middlewares.a=b\"]"),
            ),
            "compose.yml:6: service app: the label traefik.http.middlewares.a",
        ),
        (
            "C012",
            with("compose.yml", "${GREETING:-Hello}", "${GREETING:?a word}"),
            "compose.yml:8: GREETING has no value (a word)",
        ),
        (
            "C013",
            with(
                "compose.mail.yml",
                "    secrets: [smtp_pass]",
                "    secrets: [smtp_pass]\n    network_mode: host",
            ),
            "compose.mail.yml:7: service \"mailer\": network_mode: host is refused",
        ),
        (
            "C014",
            with("compose.yml", "version=0.2.0+1.4.2", "version=0.2.0"),
            "compose.yml:17: the version label says \"0.2.0\"",
        ),
        (
            "C015",
            with(".env.sample", "TYPE=notebin\n", "TYPE=notebin\nnonsense\n"),
            ".env.sample:2: \"nonsense\" is neither",
        ),
        (
            "R009",
            with("compose.yml", "  app:\n", "  web:\n"),
            "there is no service called app; there are: db, web",
        ),
        (
            "R011",
            with("compose.yml", &format!("    image: {image}\n"), ""),
            "compose.yml:3: service app names no image",
        ),
        ("R004", with("compose.yml", image, "registry.example/notebin:latest"), "has the moving tag latest"),
        (
            "R005",
            with("compose.yml", image, "registry.example/notebin:alpine"),
            "has the tag alpine, which is no version",
        ),
    ]
}

trait Also {
    fn also(self, file: &str, old: &str, new: &str) -> Self;
}

impl Also for RecipeFiles {
    fn also(mut self, file: &str, old: &str, new: &str) -> Self {
        let text = self.files.get_mut(file).unwrap();
        assert!(text.contains(old), "{file} has no {old}");
        *text = text.replace(old, new);
        self
    }
}

/// What else is broken by necessity: a moving tag is no version either, and C003 sees what C012 sees.
fn beside(reference: &str) -> &'static [&'static str] {
    match reference {
        "R004" => &["R005"],
        "C012" => &["C003"],
        _ => &[],
    }
}

#[test]
fn a_sound_recipe_breaks_no_rule() {
    let lint = linted(&sound());
    let violated: Vec<_> = lint.violated().map(|row| (row.rule.reference, &row.findings)).collect();
    assert_eq!(violated, []);
    assert_eq!(lint.outcome(), LintOutcome::Clean);
}

#[test]
fn each_rule_is_broken_by_its_fixture_and_by_no_other() {
    for (reference, recipe, words) in fixtures() {
        let lint = linted(&recipe);
        let violated: BTreeSet<&str> = lint.violated().map(|row| row.rule.reference).collect();
        let expected: BTreeSet<&str> = [reference].iter().chain(beside(reference)).copied().collect();
        assert_eq!(violated, expected, "{reference}: {:#?}", lint.violated().collect::<Vec<_>>());
        let row = lint.violated().find(|row| row.rule.reference == reference).unwrap();
        let said: Vec<String> = row.findings.iter().map(ToString::to_string).collect();
        assert!(said.iter().any(|line| line.contains(words)), "{reference}: {said:#?} says not {words}");
        let expected = match row.rule.severity {
            Severity::Error => LintOutcome::Errors,
            Severity::Warn => LintOutcome::Clean,
        };
        assert_eq!(lint.outcome(), expected, "{reference}");
    }
}

#[test]
fn every_rule_that_is_judged_has_a_fixture() {
    let covered: BTreeSet<&str> = fixtures().iter().map(|(reference, _, _)| *reference).collect();
    let judged: BTreeSet<&str> = RULES
        .iter()
        .map(|rule| rule.reference)
        .filter(|reference| !["R006", "R013"].contains(reference))
        .collect();
    assert_eq!(covered, judged);
}

#[test]
fn an_app_without_a_page_needs_no_route_and_one_that_says_nothing_does() {
    let hidden = with("compose.yml", "traefik.enable=true", "traefik.enable=false");
    let state = |serves| {
        let lint = lint(LintInput { head: &hidden, base: None, stack: &stack(), serves });
        lint.rows.into_iter().find(|row| row.rule.reference == "R010").unwrap().state
    };
    for none in [Serves::Tcp, Serves::None] {
        assert!(matches!(state(Some(none)), State::Skipped(why) if why.contains(none.word())));
    }
    for page in [None, Some(Serves::Http)] {
        assert_eq!(state(page), State::Violated);
    }
}

#[test]
fn what_cannot_be_looked_up_is_shown_and_never_judged() {
    let mut bare = sound();
    bare.tags = None;
    let lint = lint(LintInput { head: &bare, base: None, stack: &stack(), serves: None });
    let skipped: Vec<&str> = lint
        .rows
        .iter()
        .filter(|row| matches!(row.state, State::Skipped(_)))
        .map(|row| row.rule.reference)
        .collect();
    assert_eq!(skipped, ["R006", "R013", "R014", "C003", "C004"]);
    assert_eq!(lint.outcome(), LintOutcome::Clean);
}

#[test]
fn a_recipe_that_cannot_be_read_is_in_error_and_the_line_is_named() {
    let lint = linted(&with("compose.yml", "    networks: [internal]\n", "    networks: [internal\n"));
    assert_eq!(lint.outcome(), LintOutcome::Errors);
    let row = lint.rows.iter().find(|row| row.rule.reference == "C001").unwrap();
    let at = row.findings[0].at.clone().unwrap();
    assert_eq!((at.file.as_str(), at.line.is_some()), ("compose.yml", true));
    assert_eq!(linted(&without("compose.yml")).outcome(), LintOutcome::Errors);
    assert_eq!(linted(&RecipeFiles::default()).outcome(), LintOutcome::Errors);
}

#[test]
fn what_the_gate_refuses_comes_before_errors() {
    let recipe = with("compose.yml", "volumes: [\"uploads:/data\"]", "volumes: [\"/:/host\"]").also(
        "compose.yml",
        "true\"]}\n    deploy:\n      update_config",
        "true\"]}\n    labels: []\n    deploy:\n      update_config",
    );
    let LintOutcome::Refused(findings) = linted(&recipe).outcome() else { panic!("not refused") };
    assert!(
        findings[0].to_string().starts_with("compose.yml:10: service \"app\": the mount of the host's \"/\""),
        "{findings:?}"
    );
    let steering = with(".env.sample", "TYPE=notebin\n", "TYPE=notebin\nLD_PRELOAD=/x.so\n");
    assert!(matches!(linted(&steering).outcome(), LintOutcome::Refused(_)));
    let linked = RecipeFiles { links_out: vec!["app.conf".to_owned()], ..sound() };
    assert!(matches!(linted(&linked).outcome(), LintOutcome::Refused(_)));
}

#[test]
fn service_alias_collision_on_the_shared_network_is_found_before_deploy() {
    let alias = with(
        "compose.yml",
        "    networks: [proxy, internal]\n",
        "    networks: {proxy: {aliases: [notebin]}, internal: {}}\n",
    );
    let lint = linted(&alias);
    let row = lint.violated().next().unwrap();
    assert_eq!(row.rule.reference, "C005");
    assert!(row.findings[0].what.contains("\"notebin\""));
    let own = alias.also("compose.yml", "aliases: [notebin]", "aliases: [\"${STACK_NAME}_web\"]");
    assert_eq!(linted(&own).violated().count(), 0);
}

#[test]
fn our_own_overlay_is_no_part_of_the_recipe() {
    let mut recipe = sound();
    recipe.files.insert(OWN_OVERLAY.to_owned(), "services: {app: {image: x:latest}}\n".to_owned());
    assert_eq!(linted(&recipe), linted(&sound()));
}

#[test]
fn the_policy_of_the_riskiest_service_makes_the_blast_radius() {
    use crate::compose::{ComposeSource, read};
    let source = |text: &str| ComposeSource { path: "compose.yml".into(), text: text.into() };
    let recipe = source(
        "services: {app: {image: a:1}, db: {image: b:1, deploy: {update_config: {failure_action: rollback, order: start-first}}}}\n",
    );
    let overlay = source("services: {db: {deploy: {update_config: {order: stop-first}}}}\n");
    let env = std::collections::BTreeMap::new();
    let plain = read(std::slice::from_ref(&recipe), &env, &|_| None).unwrap();
    let laid = read(&[recipe, overlay], &env, &|_| None).unwrap();
    let row = blast_radius::blast_radius(&plain, Some(&laid), false).unwrap();
    assert_eq!(
        (row.service.as_str(), row.risk, row.overlay.as_deref()),
        ("db", blast_radius::Risk::High, Some("stop-first"))
    );
    let row = blast_radius::blast_radius(&plain, None, true).unwrap();
    assert_eq!((row.risk, row.overlay), (blast_radius::Risk::Latent, None));
    let quiet =
        read(&[source("services: {app: {image: a:1}, db: {image: a:1}}\n")], &env, &|_| None).unwrap();
    let row = blast_radius::blast_radius(&quiet, None, true).unwrap();
    assert_eq!(
        (row.service.as_str(), row.failure_action.as_str(), row.order.as_str()),
        ("app", "pause", "stop-first")
    );
    assert_eq!(row.risk, blast_radius::Risk::None);
}
