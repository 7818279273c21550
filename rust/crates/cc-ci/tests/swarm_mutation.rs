//! No check is decoration: each of ours is switched off once, and then a canary that it alone catches is green.
//!
//! A tier ends at a check that fails, so what comes behind it in the tier is not asked. A selection runs with every change;
//! `CCCI_TEST_MUTATION=all` (`cargo xtask test long`) runs all rows and looks for checks that have none; names of canaries run theirs.

mod database;
mod secrets;

use std::collections::BTreeSet;
use std::path::Path;

use cc_ci_model::outcome::Status;
use cc_ci_testkit::canaries::{self, Canary};
use cc_ci_testkit::engine_or_skip;
use cc_ci_testkit::run_host::{Ended, LiveRun, RunHost};
use cc_ci_testkit::testbed::TestEngine;

const CC_CI: &str = env!("CARGO_BIN_EXE_cc-ci");

/// A canary and the checks that stand between it and a wrong green.
struct Row {
    /// A name of [`canaries::all`], or one of [`DATABASES`].
    canary: &'static str,
    tiers: &'static str,
    /// Names of the checks; with all but the last off, the canary is still red by the last.
    off: &'static [&'static str],
    /// How the run ends then: 0, or 2 where the count of deploys is a second net.
    ends: i32,
    /// Whether the row runs with every change.
    is_selected: bool,
    /// What somebody else does meanwhile.
    meddler: Option<fn(&TestEngine, &mut LiveRun)>,
}

const fn row(canary: &'static str, tiers: &'static str, off: &'static [&'static str]) -> Row {
    Row { canary, tiers, off, ends: 0, is_selected: false, meddler: None }
}

const ROWS: &[Row] = &[
    // Nothing was deployed, so the count of deploys says so.
    Row { ends: 2, ..row("canary-no-sample", "install", &["recipe can be read"]) },
    row("canary-image-missing", "install", &["images are there"]),
    row("canary-refused", "install", &["deploy is accepted"]),
    row("canary-no-task", "install", &["the app has a task to ask"]),
    row("canary-no-port", "install", &["the app has a port to ask"]),
    Row {
        meddler: Some(|engine, run| {
            let stack = run.wait_until("its stack", |_, result| result.run.stack.clone());
            run.wait_for_event("\"tier_started\",\"tier\":\"upgrade\"");
            secrets::remove_when_dropped(engine, &stack);
        }),
        ..row("canary-drops-secret", "install,upgrade", &["volumes and secrets are kept"])
    },
    row("canary-secret", "install", &["secrets are made"]),
    Row { ends: 2, is_selected: true, ..row("canary-long-name", "install", &["compose is sound"]) },
    Row {
        is_selected: true,
        ..row("canary-long-name-at-head", "install,upgrade", &["compose of head is sound"])
    },
    row("canary-config", "install,upgrade", &["changed configs have a new version"]),
    row("canary-crash-loop", "install", &["deploy converges"]),
    Row { is_selected: true, ..row("canary-not-serving", "install", &["is really serving"]) },
    row("canary-crashes-late", "install,upgrade", &["deploy converges"]),
    row("canary-rolls-back", "install,upgrade", &["deploy converges"]),
    row("canary-keeps-image", "install,upgrade", &["a new tag is a new image"]),
    row("canary-loses-volume", "install,upgrade", &["the marker in * is there after upgrade"]),
    row("database-label", "install,backup", &["labels can be obeyed"]),
    row("database-nothing", "install,backup", &["a snapshot is made"]),
    row("database-two", "install,backup", &["the snapshot holds the data"]),
    row("database-half", "install,backup", &["dumps are complete"]),
    row("database-hook", "install,backup", &["backup pre-hook of *"]),
    row(
        "database-lost",
        "install,backup,restore",
        &["the snapshot brings the data back", "seed * is there after restore"],
    ),
    row("database-outside", "install,backup,restore", &["restore post-hook of *"]),
    row(
        "database-beside",
        "install,backup,restore",
        &["elsewhere: the snapshot alone brings the data back", "elsewhere: seed * is there after restore"],
    ),
];

type MakeLabels = fn() -> database::Labels;

/// The databases by name, each as the tests of the backup have it.
const DATABASES: [(&str, MakeLabels); 8] = [
    ("database-label", database::names_outside),
    ("database-nothing", database::archives_nothing),
    ("database-two", database::misses_a_path),
    ("database-half", database::truncates),
    ("database-hook", database::hook_fails),
    ("database-lost", database::loads_nothing),
    ("database-outside", database::dumps_outside),
    ("database-beside", database::works_beside_the_old_volume),
];

/// Runs a row's canary with these checks switched off.
fn run(engine: &TestEngine, row: &Row, off: &[&str]) -> (RunHost, Ended) {
    let switches = format!("CCCI_MUTATION={}", off.join(";"));
    let host = RunHost::new(CC_CI, engine).started_by(&["env", &switches]);
    let labels = DATABASES.iter().find(|(name, _)| *name == row.canary);
    let mut arguments = match labels {
        Some((name @ "database-beside", labels)) => {
            database::prepare_elsewhere(&host, engine, name, &labels())
        }
        Some((name, labels)) => database::prepare_on(&host, engine, name, &labels()),
        None => {
            let all = canaries::all(engine).into_iter().chain(own_canaries(engine));
            let canary = all.into_iter().find(|canary| canary.name == row.canary);
            host.prepare(&canary.expect("a canary of that name"))
        }
    };
    arguments.extend(["--tiers".to_owned(), row.tiers.to_owned()]);
    let mut run = host.start(&arguments);
    if let Some(meddler) = row.meddler {
        meddler(engine, &mut run);
    }
    let ended = run.wait();
    (host, ended)
}

/// The sound recipe with one defect that no other test needs a canary for.
fn own_canaries(engine: &TestEngine) -> Vec<Canary> {
    let edited = |name, from: &str, to: &str| {
        let mut canary = Canary { name, base: None, ..canaries::sound(engine) };
        let mut edits = 0;
        for (_, text) in &mut canary.head {
            edits += text.matches(from).count();
            *text = text.replacen(from, to, 1);
        }
        assert!(edits > 0, "{name}: nothing to edit");
        canary
    };
    let mut no_sample = Canary { name: "canary-no-sample", base: None, ..canaries::sound(engine) };
    no_sample.head.retain(|(path, _)| path != ".env.sample");
    // It has a route and says nowhere where to, and it never listens.
    let mut no_port =
        edited("canary-no-port", "PROBE_TEXT=sound\n", "PROBE_TEXT=sound\n      - PROBE_PORT=none\n");
    for (path, text) in &mut no_port.head {
        let silent = |line: &&str| !line.contains("loadbalancer.server.port");
        if path == "compose.yml" {
            *text = text.lines().filter(silent).map(|line| format!("{line}\n")).collect();
            *text = text.replacen("test: [CMD, /probe, check]", "disable: true", 1);
        }
    }
    // What the recipe's own data looks for is not this row's.
    no_port.recipe_toml = "schema = 1\n\n[app]\ntimeouts = { deploy = \"60s\", http = \"4s\" }\n".to_owned();
    let deploy = "    deploy:\n      update_config:";
    let with = |line: &str| format!("    deploy:\n      {line}\n      update_config:");
    vec![
        no_sample,
        edited("canary-refused", deploy, &with("placement: { constraints: [\"node.role\"] }")),
        edited("canary-no-task", deploy, &with("replicas: 0")),
        no_port,
        secrets::drops_a_secret(engine),
    ]
}

/// The names of the checks that failed.
fn failed(ended: &Ended) -> BTreeSet<String> {
    let checks = ended.result().tiers.into_iter().flat_map(|tier| tier.checks);
    checks.filter(|check| check.status == Status::Fail).map(|check| check.name).collect()
}

fn turns_green(engine: &TestEngine, row: &Row) {
    let (last, others) = row.off.split_last().expect("a row switches something off");
    let (_host, ended) = run(engine, row, others);
    assert_eq!(ended.code, 1, "{}: {ended}", row.canary);
    let names = failed(&ended);
    let fits = |name: &String| match last.split_once('*') {
        None => name == last,
        Some((begin, end)) => name.starts_with(begin) && name.ends_with(end),
    };
    assert!(
        !names.is_empty() && names.iter().all(fits),
        "{} is not what catches {}: {names:?}",
        last,
        row.canary
    );
    let (_host, ended) = run(engine, row, row.off);
    assert_eq!(ended.code, row.ends, "{} without {:?}: {ended}", row.canary, row.off);
    assert_eq!(failed(&ended), BTreeSet::new(), "{ended}");
    if row.ends == 2 {
        let trouble = ended.result().trouble.expect("the trouble is stored");
        assert!(trouble.what.contains("deploys were counted"), "{trouble:?}");
    }
}

fn is_all() -> bool {
    std::env::var("CCCI_TEST_MUTATION").is_ok_and(|value| value == "all")
}

/// Whether a row runs: all, those of the canaries named in the variable, or the selection.
fn is_wanted(row: &Row) -> bool {
    match std::env::var("CCCI_TEST_MUTATION") {
        Ok(named) if named != "all" => named.split(',').any(|name| name == row.canary),
        Ok(_) => true,
        Err(_) => row.is_selected,
    }
}

/// Runs every third row, so that three tests beside each other run all of them.
fn third(first: usize) {
    let engine = engine_or_skip!();
    for row in ROWS.iter().filter(|row| is_wanted(row)).skip(first).step_by(3) {
        turns_green(&engine, row);
    }
}

#[test]
fn canary_is_green_without_the_check_that_catches_it() {
    third(0);
}

#[test]
fn canary_is_green_without_the_check_that_catches_it_second_third() {
    third(1);
}

#[test]
fn canary_is_green_without_the_check_that_catches_it_last_third() {
    third(2);
}

/// Checks that no recipe can make fail, each with the reason.
const WITHOUT_A_ROW: [(&str, &str); 5] = [
    (
        "the compose gate lets it through",
        "of an old release on a ladder: it is not deployed whatever is switched off, so its step has nothing to go on with",
    ),
    (
        "head is what runs",
        "convergence compares the same label until the end of its window; this one stands for the moment after it \
         (other_commit_than_the_one_sent_is_still_old, upgrade_to_any_other_commit_than_head_is_red)",
    ),
    (
        "images are those of head",
        "convergence compares the same image, and a digest is compared by `a new tag is a new image`, which has a row \
         (deployed_images_are_the_ones_head_names)",
    ),
    (
        "configs can be read",
        "both of its errors end elsewhere: a path that leads out is refused by the gate, a disk that fails is our trouble",
    ),
    (
        "the snapshot is put back",
        "restic ends with 3 only where a backup could not read everything; a restore that fails ends with 1, which is our trouble",
    ),
];

#[test]
fn every_check_of_ours_has_a_row_or_a_reason() {
    if !is_all() {
        return;
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cc-ci-harness/src");
    let mut named = BTreeSet::new();
    let mut folders = vec![source];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("the sources of the harness").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("a source file");
            // A name stands behind the call, on its line or on the next.
            for call in ["tier.failed(", "run.failed("] {
                let names = text.split(call).skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"'));
                named.extend(names.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
            }
        }
    }
    let rows = ROWS.iter().flat_map(|row| row.off).copied().chain(WITHOUT_A_ROW.map(|(check, _)| check));
    let rows: BTreeSet<&str> = rows.map(|name| name.strip_prefix("elsewhere: ").unwrap_or(name)).collect();
    let missing: Vec<&String> = named.iter().filter(|name| !rows.contains(name.as_str())).collect();
    assert!(named.len() > 5, "the calls are written otherwise: {named:?}");
    assert!(missing.is_empty(), "no canary shows what these are for: {missing:?}");
}
