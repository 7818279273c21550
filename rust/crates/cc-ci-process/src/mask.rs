//! Keeping secrets out of everything that is shown or kept: values, the mask over output, and the search for leaks.

mod host_files;
mod pattern;
mod scan;
mod secret;
mod stream;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use thiserror::Error;

pub use host_files::{HostSecretError, mask_files};
use pattern::Patterns;
pub use scan::{Leaks, ScanError, scan_folder};
pub use secret::{SecretError, SecretValue};
pub use stream::{MaskStream, MaskedWriter};

/// What stands in the place of a secret.
pub const MASK: &str = "[masked]";

/// Shorter values are refused: they would be found in innocent text, or stay unmasked without anybody knowing.
pub const SHORTEST: usize = 8;

/// Why a value cannot be masked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MaskError {
    /// Fewer than [`SHORTEST`] characters, spaces at the ends not counted.
    #[error(
        "masking {name}: the value has {length} characters, fewer than {SHORTEST}, so it cannot be kept out of the output; give it a longer value"
    )]
    TooShort {
        /// What the value is called; never the value.
        name: String,
        /// How many characters it has.
        length: usize,
    },
}

/// The set of values that must not be shown. Clones share it; values may be added at any time.
///
/// Each line of at least [`SHORTEST`] characters of a value is found plain, URL-encoded, JSON-escaped (in any mix
/// and whichever characters the encoder chose to escape), and in base64, standard and URL-safe, at each of the
/// three places it can have in a longer text, wrapped or not. Bytes that belong to several finds are masked once.
#[derive(Clone, Default)]
pub struct Masker {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    patterns: RwLock<Arc<Patterns>>,
    masked: AtomicU64,
}

impl Masker {
    /// One that masks nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Masks `value` from here on, in every stream and text that goes through this masker. `name` is for messages.
    pub fn add(&self, name: &str, value: &SecretValue) -> Result<(), MaskError> {
        let length = value.expose().trim().chars().count();
        if length < SHORTEST {
            return Err(MaskError::TooShort { name: name.to_owned(), length });
        }
        let mut patterns = self.inner.patterns.write().unwrap_or_else(PoisonError::into_inner);
        // Streams that are in the middle of a chunk keep the set they began it with.
        Arc::make_mut(&mut patterns).add(value.expose());
        Ok(())
    }

    /// A stream with its own place in the text; each pipe gets one.
    pub fn stream(&self) -> MaskStream {
        MaskStream::new(self.clone())
    }

    /// The whole text, masked.
    pub fn mask(&self, text: &str) -> String {
        let mut stream = self.stream();
        let mut bytes = stream.push(text.as_bytes());
        bytes.extend(stream.finish());
        // Only whole characters are ever replaced, so nothing is lost here.
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// How many finds have been masked so far, in all streams and texts.
    pub fn masked(&self) -> u64 {
        self.inner.masked.load(Ordering::Relaxed)
    }

    /// The same values as of this moment, counted apart.
    fn with_own_count(&self) -> Self {
        let inner = Inner { patterns: RwLock::new(self.patterns()), masked: AtomicU64::new(0) };
        Self { inner: Arc::new(inner) }
    }

    fn count(&self, finds: u64) {
        self.inner.masked.fetch_add(finds, Ordering::Relaxed);
    }

    fn patterns(&self) -> Arc<Patterns> {
        self.inner.patterns.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests;
