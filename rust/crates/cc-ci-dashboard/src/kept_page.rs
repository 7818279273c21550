//! The overview as it was made last, for the readers that ask for it in the same second: many do, and it is the largest page.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use cc_ci_model::dashboard::Queue;

/// Ages on the page are said in seconds at the least.
const FRESH: Duration = Duration::from_secs(1);

/// One page with what it was made from.
#[derive(Debug, Default)]
pub struct KeptPage(Mutex<Option<Kept>>);

#[derive(Debug)]
struct Kept {
    made: Instant,
    generation: u64,
    queue: Option<Queue>,
    page: Bytes,
}

impl KeptPage {
    /// The page, if nothing has changed since it was made and it is younger than a second.
    pub(crate) fn page(&self, generation: u64, queue: &Option<Queue>) -> Option<Bytes> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = kept.as_ref().filter(|kept| {
            kept.generation == generation && kept.queue == *queue && kept.made.elapsed() < FRESH
        })?;
        Some(kept.page.clone())
    }

    /// Keeps a page in place of the one before.
    pub(crate) fn keep(&self, generation: u64, queue: Option<Queue>, page: Bytes) {
        let kept = Kept { made: Instant::now(), generation, queue, page };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_kept_only_as_long_as_nothing_has_changed() {
        let kept = KeptPage::default();
        assert_eq!(kept.page(0, &None), None);
        kept.keep(3, None, Bytes::from_static(b"page"));
        assert_eq!(kept.page(3, &None), Some(Bytes::from_static(b"page")));
        assert_eq!(kept.page(4, &None), None);
        assert_eq!(kept.page(3, &Some(Queue::default())), None);
    }

    #[test]
    fn a_page_grows_old() {
        let kept = KeptPage::default();
        kept.keep(3, None, Bytes::from_static(b"page"));
        let made = Instant::now().checked_sub(FRESH).expect("the machine runs for longer than a second");
        if let Some(kept) = kept.0.lock().expect("nobody has panicked").as_mut() {
            kept.made = made;
        }
        assert_eq!(kept.page(3, &None), None);
    }
}
