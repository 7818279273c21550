//! Which comments may be forgotten: those below a number under which everything was seen and is long settled.
//!
//! Numbers of comments only grow. So one number stands for all that was let go: a comment up to it is known, whether its
//! intent is still there or not, and never starts anything again.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

/// What was written this long ago goes.
pub const KEPT_FOR: SignedDuration = SignedDuration::from_hours(24 * 30);
/// Of more settled ones than this, the oldest go before their time.
pub const KEPT: usize = 2000;
/// Nothing younger goes, whatever its number: the slow pass looks back a day, and must still know what it finds.
pub const YOUNGEST: SignedDuration = SignedDuration::from_hours(48);

/// The highest number up to which everything may go; none where nothing may.
///
/// `settled` are the settled comments with the time they were written, `lowest_open` the first that is not settled, and
/// `seen_until` the time up to which every organisation was looked at.
#[must_use]
pub fn up_to(
    settled: &BTreeMap<u64, Timestamp>,
    lowest_open: Option<u64>,
    seen_until: Timestamp,
    now: Timestamp,
) -> Option<u64> {
    let surplus = settled.len().saturating_sub(KEPT);
    let may_go = |(place, (comment, written)): &(usize, (&u64, &Timestamp))| {
        let is_old = **written < now - KEPT_FOR || *place < surplus;
        is_old
            && **written < now.min(seen_until) - YOUNGEST
            && lowest_open.is_none_or(|open| **comment < open)
    };
    settled.iter().enumerate().take_while(may_go).last().map(|(_, (comment, _))| *comment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + hour * 3600).unwrap()
    }

    /// One comment each hour, the newest at hour `count`.
    fn hourly(count: u64) -> BTreeMap<u64, Timestamp> {
        (1..=count).map(|number| (number, at(i64::try_from(number).unwrap()))).collect()
    }

    #[test]
    fn what_is_old_goes_and_what_is_young_stays() {
        assert_eq!(up_to(&hourly(1000), None, at(1000), at(1000)), Some(1000 - 24 * 30 - 1));
        assert_eq!(up_to(&hourly(100), None, at(100), at(100)), None);
    }

    #[test]
    fn of_very_many_the_oldest_go_and_none_of_the_last_two_days() {
        let minutely = |count: i64| {
            let written = |number| Timestamp::from_second(1_700_000_000 + number * 60).unwrap();
            (1..=count)
                .map(|number| (u64::try_from(number).unwrap(), written(number)))
                .collect::<BTreeMap<_, _>>()
        };
        let now = |count: i64| Timestamp::from_second(1_700_000_000 + count * 60).unwrap();
        assert_eq!(up_to(&minutely(10_000), None, now(10_000), now(10_000)), Some(10_000 - 48 * 60 - 1));
        assert_eq!(up_to(&minutely(2000), None, now(2000), now(2000)), None);
    }

    #[test]
    fn nothing_goes_above_an_open_one_or_what_was_not_looked_at() {
        assert_eq!(up_to(&hourly(1000), Some(5), at(1000), at(1000)), Some(4));
        assert_eq!(up_to(&hourly(1000), Some(1), at(1000), at(1000)), None);
        // After a long stop: what was written since the last look is still to be seen.
        assert_eq!(up_to(&hourly(1000), None, at(100), at(9000)), Some(100 - 48 - 1));
    }
}
