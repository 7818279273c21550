//! Times as a reader wants them: how long ago, and how long.

/// How long ago `then` was, e.g. `5 min ago`. Clocks of two machines differ, so the future is `just now`.
#[must_use]
pub fn age(then: jiff::Timestamp, now: jiff::Timestamp) -> String {
    let seconds = now.as_second().saturating_sub(then.as_second());
    match seconds {
        ..60 => "just now".to_owned(),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..172_800 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

/// A length of time in words, e.g. `1 min 05 s`. Numbers that are no length of time are a dash.
#[must_use]
pub fn seconds(seconds: f64) -> String {
    // A result is foreign text: a number without an end or before zero says nothing.
    if !seconds.is_finite() || !(0.0..1e7).contains(&seconds) {
        return "–".to_owned();
    }
    if seconds < 9.95 {
        return format!("{seconds:.1} s");
    }
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and 1e7, see above"
    )]
    let whole = seconds.round() as u64;
    if whole < 60 { format!("{whole} s") } else { format!("{} min {:02} s", whole / 60, whole % 60) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_told_in_the_unit_that_fits() {
        let at = |second| jiff::Timestamp::from_second(second).unwrap();
        let ages = [0, 59, 60, 3599, 3600, 172_799, 172_800].map(|then| age(at(0), at(then)));
        assert_eq!(
            ages,
            ["just now", "just now", "1 min ago", "59 min ago", "1 h ago", "47 h ago", "2 days ago"]
        );
        assert_eq!(age(at(100), at(0)), "just now", "a clock that is ahead");
    }

    #[test]
    fn lengths_of_time_that_are_none_are_a_dash() {
        assert_eq!(
            [0.04, 9.96, 59.4, 59.6, 65.0].map(seconds),
            ["0.0 s", "10 s", "59 s", "1 min 00 s", "1 min 05 s"]
        );
        assert_eq!([f64::NAN, f64::INFINITY, -1.0, 1e300].map(seconds), ["–"; 4]);
    }
}
