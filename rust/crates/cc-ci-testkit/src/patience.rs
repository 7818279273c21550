//! Waiting for a fact, with a deadline, an interval and a sentence for when it does not come.

use std::time::{Duration, Instant};

/// What was waited for in vain.
#[derive(Debug, thiserror::Error)]
#[error("waited {} s for {what}, and it did not come; last seen: {last}", waited.as_secs_f32())]
pub struct TimedOut {
    /// The fact that did not come.
    pub what: String,
    /// How long it was waited for.
    pub waited: Duration,
    /// What the last look saw.
    pub last: String,
}

/// Asks `look` each `interval` until it answers with a value; a look that finds nothing says what it saw instead.
///
/// # Errors
/// [`TimedOut`] once `deadline` has passed since the call, with the answer of the last look.
pub fn until<T>(
    what: &str,
    deadline: Duration,
    interval: Duration,
    mut look: impl FnMut() -> Result<T, String>,
) -> Result<T, TimedOut> {
    let begin = Instant::now();
    loop {
        match look() {
            Ok(value) => return Ok(value),
            Err(last) if begin.elapsed() >= deadline => {
                return Err(TimedOut { what: what.to_owned(), waited: begin.elapsed(), last });
            }
            Err(_) => pause(interval),
        }
    }
}

/// The one place that sleeps; callers wait for a fact with [`until`].
#[expect(
    clippy::disallowed_methods,
    reason = "this is the waiting helper of the test kit, always under a deadline"
)]
fn pause(interval: Duration) {
    std::thread::sleep(interval);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_with_the_last_thing_seen() {
        let mut looks = 0;
        let error = until::<()>("rain", Duration::from_millis(30), Duration::from_millis(10), || {
            looks += 1;
            Err(format!("sun {looks}"))
        })
        .unwrap_err();
        assert!(looks >= 2);
        assert_eq!(error.last, format!("sun {looks}"));
    }

    #[test]
    fn a_fact_that_comes_late_is_returned() {
        let mut looks = 0;
        let value = until("rain", Duration::from_secs(5), Duration::from_millis(1), || {
            looks += 1;
            if looks == 3 { Ok(looks) } else { Err("sun".to_owned()) }
        });
        assert_eq!(value.unwrap(), 3);
    }
}
