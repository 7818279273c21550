//! What a comment asks for: whole lines outside quotes, code and any other formatting.
//!
//! With another command come changes in [`Command`], [`parse_line`], [`FORMS`], `say.rs` and `docs/using.md`.

use std::ops::Range;

use pulldown_cmark::{Event, Parser, Tag, TagEnd};
use serde::{Deserialize, Serialize};

use crate::tier::Tier;

/// The word every command begins with.
pub const TRIGGER: &str = "!testme";

/// Every form a command has, with what it does; for the answer to `help` and for finding what was meant.
pub const FORMS: [(&str, &str); 6] = [
    ("!testme", "one whole run of the pull request's head"),
    ("!testme only install,upgrade", "a run of these tiers alone"),
    ("!testme upgrade from 1.2.0+3.4.5", "a run that upgrades from this release, or from `all` of them"),
    ("!testme plan", "says what a run would do, and why; deploys nothing"),
    ("!testme cancel", "ends the pull request's runs, through their removal"),
    ("!testme help", "this list"),
];

/// What may be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// A run.
    Run(Scope),
    /// What a run would do.
    Plan,
    /// An end to the runs of this pull request.
    Cancel,
    /// The list of commands.
    Help,
}

/// How much of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Everything.
    Whole,
    /// These tiers.
    Only(Vec<Tier>),
    /// Everything, upgrading from this release; `all` for each of them.
    From(String),
}

/// A line that was meant as a command and is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unclear {
    /// What is wrong with it.
    pub reason: String,
    /// The valid form it resembles most.
    pub nearest: String,
}

/// What a comment says to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// Nothing.
    Nothing,
    /// A command.
    Command(Command),
    /// Something that was meant as one.
    Unclear(Unclear),
}

/// Longest part of a comment that is looked at, bytes: Gitea takes 300,000 characters, and no command stands so far below.
const LONGEST: usize = 64 * 1024;

/// Reads a comment. Several lines that say the same are one; several that differ are unclear.
#[must_use]
pub fn hear(comment: &str) -> Heard {
    let mut end = comment.len().min(LONGEST);
    while !comment.is_char_boundary(end) {
        end -= 1;
    }
    let comment = &comment[..end];
    // Most comments are none of ours, and the word or its neighbours stand in every one that is.
    let mut found: Vec<Result<Command, Unclear>> = Vec::new();
    for line in plain_lines(comment) {
        if let Some(heard) = parse_line(line)
            && !found.contains(&heard)
        {
            found.push(heard);
        }
    }
    let several = found.len() > 1;
    match found.into_iter().next() {
        None => Heard::Nothing,
        Some(_) if several => Heard::Unclear(Unclear {
            reason: "there are several different commands in one comment".to_owned(),
            nearest: TRIGGER.to_owned(),
        }),
        Some(Ok(command)) => Heard::Command(command),
        Some(Err(unclear)) => Heard::Unclear(unclear),
    }
}

/// The lines of paragraphs at the top level in which there is nothing but text.
fn plain_lines(comment: &str) -> Vec<&str> {
    let mut paragraphs: Vec<Range<usize>> = Vec::new();
    let mut formatted: Vec<Range<usize>> = Vec::new();
    let mut depth = 0_usize;
    for (event, range) in Parser::new(comment).into_offset_iter() {
        match event {
            Event::Start(Tag::Paragraph) if depth == 0 => {
                paragraphs.push(range);
                depth += 1;
            }
            Event::Start(_) => {
                formatted.push(range);
                depth += 1;
            }
            Event::End(TagEnd::Paragraph) | Event::End(_) => depth = depth.saturating_sub(1),
            Event::Text(_) | Event::SoftBreak | Event::HardBreak => {}
            _ => formatted.push(range),
        }
    }
    let mut lines = Vec::new();
    for paragraph in paragraphs {
        let mut start = paragraph.start;
        for line in comment[paragraph].split_inclusive('\n') {
            let range = start..start + line.len();
            start = range.end;
            if !formatted.iter().any(|other| other.start < range.end && range.start < other.end) {
                lines.push(line.trim());
            }
        }
    }
    lines
}

/// Reads one line: nothing of ours, a command, or something that was meant as one.
#[must_use]
pub fn parse_line(line: &str) -> Option<Result<Command, Unclear>> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let unclear = |reason: String| Some(Err(Unclear { reason, nearest: nearest(line).to_owned() }));
    let (first, rest) = words.split_first()?;
    if *first != TRIGGER {
        let meant = is_near(first) || (*first == "!" && rest.first() == Some(&"testme"));
        let alone = rest.is_empty() && matches!(first.to_lowercase().as_str(), "testme" | "/testme");
        return if meant || alone { unclear(format!("every command begins with `{TRIGGER}`")) } else { None };
    }
    match rest {
        [] => Some(Ok(Command::Run(Scope::Whole))),
        ["plan"] => Some(Ok(Command::Plan)),
        ["cancel"] => Some(Ok(Command::Cancel)),
        ["help"] => Some(Ok(Command::Help)),
        ["only", tiers @ ..] => match tiers_of(tiers) {
            Ok(tiers) => Some(Ok(Command::Run(Scope::Only(tiers)))),
            Err(reason) => unclear(reason),
        },
        ["upgrade", "from", version] if is_version(version) => {
            Some(Ok(Command::Run(Scope::From((*version).to_owned()))))
        }
        ["upgrade", "from", version] => unclear(format!("`{}` is no release", shown(version))),
        ["upgrade", ..] => unclear("`upgrade` wants `from` and one release, or `all`".to_owned()),
        [word @ ("plan" | "cancel" | "help"), more, ..] => {
            unclear(format!("`{word}` takes nothing more, not `{}`", shown(more)))
        }
        [word, ..] => unclear(format!("`{}` is no command", shown(word))),
    }
}

fn tiers_of(words: &[&str]) -> Result<Vec<Tier>, String> {
    let list = words.join(",");
    let mut tiers: Vec<Tier> = Vec::new();
    for word in list.split(',').filter(|word| !word.is_empty()) {
        let known = || Tier::PLANNABLE.map(Tier::word).join(", ");
        let tier: Tier =
            word.parse().map_err(|_| format!("`{}` is no tier; there are {}", shown(word), known()))?;
        if tiers.contains(&tier) {
            return Err(format!("`{tier}` is named twice"));
        }
        tiers.push(tier);
    }
    if tiers.is_empty() {
        return Err("`only` wants at least one tier".to_owned());
    }
    tiers.sort_unstable();
    Ok(tiers)
}

/// Whether a word may be a release's tag.
fn is_version(word: &str) -> bool {
    let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'+' | b'-' | b'_');
    word == "all"
        || (word.len() <= 100
            && word.bytes().all(fine)
            && word.bytes().next().is_some_and(|b| b.is_ascii_digit() || b == b'v'))
}

/// Whether a first word was meant as the trigger.
fn is_near(word: &str) -> bool {
    let word = word.to_lowercase();
    word.starts_with('!')
        && word.len() <= 60
        && (word.starts_with(TRIGGER) || strsim::damerau_levenshtein(&word, TRIGGER) <= 2)
}

/// The valid form a line resembles most.
fn nearest(line: &str) -> &'static str {
    // What tells the forms apart stands in their first two words; the rest is anybody's.
    let head = |text: &str| {
        let words: Vec<String> = text.split_whitespace().take(2).map(str::to_lowercase).collect();
        words.join(" ").chars().take(60).collect::<String>()
    };
    let line = head(line);
    let likeness = |form: &str| strsim::normalized_damerau_levenshtein(&line, &head(form));
    let best = FORMS.iter().map(|(form, _)| *form).max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    best.unwrap_or(TRIGGER)
}

/// A word of somebody else's as it may stand in a sentence of ours.
fn shown(word: &str) -> String {
    let mut text: String = word.chars().filter(|c| !c.is_control() && *c != '`').take(40).collect();
    if text.len() < word.len() {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run() -> Heard {
        Heard::Command(Command::Run(Scope::Whole))
    }

    #[test]
    fn only_an_exact_command_line_outside_quotes_and_code_fires() {
        for fires in [
            "!testme",
            "!testme  ",
            "Thanks!\n\n!testme",
            "please\n!testme\nsoon",
            "!testme\r\n",
            "!testme\n!testme",
        ] {
            assert_eq!(hear(fires), run(), "{fires:?}");
        }
        for silent in [
            "> !testme",
            "> old\n!testme",
            "    !testme",
            "```\n!testme\n```",
            "```\n!testme",
            "~~~\n!testme\n~~~",
            "`!testme`",
            "<!--\n!testme\n-->",
            "**!testme**",
            "- !testme",
            "# !testme",
            "please !testme",
            "\\!testme",
            "| a |\n|---|\n| !testme |",
            "[x](!testme)",
            "<b>!testme</b>",
            "",
            "testing",
            "!thanks",
            "!important note",
            "`a\n!testme\nb`",
        ] {
            assert_eq!(hear(silent), Heard::Nothing, "{silent:?}");
        }
    }

    #[test]
    fn mistyped_command_is_answered_not_ignored() {
        for (said, reason, nearest) in [
            ("!testmexyz", "begins with", "!testme"),
            ("!tesme", "begins with", "!testme"),
            ("!Testme", "begins with", "!testme"),
            ("! testme", "begins with", "!testme"),
            ("/testme", "begins with", "!testme"),
            ("!testme foo", "`foo` is no command", "!testme"),
            ("!testme paln", "`paln` is no command", "!testme plan"),
            ("!testme only instal", "`instal` is no tier", "!testme only install,upgrade"),
            ("!testme only install,install", "named twice", "!testme only install,upgrade"),
            ("!testme only", "at least one tier", "!testme only install,upgrade"),
            ("!testme upgrade from", "wants `from`", "!testme upgrade from 1.2.0+3.4.5"),
            ("!testme upgrade from $(id)", "is no release", "!testme upgrade from 1.2.0+3.4.5"),
            ("!testme plan now", "takes nothing more, not `now`", "!testme plan"),
            ("!testme\n!testme plan", "several different", "!testme"),
        ] {
            let Heard::Unclear(unclear) = hear(said) else { panic!("{said}: {:?}", hear(said)) };
            assert!(unclear.reason.contains(reason), "{said}: {unclear:?}");
            if nearest != "!testme" {
                assert_eq!(unclear.nearest, nearest, "{said}");
            }
        }
    }

    #[test]
    fn every_form_of_the_help_is_a_command() {
        for (form, _) in FORMS {
            assert!(matches!(hear(form), Heard::Command(_)), "{form}");
        }
        let tiers = Scope::Only(vec![Tier::Install, Tier::Upgrade]);
        assert_eq!(hear("!testme only upgrade, install"), Heard::Command(Command::Run(tiers)));
        let all = Scope::From("all".to_owned());
        assert_eq!(hear("!testme upgrade from all"), Heard::Command(Command::Run(all)));
    }

    proptest! {
        #[test]
        fn no_comment_panics_and_a_quoted_or_fenced_one_never_fires(text in "[ !a-z`>~*_<\\-\n\\[\\]()#|]{0,80}", any in any::<String>()) {
            let _ = hear(&any);
            let _ = hear(&text);
            let quoted: String = format!("{text}\n!testme").lines().map(|line| format!("> {line}\n")).collect();
            prop_assert_eq!(hear(&quoted), Heard::Nothing);
            let plain = text.replace(['`', '~'], "");
            let fenced = format!("```\n{plain}\n!testme\n```\n");
            prop_assert_eq!(hear(&fenced), Heard::Nothing);
        }

        #[test]
        fn a_comment_without_the_trigger_starts_nothing(any in "[a-zA-Z !?.,\n]{0,120}") {
            prop_assume!(!any.contains(TRIGGER));
            prop_assert!(!matches!(hear(&any), Heard::Command(_)));
        }
    }
}
