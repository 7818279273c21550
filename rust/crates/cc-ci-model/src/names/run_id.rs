//! Identity of one run: the key of its folder and of every file of it.

use super::{NameError, string_name};

/// `<UTC yyyymmddThhmmss>-<6 hex>`, e.g. `20260102T030405-1a2b3c`; sorts by time.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(String);

impl RunId {
    /// Makes an id from the moment of the start and three random bytes.
    #[must_use]
    pub fn new(start: jiff::Timestamp, random: [u8; 3]) -> Self {
        let time = start.strftime("%Y%m%dT%H%M%S");
        let hex: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        Self(format!("{time}-{hex}"))
    }

    /// Parses an id; nothing that could leave the folder of runs is one.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let shape = |index: usize, byte: u8| match index {
            8 => byte == b'T',
            15 => byte == b'-',
            0..=14 => byte.is_ascii_digit(),
            _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
        };
        if text.len() == 22 && text.bytes().enumerate().all(|(index, byte)| shape(index, byte)) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::new("run id", text, "yyyymmddThhmmss-<6 hex digits>, as `cc-ci runs` prints it"))
        }
    }

    /// When the run began, to the second; `None` for digits that are no date.
    #[must_use]
    pub fn begun(&self) -> Option<jiff::Timestamp> {
        let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%S", self.0.get(..15)?).ok()?;
        Some(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
string_name!(RunId, "yyyymmddThhmmss-<6 hex digits>, UTC");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_parse_back_and_paths_are_no_ids() {
        let id = RunId::new("2026-01-02T03:04:05Z".parse().unwrap(), [0x1a, 0x2b, 0x3c]);
        assert_eq!(id.as_str(), "20260102T030405-1a2b3c");
        assert_eq!(id.begun(), Some("2026-01-02T03:04:05Z".parse().unwrap()));
        assert_eq!(RunId::parse("20261302T030405-1a2b3c").unwrap().begun(), None);
        assert_eq!(RunId::parse(id.as_str()), Ok(id));
        for bad in [
            "",
            "..",
            "../../etc/passwd",
            "20260102T030405-1A2B3C",
            "20260102T030405_1a2b3c",
            "2026/102T030405-1a2b3",
        ] {
            assert!(RunId::parse(bad).is_err(), "{bad}");
        }
    }
}
