//! What a plain YAML word means to the Docker CLI (its parser is gopkg.in/yaml.v3, half YAML 1.1, half 1.2), and how it prints numbers.

use super::tree::Value;

/// The value of an unquoted word: `yes` stays text, `0755` is octal, `1_000` a thousand, `08` the number 8.
pub(super) fn resolve(word: &str) -> Value {
    match word {
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        ".nan" | ".NaN" | ".NAN" => return Value::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Value::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Value::Float(f64::NEG_INFINITY),
        _ => {}
    }
    let first = word.as_bytes().first().copied().unwrap_or_default();
    let number = match first {
        b'.' if is_float(word) => float(word),
        b'0'..=b'9' | b'+' | b'-' => {
            if let Some(moment) = timestamp(word) {
                return Value::Time(moment);
            }
            let plain = word.replace('_', "");
            integer(&plain).or_else(|| if is_float(&plain) { float(&plain) } else { None })
        }
        _ => None,
    };
    number.unwrap_or_else(|| Value::Text(word.to_owned()))
}

/// A whole number with an optional sign and base (`0x`, `0o`, `0b`, or a leading zero for octal).
fn integer(plain: &str) -> Option<Value> {
    let (negative, digits) = match plain.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, plain.strip_prefix('+').unwrap_or(plain)),
    };
    let lower = digits.to_ascii_lowercase();
    let (base, digits) = if let Some(rest) = lower.strip_prefix("0x") {
        (16, rest)
    } else if let Some(rest) = lower.strip_prefix("0b") {
        (2, rest)
    } else if let Some(rest) = lower.strip_prefix("0o") {
        (8, rest)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (8, &lower[1..])
    } else {
        (10, lower.as_str())
    };
    // `from_str_radix` would take a second sign.
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let size = u128::from_str_radix(digits, base).ok()?;
    let signed = i128::try_from(size).ok()?;
    let signed = if negative { -signed } else { signed };
    if let Ok(small) = i64::try_from(signed) {
        return Some(Value::Int(small));
    }
    // A sign before a number beyond 63 bits is no number any more, as in the CLI.
    if plain.starts_with(['+', '-']) {
        return None;
    }
    u64::try_from(signed).ok().map(Value::Unsigned)
}

/// Digits with a point, an exponent, or both.
fn is_float(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let mantissa_fits = match mantissa.split_once('.') {
        Some(("", fraction)) => !fraction.is_empty() && digits(fraction),
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => !mantissa.is_empty() && digits(mantissa),
    };
    let exponent_fits = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    mantissa_fits && exponent_fits
}

fn float(text: &str) -> Option<Value> {
    text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::Float)
}

/// A date or a date with a time, as Go prints it (`2024-05-01 00:00:00 +0000 UTC`).
fn timestamp(word: &str) -> Option<String> {
    let (date, clock) = match word.find(['T', 't', ' ']) {
        Some(at) => (&word[..at], Some((word.as_bytes()[at], &word[at + 1..]))),
        None => (word, None),
    };
    let mut parts = date.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || year.len() != 4 {
        return None;
    }
    let year: i16 = digits(year, 4)?.try_into().ok()?;
    let day =
        jiff::civil::Date::new(year, digits(month, 2)?.try_into().ok()?, digits(day, 2)?.try_into().ok()?)
            .ok()?;
    let Some((separator, clock)) = clock else {
        return Some(format!("{day} 00:00:00 +0000 UTC"));
    };
    let (clock, zone) = if separator == b' ' {
        (clock, "+0000 UTC".to_owned())
    } else if let Some(clock) = clock.strip_suffix('Z') {
        (clock, "+0000 UTC".to_owned())
    } else {
        let at = clock.rfind(['+', '-'])?;
        let (hours, minutes) = clock[at + 1..].split_once(':')?;
        if hours.len() != 2 || minutes.len() != 2 {
            return None;
        }
        let (hours, minutes) = (digits(hours, 2)?, digits(minutes, 2)?);
        if hours > 24 || minutes > 59 {
            return None;
        }
        let offset = format!("{}{hours:02}{minutes:02}", &clock[at..=at]);
        let zone =
            if hours == 0 && minutes == 0 { "+0000 UTC".to_owned() } else { format!("{offset} {offset}") };
        (&clock[..at], zone)
    };
    let mut parts = clock.split(':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let (second, fraction) = second.split_once('.').unwrap_or((second, ""));
    if clock.contains('.') && fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (hour, minute, second) = (digits(hour, 2)?, digits(minute, 2)?, digits(second, 2)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let fraction = fraction.get(..9).unwrap_or(fraction).trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    Some(format!("{day} {hour:02}:{minute:02}:{second:02}{point}{fraction} {zone}"))
}

/// A number of at most so many digits and nothing else.
fn digits(text: &str, most: usize) -> Option<u32> {
    let fits = !text.is_empty() && text.len() <= most && text.bytes().all(|byte| byte.is_ascii_digit());
    if fits { text.parse().ok() } else { None }
}

/// A scalar as Go's `%v` prints it: what a number becomes as a label or an environment variable.
///
/// Lists and maps have no such form here and give nothing.
pub(super) fn printed(value: &Value) -> Option<String> {
    match value {
        Value::Null | Value::List(_) | Value::Map(_) => None,
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Int(number) => Some(number.to_string()),
        Value::Unsigned(number) => Some(number.to_string()),
        Value::Float(number) => Some(printed_float(*number)),
        Value::Time(text) | Value::Text(text) => Some(text.clone()),
    }
}

/// The shortest digits that give the number back, with an exponent below 1e-04 and from 1e+06 on.
fn printed_float(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() };
    }
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific.as_str(), "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if number != 0.0 && !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    format!("{number}")
}
