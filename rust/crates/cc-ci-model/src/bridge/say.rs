//! Everything the bridge says to people: comments and commit statuses. Nothing of a recipe's or a person's stands in them unescaped.

use std::fmt::Write;

use crate::bridge::command::{FORMS, Unclear};
use crate::bridge::intent::{Asked, EndedBy, Intent, Refusal, StatusState};
use crate::bridge::progress::{Over, Progress};
use crate::outcome::{Status, VerdictWord};
use crate::result::{RunResult, TierReport};

/// Context of our commit status.
pub const CONTEXT: &str = "cc-ci";

/// The highest level there is.
const HIGHEST: u8 = 5;

/// Longest output of a recipe in a comment, characters.
const LONGEST_OUTPUT: usize = 2_000;

/// What is known beside the intent itself.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Link to the build at Drone.
    pub build_link: Option<String>,
    /// Address of this server's pages, without a slash at its end.
    pub pages: Option<String>,
    /// How long this recipe's last run took, minutes.
    pub minutes: Option<u64>,
    /// Where cc-ci's own repository is, for the replay line.
    pub flake: String,
    /// The head of the pull request, if it is another one by then.
    pub head_by_then: Option<String>,
}

/// The mark by which an answer is found again; a browser does not show it.
#[must_use]
pub fn mark(comment: u64) -> String {
    format!("<!-- cc-ci answers comment {comment} -->")
}

/// The answer to a comment that started something, as far as it is.
#[must_use]
pub fn answer(intent: &Intent, progress: &Progress, around: &Surroundings) -> String {
    let mut text = mark(intent.comment);
    text.push('\n');
    let attempt = intent.attempts.len();
    match progress {
        Progress::Queued(before) => {
            let place = match before {
                0 => "next in the queue".to_owned(),
                1 => "one build is before it".to_owned(),
                more => format!("{more} builds are before it"),
            };
            let _ = writeln!(text, "🕐 **{} is queued**: {place}{}.", subject(intent), expected(around));
        }
        Progress::Starting => {
            let _ = writeln!(text, "🕐 **{} is starting**{}.", subject(intent), expected(around));
        }
        Progress::Running(result) => {
            let _ = writeln!(text, "🏃 **{} is running**{}.", subject(intent), expected(around));
            tiers(&mut text, &result.tiers);
        }
        Progress::Over(over) => ended(&mut text, intent, over, around),
    }
    if let Some(ended_by) = &intent.ended_by {
        let why = match ended_by {
            EndedBy::Person(login) => format!("Cancelled by {}.", code(login)),
            EndedBy::Newer(comment) => {
                format!("Superseded: comment {comment} asked for a newer head of this pull request.")
            }
        };
        let _ = writeln!(text, "\n{why}");
    }
    if attempt > 1 {
        let _ = writeln!(
            text,
            "\nThis is attempt {attempt}: the first one ended by a fault of the server, not of the recipe."
        );
    }
    if let Some(head) = &around.head_by_then {
        let _ = writeln!(
            text,
            "\nThe head of this pull request is {} by now: `!testme` runs that one.",
            code(short(head))
        );
    }
    receipt(&mut text, intent, around);
    text
}

fn subject(intent: &Intent) -> String {
    let recipe = intent.repository.rsplit('/').next().unwrap_or_default();
    let commit = intent.commit().map(|commit| format!(" at {}", code(commit.short()))).unwrap_or_default();
    let what = match &intent.asked {
        Asked::Command(crate::bridge::command::Command::Plan) => "The plan for ",
        Asked::Command(_) | Asked::Unclear(_) => "",
    };
    format!("{what}{}{commit}", code(recipe))
}

fn expected(around: &Surroundings) -> String {
    match around.minutes {
        Some(0 | 1) => ", about a minute as the last time".to_owned(),
        Some(minutes) => format!(", about {minutes} minutes as the last time"),
        None => String::new(),
    }
}

fn ended(text: &mut String, intent: &Intent, over: &Over, around: &Surroundings) {
    match over {
        Over::Result(result) => {
            let (sign, words) = verdict_words(result);
            let badge = around
                .pages
                .as_ref()
                .map(|pages| format!(" ![level {}]({pages}/runs/{}/card.svg)", result.level, result.run.id));
            let _ = writeln!(
                text,
                "{sign} **{} {words}** · level {} of {HIGHEST}{}",
                subject(intent),
                result.level,
                badge.unwrap_or_default()
            );
            if let Some(refusal) = &result.refusal {
                text.push_str("\nWhat it asks for and may not have:\n\n");
                block(text, refusal);
                // No tier ran, so none has anything to say.
                replay(text, result, around);
                return;
            }
            if !result.level_reason.is_empty() {
                let _ = writeln!(text, "\nWhy not higher: {}", plain(&result.level_reason));
            }
            if let Some(trouble) = &result.trouble {
                let _ = writeln!(
                    text,
                    "\nThe server had trouble in {}, which says nothing about the recipe:\n",
                    code(&trouble.place)
                );
                block(text, &trouble.what);
            }
            tiers(text, &result.tiers);
            failures(text, result);
            replay(text, result, around);
        }
        Over::Words { code: Some(0), tail } => {
            let _ = writeln!(text, "📋 **{}**\n", subject(intent));
            block(text, tail);
        }
        Over::Words { code: status, tail } => {
            let status = status.map_or_else(|| "no status".to_owned(), |status| format!("status {status}"));
            let _ = writeln!(
                text,
                "❔ **{} ended with {status} and without a result**. Its last lines:\n",
                subject(intent)
            );
            block(text, tail);
        }
        Over::Cancelled(why) => {
            let _ = writeln!(text, "✋ **{} was cancelled**: {}.", subject(intent), plain(why));
        }
        Over::Lost(why) => {
            let _ = writeln!(text, "❔ **{} ended without a verdict**: {}.", subject(intent), plain(why));
        }
    }
}

fn verdict_words(result: &RunResult) -> (&'static str, &'static str) {
    match result.verdict {
        Some(VerdictWord::Pass) => ("✅", "passed"),
        Some(VerdictWord::Fail) => ("❌", "failed"),
        Some(VerdictWord::Refused) => ("⛔", "was refused: its compose files reach for the host"),
        Some(VerdictWord::Trouble) => ("❔", "has no verdict"),
        Some(VerdictWord::Cancelled) => ("✋", "was cancelled"),
        None => ("❔", "was interrupted"),
    }
}

fn tiers(text: &mut String, tiers: &[TierReport]) {
    if tiers.is_empty() {
        return;
    }
    text.push_str("\n| tier | | seconds |\n|---|---|---|\n");
    for tier in tiers {
        let word = match tier.status {
            Status::Pass => "✅ pass",
            Status::Fail => "❌ **fail**",
            Status::NotApplicable => "– not applicable",
            Status::Unverified => "❔ unverified",
        };
        let _ = writeln!(text, "| {} | {word} | {:.1} |", tier.name, tier.seconds);
    }
}

/// What failed, each with the last lines of what was seen; what could not be judged, with its reason.
fn failures(text: &mut String, result: &RunResult) {
    for tier in &result.tiers {
        let failed = tier.checks.iter().filter(|check| check.status == Status::Fail);
        match tier.status {
            Status::Fail => {
                let _ = writeln!(text, "\n**{}**{}", tier.name, reason(&tier.reason));
                for check in failed {
                    let _ = writeln!(text, "\n{}:\n", code(&check.name));
                    block(text, &check.message);
                }
            }
            Status::Unverified if !tier.reason.is_empty() => {
                let _ = writeln!(text, "\n{}{}", tier.name, reason(&tier.reason));
            }
            Status::Pass | Status::NotApplicable | Status::Unverified => {}
        }
    }
}

fn reason(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(": {}", plain(reason)) }
}

fn replay(text: &mut String, result: &RunResult, around: &Surroundings) {
    let words = result.replay.strip_prefix("cc-ci ").unwrap_or(&result.replay);
    let _ = writeln!(text, "\n<details><summary>The same again, on your own machine</summary>\n");
    block(
        text,
        &format!(
            "# with Docker (docker swarm init) and cc-ci\ncc-ci {words}\n\n# with Nix beside Docker\nnix run {}#cc-ci -- {words}",
            around.flake
        ),
    );
    text.push_str("\n</details>\n");
}

fn receipt(text: &mut String, intent: &Intent, around: &Surroundings) {
    let right = intent.granted.as_ref().map_or("", |granted| granted.right.sentence());
    let _ = write!(
        text,
        "\n<sub>Asked by {} ({right}) in comment {} at {}",
        code(&intent.author),
        intent.comment,
        plain(&intent.written)
    );
    if let Some(commit) = intent.commit() {
        let _ = write!(text, ", on commit {}", code(commit.as_str()));
    }
    let run = intent.attempts.last().and_then(|attempt| attempt.run.as_deref());
    if let Some(run) = run {
        match &around.pages {
            Some(pages) => {
                let _ = write!(text, " · [run {run}]({pages}/runs/{run})");
            }
            None => {
                let _ = write!(text, " · run {}", code(run));
            }
        }
    }
    if let Some(link) = &around.build_link {
        let _ = write!(text, " · [build]({link})");
    }
    text.push_str("</sub>\n");
}

/// The answer to a comment that starts nothing.
#[must_use]
pub fn refusal(intent: &Intent, refusal: &Refusal) -> String {
    let sentence = match refusal {
        Refusal::Stranger => String::new(),
        Refusal::Moved { then, now } => {
            let then = then.as_ref().map_or_else(|| "another commit".to_owned(), |then| code(then.short()));
            format!(
                "⛔ Nothing was started: when you wrote, the head of this pull request was {then}; when it was seen, it was {}. Look at it, and comment `!testme` again.",
                code(now.short())
            )
        }
        Refusal::TooClose => "⛔ Nothing was started: the head of this pull request moved at about the time you wrote, so nobody can say which commit you meant. Comment `!testme` again.".to_owned(),
        Refusal::Closed => "⛔ Nothing was started: this pull request is closed.".to_owned(),
        Refusal::NotEnrolled => "⛔ Nothing was started: this repository is not on the list of recipes that this server tests. Its operators can add it (docs/bridge.md).".to_owned(),
    };
    format!("{}\n{sentence}\n", mark(intent.comment))
}

/// The answer to a line that was meant as a command.
#[must_use]
pub fn unclear(intent: &Intent, unclear: &Unclear) -> String {
    format!(
        "{}\n🤔 Nothing was started: {}. Did you mean `{}`? The command has to stand alone on its line; `!testme help` lists them all.\n",
        mark(intent.comment),
        unclear.reason,
        unclear.nearest
    )
}

/// The list of commands.
#[must_use]
pub fn help(intent: &Intent) -> String {
    let mut text = format!("{}\nWhat this server listens to, alone on a line:\n\n", mark(intent.comment));
    for (form, what) in FORMS {
        let _ = writeln!(text, "- `{form}` – {what}");
    }
    text.push_str("\nTiers are `lint`, `install`, `upgrade`, `backup`, `restore` and `custom`. Edited comments start nothing.\n");
    text
}

/// The answer to `cancel`.
#[must_use]
pub fn cancelled(intent: &Intent, count: usize) -> String {
    let what = match count {
        0 => "Nothing of this pull request is queued or running.".to_owned(),
        1 => "✋ Ending one run; it removes what it made first.".to_owned(),
        more => format!("✋ Ending {more} runs; they remove what they made first."),
    };
    format!("{}\n{what}\n", mark(intent.comment))
}

/// An earlier answer, folded away.
#[must_use]
pub fn folded(intent: &Intent, said: &str) -> String {
    let mark = mark(intent.comment);
    let said = said.strip_prefix(&mark).unwrap_or(said).trim();
    let title = said.lines().next().unwrap_or_default().replace("**", "").replace('`', "");
    format!("{mark}\n<details><summary>{}</summary>\n\n{said}\n\n</details>\n", escape(&title))
}

/// The commit status: state and sentence.
#[must_use]
pub fn status(progress: &Progress) -> (StatusState, String) {
    let words = match progress {
        Progress::Queued(0) => return (StatusState::Pending, "queued".to_owned()),
        Progress::Queued(before) => return (StatusState::Pending, format!("queued, {before} before it")),
        Progress::Starting => return (StatusState::Pending, "starting".to_owned()),
        Progress::Running(_) => return (StatusState::Pending, "running".to_owned()),
        Progress::Over(over) => match over.as_ref() {
            Over::Result(result) => {
                let lint = result.tiers.iter().find(|tier| tier.name == crate::tier::Tier::Lint);
                let lint = lint.map_or_else(String::new, |lint| format!(", lint {}", lint.status.word()));
                format!("{}, level {} of {HIGHEST}{lint}", verdict_words(result).1, result.level)
            }
            Over::Words { code: Some(0), .. } => "planned".to_owned(),
            Over::Words { .. } => "ended without a result".to_owned(),
            Over::Cancelled(_) => "cancelled".to_owned(),
            Over::Lost(_) => "ended without a verdict".to_owned(),
        },
    };
    let Progress::Over(over) = progress else { return (StatusState::Pending, words) };
    (over.status(), words)
}

fn short(commit: &str) -> &str {
    commit.get(..8).unwrap_or(commit)
}

/// Somebody else's words as inline code, in which nothing is a link, a name to be called or a tag.
fn code(words: &str) -> String {
    let words: String = words
        .chars()
        .filter(|c| !c.is_control())
        .map(|c| if c == '`' { '\'' } else { c })
        .take(200)
        .collect();
    format!("`{words}`")
}

/// Somebody else's words in a sentence.
fn plain(words: &str) -> String {
    escape(&words.chars().filter(|c| !c.is_control()).take(600).collect::<String>())
}

/// Nothing in it is formatting, a tag, or a name that is called.
fn escape(words: &str) -> String {
    let mut out = String::with_capacity(words.len());
    for c in words.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            // A zero-width joiner: `@name`, `#1` and `!1` call nobody and lead nowhere.
            '@' | '#' | '!' => {
                out.push(c);
                out.push('\u{2060}');
            }
            '*' | '_' | '`' | '[' | ']' | '|' | '~' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            other => out.push(other),
        }
    }
    out
}

/// Output in a block that nothing in it can end, its last part where it is long.
fn block(text: &mut String, output: &str) {
    let clean: String = output.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
    let count = clean.chars().count();
    let cut: String = clean.chars().skip(count.saturating_sub(LONGEST_OUTPUT)).collect();
    let longest = cut.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest.max(2) + 1);
    let left_out = if count > LONGEST_OUTPUT { "…\n" } else { "" };
    let _ = writeln!(text, "{fence}\n{left_out}{}\n{fence}", cut.trim_end());
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bridge::command::{Command, Heard, Scope, hear};
    use crate::bridge::intent::Attempt;
    use crate::bridge::intent::tests::{granted, intent};
    use crate::names::{CommitSha, PrNumber, Recipe, RunId};
    use crate::outcome::Trouble;
    use crate::request::{Deployer, Receipt};
    use crate::result::{CheckReport, Origin, Requested, Run, RunState};
    use crate::tier::Tier;

    pub(crate) fn result() -> RunResult {
        let run = Run {
            id: RunId::parse("20260102T030405-1a2b3c").unwrap(),
            state: RunState::Finished,
            started: "2026-01-02T03:04:05Z".into(),
            finished: Some("2026-01-02T03:06:05Z".into()),
            host: "host".into(),
            pid: 1,
            deployer: Deployer::Native,
            via: None,
            domain: None,
            stack: None,
        };
        let request = Requested {
            recipe: Recipe::parse("custom-html").unwrap(),
            src: None,
            reference: Some(CommitSha::parse(&"a".repeat(40)).unwrap()),
            pr: PrNumber(7),
            tiers: None,
            from: None,
            receipt: Receipt::default(),
        };
        let mut result = RunResult::stub(run, request, "cc-ci run --recipe custom-html --pr 7".into());
        result.verdict = Some(VerdictWord::Pass);
        result.level = 3;
        result.level_reason = "no custom checks yet".into();
        result.tiers = vec![tier(Tier::Lint, Status::Pass, 0.4), tier(Tier::Install, Status::Pass, 12.34)];
        result
    }

    fn tier(name: Tier, status: Status, seconds: f64) -> TierReport {
        TierReport { name, status, reason: String::new(), seconds, checks: Vec::new() }
    }

    fn started() -> Intent {
        let mut intent = intent(42, Command::Run(Scope::Whole));
        intent.granted = granted('a');
        intent.attempts.push(Attempt {
            number: 1,
            requested: "2026-01-02T03:04:06Z".into(),
            build: Some(5),
            run: Some("20260102T030405-1a2b3c".into()),
            outcome: None,
            over_since: None,
        });
        intent
    }

    fn around() -> Surroundings {
        Surroundings {
            build_link: Some("https://drone.example.org/cc-ci/cc-ci/5".into()),
            pages: Some("https://ci.example.org".into()),
            minutes: Some(4),
            flake: "git+https://git.example.org/cc-ci".into(),
            head_by_then: None,
        }
    }

    fn over(result: RunResult) -> Progress {
        Progress::Over(Box::new(Over::Result(Box::new(result))))
    }

    #[test]
    fn what_a_person_reads_from_queue_to_verdict() {
        let mut intent = started();
        let mut text = String::new();
        let mut show = |title: &str, answer: String| text.push_str(&format!("=== {title}\n{answer}\n"));
        show("queued", answer(&intent, &Progress::Queued(2), &around()));
        show("starting", answer(&intent, &Progress::Starting, &Surroundings::default()));
        show("running", answer(&intent, &Progress::Running(Box::new(result())), &around()));
        show("green", answer(&intent, &over(result()), &around()));
        let mut red = result();
        red.verdict = Some(VerdictWord::Fail);
        red.level = 0;
        let mut failed = tier(Tier::Upgrade, Status::Fail, 31.0);
        failed.reason = "rolled back by <swarm> @maria".into();
        failed.checks.push(CheckReport {
            name: "it `serves`".into(),
            origin: Origin::Generic,
            status: Status::Fail,
            seconds: 1.0,
            message: "502\n```\n@maria !testme".into(),
            log: None,
        });
        red.tiers.push(failed);
        show("red", answer(&intent, &over(red), &around()));
        let mut trouble = result();
        trouble.verdict = Some(VerdictWord::Trouble);
        trouble.trouble = Some(Trouble { what: "no space left".into(), place: "pull".into(), retry: true });
        let mut refused = result();
        refused.verdict = Some(VerdictWord::Refused);
        refused.level = 0;
        refused.refusal = Some("compose.yml:12: service app binds the host's /".into());
        show("refused", answer(&intent, &over(refused), &around()));
        intent.attempts.push(intent.attempts[0].clone());
        show("trouble, second attempt", answer(&intent, &over(trouble), &Surroundings::default()));
        intent.attempts.pop();
        let plan = Progress::Over(Box::new(Over::Words { code: Some(0), tail: "install  planned".into() }));
        show("plan", answer(&intent, &plan, &around()));
        let bad = Progress::Over(Box::new(Over::Words { code: Some(64), tail: "no release 9".into() }));
        show("bad argument", answer(&intent, &bad, &around()));
        intent.ended_by = Some(EndedBy::Newer(43));
        let later = Surroundings { head_by_then: Some("b".repeat(40)), ..around() };
        let queued = Progress::Over(Box::new(Over::Cancelled("its run had not begun".into())));
        show("superseded in the queue", answer(&intent, &queued, &around()));
        let lost = Progress::Over(Box::new(Over::Lost("Drone does not know its build any more".into())));
        show("superseded, lost", answer(&intent, &lost, &later));
        show("folded", folded(&intent, &answer(&intent, &over(result()), &Surroundings::default())));
        snapshot("from_queue_to_verdict", &text);
    }

    /// Beside the other snapshots of the crate, wherever the test is started.
    fn snapshot(name: &str, text: &str) {
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/snapshots"));
        settings.set_prepend_module_to_snapshot(false);
        settings.bind(|| insta::assert_snapshot!(format!("say__{name}"), text));
    }

    #[test]
    fn what_a_person_reads_where_nothing_starts() {
        let intent = intent(42, Command::Help);
        let (a, b) = (CommitSha::parse(&"a".repeat(40)).unwrap(), CommitSha::parse(&"b".repeat(40)).unwrap());
        let mut text = String::new();
        for why in [
            Refusal::Moved { then: Some(a), now: b.clone() },
            Refusal::Moved { then: None, now: b },
            Refusal::TooClose,
            Refusal::Closed,
            Refusal::NotEnrolled,
        ] {
            text.push_str(&refusal(&intent, &why));
        }
        for said in ["!testme paln", "!testme only instal", "!tesme"] {
            let Heard::Unclear(heard) = hear(said) else { panic!("{said}") };
            text.push_str(&unclear(&intent, &heard));
        }
        text.push_str(&help(&intent));
        for count in [0, 1, 2] {
            text.push_str(&cancelled(&intent, count));
        }
        snapshot("where_nothing_starts", &text);
    }

    #[test]
    fn lint_failure_is_visible_in_the_commit_status() {
        assert_eq!(status(&over(result())), (StatusState::Success, "passed, level 3 of 5, lint pass".into()));
        let mut unlinted = result();
        for tier in unlinted.tiers.iter_mut().filter(|tier| tier.name == Tier::Lint) {
            tier.status = Status::Fail;
        }
        assert_eq!(status(&over(unlinted)), (StatusState::Success, "passed, level 3 of 5, lint fail".into()));
        assert_eq!(status(&Progress::Queued(1)), (StatusState::Pending, "queued, 1 before it".into()));
        let mut refused = result();
        refused.verdict = Some(VerdictWord::Refused);
        assert_eq!(status(&over(refused)).0, StatusState::Failure);
        let mut trouble = result();
        trouble.verdict = Some(VerdictWord::Trouble);
        assert_eq!(status(&over(trouble)).0, StatusState::Error);
    }

    proptest! {
        #[test]
        fn own_comments_edits_and_closed_prs_never_fire(output in "(!testme|`{1,5}|\n| |~~~|<!--|@maria|[a-z]){0,40}") {
            let mut red = result();
            red.verdict = Some(VerdictWord::Fail);
            let mut failed = tier(Tier::Custom, Status::Fail, 1.0);
            failed.reason.clone_from(&output);
            failed.checks.push(CheckReport {
                name: output.clone(),
                origin: Origin::Recipe,
                status: Status::Fail,
                seconds: 0.0,
                message: output.clone(),
                log: None,
            });
            red.tiers.push(failed);
            let text = answer(&started(), &over(red), &Surroundings::default());
            // What a recipe prints never becomes a command in our own comment, nor calls anybody.
            prop_assert_eq!(hear(&text), Heard::Nothing);
        }
    }
}
