//! SIGKILL of the bridge on either side of each request it makes: no comment is lost, none is run twice, all is settled.
//!
//! Between two requests an intent is written; who is killed when the server has answered has not written, and who is killed
//! before the next request has. So both sides of every write are met. The recipe is refused by a real run, which takes a
//! second; that makes no difference to claims.

mod support;

use std::time::Duration;

use cc_ci_model::bridge::intent::Intent;
use cc_ci_testkit::canaries;
use cc_ci_testkit::engine_or_skip;
use cc_ci_testkit::forge::gitea::MEMBER;
use cc_ci_testkit::forge::proxy::{Fate, FaultyProxy, Moment};
use cc_ci_testkit::patience;
use support::Stage;
use support::kills::{NONE, Request, kill_at};

/// The requests of one comment's way, in order.
const REQUESTS: [Request; 19] = [
    ("GET", "/user", "?", 1),
    ("GET", "/repos/issues/search", NONE, 1),
    ("GET", "/comments?since", NONE, 1),
    ("GET", "/members/", NONE, 1),
    ("GET", "/pulls/", NONE, 1),
    ("GET", "/timeline", NONE, 1),
    ("GET", "/builds?per_page", NONE, 1),
    ("GET", "/pulls/", NONE, 2),
    ("POST", "/builds?", NONE, 1),
    ("GET", "/builds/", "/logs/", 1),
    ("GET", "/comments", "?since", 1),
    ("POST", "/comments", NONE, 1),
    ("POST", "/statuses/", NONE, 1),
    ("PATCH", "/comments/", NONE, 1),
    ("GET", "/pulls/", NONE, 3),
    ("PATCH", "/comments/", NONE, 2),
    ("POST", "/statuses/", NONE, 2),
    ("PATCH", "/comments/", NONE, 3),
    ("GET", "/repos/issues/search", NONE, 3),
];

/// How many of the points are met; all of them where the variable says `all`.
const VARIABLE: &str = "CCCI_TEST_BRIDGE_KILLS";

#[test]
fn a_bridge_killed_before_or_after_any_request_starts_one_run_for_each_comment() {
    let engine = engine_or_skip!();
    let mut stage = Stage::new(&engine);
    let pr = stage.recipe(&canaries::binds_root(&engine));
    let gitea = FaultyProxy::before(&stage.forge.gitea.url).unwrap();
    let drone = FaultyProxy::before(&stage.forge.drone.url).unwrap();
    stage.configure(&gitea.url, &drone.url, "");
    stage.start_bridge();
    let is_whole = std::env::var(VARIABLE).is_ok_and(|value| value == "all");
    let every = if is_whole { 1 } else { 4 };
    let moments = [Moment::Before, Moment::After];
    let points: Vec<(Request, Moment)> =
        REQUESTS.into_iter().flat_map(|request| moments.map(|moment| (request, moment))).collect();
    let mut comments = Vec::new();
    let mut missed = Vec::new();
    let mut kills = 0;
    for (request, moment) in points.into_iter().step_by(every) {
        let is_start = request.1 == "/user";
        let pid = stage.bridge_pid();
        let killed = kill_at(&[&gitea, &drone], pid, request, moment);
        if is_start {
            // Asked once, when it begins.
            stage.kill_bridge();
        } else {
            comments.push(stage.forge.comment(MEMBER, &pr, "!testme").unwrap());
            if killed.recv_timeout(Duration::from_secs(60)).is_ok() {
                kills += 1;
            } else {
                missed.push((request, moment));
            }
            stage.kill_bridge();
        }
        for proxy in [&gitea, &drone] {
            proxy.judge_by(|_, _| Fate::Pass);
        }
        stage.start_bridge();
    }
    for comment in &comments {
        stage.wait_for_answer(&pr, *comment, "⛔");
    }
    stage.wait_until_settled();
    assert_eq!(missed, [], "{kills} kills, and these requests never came: {}", stage.story());
    for comment in &comments {
        let runs = stage.runs_of(*comment);
        let attempts: Vec<_> = runs.iter().map(|run| run.request.receipt.attempt).collect();
        assert_eq!(attempts, [Some(1)], "one run for comment {comment}: {}", stage.story());
    }
    let open = patience::until(
        "every build to be over",
        Duration::from_secs(60),
        Duration::from_millis(200),
        || {
            let builds = stage.forge.builds().map_err(|error| error.to_string())?;
            let open =
                builds.iter().filter(|build| build["status"] == "pending" || build["status"] == "running");
            let open: Vec<_> = open.map(|build| build["number"].clone()).collect();
            if open.is_empty() { Ok(()) } else { Err(format!("{open:?}")) }
        },
    );
    open.unwrap();
    assert_eq!(stage.status_of(&pr).unwrap().0, "failure");
    let intents: Vec<Intent> = stage.intents().iter().map(|text| Intent::read(text).unwrap()).collect();
    assert_eq!(intents.len(), comments.len());
    assert!(intents.iter().all(|intent| intent.outcome.as_deref() == Some("refused")), "{}", stage.story());
}

#[test]
fn an_intent_that_was_written_and_not_acted_upon_is_taken_up_where_it_stands() {
    let engine = engine_or_skip!();
    let mut stage = Stage::new(&engine);
    let pr = stage.recipe(&canaries::binds_root(&engine));
    let drone = FaultyProxy::before(&stage.forge.drone.url).unwrap();
    let gitea = stage.forge.gitea.url.clone();
    stage.configure(&gitea, &drone.url, "");
    stage.start_bridge();
    let killed = kill_at(&[&drone], stage.bridge_pid(), ("GET", "/builds?per_page", NONE, 1), Moment::Before);
    let comment = stage.forge.comment(MEMBER, &pr, "!testme").unwrap();
    killed.recv_timeout(Duration::from_secs(60)).unwrap();
    stage.kill_bridge();
    drone.judge_by(|_, _| Fate::Pass);
    // Allowed is written before the attempt is; no request lies between the two.
    let file = stage.host.path("state/bridge/intents").join(format!("{comment}.json"));
    let mut intent = Intent::read(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(intent.attempts.len(), 1);
    intent.attempts.clear();
    std::fs::write(&file, serde_json::to_vec(&intent).unwrap()).unwrap();
    stage.start_bridge();
    stage.wait_for_answer(&pr, comment, "⛔ **");
    stage.wait_until_settled();
    assert_eq!(stage.runs_of(comment).len(), 1);
}
