//! A command line as text, split into words like the Docker CLI splits it (a small shell syntax without variables).

/// Splits at spaces; `"…"` and `'…'` keep words together, `\` takes the next sign as it is, `#` at the start of a word begins a comment.
///
/// # Errors
/// A sentence if a quote is not closed or the text ends after `\`.
pub(super) fn split(text: &str) -> Result<Vec<String>, &'static str> {
    const OPEN_QUOTE: &str = "has a quote that is not closed";
    const LONE_ESCAPE: &str = "ends after a backslash";
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut signs = text.chars();
    while let Some(sign) = signs.next() {
        match sign {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '#' if word.is_none() => {
                for sign in signs.by_ref() {
                    if sign == '\n' {
                        break;
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(signs.next().ok_or(LONE_ESCAPE)?),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match signs.next().ok_or(OPEN_QUOTE)? {
                        '\'' => break,
                        sign => word.push(sign),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match signs.next().ok_or(OPEN_QUOTE)? {
                        '"' => break,
                        '\\' => word.push(signs.next().ok_or(LONE_ESCAPE)?),
                        sign => word.push(sign),
                    }
                }
            }
            sign => word.get_or_insert_default().push(sign),
        }
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_at_spaces_outside_quotes() {
        assert_eq!(
            split(r#"sh -c "echo 'a b'  c" d\ e ''"#),
            Ok(to(&["sh", "-c", "echo 'a b'  c", "d e", ""]))
        );
        assert_eq!(split("a #not this\nb c#d"), Ok(to(&["a", "b", "c#d"])));
    }

    #[test]
    fn unfinished_quotes_are_refused() {
        for text in ["a 'b", "a \"b", "a\\", "\"a\\"] {
            assert!(split(text).is_err(), "{text}");
        }
    }

    fn to(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }
}
