//! What somebody puts beside a run while it runs: a run is green only where it is really gone afterwards.

use cc_ci_model::outcome::VerdictWord;
use cc_ci_testkit::canaries;
use cc_ci_testkit::engine_or_skip;
use cc_ci_testkit::onlooker::Onlooker;
use cc_ci_testkit::run_host::{Ended, LiveRun, RunHost};
use cc_ci_testkit::testbed::TestEngine;

mod support;
use support::{CC_CI, janitor, leaves_nothing};

/// Starts a run of the sound recipe and waits until its stack stands; returns the run, its id and its stack.
fn deployed(host: &RunHost, engine: &TestEngine) -> (LiveRun, String, String) {
    let mut arguments = host.prepare(&canaries::sound(engine));
    // The upgrade gives the time to put something beside it.
    arguments.extend(["--tiers", "install,upgrade"].map(str::to_owned));
    let mut run = host.start(&arguments);
    run.wait_for_event("\"tier_ended\",\"tier\":\"install\"");
    let (id, stack) =
        run.wait_until("its stack", |_, result| Some((result.run.id.to_string(), result.run.stack.clone()?)));
    (run, id, stack)
}

/// Never green while it is there: either the object is gone, or the run is not green and names it.
fn is_gone_or_named(engine: &TestEngine, ended: &Ended, name: &str) {
    let is_there = !Onlooker::of(engine).everything_with(name).is_empty();
    let result = ended.result();
    if is_there {
        assert_ne!(result.verdict, Some(VerdictWord::Pass), "{name} is there: {ended}");
        assert_ne!(ended.code, 0, "{name} is there: {ended}");
        let said = serde_json::to_string(&result).expect("a result is JSON");
        assert!(said.contains(name), "{name} is there and not named: {ended}");
    } else {
        assert_eq!(ended.code, 0, "{name} is gone: {ended}");
    }
}

#[test]
fn stray_service_and_volume_named_like_the_stack_are_removed_with_it() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    let (run, _, stack) = deployed(&host, &engine);
    let stray = format!("{stack}_stray");
    let onlooker = Onlooker::of(&engine);
    let image = &engine.image("probe:1.0").reference;
    // Neither has the stack's label, as a recipe's hook or a helping hand would make them.
    onlooker.ask(&["service", "create", "--detach", "--quiet", "--name", &stray, image]).expect("a service");
    onlooker.ask(&["volume", "create", &stray]).expect("a volume");
    let ended = run.wait();
    let left = onlooker.everything_with(&stray);
    assert_eq!(left, Vec::<String>::new(), "{ended}");
    is_gone_or_named(&engine, &ended, &stray);
}

#[test]
fn object_outside_the_stack_with_the_runs_mark_is_never_green() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    let (run, id, _) = deployed(&host, &engine);
    let name = format!("outside-{id}");
    let onlooker = Onlooker::of(&engine);
    let mark = format!("cc-ci.run={id}");
    onlooker.ask(&["volume", "create", "--label", &mark, &name]).expect("a volume");
    let ended = run.wait();
    is_gone_or_named(&engine, &ended, &name);
    // It was the run's by its own mark: whether removed or not, the test leaves nothing.
    let _ = onlooker.ask(&["volume", "rm", &name]);
}

#[test]
fn volume_in_foreign_use_holds_the_teardown_up_until_it_is_free() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    let (mut run, _, stack) = deployed(&host, &engine);
    let onlooker = Onlooker::of(&engine);
    let holder = format!("holder-{}", &host.zone[..8]);
    let volume = format!("{stack}_data:/held");
    let image = &engine.image("probe:1.0").reference;
    let holding = ["run", "--detach", "--rm", "--name", &holder, "--volume", &volume, image];
    onlooker.ask(&holding).expect("a container that is not the run's");
    // Only the volume is left, and the run does not give up, nor say that it is done.
    run.wait_for_event("\"tier_started\",\"tier\":\"teardown\"");
    let alone = cc_ci_testkit::patience::until(
        "the volume to be all that is left",
        std::time::Duration::from_secs(60),
        std::time::Duration::from_millis(100),
        || {
            let left = onlooker.everything_with(&stack);
            if left == [format!("volume {stack}_data")] { Ok(()) } else { Err(format!("{left:?}")) }
        },
    );
    let state = run.wait_until("a result", |_, result| Some(result.verdict));
    onlooker.ask(&["container", "rm", "--force", &holder]).expect("the holder goes");
    alone.expect("everything else goes");
    assert_eq!(state, None, "no verdict while something is left");
    let ended = run.wait();
    is_gone_or_named(&engine, &ended, &stack);
}

#[test]
fn leftover_that_nobody_can_remove_is_trouble_and_named_until_the_janitor_can() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    host.write_settings("[limits]\nteardown = \"10s\"\n");
    let (run, id, stack) = deployed(&host, &engine);
    let onlooker = Onlooker::of(&engine);
    let holder = format!("holder-{}", &host.zone[..8]);
    let volume = format!("{stack}_data");
    let image = &engine.image("probe:1.0").reference;
    let (name, mount) = (["--name", &holder], ["--volume", &format!("{volume}:/held")]);
    let holding = [&["run", "--detach", "--rm"][..], &name, &mount, &[image.as_str()]].concat();
    let container = onlooker.ask(&holding).expect("a container that is not the run's");
    let ended = run.wait();
    assert_eq!(ended.code, 2, "{ended}");
    let result = ended.result();
    assert_eq!(result.verdict, Some(VerdictWord::Trouble), "{ended}");
    // On a slow machine there may be more left than what can never go.
    let left = &result.teardown.as_ref().expect("evidence").evidence.left;
    assert!(left.contains(&format!("volume {volume}")), "{left:?}");
    let reason = ended.tier(cc_ci_model::tier::Tier::Teardown).reason;
    for words in [volume.as_str(), "the janitor tries again"] {
        assert!(reason.contains(words), "no {words:?} in {reason:?}: {ended}");
    }
    assert!(ended.stdout.contains(&volume), "a person sees it: {ended}");
    // Lock file and record stay, so that it is found again.
    assert!(host.path(&format!("state/stacks/{stack}.json")).exists());
    let named = cc_ci_testkit::patience::until(
        "a sweep that names who holds it",
        std::time::Duration::from_secs(120),
        std::time::Duration::from_millis(100),
        || {
            let sweep = janitor(&host, &engine);
            let is_named = sweep.stdout.contains(&container.trim()[..12]);
            assert_eq!(sweep.status.code(), Some(2), "{}{}", sweep.stdout, sweep.stderr);
            assert!(sweep.stdout.contains("reap-incomplete"), "{}", sweep.stdout);
            is_named.then_some(()).ok_or(sweep.stdout)
        },
    );
    named.expect("each sweep tries again, and says so");
    onlooker.ask(&["container", "rm", "--force", &holder]).expect("the holder goes");
    let sweep = janitor(&host, &engine);
    assert_eq!(sweep.status.code(), Some(0), "{}{}", sweep.stdout, sweep.stderr);
    let verdict = RunHost::run(&host, &["show", &id, "--json"]);
    assert!(verdict.stdout.contains("\"trouble\""), "the verdict stands: {verdict}");
    leaves_nothing(&engine, &host);
}
