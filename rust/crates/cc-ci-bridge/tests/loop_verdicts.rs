//! From a comment to the verdict on the pull request: with a real forge, a real runner, a real swarm.

mod support;

use cc_ci_model::outcome::VerdictWord;
use cc_ci_testkit::canaries;
use cc_ci_testkit::engine_or_skip;
use cc_ci_testkit::forge::gitea::{MEMBER, STRANGER, WRITER};
use support::Stage;

#[test]
fn a_members_comment_becomes_a_run_and_its_verdict_stands_on_the_pull_request() {
    let engine = engine_or_skip!();
    let mut stage = Stage::new(&engine);
    let pr = stage.recipe(&canaries::sound(&engine));
    let old = stage.forge.comment(MEMBER, &pr, "!testme").unwrap();
    // The first look marks what is there as history; whole seconds, so the next comment is of a later one.
    stage.let_the_head_age();
    stage.start_bridge();
    let comment = stage.forge.comment(MEMBER, &pr, "Looks good.\n\n!testme").unwrap();
    let text = stage.wait_for_answer(&pr, comment, "✅ **");
    for words in [
        pr.head.as_str(),
        "member of the organisation",
        "`maria`",
        "level ",
        "| install | ✅ pass |",
        "cc-ci run --recipe",
    ] {
        assert!(text.contains(words), "{words} is missing in {text}");
    }
    stage.wait_until_settled();
    let (state, words) = stage.status_of(&pr).unwrap();
    assert_eq!(state, "success", "{words}");
    assert!(words.contains("passed, level"), "{words}");
    let runs = stage.runs_of(comment);
    let [run] = runs.as_slice() else { panic!("{}", stage.story()) };
    assert_eq!(run.verdict, Some(VerdictWord::Pass));
    let receipt = &run.request.receipt;
    assert_eq!(
        (receipt.by.as_deref(), receipt.right.as_deref(), receipt.attempt),
        (Some(MEMBER), Some("member"), Some(1))
    );
    assert_eq!(run.request.reference.as_ref().unwrap().as_str(), pr.head);
    assert_eq!(stage.answer_to(&pr, old), None, "first_contact_with_a_repository_starts_nothing_old");

    // Each of the others says its part; what nobody of ours wrote gets silence.
    let stranger = stage.forge.comment(STRANGER, &pr, "!testme").unwrap();
    let quoted = stage.forge.comment(MEMBER, &pr, "> !testme\n\nwhat was this?").unwrap();
    let mistyped = stage.forge.comment(MEMBER, &pr, "!testme instal").unwrap();
    let plan = stage.forge.comment(WRITER, &pr, "!testme plan").unwrap();
    let none = stage.forge.comment(MEMBER, &pr, "!testme cancel").unwrap();
    let help = stage.forge.comment(MEMBER, &pr, "!testme help").unwrap();
    assert!(stage.wait_for_answer(&pr, mistyped, "Nothing was started").contains("`instal` is no command"));
    stage.wait_for_answer(&pr, help, "`!testme plan`");
    stage.wait_for_answer(&pr, none, "");
    stage.wait_until_settled();
    let planned = stage.answer_to(&pr, plan).unwrap();
    assert!(planned.contains("📋") || planned.contains("Cancelled by"), "{planned}");
    assert_eq!(stage.answer_to(&pr, stranger), None);
    assert_eq!(stage.answer_to(&pr, quoted), None);
    assert!(stage.runs_of(stranger).is_empty());
}

#[test]
fn a_red_recipe_is_a_failure_with_what_was_seen() {
    let engine = engine_or_skip!();
    let mut stage = Stage::new(&engine);
    let canary =
        canaries::all(&engine).into_iter().find(|canary| canary.name == "canary-rolls-back").unwrap();
    let pr = stage.recipe(&canary);
    stage.start_bridge();
    let comment = stage.forge.comment(MEMBER, &pr, "!testme").unwrap();
    let text = stage.wait_for_answer(&pr, comment, "❌ **`");
    for words in ["| upgrade | ❌ **fail** |", "rolled back"] {
        assert!(text.contains(words), "{words} is missing in {text}");
    }
    stage.wait_until_settled();
    assert_eq!(stage.status_of(&pr).unwrap().0, "failure");
    assert_eq!(stage.runs_of(comment).len(), 1, "a red recipe is not tried again");
}

#[test]
fn two_comments_at_once_are_two_runs_and_both_are_green() {
    let engine = engine_or_skip!();
    let mut stage = Stage::new(&engine);
    let pr = stage.recipe(&canaries::sound(&engine));
    stage.start_bridge();
    let comments = [MEMBER, WRITER].map(|who| stage.forge.comment(who, &pr, "!testme only install").unwrap());
    for comment in comments {
        stage.wait_for_answer(&pr, comment, "✅ **");
    }
    stage.wait_until_settled();
    for comment in comments {
        assert_eq!(stage.runs_of(comment).len(), 1);
    }
    assert!(stage.answer_to(&pr, comments[0]).unwrap().contains("<details>"), "the earlier one is folded");
}
