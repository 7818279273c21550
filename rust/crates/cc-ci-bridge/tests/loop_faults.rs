//! Servers that die in mid-run and a network that cannot be relied upon: one run for each comment, and everybody is told.

mod support;

use std::time::Duration;

use cc_ci_model::outcome::VerdictWord;
use cc_ci_testkit::canaries;
use cc_ci_testkit::engine_or_skip;
use cc_ci_testkit::forge::gitea::MEMBER;
use cc_ci_testkit::forge::proxy::{Fate, FaultyProxy, Moment};
use support::Stage;
use support::kills::{NONE, kill_at};

/// How many rounds of comments meet faults; one without it.
const VARIABLE: &str = "CCCI_TEST_BRIDGE_FAULTS";

/// What becomes of requests and answers, in turn.
const FAULTS: [Fate; 8] = [
    Fate::Drop,
    Fate::Answer(500),
    Fate::Truncate,
    Fate::Answer(303),
    Fate::Delay(Duration::from_millis(700)),
    Fate::Answer(429),
    Fate::Drop,
    Fate::Answer(500),
];

#[test]
fn servers_that_are_killed_in_mid_run_lose_neither_the_run_nor_its_verdict() {
    let engine = engine_or_skip!();
    let mut stage = Stage::new(&engine);
    let pr = stage.recipe(&canaries::sound(&engine));
    stage.start_bridge();
    let comment = stage.forge.comment(MEMBER, &pr, "!testme only install,upgrade").unwrap();
    stage.wait_for_run(comment);
    stage.forge.drone.kill_runner();
    stage.forge.restart_drone().unwrap();
    stage.forge.gitea.kill();
    stage.kill_bridge();
    stage.forge.resume_gitea().unwrap();
    stage.forge.drone.start_runner().unwrap();
    stage.start_bridge();
    stage.wait_for_answer(&pr, comment, "✅ **");
    stage.wait_until_settled();
    let [run] = &stage.runs_of(comment)[..] else { panic!("{}", stage.story()) };
    assert_eq!((run.verdict, run.deploys.counted), (Some(VerdictWord::Pass), 1));
    assert_eq!(stage.status_of(&pr).unwrap().0, "success");
}

#[test]
fn a_network_that_delays_drops_truncates_and_lies_changes_no_verdict() {
    let engine = engine_or_skip!();
    let mut stage = Stage::new(&engine);
    let [sound, reaching] = stage.recipes([&canaries::sound(&engine), &canaries::binds_root(&engine)]);
    let gitea = FaultyProxy::before(&stage.forge.gitea.url).unwrap();
    let drone = FaultyProxy::before(&stage.forge.drone.url).unwrap();
    stage.configure(&gitea.url, &drone.url, "");
    stage.start_bridge();
    let rounds = std::env::var(VARIABLE).ok().and_then(|value| value.parse().ok()).unwrap_or(1);
    for _ in 0..rounds {
        for proxy in [&gitea, &drone] {
            let mut passed = 0_usize;
            // Every thirteenth time a request passes, at either moment, the next fault.
            proxy.judge_by(move |_, _| {
                passed += 1;
                if passed.is_multiple_of(13) { FAULTS[passed / 13 % FAULTS.len()] } else { Fate::Pass }
            });
        }
        let runs =
            [&sound, &reaching].map(|pr| stage.forge.comment(MEMBER, pr, "!testme only install").unwrap());
        let help = stage.forge.comment(MEMBER, &sound, "!testme help").unwrap();
        for (pr, comment, words) in
            [(&sound, runs[0], "✅ **"), (&reaching, runs[1], "⛔ **"), (&sound, help, "alone on a line")]
        {
            stage.wait_for_answer(pr, comment, words);
        }
        stage.wait_until_settled();
        for comment in runs {
            let attempts: Vec<_> =
                stage.runs_of(comment).iter().map(|run| run.request.receipt.attempt).collect();
            assert_eq!(attempts, [Some(1)], "{}", stage.story());
        }
        assert_eq!(stage.status_of(&sound).unwrap().0, "success", "{}", stage.story());
        assert_eq!(stage.status_of(&reaching).unwrap().0, "failure", "{}", stage.story());
    }
    let log = stage.log();
    let met = log.matches("step-failed").count() + log.matches("poll-failed").count();
    assert!(met > 2, "faults were met: {log}");
}

#[test]
fn a_cancel_that_drone_loses_ends_the_run_and_a_result_without_its_folder_is_read_from_the_log() {
    let engine = engine_or_skip!();
    let mut stage = Stage::new(&engine);
    stage.forge.drone.stop_runner();
    let slow =
        canaries::all(&engine).into_iter().find(|canary| canary.name == "canary-never-healthy").unwrap();
    let [slow, reaching] = stage.recipes([&slow, &canaries::binds_root(&engine)]);
    let drone = FaultyProxy::before(&stage.forge.drone.url).unwrap();
    // The runner asks whether a build was cancelled, and never hears the answer.
    drone.judge_by(|passing, _| {
        if passing.path.ends_with("/watch") { Fate::Delay(Duration::from_secs(120)) } else { Fate::Pass }
    });
    stage.forge.drone.start_runner_behind(&drone.url).unwrap();
    let own = FaultyProxy::before(&stage.forge.drone.url).unwrap();
    let gitea = stage.forge.gitea.url.clone();
    stage.configure(&gitea, &own.url, "");
    stage.start_bridge();
    let comment = stage.forge.comment(MEMBER, &slow, "!testme").unwrap();
    stage.wait_for_run(comment);
    let build = stage.wait_for_build(comment, "running");
    stage.forge.cancel_build(build).unwrap();
    stage.wait_for_answer(&slow, comment, "✋ **");
    stage.wait_until_settled();
    let [run] = &stage.runs_of(comment)[..] else { panic!("{}", stage.story()) };
    assert_eq!(run.verdict, Some(VerdictWord::Cancelled));
    assert!(run.teardown.as_ref().is_some_and(|teardown| teardown.evidence.left.is_empty()), "{run:?}");
    assert_eq!(stage.status_of(&slow).unwrap().0, "error");

    // A run on another machine leaves no folder here.
    let killed = kill_at(&[&own], stage.bridge_pid(), ("POST", "/builds?", NONE, 1), Moment::After);
    let comment = stage.forge.comment(MEMBER, &reaching, "!testme").unwrap();
    killed.recv_timeout(Duration::from_secs(60)).unwrap();
    stage.kill_bridge();
    own.judge_by(|_, _| Fate::Pass);
    stage.wait_for_build(comment, "failure");
    let run = stage.runs_of(comment)[0].run.id.to_string();
    std::fs::remove_dir_all(stage.host.path("state/runs").join(&run)).unwrap();
    stage.start_bridge();
    let text = stage.wait_for_answer(&reaching, comment, "⛔ **");
    assert!(text.contains(&run), "{text}");
    stage.wait_until_settled();
    let imported = stage.host.path("state/imported").join(&run).join("result.json");
    let imported = cc_ci_model::result::RunResult::read(&std::fs::read_to_string(imported).unwrap()).unwrap();
    assert_eq!(imported.verdict, Some(VerdictWord::Refused));
    assert_eq!(stage.status_of(&reaching).unwrap().0, "failure");
}
