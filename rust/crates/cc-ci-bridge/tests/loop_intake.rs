//! What reaches the bridge: hooks and polls of the same comment, heads that are swapped, forks that go, a cancel before anything ran.

#![expect(clippy::unwrap_used, reason = "in a test a panic with its place is the wanted report")]

mod support;

use cc_ci_model::bridge::intent::Intent;
use cc_ci_model::outcome::VerdictWord;
use cc_ci_testkit::canaries;
use cc_ci_testkit::engine_or_skip;
use cc_ci_testkit::forge::free_port;
use cc_ci_testkit::forge::gitea::{BOSS, MEMBER, ORGANISATION, WRITER};
use cc_ci_testkit::forge::web::{As, Body};
use serde_json::json;
use support::Stage;

/// Lets the forge deliver comments on pull requests of the whole organisation to `port`, signed with `secret`.
fn deliver(stage: &Stage, port: u16, secret: &str) {
    let hook = json!({"type": "gitea", "active": true, "events": ["pull_request_comment"],
        "config": {"url": format!("http://127.0.0.1:{port}/hook"), "content_type": "json", "secret": secret}});
    stage.forge.ask_as(BOSS, "POST", &format!("/orgs/{ORGANISATION}/hooks"), Some(&hook)).unwrap();
}

fn page(stage: &Stage, port: u16, path: &str) -> String {
    let url = format!("http://127.0.0.1:{port}{path}");
    stage.forge.web().ask("GET", &url, As::Nobody, &Body::Empty).unwrap().text
}

#[test]
fn hook_and_poll_of_one_comment_are_one_run_whoever_tells_first() {
    let engine = engine_or_skip!();
    let mut stage = Stage::new(&engine);
    stage.forge.drone.stop_runner();
    let first = stage.recipe(&canaries::sound(&engine));
    let of_fork = stage.fork_of(&first);
    let port = free_port().unwrap();
    std::fs::write(stage.host.path("webhook-secret"), "what the forge and the bridge share").unwrap();
    let hook = format!(
        "listen = \"127.0.0.1:{port}\"\nwebhook_secret_file = {:?}\n",
        stage.host.path("webhook-secret")
    );
    let (gitea, drone) = (stage.forge.gitea.url.clone(), stage.forge.drone.url.clone());
    stage.configure(&gitea, &drone, &hook);
    stage.start_bridge();
    stage.stop_bridge();

    // Swapped by force while nobody looked.
    let comment = stage.forge.comment(MEMBER, &first, "!testme").unwrap();
    let pr = stage.push_instead(&first);
    deliver(&stage, port, "what the forge and the bridge share");
    deliver(&stage, port, "a secret of somebody else");
    stage.start_bridge();
    let text = stage.wait_for_answer(&pr, comment, "Nothing was started");
    assert!(text.contains(&first.head[..8]) && text.contains(&pr.head[..8]), "both are named: {text}");

    // Nobody takes builds yet, so it stays in the queue.
    stage.let_the_head_age();
    let queued = stage.forge.comment(MEMBER, &pr, "!testme only install").unwrap();
    let build = stage.wait_for_build(queued, "pending");
    stage.wait_for_answer(&pr, queued, "");
    stage.wait_for("both hooks to have come", || {
        let metrics = page(&stage, port, "/metrics");
        let has = |line: &str| metrics.lines().any(|found| found.starts_with(line));
        let is_there = has("cc_ci_bridge_hooks_total") && has("cc_ci_bridge_hooks_not_genuine_total");
        if is_there { Ok(()) } else { Err(metrics) }
    });
    assert_eq!(stage.builds_of(queued), [build], "hook and poll are one");
    assert!(page(&stage, port, "/healthz").starts_with("ok"));
    let cancel = stage.forge.comment(WRITER, &pr, "!testme cancel").unwrap();
    let text = stage.wait_for_answer(&pr, queued, "✋ **");
    assert!(text.contains("Cancelled by `wanda`"), "{text}");
    stage.wait_for_answer(&pr, cancel, "Ending one run");
    stage.wait_until_settled();
    assert_eq!(stage.wait_for_build(queued, "killed"), build);
    assert_eq!(stage.status_of(&pr).unwrap().0, "error");

    // A member who may only read, on a pull request whose fork is gone before its run begins.
    let path = format!("/repos/{}/collaborators/{MEMBER}/permission", pr.repository);
    let permission = stage.forge.ask_as(BOSS, "GET", &path, None).unwrap();
    assert_eq!(permission["permission"], "read", "{permission}");
    let comment = stage.forge.comment(MEMBER, &of_fork, "!testme only install").unwrap();
    stage.wait_for_build(comment, "pending");
    let name = of_fork.repository.rsplit('/').next().unwrap();
    stage.forge.ask_as(MEMBER, "DELETE", &format!("/repos/{MEMBER}/{name}"), None).unwrap();
    stage.forge.drone.start_runner().unwrap();
    stage.wait_for_answer(&of_fork, comment, "✅ **");
    stage.wait_until_settled();
    let [run] = &stage.runs_of(comment)[..] else { panic!("{}", stage.story()) };
    assert_eq!(run.verdict, Some(VerdictWord::Pass));
    assert_eq!(run.request.reference.as_ref().unwrap().as_str(), of_fork.head);
    assert_eq!(run.request.receipt.right.as_deref(), Some("member"));
    assert_eq!(stage.status_of(&of_fork).unwrap().0, "success");
    assert!(stage.runs_of(queued).is_empty(), "what was cancelled in the queue never ran");
    let settled: Vec<Intent> = stage.intents().iter().map(|text| Intent::read(text).unwrap()).collect();
    assert_eq!(settled.len(), 4, "one intent for each comment");
}
