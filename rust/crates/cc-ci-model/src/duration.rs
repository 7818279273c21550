//! Durations as people write them: "90s", "10m", "1h30m".

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// The units a duration may be written in, largest first, each with its length in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// A length of time that is written with its unit; resolution one millisecond.
///
/// Reads and prints "90s", "10m", "1h30m", "250ms"; units fall from left to right, each at most once.
/// A bare number is refused, because nobody can see its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HumanDuration(
    /// The length itself.
    pub Duration,
);

impl HumanDuration {
    /// So many seconds.
    #[must_use]
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
}

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DurationError {
    /// Nothing, or only spaces.
    #[error("reading a duration: the text is empty; write a number with a unit, such as \"90s\"")]
    Empty,
    /// A number stands without a unit.
    #[error("reading the duration {0:?}: a number has no unit; write one of d, h, m, s, ms behind it")]
    NoUnit(String),
    /// A unit that does not exist, stands twice or stands in the wrong place.
    #[error(
        "reading the duration {text:?}: the unit {unit:?} cannot stand there; write d, h, m, s, ms in this order, each once"
    )]
    Unit {
        /// The whole text.
        text: String,
        /// The part that was taken for a unit.
        unit: String,
    },
    /// A unit stands without a number.
    #[error("reading the duration {0:?}: a unit has no number before it; write for example \"1h30m\"")]
    NoNumber(String),
    /// More milliseconds than 64 bits hold.
    #[error("reading the duration {0:?}: it is too long; write less than some hundred million years")]
    TooLong(String),
}

/// Reads "90s", "10m", "1h30m".
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(DurationError::Empty);
    }
    let mut rest = text;
    let mut allowed = &UNITS[..];
    let mut millis: u64 = 0;
    while !rest.is_empty() {
        let (digits, behind) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
        if digits.is_empty() {
            return Err(DurationError::NoNumber(text.to_owned()));
        }
        let (unit, behind) =
            behind.split_at(behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len()));
        if unit.is_empty() {
            return Err(DurationError::NoUnit(text.to_owned()));
        }
        let place = allowed.iter().position(|(name, _)| *name == unit);
        let Some((length, smaller)) = place.and_then(|at| Some((allowed.get(at)?.1, allowed.get(at + 1..)?)))
        else {
            return Err(DurationError::Unit { text: text.to_owned(), unit: unit.to_owned() });
        };
        millis = digits
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(length))
            .and_then(|part| millis.checked_add(part))
            .ok_or_else(|| DurationError::TooLong(text.to_owned()))?;
        allowed = smaller;
        rest = behind;
    }
    Ok(Duration::from_millis(millis))
}

/// Prints the shortest form that [`parse`] reads back to the same length: "1m30s", "0s", "250ms".
/// What is shorter than a millisecond is dropped.
pub fn print(duration: Duration) -> String {
    let mut millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, length) in UNITS {
        let number = millis / length;
        if number > 0 {
            text.push_str(&format!("{number}{unit}"));
            millis %= length;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// For `#[serde(with = "cc_ci_model::duration")]`: writes the printed form.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&print(*duration))
}

/// For `#[serde(with = "cc_ci_model::duration")]`: reads the printed form.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    HumanDuration::deserialize(deserializer).map(|duration| duration.0)
}

impl FromStr for HumanDuration {
    type Err = DurationError;
    fn from_str(text: &str) -> Result<Self, DurationError> {
        parse(text).map(Self)
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&print(self.0))
    }
}

impl Serialize for HumanDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for HumanDuration {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "format": "number with unit, largest first: 90s, 10m, 1h30m",
            "pattern": "^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$",
        })
    }
}

impl From<HumanDuration> for Duration {
    fn from(duration: HumanDuration) -> Self {
        duration.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_people_write() {
        for (text, seconds) in [("90s", 90), ("10m", 600), ("1h30m", 5400), ("2d", 172_800), (" 0s ", 0)] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(parse("1s250ms"), Ok(Duration::from_millis(1250)));
    }

    #[test]
    fn a_number_without_a_unit_is_refused() {
        assert_eq!(parse("90"), Err(DurationError::NoUnit("90".into())));
        assert_eq!(parse("1h30"), Err(DurationError::NoUnit("1h30".into())));
    }

    #[test]
    fn wrong_doubled_and_disordered_units_are_refused() {
        for text in ["5x", "1m1h", "1s1s", "1 h", "1.5h", "-5s", "ms", "1M"] {
            assert!(parse(text).is_err(), "{text} was read");
        }
        assert_eq!(parse("  "), Err(DurationError::Empty));
        assert!(matches!(parse("99999999999999999999s"), Err(DurationError::TooLong(_))));
        assert!(matches!(parse("213503982334602d"), Err(DurationError::TooLong(_))));
    }

    proptest! {
        #[test]
        fn every_printed_duration_reads_back(millis in any::<u64>()) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse(&print(duration)), Ok(duration));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC{0,20}") {
            let _ = parse(&text);
        }
    }
}
