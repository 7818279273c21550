//! What the bridge links to in its answers on a pull request is there.

#![expect(clippy::unwrap_used, reason = "in a test a panic with its place is the wanted report")]

mod server;

use cc_ci_model::bridge::command::{Command, Scope};
use cc_ci_model::bridge::intent::{Answer, Asked, Attempt, Granted, Intent, SCHEMA};
use cc_ci_model::bridge::parameters::Right;
use cc_ci_model::bridge::progress::{Over, Progress};
use cc_ci_model::bridge::say::{self, Surroundings};
use cc_ci_model::names::CommitSha;
use cc_ci_model::result::RunResult;
use server::{Folders, id, result};

const PAGES: &str = "https://pages.test";

fn intent(run: &str) -> Intent {
    Intent {
        schema: SCHEMA,
        comment: 42,
        repository: "recipes/custom-html".to_owned(),
        pr: 7,
        author_id: 3,
        author: "maria".to_owned(),
        written: "2026-01-02T03:04:05Z".to_owned(),
        asked: Asked::Command(Command::Run(Scope::Whole)),
        granted: Some(Granted {
            right: Right::Member,
            commit: Some(CommitSha::parse(&"a".repeat(40)).unwrap()),
        }),
        refused: None,
        attempts: vec![Attempt {
            number: 1,
            requested: "2026-01-02T03:04:06Z".to_owned(),
            build: Some(5),
            run: Some(run.to_owned()),
            outcome: None,
            over_since: None,
        }],
        ended_by: None,
        answer: Answer::default(),
        status: None,
        outcome: None,
        is_settled: false,
    }
}

#[test]
fn badge_and_links_of_an_answer_are_pages_of_this_dashboard() {
    let folders = Folders::new();
    let text = result(&id(1), "custom-html");
    folders.run(&id(1), &text);
    let server = folders.serve("");
    let around = Surroundings { pages: Some(PAGES.to_owned()), ..Surroundings::default() };
    let over = Over::Result(Box::new(RunResult::read(&text).unwrap()));
    let answer = say::answer(&intent(&id(1)), &Progress::Over(Box::new(over)), &around);
    let links: Vec<&str> = answer.split("](").filter_map(|part| part.split(')').next()).collect();
    let own: Vec<&str> = links.iter().filter_map(|link| link.strip_prefix(PAGES)).collect();
    assert_eq!(own.len(), 2, "a badge and the run's page: {answer}");
    for path in own {
        let found = server.get(path);
        let media = if path.ends_with(".svg") { "image/svg+xml" } else { "text/html" };
        assert_eq!(found.status, 200, "{path}");
        assert!(found.header("content-type").is_some_and(|own| own.starts_with(media)), "{path}");
    }
}
