//! A small database made of a file: sound labels, copies of them with one defect each, and a recipe around them.
#![allow(dead_code, reason = "each test program uses its own part of this room")]

use cc_ci_testkit::recipe_repository::RecipeRepository;
use cc_ci_testkit::run_host::RunHost;
use cc_ci_testkit::testbed::TestEngine;

/// Labels of the database's service.
pub(crate) type Labels = Vec<(&'static str, &'static str)>;

/// Writes what the database holds into the volume, as a dump program does.
const DUMP: &str =
    "( echo '-- MariaDB dump 10.19'; cat /data/live; echo '-- Dump completed' ) > /data/dump.sql";
/// Loads it.
const LOAD: &str = "sed -e 1d -e '$$d' /data/dump.sql > /data/live";

/// The sound recipe, whose labels a test changes.
pub(crate) fn labels() -> Labels {
    vec![
        ("backupbot.backup", "true"),
        ("backupbot.backup.pre-hook", DUMP),
        ("backupbot.backup.volumes.data.path", "dump.sql"),
        ("backupbot.restore.post-hook", LOAD),
    ]
}

pub(crate) fn changed(changes: &[(&'static str, Option<&'static str>)]) -> Labels {
    let mut all = labels();
    for (key, value) in changes {
        all.retain(|(known, _)| known != key);
        all.extend(value.map(|value| (*key, value)));
    }
    all
}

/// What leaves the restore elsewhere out, which costs each run a deploy.
const NOT_ELSEWHERE: &str = "\n[not_applicable]\nelsewhere = \"a database of its own proves it\"\n";

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
    secrets: [key]
    deploy:
      update_config: {{ monitor: 500ms }}
      restart_policy: {{ delay: 100ms }}
{labels}networks: {{ proxy: {{ external: true }} }}
volumes: {{ content: {{}}, data: {{}} }}
secrets: {{ key: {{ external: true, name: "${{STACK_NAME}}_key_${{SECRET_KEY_VERSION}}" }} }}
"#
    )
}

/// Puts the recipe on the host; returns the arguments of a run, which leaves the restore elsewhere out.
pub(crate) fn prepare_on(
    host: &RunHost,
    engine: &TestEngine,
    recipe: &str,
    labels: &[(&str, &str)],
) -> Vec<String> {
    let arguments = prepare_elsewhere(host, engine, recipe, labels);
    host.set_test_data(recipe, &format!("{RECIPE_TOML}{NOT_ELSEWHERE}"));
    arguments
}

/// The same with the restore elsewhere.
pub(crate) fn prepare_elsewhere(
    host: &RunHost,
    engine: &TestEngine,
    recipe: &str,
    labels: &[(&str, &str)],
) -> Vec<String> {
    host.set_test_data(recipe, RECIPE_TOML);
    let mut repository =
        RecipeRepository::create(&host.path("repositories").join(recipe)).expect("a new repository");
    let sample =
        "TYPE=database\nDOMAIN=database.example.com\nLETS_ENCRYPT_ENV=production\nSECRET_KEY_VERSION=v1\n"
            .to_owned();
    let files = [("compose.yml", compose(engine, labels)), (".env.sample", sample)];
    repository.put(&files).expect("files in a new repository");
    let head = repository.commit("a database").expect("a commit in a new repository");
    host.arguments_for(recipe, &repository, &head)
}

/// No label names anything that is there.
pub(crate) fn archives_nothing() -> Labels {
    changed(&[
        ("backupbot.backup.pre-hook", None),
        ("backupbot.backup.volumes.content", Some("false")),
        ("backupbot.backup.volumes.data.path", Some("nowhere.sql")),
    ])
}

/// A label names a path outside of its volume.
pub(crate) fn names_outside() -> Labels {
    changed(&[("backupbot.backup.volumes.data.path", Some("../outside"))])
}

/// One of two paths is not there; restic ends with 0 all the same.
pub(crate) fn misses_a_path() -> Labels {
    changed(&[("backupbot.backup.volumes.data.path", Some("dump.sql,media"))])
}

/// The dump ends in its middle.
pub(crate) fn truncates() -> Labels {
    let half = "( echo '-- MariaDB dump 10.19'; cat /data/live ) > /data/dump.sql";
    changed(&[("backupbot.backup.pre-hook", Some(half))])
}

/// The hook before the backup fails.
pub(crate) fn hook_fails() -> Labels {
    changed(&[("backupbot.backup.pre-hook", Some("echo 'no such table' >&2; exit 3"))])
}

/// What was dumped is put back, and nothing loads it.
pub(crate) fn loads_nothing() -> Labels {
    changed(&[("backupbot.restore.post-hook", None)])
}

/// The dump lies in the container's own layer.
pub(crate) fn dumps_outside() -> Labels {
    changed(&[
        ("backupbot.backup.pre-hook", Some("cp /data/live /tmp/dump.sql")),
        ("backupbot.backup.volumes.data", Some("false")),
        ("backupbot.backup.volumes.data.path", None),
        ("backupbot.restore.post-hook", Some("cp /tmp/dump.sql /data/live")),
    ])
}

/// The dump is of use to whoever has the secret it was made with.
pub(crate) fn is_bound_to_its_secret() -> Labels {
    let dump = "( echo '-- MariaDB dump 10.19'; sha256sum < /run/secrets/key; cat /data/live; echo '-- Dump completed' ) > /data/dump.sql";
    let load = "test \"$$(sed -n 2p /data/dump.sql)\" = \"$$(sha256sum < /run/secrets/key)\" && sed -e 1,2d -e '$$d' /data/dump.sql > /data/live";
    changed(&[("backupbot.backup.pre-hook", Some(dump)), ("backupbot.restore.post-hook", Some(load))])
}

/// What is loaded lies beside the dump, in the volume and in no snapshot.
pub(crate) fn works_beside_the_old_volume() -> Labels {
    let dump = "cp /data/live /data/shadow; ( echo '-- MariaDB dump 10.19'; cat /data/live; echo '-- Dump completed' ) > /data/dump.sql";
    let load = "cat /data/shadow > /data/live || true";
    changed(&[("backupbot.backup.pre-hook", Some(dump)), ("backupbot.restore.post-hook", Some(load))])
}
