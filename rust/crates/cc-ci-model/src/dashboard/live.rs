//! How far a reader has come in the log of a run that is under way.

use std::fmt;

/// The next line and the byte at which it begins; a browser hands it back when it asks again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Live {
    /// Number of the next line, from 1.
    pub line: usize,
    /// Where it begins, in bytes.
    pub offset: u64,
}

impl Default for Live {
    fn default() -> Self {
        Self { line: 1, offset: 0 }
    }
}

impl Live {
    /// The place behind the whole lines of a text that begins with the log.
    #[must_use]
    pub fn behind(text: &str) -> Self {
        let whole = text.rfind('\n').map_or(0, |last| last + 1);
        let lines = text.get(..whole).map_or(0, |text| text.lines().count());
        Self { line: lines + 1, offset: u64::try_from(whole).unwrap_or(u64::MAX) }
    }

    /// Reads a place that a browser hands back; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (line, offset) = text.split_once('-')?;
        let is_number =
            |part: &str| (1..=15).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(line) || !is_number(offset) {
            return None;
        }
        let line = line.parse().ok().filter(|line| *line > 0)?;
        Some(Self { line, offset: offset.parse().ok()? })
    }
}

impl fmt::Display for Live {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}-{}", self.line, self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_without_its_end_is_not_behind_the_reader() {
        assert_eq!(Live::behind("a\nb\nhalf"), Live { line: 3, offset: 4 });
        assert_eq!(Live::behind("half"), Live::default());
        assert_eq!(Live::behind("ä\r\n"), Live { line: 2, offset: 4 });
    }

    #[test]
    fn what_is_no_place_is_none() {
        for text in ["", "-", "1", "1-", "-1", "0-0", "1-1-1", "+1-1", "1- 1", "1-9999999999999999", "9e3-1"]
        {
            assert_eq!(Live::parse(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_place_is_read_as_it_was_written(line in 1usize..1_000_000, offset in 0u64..1_000_000_000_000) {
            let place = Live { line, offset };
            prop_assert_eq!(Live::parse(&place.to_string()), Some(place));
        }

        #[test]
        fn no_text_breaks_the_reader(text in "\\PC{0,24}|[0-9-]{0,40}") {
            let _ = Live::parse(&text);
        }
    }
}
