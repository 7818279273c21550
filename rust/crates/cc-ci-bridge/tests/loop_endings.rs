//! Runs that end before their time, and bridges that do: each is settled, and one deploying run per comment and attempt.

mod support;

use cc_ci_model::outcome::VerdictWord;
use cc_ci_testkit::canaries;
use cc_ci_testkit::engine_or_skip;
use cc_ci_testkit::forge::gitea::MEMBER;
use support::Stage;

#[test]
fn a_bridge_that_is_killed_goes_on_where_it_was_and_a_surplus_build_is_a_duplicate() {
    let engine = engine_or_skip!();
    let mut stage = Stage::new(&engine);
    let pr = stage.recipe(&canaries::sound(&engine));
    stage.start_bridge();
    stage.kill_bridge();
    let comment = stage.forge.comment(MEMBER, &pr, "!testme only install").unwrap();
    stage.start_bridge();
    stage.wait_for_build(comment, "running");
    stage.kill_bridge();
    // What a bridge that died between asking and writing down would do.
    let text = comment.to_string();
    let source = format!("{}/{}.git", stage.forge.gitea.url, pr.repository);
    let recipe = pr.repository.rsplit('/').next().unwrap();
    let surplus = [
        ("branch", "main"),
        ("RECIPE", recipe),
        ("SRC", source.as_str()),
        ("REF", pr.head.as_str()),
        ("PR", "1"),
        ("STAGES", "install"),
        ("CCCI_MODE", "run"),
        ("CCCI_COMMENT", text.as_str()),
        ("CCCI_ATTEMPT", "1"),
        ("CCCI_BY", MEMBER),
        ("CCCI_RIGHT", "member"),
        ("CCCI_AT", "2026-01-02T03:04:05Z"),
    ];
    stage.wait_for_run(comment);
    let surplus = stage.forge.build(&surplus).unwrap()["number"].as_u64().unwrap();
    stage.start_bridge();
    stage.wait_for_answer(&pr, comment, "✅ **");
    stage.wait_until_settled();
    assert_eq!(stage.wait_for_build(comment, "success"), surplus, "the newest one, which ran nothing");
    let runs = stage.runs_of(comment);
    let [run] = runs.as_slice() else { panic!("{}", stage.story()) };
    assert_eq!(run.verdict, Some(VerdictWord::Pass));
    assert_eq!(stage.status_of(&pr).unwrap().0, "success");
}

#[test]
fn a_run_is_cancelled_by_a_comment_and_by_a_person_at_drone() {
    let engine = engine_or_skip!();
    let mut stage = Stage::new(&engine);
    let pr = stage.recipe(&canaries::sound(&engine));
    stage.start_bridge();
    let first = stage.forge.comment(MEMBER, &pr, "!testme").unwrap();
    stage.wait_for_run(first);
    stage.forge.comment(MEMBER, &pr, "!testme cancel").unwrap();
    let text = stage.wait_for_answer(&pr, first, "✋ **");
    assert!(text.contains("Cancelled by `maria`"), "{text}");
    stage.wait_until_settled();
    assert_eq!(stage.status_of(&pr).unwrap().0, "error");

    let second = stage.forge.comment(MEMBER, &pr, "!testme").unwrap();
    stage.wait_for_run(second);
    let build = stage.wait_for_build(second, "running");
    stage.forge.cancel_build(build).unwrap();
    stage.wait_for_answer(&pr, second, "✋ **");
    stage.wait_until_settled();
    for comment in [first, second] {
        let runs = stage.runs_of(comment);
        let [run] = runs.as_slice() else { panic!("{}", stage.story()) };
        assert_eq!(run.verdict, Some(VerdictWord::Cancelled));
        assert!(run.teardown.as_ref().is_some_and(|teardown| teardown.evidence.left.is_empty()), "{run:?}");
    }
}

#[test]
fn a_head_that_moved_is_refused_and_a_newer_one_supersedes_the_older() {
    let engine = engine_or_skip!();
    let mut stage = Stage::new(&engine);
    let first = stage.recipe(&canaries::sound(&engine));
    stage.start_bridge();
    stage.kill_bridge();
    let comment = stage.forge.comment(MEMBER, &first, "!testme").unwrap();
    let second = stage.push_another(&first);
    stage.start_bridge();
    let text = stage.wait_for_answer(&second, comment, "Nothing was started");
    assert!(text.contains(&first.head[..8]) && text.contains(&second.head[..8]), "both are named: {text}");
    assert!(stage.runs_of(comment).is_empty());

    stage.let_the_head_age();
    let older = stage.forge.comment(MEMBER, &second, "!testme").unwrap();
    stage.wait_for_run(older);
    let third = stage.push_another(&second);
    stage.let_the_head_age();
    let newer = stage.forge.comment(MEMBER, &third, "!testme only install").unwrap();
    stage.wait_for_answer(&third, older, "Superseded");
    stage.wait_for_answer(&third, newer, "✅ **");
    stage.wait_until_settled();
    let [run] = &stage.runs_of(newer)[..] else { panic!("{}", stage.story()) };
    assert_eq!(run.request.reference.as_ref().unwrap().as_str(), third.head);
    // On a fast machine the older one may have ended before it heard.
    let [run] = &stage.runs_of(older)[..] else { panic!("{}", stage.story()) };
    assert!(matches!(run.verdict, Some(VerdictWord::Cancelled | VerdictWord::Pass)), "{run:?}");
}
