//! Backup and restore of a small database made of a file: sound, and with one defect each, red in the tier of the defect.

use cc_ci_model::outcome::Status;
use cc_ci_model::plan::Decision;
use cc_ci_model::tier::Tier;
use cc_ci_testkit::engine_or_skip;
use cc_ci_testkit::onlooker::Onlooker;
use cc_ci_testkit::recipe_repository::RecipeRepository;
use cc_ci_testkit::run_host::{Ended, RunHost};
use cc_ci_testkit::testbed::TestEngine;

const CC_CI: &str = env!("CARGO_BIN_EXE_cc-ci");

/// Writes what the database holds into the volume, as a dump program does.
const DUMP: &str =
    "( echo '-- MariaDB dump 10.19'; cat /data/live; echo '-- Dump completed' ) > /data/dump.sql";
/// Loads it.
const LOAD: &str = "sed -e 1d -e '$$d' /data/dump.sql > /data/live";

/// The sound recipe, whose labels a test changes.
fn labels() -> Vec<(&'static str, &'static str)> {
    vec![
        ("backupbot.backup", "true"),
        ("backupbot.backup.pre-hook", DUMP),
        ("backupbot.backup.volumes.data.path", "dump.sql"),
        ("backupbot.restore.post-hook", LOAD),
    ]
}

fn changed(changes: &[(&'static str, Option<&'static str>)]) -> Vec<(&'static str, &'static str)> {
    let mut all = labels();
    for (key, value) in changes {
        all.retain(|(known, _)| known != key);
        all.extend(value.map(|value| (*key, value)));
    }
    all
}

const RECIPE_TOML: &str = r#"
schema = 1

[app]
timeouts = { deploy = "60s", http = "10s" }
health = { path = "/" }

[[seed]]
name = "a row"
plant = { exec = { service = "db", command = ["sh", "-c", "echo {{marker}} > /data/live"] } }
expect = { exec = { service = "db", command = ["cat", "/data/live"], contains = ["{{marker}}"] } }
"#;

fn compose(engine: &TestEngine, labels: &[(&str, &str)]) -> String {
    let image = &engine.image("nginx:1.0").reference;
    let labels: String = labels.iter().map(|(key, value)| format!("        {key}: {value:?}\n")).collect();
    let labels = if labels.is_empty() { String::new() } else { format!("      labels:\n{labels}") };
    format!(
        r#"version: "3.8"
services:
  app:
    image: {image}
    networks: [proxy]
    volumes: ["content:/content"]
    deploy:
      update_config: {{ monitor: 500ms }}
      restart_policy: {{ delay: 100ms }}
      labels:
        - "traefik.enable=true"
        - "traefik.http.services.${{STACK_NAME}}.loadbalancer.server.port=80"
        - "coop-cloud.${{STACK_NAME}}.version=0.1.0+1.0"
  db:
    image: {image}
    volumes: ["data:/data"]
    deploy:
      update_config: {{ monitor: 500ms }}
      restart_policy: {{ delay: 100ms }}
{labels}networks: {{ proxy: {{ external: true }} }}
volumes: {{ content: {{}}, data: {{}} }}
"#
    )
}

/// A host with the recipe on it, and the arguments of a run.
fn prepare(engine: &TestEngine, recipe: &str, labels: &[(&str, &str)]) -> (RunHost, Vec<String>) {
    let host = RunHost::new(CC_CI, engine);
    host.set_test_data(recipe, RECIPE_TOML);
    let mut repository =
        RecipeRepository::create(&host.path("repositories").join(recipe)).expect("a new repository");
    let sample = "TYPE=database\nDOMAIN=database.example.com\nLETS_ENCRYPT_ENV=production\n".to_owned();
    let files = [("compose.yml", compose(engine, labels)), (".env.sample", sample)];
    repository.put(&files).expect("files in a new repository");
    let head = repository.commit("a database").expect("a commit in a new repository");
    let arguments = host.arguments_for(recipe, &repository, &head);
    (host, arguments)
}

fn run(engine: &TestEngine, recipe: &str, labels: &[(&str, &str)]) -> (RunHost, Ended) {
    let (host, arguments) = prepare(engine, recipe, labels);
    let ended = host.run(&arguments);
    let stack = ended.result().run.stack.expect("a run on the swarm has a stack");
    assert_eq!(Onlooker::of(engine).everything_with(&stack), Vec::<String>::new(), "{ended}");
    (host, ended)
}

/// The run is red in this tier alone, and says these words.
fn is_red(ended: &Ended, tier: Tier, words: &[&str]) {
    assert_eq!(ended.code, 1, "{ended}");
    for report in &ended.result().tiers {
        assert_eq!(report.status == Status::Fail, report.name == tier, "{}: {ended}", report.name);
    }
    for passing in [Tier::Install, Tier::Backup].into_iter().filter(|passing| *passing != tier) {
        assert_eq!(ended.tier(passing).status, Status::Pass, "{passing}: {ended}");
    }
    let said = ended.words_of(tier);
    for word in words {
        assert!(said.contains(word), "{word:?} is missing in {said:?}: {ended}");
    }
}

#[test]
fn restore_is_judged_by_data_not_by_exit_status() {
    let engine = engine_or_skip!();
    let (_host, ended) = run(&engine, "database", &labels());
    assert_eq!(ended.code, 0, "{ended}");
    for tier in [Tier::Backup, Tier::Restore] {
        assert_eq!(ended.tier(tier).status, Status::Pass, "{ended}");
    }
    let backup = ended.words_of(Tier::Backup);
    for words in ["1 dumps read to their end", "seed a row is planted", "backup pre-hook of db"] {
        assert!(backup.contains(words), "{words}: {backup}");
    }
    let restore = ended.words_of(Tier::Restore);
    for words in [
        "seed a row is there after its change",
        "seed a row is there after restore",
        "_content is there after restore",
    ] {
        assert!(restore.contains(words), "{words}: {restore}");
    }
    assert_eq!(ended.result().retries, Vec::<String>::new());

    // Every command ends with 0, and the data does not come back.
    let without = changed(&[("backupbot.restore.post-hook", None)]);
    let (_host, ended) = run(&engine, "database", &without);
    is_red(&ended, Tier::Restore, &["service db has a dump hook and no restore hook"]);
}

#[test]
fn backup_that_archives_nothing_is_red_at_backup() {
    let engine = engine_or_skip!();
    let nothing = changed(&[
        ("backupbot.backup.pre-hook", None),
        ("backupbot.backup.volumes.content", Some("false")),
        ("backupbot.backup.volumes.data.path", Some("nowhere.sql")),
    ]);
    let (_host, ended) = run(&engine, "database-nothing", &nothing);
    is_red(&ended, Tier::Backup, &["nothing that the labels name is there", "nowhere.sql"]);
}

#[test]
fn backup_that_misses_one_of_two_paths_is_red_at_backup() {
    let engine = engine_or_skip!();
    let two = changed(&[("backupbot.backup.volumes.data.path", Some("dump.sql,media"))]);
    let (_host, ended) = run(&engine, "database-two", &two);
    is_red(&ended, Tier::Backup, &["media of volume", "is not in the snapshot"]);
}

#[test]
fn truncated_dump_is_redone_then_red() {
    let engine = engine_or_skip!();
    let half = "( echo '-- MariaDB dump 10.19'; cat /data/live ) > /data/dump.sql";
    let (_host, ended) =
        run(&engine, "database-half", &changed(&[("backupbot.backup.pre-hook", Some(half))]));
    is_red(&ended, Tier::Backup, &["dump.sql", "it is truncated", "3 backups were made"]);
    let retries = ended.result().retries;
    assert_eq!(retries.len(), 2, "{retries:?}");
    assert!(retries[1].contains("3 of 3") && retries[1].contains("truncated"), "{retries:?}");

    let packed = "( cat /data/live; seq 1 9999 ) | gzip -c | head -c 2000 > /data/dump.sql";
    let (_host, ended) =
        run(&engine, "database-half", &changed(&[("backupbot.backup.pre-hook", Some(packed))]));
    is_red(&ended, Tier::Backup, &["cannot be unpacked to its end"]);
}

#[test]
fn hook_that_fails_is_red_at_backup_at_once() {
    let engine = engine_or_skip!();
    let failing = "echo 'no such table' >&2; exit 3";
    let (_host, ended) =
        run(&engine, "database-hook", &changed(&[("backupbot.backup.pre-hook", Some(failing))]));
    is_red(&ended, Tier::Backup, &["pre-hook of service db ended with 3: no such table"]);
    assert_eq!(ended.result().retries, Vec::<String>::new());
}

#[test]
fn backup_is_made_again_where_the_container_was_replaced_and_says_so() {
    let engine = engine_or_skip!();
    let once = "[ -e /data/once ] || { touch /data/once; kill 1; sleep 30; }; \
                ( echo '-- MariaDB dump 10.19'; cat /data/live; echo '-- Dump completed' ) > /data/dump.sql";
    let (_host, ended) =
        run(&engine, "database-cycles", &changed(&[("backupbot.backup.pre-hook", Some(once))]));
    assert_eq!(ended.code, 0, "{ended}");
    let retries = ended.result().retries;
    assert_eq!(retries.len(), 1, "{retries:?}");
    assert!(retries[0].contains("2 of 3") && retries[0].contains("its container ended"), "{retries:?}");
}

#[test]
fn dump_outside_a_volume_is_caught_by_restore() {
    let engine = engine_or_skip!();
    let outside = changed(&[
        ("backupbot.backup.pre-hook", Some("cp /data/live /tmp/dump.sql")),
        ("backupbot.backup.volumes.data", Some("false")),
        ("backupbot.backup.volumes.data.path", None),
        ("backupbot.restore.post-hook", Some("cp /tmp/dump.sql /data/live")),
    ]);
    let (_host, ended) = run(&engine, "database-outside", &outside);
    is_red(&ended, Tier::Restore, &["/tmp/dump.sql outside of every volume"]);
}

#[test]
fn backup_capability_is_read_from_the_deployed_version() {
    let engine = engine_or_skip!();
    let (_host, ended) = run(&engine, "database-without", &[]);
    assert_eq!(ended.code, 0, "{ended}");
    for tier in [Tier::Backup, Tier::Restore] {
        let report = ended.tier(tier);
        assert_eq!(report.status, Status::NotApplicable, "{ended}");
        assert!(report.reason.contains("no backup labels"), "{}", report.reason);
        let planned = ended.result().plan.into_iter().find(|planned| planned.tier == tier);
        assert_eq!(planned.map(|planned| planned.decision), Some(Decision::NotApplicable));
    }
}

#[test]
fn backup_and_restore_leave_the_checkout_untouched() {
    let engine = engine_or_skip!();
    // A hook that reaches for the recipe's files finds none: it runs in the app's container.
    let curious = "[ ! -e /compose.yml ] && ( echo '-- MariaDB dump 10.19'; cat /data/live; echo '-- Dump completed' ) > /data/dump.sql";
    let (_host, ended) =
        run(&engine, "database-checkout", &changed(&[("backupbot.backup.pre-hook", Some(curious))]));
    assert_eq!(ended.code, 0, "{ended}");
    for tier in [Tier::Backup, Tier::Restore] {
        let report = ended.tier(tier);
        let check = report.checks.iter().find(|check| check.name == "the checkout is untouched");
        assert_eq!(check.map(|check| check.status), Some(Status::Pass), "{ended}");
    }
}

#[test]
fn two_runs_never_disturb_each_other_through_the_backup_service() {
    let engine = engine_or_skip!();
    let (first, arguments) = prepare(&engine, "database-one", &labels());
    let (second, others) = prepare(&engine, "database-other", &labels());
    let runs = [first.start(&arguments), second.start(&others)];
    let snapshots: Vec<String> = runs
        .map(|run| {
            let ended = run.wait();
            assert_eq!(ended.code, 0, "{ended}");
            let backup = ended.tier(Tier::Backup);
            let made = backup.checks.into_iter().find(|check| check.name == "a snapshot is made");
            made.expect("a backup makes a snapshot").message
        })
        .into();
    assert_ne!(snapshots[0], snapshots[1], "each has a snapshot of its own");
}
