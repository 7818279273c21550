//! Comments and signatures from outside, made by rules and by chance: nothing panics, and nothing starts that nobody asked for.
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use cc_ci_model::bridge::command::{FORMS, Heard, TRIGGER, hear};
use cc_ci_model::bridge::signature::is_genuine;
use hmac::{Hmac, KeyInit, Mac};
use proptest::prelude::*;
use sha2::Sha256;

/// Characters without a width, and one that turns the direction of a line.
const UNSEEN: [char; 7] = ['\u{200b}', '\u{200c}', '\u{200d}', '\u{2060}', '\u{feff}', '\u{ad}', '\u{202e}'];

fn fires(comment: &str) -> bool {
    matches!(hear(comment), Heard::Command(_))
}

fn signed(secret: &[u8], body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
    mac.update(body);
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

proptest! {
    #[test]
    fn a_command_with_an_unseen_character_in_its_word_is_none(
        form in 0..FORMS.len(), unseen in proptest::sample::select(&UNSEEN[..]), place in 0..=TRIGGER.len(),
    ) {
        let mut text = FORMS[form].0.to_owned();
        text.insert(place, unseen);
        prop_assert!(!fires(&text), "{text:?}");
    }

    #[test]
    fn a_word_that_is_nearly_the_trigger_starts_nothing(
        place in 0..TRIGGER.len(), other in "[a-zA-Z0-9!?._-]", kind in 0..4_u8, rest in "( plan| cancel)?",
    ) {
        let mut word: Vec<char> = TRIGGER.chars().collect();
        match kind {
            0 => drop(word.remove(place)),
            1 => word[place] = other.chars().next().unwrap(),
            2 => word.insert(place, other.chars().next().unwrap()),
            _ => word.swap(place, (place + 1) % TRIGGER.len()),
        }
        let word: String = word.into_iter().collect();
        prop_assume!(word != TRIGGER);
        let text = format!("{word}{rest}");
        prop_assert!(!fires(&text), "{text:?}");
    }

    #[test]
    fn a_command_inside_any_formatting_starts_nothing(
        form in 0..FORMS.len(), depth in 1..4_usize, info in "[a-z]{0,8}", fence in 3..6_usize, before in "[a-z .,]{0,30}",
    ) {
        let form = FORMS[form].0;
        let (ticks, tildes) = ("`".repeat(fence), "~".repeat(fence));
        for text in [
            format!("{before}\n\n{} {form}", ">".repeat(depth)),
            // What follows a quoted line directly belongs to the quote.
            format!("{} a{before}\n{form}", ">".repeat(depth)),
            format!("{before}\n\n{ticks}{info}\n{form}\n{ticks}\n"),
            format!("{tildes}{info}\n{form}\n"),
            format!("{before}\n\n    {form}"),
            format!("{before}\n\n\t{form}"),
            format!("{before}\n\n`{form}`"),
            format!("- {before}\n  {form}"),
            format!("{}. {form}", depth),
            format!("{} {form}", "#".repeat(depth)),
            format!("<!-- {before}\n{form}\n-->"),
            format!("<details>\n{form}\n</details>"),
            format!("*{form}*"),
            format!("[{form}](https://example.org)"),
            format!("a{before} {form}"),
        ] {
            prop_assert!(!fires(&text), "{text:?}");
        }
    }

    #[test]
    fn a_body_or_signature_with_one_other_bit_is_not_genuine(body in any::<Vec<u8>>(), bit in 0..8_u32, place in any::<usize>()) {
        let signature = signed(b"secret", &body);
        prop_assert!(is_genuine(b"secret", &body, &signature));
        let flip = 1_u8 << bit;
        if !body.is_empty() {
            let mut other = body.clone();
            let place = place % other.len();
            other[place] ^= flip;
            prop_assert!(!is_genuine(b"secret", &other, &signature));
        }
        let mut other = signature.into_bytes();
        other[place % 64] ^= flip;
        prop_assert!(!is_genuine(b"secret", &body, &String::from_utf8_lossy(&other)));
    }
}

/// Comments as people write them, whose pieces are thrown together.
const CORPUS: [&str; 12] = [
    "!testme",
    "Looks good.\n\n!testme only install,upgrade\n",
    "> !testme\n\nwhat was this?",
    "```\n!testme\n```\nsays the manual",
    "!testme upgrade from 1.2.0+3.4.5",
    "<!-- cc-ci answers comment 42 -->\n✅ **`custom-html` passed**",
    "- one\n- !testme\n\n1. two\n",
    "| a | b |\n|---|---|\n| !testme | x |",
    "~~~yaml\nservices:\n  app: !testme\n~~~",
    "\u{202e}!testme\u{200b} cancel",
    "[!testme](!testme) ![!testme](x) <b>!testme</b>",
    "&#33;testme \\!testme &excl;testme",
];

/// Pieces that change how a comment is read.
const PIECES: [&str; 14] = [
    "\n",
    "\r",
    "\t",
    "    ",
    "> ",
    "```",
    "~~~",
    "`",
    "<!--",
    "-->",
    "!testme",
    "!testme\n",
    "\u{0}",
    "\u{200b}",
];

/// Numbers as if by chance, the same each time (Knuth's MMIX generator).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit.max(1)
    }
}

/// A few cuts, repetitions and pieces put in, at any byte that is a border of characters.
fn mutant(chance: &mut Chance) -> String {
    let mut text = CORPUS[chance.below(CORPUS.len())].to_owned();
    for _ in 0..=chance.below(6) {
        let borders: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let (a, b) = (borders[chance.below(borders.len())], borders[chance.below(borders.len())]);
        let (a, b) = (a.min(b), a.max(b));
        match chance.below(4) {
            0 => text.replace_range(a..b, ""),
            1 => text.insert_str(a, PIECES[chance.below(PIECES.len())]),
            2 => text.insert_str(b, CORPUS[chance.below(CORPUS.len())]),
            _ => {
                let part = text[a..b].to_owned();
                text.insert_str(a, &part);
            }
        }
        text.truncate(borders.iter().copied().find(|at| *at >= 4000).unwrap_or(text.len()));
    }
    text
}

#[test]
fn what_starts_something_has_a_line_that_says_so_plainly() {
    let mut chance = Chance(20_260_102);
    let mut started = 0;
    for _ in 0..20_000 {
        let text = mutant(&mut chance);
        if !fires(&text) {
            continue;
        }
        started += 1;
        // Told without a reader of Markdown: such a line begins with the word, at most three spaces in.
        let is_plain = |line: &str| {
            let word = line.trim_start_matches([' ', '\t']);
            word.split_whitespace().next() == Some(TRIGGER) && line.len() - word.len() < 4
        };
        assert!(text.split(['\n', '\r']).any(is_plain), "{text:?}");
    }
    assert!(started > 1000, "the mutants of commands are commands often enough to say something: {started}");
}
