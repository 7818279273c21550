//! The snapshot in a fresh stack under another name: what came back only because the old volumes were still there is found
//! out, and the second stack goes like the first.

mod database;
mod support;

use cc_ci_model::outcome::Status;
use cc_ci_model::plan::Decision;
use cc_ci_model::result::Elsewhere;
use cc_ci_model::tier::Tier;
use cc_ci_testkit::onlooker::Onlooker;
use cc_ci_testkit::run_host::{Ended, RunHost};
use cc_ci_testkit::testbed::TestEngine;
use cc_ci_testkit::{canaries, engine_or_skip};
use nix::sys::signal::Signal;
use support::{CC_CI, janitor, leaves_nothing};

fn elsewhere(ended: &Ended) -> Elsewhere {
    ended.result().elsewhere.unwrap_or_else(|| panic!("the plan says nothing of it: {ended}"))
}

/// Both stacks are gone, and the evidence counts the secrets of both.
fn are_gone(engine: &TestEngine, ended: &Ended, secrets: usize) {
    let result = ended.result();
    for stack in [result.run.stack, elsewhere(ended).stack] {
        let stack = stack.unwrap_or_else(|| panic!("two stacks: {ended}"));
        assert_eq!(Onlooker::of(engine).everything_with(&stack), Vec::<String>::new(), "{ended}");
    }
    let evidence = result.teardown.unwrap_or_else(|| panic!("no teardown: {ended}")).evidence;
    assert_eq!(evidence.created, evidence.removed, "{ended}");
    let created = serde_json::to_value(&evidence.created).expect("counts are JSON");
    assert_eq!(created["secret"].as_u64().unwrap_or_default(), secrets as u64, "{ended}");
}

fn has_deploys(ended: &Ended, number: u32) {
    let deploys = ended.result().deploys;
    assert_eq!((deploys.counted, deploys.expected), (number, number), "{ended}");
}

#[test]
fn restore_that_works_only_beside_the_old_volume_is_red_elsewhere() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    let labels = database::works_beside_the_old_volume();
    let ended = host.run(&database::prepare_elsewhere(&host, &engine, "database-beside", &labels));
    assert_eq!(ended.code, 1, "{ended}");
    for report in ended.result().tiers {
        assert_eq!(report.status == Status::Fail, report.name == Tier::Restore, "{}: {ended}", report.name);
    }
    let restore = ended.tier(Tier::Restore);
    for check in &restore.checks {
        let is_elsewhere = check.name.starts_with("elsewhere: ");
        assert!(
            is_elsewhere || check.status == Status::Pass,
            "{} beside the old volume: {ended}",
            check.name
        );
    }
    let causes = ["elsewhere: ", "seed a row", "of volume data it holds dump.sql alone"];
    for words in causes {
        assert!(restore.reason.contains(words), "{words:?} is missing in {:?}: {ended}", restore.reason);
    }
    assert_eq!(elsewhere(&ended).status, Some(Status::Fail), "{ended}");
    assert!(!ended.file("tiers/restore/elsewhere/tasks.txt").is_empty(), "what is known of it is kept");
    has_deploys(&ended, 2);
    are_gone(&engine, &ended, 2);
}

#[test]
fn whoever_restores_elsewhere_has_the_secrets_and_the_data_comes_back() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    let labels = database::is_bound_to_its_secret();
    let arguments = database::prepare_elsewhere(&host, &engine, "database-bound", &labels);
    let plan: Vec<&str> = std::iter::once("plan").chain(arguments[1..].iter().map(String::as_str)).collect();
    let planned = host.run(&plan);
    assert!(planned.stdout.contains("elsewhere") && planned.stdout.contains("deploys   2"), "{planned}");

    let ended = host.run(&arguments);
    assert_eq!(ended.code, 0, "{ended}");
    let said = ended.words_of(Tier::Restore);
    for words in ["elsewhere: seed a row is there after restore", "elsewhere: the marker in "] {
        assert!(said.contains(words), "{words:?} is missing in {said:?}: {ended}");
    }
    let fresh = elsewhere(&ended);
    assert_eq!((fresh.decision, fresh.status), (Decision::Run, Some(Status::Pass)), "{ended}");
    assert_ne!(fresh.stack, ended.result().run.stack, "{ended}");
    has_deploys(&ended, 2);
    are_gone(&engine, &ended, 2);
    let log = ended.file("log.txt");
    assert!(log.contains("plan: elsewhere runs") && log.contains("elsewhere: deploy converges"), "{log}");
    let shown = host.run(&["show"]);
    assert!(shown.stdout.contains("  elsewhere"), "{shown}");

    // Declared away, it is neither done nor counted, and the reason is shown.
    let ended = host.run(&database::prepare_on(&host, &engine, "database-bound", &labels));
    assert_eq!(ended.code, 0, "{ended}");
    let without = elsewhere(&ended);
    assert_eq!((without.decision, without.stack), (Decision::NotApplicable, None), "{ended}");
    assert!(without.reason.contains("a database of its own proves it"), "{}", without.reason);
    has_deploys(&ended, 1);
}

#[test]
fn stack_that_cannot_stand_twice_makes_room_and_comes_back_for_what_follows() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    let ended = host.run(&host.prepare(&canaries::publishes_a_port(&engine)));
    assert_eq!(ended.code, 0, "{ended}");
    let said = ended.words_of(Tier::Restore);
    for words in ["elsewhere: the first stack makes room", "24738", "elsewhere: seed a note is there"] {
        assert!(said.contains(words), "{words:?} is missing in {said:?}: {ended}");
    }
    assert_eq!(ended.tier(Tier::Custom).status, Status::Pass, "{ended}");
    let limits = ended.result().limits;
    assert!(limits.iter().any(|line| line.contains("the first stack was away")), "{limits:?}");
    has_deploys(&ended, 3);
    are_gone(&engine, &ended, 0);
}

#[test]
fn run_killed_while_it_restores_elsewhere_is_gone_after_one_sweep() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    let canary = canaries::with_elsewhere(canaries::sound(&engine));
    let mut run = host.start(&host.prepare(&canary));
    run.wait_for_event("elsewhere: deploy converges");
    let stacks = run.wait_until("both stacks", |_, result| {
        Some([result.run.stack.clone()?, result.elsewhere.as_ref()?.stack.clone()?])
    });
    run.signal(Signal::SIGKILL);
    run.wait();
    for stack in &stacks {
        let there = Onlooker::of(&engine).everything_with(stack);
        assert!(!there.is_empty(), "the kill came too late to show anything of {stack}");
    }
    let sweep = janitor(&host, &engine);
    assert_eq!(sweep.status.code(), Some(0), "{}{}", sweep.stdout, sweep.stderr);
    for stack in &stacks {
        assert_eq!(Onlooker::of(&engine).everything_with(stack), Vec::<String>::new(), "{}", sweep.stdout);
    }
    leaves_nothing(&engine, &host);
}
