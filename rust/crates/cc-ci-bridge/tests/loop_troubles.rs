//! Ends that are no verdict of a recipe: trouble and its one repetition, a refused compose, a forge that takes no status.

mod support;

use cc_ci_model::outcome::VerdictWord;
use cc_ci_model::tier::Tier;
use cc_ci_testkit::canaries;
use cc_ci_testkit::engine_or_skip;
use cc_ci_testkit::forge::gitea::{BOSS, BOT, MEMBER, ORGANISATION, WRITER};
use support::Stage;

#[test]
fn trouble_is_tried_once_more_and_a_refusal_is_not() {
    let engine = engine_or_skip!();
    let mut stage = Stage::new(&engine);
    let [sound, reaching] = stage.recipes([&canaries::sound(&engine), &canaries::binds_root(&engine)]);
    stage.start_bridge();

    let refused = stage.forge.comment(MEMBER, &reaching, "!testme").unwrap();
    let text = stage.wait_for_answer(&reaching, refused, "⛔ **");
    assert!(text.contains("compose.yml"), "the line is named: {text}");
    stage.wait_until_settled();
    assert_eq!(stage.status_of(&reaching).unwrap().0, "failure");
    let [run] = &stage.runs_of(refused)[..] else { panic!("{}", stage.story()) };
    assert_eq!((run.verdict, run.deploys.counted), (Some(VerdictWord::Refused), 0));

    // A host that drains starts no run: trouble of ours, which may pass.
    stage.host.run(&["drain"]);
    let comment = stage.forge.comment(MEMBER, &sound, "!testme only install").unwrap();
    let text = stage.wait_for_answer(&sound, comment, "❔ **");
    assert!(text.contains("drain --off") && text.contains("nothing about the recipe"), "{text}");
    stage.wait_until_settled();
    assert_eq!(stage.status_of(&sound).unwrap().0, "error");
    let mut runs = stage.runs_of(comment);
    runs.sort_by_key(|run| run.request.receipt.attempt);
    let attempts: Vec<_> = runs.iter().map(|run| run.request.receipt.attempt).collect();
    assert_eq!(attempts, [Some(1), Some(2)], "{}", stage.story());
    assert!(runs.iter().all(|run| run.verdict == Some(VerdictWord::Trouble)));
    // A run that does not begin resolves no commit: what it was asked for stands in its build.
    let builds = stage.forge.builds().unwrap();
    let named = serde_json::Value::from(comment.to_string());
    let of_comment = builds.iter().filter(|build| build["params"]["CCCI_COMMENT"] == named);
    let commits: Vec<&str> = of_comment.filter_map(|build| build["params"]["REF"].as_str()).collect();
    assert_eq!(commits, [sound.head.as_str(); 2], "the same commit");
    stage.host.run(&["drain", "--off"]);
}

#[test]
fn a_bot_that_may_set_no_statuses_says_so_once_and_runs_tell_what_was_asked_of_them() {
    let engine = engine_or_skip!();
    let mut stage = Stage::new(&engine);
    let pr = stage.recipe(&canaries::sound(&engine));
    // From the team that writes to the one that reads.
    let teams = stage.forge.ask_as(BOSS, "GET", &format!("/orgs/{ORGANISATION}/teams"), None).unwrap();
    let team = |name: &str| {
        let found = teams.as_array().unwrap().iter().find(|team| team["name"] == name);
        format!("/teams/{}/members/{BOT}", found.unwrap()["id"])
    };
    stage.forge.ask_as(BOSS, "PUT", &team("readers"), None).unwrap();
    stage.forge.ask_as(BOSS, "DELETE", &team("writers"), None).unwrap();
    stage.start_bridge();

    let ladder = stage.forge.comment(MEMBER, &pr, "!testme upgrade from all").unwrap();
    let tiers = stage.forge.comment(WRITER, &pr, "!testme only install,custom").unwrap();
    for comment in [ladder, tiers] {
        stage.wait_for_answer(&pr, comment, "✅ **");
    }
    stage.wait_until_settled();
    assert_eq!(stage.status_of(&pr), None);
    let said = stage.log().matches("may not set commit statuses").count();
    assert_eq!(said, 1, "{}", stage.log());

    let [run] = &stage.runs_of(ladder)[..] else { panic!("{}", stage.story()) };
    assert_eq!(run.request.from.as_deref(), Some("all"));
    let [run] = &stage.runs_of(tiers)[..] else { panic!("{}", stage.story()) };
    assert_eq!(run.request.tiers.as_deref(), Some(&[Tier::Install, Tier::Custom][..]));
    let ran: Vec<Tier> = run.tiers.iter().map(|tier| tier.name).collect();
    assert!(ran.contains(&Tier::Custom) && !ran.contains(&Tier::Upgrade), "{ran:?}");
}
