//! Backup and restore of a small database made of a file: sound, and with one defect each, red in the tier of the defect.

mod database;

use cc_ci_model::outcome::Status;
use cc_ci_model::plan::Decision;
use cc_ci_model::tier::Tier;
use cc_ci_testkit::engine_or_skip;
use cc_ci_testkit::onlooker::Onlooker;
use cc_ci_testkit::run_host::{Ended, RunHost};
use cc_ci_testkit::testbed::TestEngine;
use database::{
    archives_nothing, changed, dumps_outside, hook_fails, labels, loads_nothing, misses_a_path, prepare_on,
    truncates,
};

const CC_CI: &str = env!("CARGO_BIN_EXE_cc-ci");

/// A host with the recipe on it, and the arguments of a run.
fn prepare(engine: &TestEngine, recipe: &str, labels: &[(&str, &str)]) -> (RunHost, Vec<String>) {
    let host = RunHost::new(CC_CI, engine);
    let arguments = prepare_on(&host, engine, recipe, labels);
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
    let (_host, ended) = run(&engine, "database", &loads_nothing());
    is_red(&ended, Tier::Restore, &["service db has a dump hook and no restore hook"]);
}

#[test]
fn backup_that_archives_nothing_is_red_at_backup() {
    let engine = engine_or_skip!();
    let (_host, ended) = run(&engine, "database-nothing", &archives_nothing());
    is_red(&ended, Tier::Backup, &["nothing that the labels name is there", "nowhere.sql"]);
}

#[test]
fn backup_that_misses_one_of_two_paths_is_red_at_backup() {
    let engine = engine_or_skip!();
    let (_host, ended) = run(&engine, "database-two", &misses_a_path());
    is_red(&ended, Tier::Backup, &["media of volume", "is not in the snapshot"]);
}

#[test]
fn truncated_dump_is_redone_then_red() {
    let engine = engine_or_skip!();
    let (_host, ended) = run(&engine, "database-half", &truncates());
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
    let (_host, ended) = run(&engine, "database-hook", &hook_fails());
    is_red(&ended, Tier::Backup, &["pre-hook of service db ended with 3: no such table"]);
    assert_eq!(ended.result().retries, Vec::<String>::new());
}

#[test]
fn retries_are_bounded_and_shown() {
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
    let (_host, ended) = run(&engine, "database-outside", &dumps_outside());
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
