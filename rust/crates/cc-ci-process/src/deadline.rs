//! The deadline of a run, on a clock that stands still while the run waits for others.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::cancel::{CancelError, Cancellation, Cause};

/// What the clock is told.
enum Order {
    Stand,
    GoOn,
}

/// Cancels with [`Cause::Deadline`] when the run's own time is used up; dropping it ends the watching.
///
/// A run waits for a lock or for room on the host because of others, and each such wait has a bound of its own. That time
/// must not be missing later: a run that waited for an hour still has all its time.
#[must_use = "dropping it ends the watching at once"]
#[derive(Debug)]
pub struct Deadline {
    orders: mpsc::Sender<Order>,
}

/// A wait for others: the clock stands until this is dropped.
#[must_use = "the clock goes on as soon as this is dropped"]
pub struct Standing<'a>(&'a Deadline);

impl Deadline {
    /// Starts the clock with so much time on it.
    ///
    /// # Errors
    /// There is no thread for it.
    pub fn start(cancellation: &Cancellation, limit: Duration) -> Result<Self, CancelError> {
        let (orders, heard) = mpsc::channel();
        let own = cancellation.clone();
        thread::Builder::new()
            .name("deadline".to_owned())
            .spawn(move || {
                if is_used_up(limit, &heard) {
                    own.cancel(Cause::Deadline(limit));
                }
            })
            .map_err(|reason| CancelError::Watch { what: "the deadline".to_owned(), reason })?;
        Ok(Self { orders })
    }

    /// Stops the clock for as long as what is returned is held.
    pub fn stand(&self) -> Standing<'_> {
        // A clock that ran out already hears nothing, and has cancelled.
        let _ = self.orders.send(Order::Stand);
        Standing(self)
    }
}

impl Drop for Standing<'_> {
    fn drop(&mut self) {
        let _ = self.0.orders.send(Order::GoOn);
    }
}

/// Waits until the time is used up; false where nobody holds the deadline any more. Waits within waits are one.
fn is_used_up(limit: Duration, orders: &mpsc::Receiver<Order>) -> bool {
    let mut left = limit;
    loop {
        let since = Instant::now();
        match orders.recv_timeout(left) {
            Err(RecvTimeoutError::Timeout) => return true,
            Err(RecvTimeoutError::Disconnected) => return false,
            Ok(Order::GoOn) => {}
            Ok(Order::Stand) => {
                left = left.saturating_sub(since.elapsed());
                let mut waits = 1;
                while waits > 0 {
                    match orders.recv() {
                        Ok(Order::Stand) => waits += 1,
                        Ok(Order::GoOn) => waits -= 1,
                        Err(mpsc::RecvError) => return false,
                    }
                }
                continue;
            }
        }
        left = left.saturating_sub(since.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn time_that_is_used_up_cancels_and_names_the_whole_limit() {
        let cancellation = Cancellation::new();
        let _deadline = Deadline::start(&cancellation, Duration::from_millis(5)).unwrap();
        assert_eq!(cancellation.cancelled_within(LONG), Some(Cause::Deadline(Duration::from_millis(5))));
    }

    #[test]
    fn waiting_for_others_uses_up_nothing() {
        let (orders, heard) = mpsc::channel();
        // Both orders are there before the clock starts: it has to stand whatever the machine's speed.
        orders.send(Order::Stand).unwrap();
        orders.send(Order::Stand).unwrap();
        orders.send(Order::GoOn).unwrap();
        let clock = thread::spawn(move || is_used_up(Duration::ZERO, &heard));
        // One wait is not over, so the clock ends only because nobody holds it.
        drop(orders);
        assert!(!clock.join().unwrap());
    }

    #[test]
    fn the_clock_goes_on_after_the_wait() {
        let cancellation = Cancellation::new();
        let deadline = Deadline::start(&cancellation, Duration::from_millis(300)).unwrap();
        drop(deadline.stand());
        assert_eq!(cancellation.cancelled_within(LONG), Some(Cause::Deadline(Duration::from_millis(300))));
    }

    #[test]
    fn a_dropped_deadline_does_not_cancel() {
        let (orders, heard) = mpsc::channel();
        let clock = thread::spawn(move || is_used_up(LONG, &heard));
        drop(orders);
        assert!(!clock.join().unwrap());
    }
}
