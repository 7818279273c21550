//! Durations and sizes as Go writes them: `1m30s`, `512M`.

use std::fmt;

/// Nanoseconds, as compose durations are counted. May be negative, as in the CLI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Nanoseconds(pub i64);

impl Nanoseconds {
    /// The same as a length of time; a negative one is none.
    pub fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_nanos(u64::try_from(self.0).unwrap_or_default())
    }
}

/// Units in nanoseconds.
const UNITS: &[(&str, u64)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Reads `1h30m`, `1.5s`, `-2ms`; a number without unit is refused unless it is 0. There are no days.
pub(super) fn duration(text: &str) -> Option<Nanoseconds> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(Nanoseconds(0));
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let whole_length = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (whole_digits, after) = rest.split_at(whole_length);
        let (fraction_digits, after) = match after.strip_prefix('.') {
            None => ("", after),
            Some(after) => after.split_at(after.bytes().take_while(u8::is_ascii_digit).count()),
        };
        if whole_digits.is_empty() && fraction_digits.is_empty() {
            return None;
        }
        let unit_length = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_length);
        let (_, unit) = UNITS.iter().find(|(name, _)| *name == unit)?;
        let whole: u64 = if whole_digits.is_empty() { 0 } else { whole_digits.parse().ok()? };
        total =
            total.checked_add(whole.checked_mul(*unit)?)?.checked_add(fraction(fraction_digits, *unit))?;
        if total > 1 << 63 {
            return None;
        }
        rest = after;
    }
    if negative {
        Some(Nanoseconds(0i64.checked_sub_unsigned(total)?))
    } else {
        i64::try_from(total).ok().map(Nanoseconds)
    }
}

/// Decimals of a unit in nanoseconds, cut off.
fn fraction(digits: &str, unit: u64) -> u64 {
    let (mut value, mut scale) = (0u64, 1f64);
    for digit in digits.bytes() {
        let next = value.checked_mul(10).and_then(|value| value.checked_add(u64::from(digit - b'0')));
        match next {
            Some(next) if next <= i64::MAX as u64 => value = next,
            _ => break,
        }
        scale *= 10.0;
    }
    (value as f64 * (unit as f64 / scale)) as u64
}

impl fmt::Display for Nanoseconds {
    /// As Go prints it: `1m0s`, `1.5s`, `500ms`, `0s`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.0.unsigned_abs();
        if size == 0 {
            return formatter.write_str("0s");
        }
        if self.0 < 0 {
            formatter.write_str("-")?;
        }
        if size < 1_000_000_000 {
            let (unit, name) = match size {
                0..1_000 => (1, "ns"),
                1_000..1_000_000 => (1_000, "\u{b5}s"),
                _ => (1_000_000, "ms"),
            };
            return write!(formatter, "{}{name}", decimal(size, unit));
        }
        let seconds = size % 60_000_000_000;
        let minutes = size / 60_000_000_000;
        if minutes >= 60 {
            write!(formatter, "{}h", minutes / 60)?;
        }
        if minutes > 0 {
            write!(formatter, "{}m", minutes % 60)?;
        }
        write!(formatter, "{}s", decimal(seconds, 1_000_000_000))
    }
}

/// A number of units with as many decimals as needed.
fn decimal(size: u64, unit: u64) -> String {
    let (whole, rest) = (size / unit, size % unit);
    if rest == 0 {
        return whole.to_string();
    }
    let width = unit.ilog10() as usize;
    let rest = format!("{rest:0width$}");
    format!("{whole}.{}", rest.trim_end_matches('0'))
}

/// Reads `64`, `64b`, `1.5 GiB`, `512M` in bytes; units are powers of 1024 in any case of letters.
pub(super) fn bytes(text: &str) -> Option<i64> {
    let at = text.rfind(|c: char| c.is_ascii_digit() || c == '.' || c == ' ')?;
    let number = if text[at..].starts_with(' ') { &text[..at] } else { &text[..=at] };
    let suffix = text[at + 1..].to_ascii_lowercase();
    // Rust reads a few words as numbers that Go reads as well (`inf`), but none can stand before a digit.
    let number: f64 = number.parse().ok()?;
    if number < 0.0 || !number.is_finite() {
        return None;
    }
    let power = match suffix.as_bytes() {
        [] | [b'b'] => 0,
        [unit, end @ ..] if end.is_empty() || end == b"b" || end == b"ib" => match unit {
            b'k' => 1,
            b'm' => 2,
            b'g' => 3,
            b't' => 4,
            b'p' => 5,
            _ => return None,
        },
        _ => return None,
    };
    Some((number * 1024f64.powi(power)) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_printed_as_go_prints_them() {
        for (given, printed) in [
            ("90s", "1m30s"),
            ("1h", "1h0m0s"),
            ("1.5s", "1.5s"),
            ("0.25ms", "250\u{b5}s"),
            ("-5s", "-5s"),
            ("0", "0s"),
            ("100ns", "100ns"),
            ("1h0.5m", "1h0m30s"),
        ] {
            assert_eq!(duration(given).map(|d| d.to_string()).as_deref(), Some(printed), "{given}");
        }
    }

    #[test]
    fn durations_without_unit_or_in_days_are_refused() {
        for given in ["5", "1d", "", "s", ".s", "1.s.", "9999999h", "1 s"] {
            assert_eq!(duration(given), None, "{given}");
        }
    }

    #[test]
    fn sizes_count_in_powers_of_1024() {
        for (given, counted) in
            [("64", 64), ("64b", 64), ("1k", 1024), ("1.5 GiB", 1_610_612_736), ("512M", 536_870_912)]
        {
            assert_eq!(bytes(given), Some(counted), "{given}");
        }
        for given in ["", "M", "-1M", "1mm", "1bb", "1 x"] {
            assert_eq!(bytes(given), None, "{given}");
        }
    }
}
