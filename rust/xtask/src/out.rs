//! What a verb answers, on standard output; progress goes to standard error.

use std::fmt::Display;
use std::io::Write;

/// Writes one line. A reader who has gone away is no failure.
pub(crate) fn line(text: impl Display) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}
