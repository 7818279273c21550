//! Waiting for a fact, with a deadline, an interval and a sentence; the only waiting there is.

use std::future::Future;
use std::pin::{Pin, pin};
use std::time::{Duration, Instant};

use cc_ci_model::duration::print;
use thiserror::Error;
use tokio::sync::Notify;

use crate::cancel::{Cancellation, Cause};

/// How long to wait, and how often to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// After this time the wait has failed.
    pub deadline: Duration,
    /// The longest time between two looks; a wake-up makes it shorter.
    pub interval: Duration,
}

/// What one look saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look<T> {
    /// The fact is there.
    There(T),
    /// Not yet; the text says what was seen instead and ends up in the message of a time-out.
    NotYet(String),
    /// Not yet, and unless a wake-up comes not before this time has passed: the next look is then, if that is sooner than
    /// the interval.
    NotBefore(String, Duration),
}

impl<T> Look<T> {
    /// [`Look::There`] for a value, else [`Look::NotYet`] with what was seen.
    pub fn from_option(value: Option<T>, seen: impl Into<String>) -> Self {
        match value {
            Some(value) => Self::There(value),
            None => Self::NotYet(seen.into()),
        }
    }
}

/// Why a wait ended without the fact.
#[derive(Debug, Error)]
pub enum WaitError<E> {
    /// The deadline passed.
    #[error("{sentence}: not so after {}; last seen: {last}", print(*.after))]
    TimedOut {
        /// What was waited for.
        sentence: String,
        /// The deadline.
        after: Duration,
        /// What the last look saw.
        last: String,
    },
    /// The program was cancelled meanwhile.
    #[error("{sentence}: ended because {cause}; last seen: {last}")]
    Cancelled {
        /// What was waited for.
        sentence: String,
        /// Why it ended.
        cause: Cause,
        /// What the last look saw.
        last: String,
    },
    /// A look failed in a way that more waiting does not mend.
    #[error("{sentence}: {reason}")]
    Failed {
        /// What was waited for.
        sentence: String,
        /// What went wrong.
        reason: E,
    },
}

impl<E> WaitError<E> {
    /// Did the deadline pass, as opposed to a failure or a cancellation?
    pub fn is_time_out(&self) -> bool {
        matches!(self, Self::TimedOut { .. })
    }
}

/// What a time-out shows where not a single look came to an end.
const NOTHING_SEEN: &str = "nothing yet, the first look did not come back";

/// Looks at once and then once per interval, or sooner when `wake` is notified, until the fact is there.
///
/// `sentence` names what is waited for ("waiting for app of run-1a2b3c to serve"). A look that returns an error
/// ends the wait; what may still come right is [`Look::NotYet`]. There is always one look after the last pause,
/// and a look that hangs is dropped, so the wait overruns its deadline by at most one interval.
pub async fn wait_for<T, E, F>(
    sentence: &str,
    waiting: Waiting,
    wake: Option<&Notify>,
    cancellation: &Cancellation,
    mut look: impl FnMut() -> F,
) -> Result<T, WaitError<E>>
where
    F: Future<Output = Result<Look<T>, E>>,
{
    let end = tokio::time::Instant::now() + waiting.deadline;
    let mut last = NOTHING_SEEN.to_owned();
    loop {
        // Listening starts before the look, so an event that falls between look and pause is not lost.
        let mut notified = pin!(wake.map(Notify::notified));
        if let Some(notified) = notified.as_mut().as_pin_mut() {
            notified.enable();
        }
        let look_until = end.max(tokio::time::Instant::now() + waiting.interval);
        let mut pause = waiting.interval;
        tokio::select! {
            biased;
            cause = cancellation.cancelled() => return cancelled(sentence, cause, last),
            seen = look() => match seen {
                Ok(Look::There(value)) => return Ok(value),
                Ok(Look::NotYet(seen)) => last = seen,
                Ok(Look::NotBefore(seen, time)) => {
                    pause = pause.min(time);
                    last = seen;
                }
                Err(reason) => return Err(WaitError::Failed { sentence: sentence.to_owned(), reason }),
            },
            () = reached(look_until) => return timed_out(sentence, waiting, last),
        }
        let now = tokio::time::Instant::now();
        if now >= end {
            return timed_out(sentence, waiting, last);
        }
        tokio::select! {
            biased;
            cause = cancellation.cancelled() => return cancelled(sentence, cause, last),
            () = woken(notified) => {}
            () = reached(end.min(now + pause)) => {}
        }
    }
}

/// [`wait_for`] for code without async. A look cannot be dropped here, so it needs a limit of its own.
pub fn wait_for_blocking<T, E>(
    sentence: &str,
    waiting: Waiting,
    cancellation: &Cancellation,
    mut look: impl FnMut() -> Result<Look<T>, E>,
) -> Result<T, WaitError<E>> {
    let start = Instant::now();
    let mut last = NOTHING_SEEN.to_owned();
    loop {
        if let Some(cause) = cancellation.cause() {
            return cancelled(sentence, cause, last);
        }
        let mut pause = waiting.interval;
        match look() {
            Ok(Look::There(value)) => return Ok(value),
            Ok(Look::NotYet(seen)) => last = seen,
            Ok(Look::NotBefore(seen, time)) => {
                pause = pause.min(time);
                last = seen;
            }
            Err(reason) => return Err(WaitError::Failed { sentence: sentence.to_owned(), reason }),
        }
        let left = waiting.deadline.saturating_sub(start.elapsed());
        if left.is_zero() {
            return timed_out(sentence, waiting, last);
        }
        if let Some(cause) = cancellation.cancelled_within(left.min(pause)) {
            return cancelled(sentence, cause, last);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the helper that all waiting goes through")]
async fn reached(instant: tokio::time::Instant) {
    tokio::time::sleep(instant.saturating_duration_since(tokio::time::Instant::now())).await;
}

/// Returns when notified; never where there is nobody to notify.
async fn woken<F: Future<Output = ()>>(notified: Pin<&mut Option<F>>) {
    match notified.as_pin_mut() {
        Some(notified) => notified.await,
        None => std::future::pending().await,
    }
}

fn timed_out<T, E>(sentence: &str, waiting: Waiting, last: String) -> Result<T, WaitError<E>> {
    Err(WaitError::TimedOut { sentence: sentence.to_owned(), after: waiting.deadline, last })
}

fn cancelled<T, E>(sentence: &str, cause: Cause, last: String) -> Result<T, WaitError<E>> {
    Err(WaitError::Cancelled { sentence: sentence.to_owned(), cause, last })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::convert::Infallible;
    use std::sync::Arc;

    const QUICK: Waiting =
        Waiting { deadline: Duration::from_millis(60), interval: Duration::from_millis(5) };
    /// Only a wake-up or a cancellation ends such a wait within the time of a test.
    const SLOW: Waiting = Waiting { deadline: Duration::from_secs(600), interval: Duration::from_secs(300) };

    #[tokio::test]
    async fn a_time_out_says_what_was_waited_for_and_what_was_seen_last() {
        let looks = Cell::new(0);
        let error =
            wait_for::<(), Infallible, _>("waiting for app", QUICK, None, &Cancellation::new(), || async {
                looks.set(looks.get() + 1);
                Ok(Look::NotYet(format!("0 of 1 tasks, look {}", looks.get())))
            })
            .await
            .unwrap_err();
        let looks = looks.get();
        assert!(looks > 1, "looked {looks} times");
        assert_eq!(
            error.to_string(),
            format!("waiting for app: not so after 60ms; last seen: 0 of 1 tasks, look {looks}")
        );
    }

    #[tokio::test]
    async fn a_look_that_hangs_does_not_outlive_the_deadline() {
        let error = wait_for::<(), Infallible, _>("waiting", QUICK, None, &Cancellation::new(), || async {
            std::future::pending().await
        })
        .await
        .unwrap_err();
        assert!(error.is_time_out() && error.to_string().contains(NOTHING_SEEN), "{error}");
    }

    #[tokio::test]
    async fn a_wake_up_between_look_and_pause_is_not_lost() {
        let wake = Notify::new();
        let looks = Cell::new(0);
        let value =
            wait_for::<_, Infallible, _>("waiting", SLOW, Some(&wake), &Cancellation::new(), || async {
                looks.set(looks.get() + 1);
                if looks.get() == 1 {
                    // Reaches only those who listen already.
                    wake.notify_waiters();
                }
                Ok(Look::from_option((looks.get() == 2).then_some("there"), "not yet"))
            })
            .await
            .unwrap();
        assert_eq!(value, "there");
    }

    #[tokio::test]
    async fn a_look_that_knows_when_it_is_worth_looking_again_is_not_kept_waiting() {
        let looks = Cell::new(0);
        let value = wait_for::<_, Infallible, _>("waiting", SLOW, None, &Cancellation::new(), || async {
            looks.set(looks.get() + 1);
            Ok(match looks.get() {
                1 => Look::NotBefore("too young".to_owned(), Duration::from_millis(5)),
                _ => Look::There("old enough"),
            })
        })
        .await
        .unwrap();
        assert_eq!((value, looks.get()), ("old enough", 2));
    }

    #[tokio::test]
    async fn a_cancellation_ends_the_wait_from_within_a_spawned_task() {
        let cancellation = Cancellation::new();
        let started = Arc::new(Notify::new());
        let (own, looked) = (cancellation.clone(), started.clone());
        let task = tokio::spawn(async move {
            wait_for::<(), Infallible, _>("waiting for app", SLOW, None, &own, || async {
                looked.notify_one();
                Ok(Look::NotYet("starting".to_owned()))
            })
            .await
        });
        started.notified().await;
        cancellation.cancel(Cause::Term);
        let error = task.await.unwrap().unwrap_err();
        assert_eq!(error.to_string(), "waiting for app: ended because SIGTERM came; last seen: starting");
    }

    #[tokio::test]
    async fn an_error_that_waiting_does_not_mend_ends_it_at_once() {
        let error = wait_for::<(), _, _>("asking docker", SLOW, None, &Cancellation::new(), || async {
            Err(std::io::Error::other("no such service"))
        })
        .await
        .unwrap_err();
        assert_eq!(error.to_string(), "asking docker: no such service");
    }

    #[test]
    fn without_async_the_same_words_come_out_and_a_cancellation_is_heard() {
        let cancellation = Cancellation::new();
        let never = || Ok::<_, Infallible>(Look::<()>::NotYet("held by 77".to_owned()));
        let error = wait_for_blocking("waiting for the lock", QUICK, &cancellation, never).unwrap_err();
        assert_eq!(error.to_string(), "waiting for the lock: not so after 60ms; last seen: held by 77");
        std::thread::scope(|scope| {
            let waiter =
                scope.spawn(|| wait_for_blocking("waiting for the lock", SLOW, &cancellation, never));
            cancellation.cancel(Cause::Int);
            assert!(matches!(
                waiter.join().unwrap().unwrap_err(),
                WaitError::Cancelled { cause: Cause::Int, .. }
            ));
        });
    }
}
