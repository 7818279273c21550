//! Which commit was the pull request's head when a comment was written, told by the forge's own clock.
//!
//! Gitea writes a line into the pull request's timeline for each push, some moments late, with whole seconds, and none
//! for some moves (push while closed, retargeting). So a head counts only if everything agrees; else nobody knows.

use jiff::{SignedDuration, Timestamp};

use crate::names::CommitSha;

/// A push must be older than the comment by this much: the forge writes it down late and without fractions of seconds.
pub const MARGIN: SignedDuration = SignedDuration::from_secs(5);

/// Something in a pull request's timeline that can move its head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// A push, with the head after it.
    Push(CommitSha),
    /// Closing, reopening or retargeting: a head may be swapped behind it.
    Other,
}

/// A move with its time by the forge's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimedMove {
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: Move,
}

/// Why nobody can say which commit a comment meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unsure {
    /// There was another head at that time.
    Moved {
        /// The head when the comment was written, where the timeline knows it.
        then: Option<CommitSha>,
        /// The head when it was seen.
        now: CommitSha,
    },
    /// The last move came too close to the comment, or the timeline and the head do not agree.
    TooClose,
}

/// Whether `now`, the head when the comment was seen, was the head when it was written.
///
/// # Errors
/// [`Unsure`] where it was not, or where nobody can know.
pub fn head_when_written(written: Timestamp, now: &CommitSha, moves: &[TimedMove]) -> Result<(), Unsure> {
    let limit = written - MARGIN;
    let pushes: Vec<_> = moves
        .iter()
        .filter_map(|one| match &one.what {
            Move::Push(head) => Some((one.at, head)),
            Move::Other => None,
        })
        .collect();
    let last = pushes.last();
    if last.is_some_and(|(at, head)| *head == now && *at < limit)
        && !moves.iter().any(|one| one.what == Move::Other && one.at >= limit)
    {
        return Ok(());
    }
    let then = pushes.iter().rfind(|(at, _)| *at <= written).map(|(_, head)| (*head).clone());
    let is_moved = last.is_some_and(|(at, _)| *at > written) || then.as_ref().is_some_and(|then| then != now);
    if is_moved { Err(Unsure::Moved { then, now: now.clone() }) } else { Err(Unsure::TooClose) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn sha(digit: char) -> CommitSha {
        CommitSha::parse(&digit.to_string().repeat(40)).unwrap()
    }

    fn push(second: i64, digit: char) -> TimedMove {
        TimedMove { at: at(second), what: Move::Push(sha(digit)) }
    }

    #[test]
    fn a_head_that_stood_before_the_comment_counts() {
        assert_eq!(head_when_written(at(60), &sha('a'), &[push(0, 'b'), push(50, 'a')]), Ok(()));
    }

    #[test]
    fn head_that_moved_since_the_comment_is_refused() {
        let moved = |then| Err(Unsure::Moved { then, now: sha('b') });
        let moves = [push(0, 'a'), push(70, 'b')];
        assert_eq!(head_when_written(at(60), &sha('b'), &moves), moved(Some(sha('a'))));
        // The head is new before its line in the timeline is.
        assert_eq!(head_when_written(at(60), &sha('b'), &[push(0, 'a')]), moved(Some(sha('a'))));
    }

    #[test]
    fn what_nobody_can_know_is_no_yes() {
        assert_eq!(head_when_written(at(60), &sha('a'), &[push(56, 'a')]), Err(Unsure::TooClose));
        assert_eq!(head_when_written(at(60), &sha('a'), &[]), Err(Unsure::TooClose));
        let reopened = TimedMove { at: at(65), what: Move::Other };
        assert_eq!(head_when_written(at(60), &sha('a'), &[push(0, 'a'), reopened]), Err(Unsure::TooClose));
    }
}
