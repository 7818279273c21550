//! What is refused in the raw text of a file because the CLI's parser (YAML 1.1) and ours (YAML 1.2) would read it differently.
//!
//! A text that means one thing to the gate and another to the deploy would be a way around the gate.

use super::error::{Place, Problem};

/// Longest text of one file, in bytes. Recipes stay below 50 KiB; the bound keeps a hostile file cheap.
const LONGEST_TEXT: usize = 1 << 20;

/// The text without a byte order mark at its start.
///
/// # Errors
/// Too long, a control character (refused by the CLI as well), or one of the signs that only YAML 1.1 takes for a line break.
pub(super) fn checked(text: &str, file: usize) -> Result<&str, Problem> {
    if text.len() > LONGEST_TEXT {
        return Err(Problem::malformed(Place { file, line: 1 }, "the file is longer than 1 MiB; split it"));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (index, line) in text.split('\n').enumerate() {
        let place = Place { file, line: index + 1 };
        if let Some(found) = line.chars().find(|sign| !is_allowed(*sign)) {
            let what = format!("the control character {found:?} is not allowed; remove it");
            return Err(Problem::malformed(place, what));
        }
        if let Some(found) = line.chars().find(|sign| "\u{85}\u{2028}\u{2029}\u{feff}".contains(*sign)) {
            let what = format!("the character {found:?} ends a line for some programs only; remove it");
            return Err(Problem::malformed(place, what));
        }
    }
    Ok(text)
}

/// Signs that may stand in YAML at all.
fn is_allowed(sign: char) -> bool {
    matches!(sign, '\t' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}')
}

/// Whether an anchor or alias that stands at the start of this text (perhaps behind a tag) has a name that ends at the same
/// sign for both parsers: letters, digits, `_` and `-`, then a space, a bracket or a comma.
pub(super) fn has_plain_anchor(signs: &[char]) -> bool {
    let words = signs.split(|sign| sign.is_whitespace()).filter(|word| !word.is_empty());
    let Some(word) = words.take(2).find(|word| matches!(word.first(), Some('&' | '*'))) else { return false };
    let name: &[char] = word.get(1..).unwrap_or_default();
    let length =
        name.iter().take_while(|sign| sign.is_ascii_alphanumeric() || matches!(sign, '_' | '-')).count();
    length > 0 && name.get(length).is_none_or(|end| matches!(end, ',' | ']' | '}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_that_ends_early_for_the_cli_is_refused() {
        for sign in ["\u{85}", "\u{2028}", "\u{2029}"] {
            let problem = checked(&format!("services:\n  app: {{}} # harmless{sign}x: 1\n"), 0).unwrap_err();
            assert_eq!(problem.place.line, 2, "{sign:?}");
        }
        assert!(checked("\u{feff}a: ü\r\nb: \u{1f600}\n", 0).is_ok());
    }

    #[test]
    fn anchors_end_at_the_same_sign_for_both_parsers() {
        let plain = |text: &str| has_plain_anchor(&text.chars().collect::<Vec<_>>());
        for text in ["&a b", "*a", "*a]", "&default-env {", "!!str &a b", "&a\n  b: c"] {
            assert!(plain(text), "{text}");
        }
        for text in ["&a:1.0", "*a:b", "&a{b", "&a\"b\"", "&ä b", "& a", "&a?b"] {
            assert!(!plain(text), "{text}");
        }
    }
}
