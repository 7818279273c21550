//! What a person sees while something takes long: one plain line per step, on standard error.

use std::fmt::Display;
use std::io::Write;

/// Writes one line to standard error at once, past the output capture of the test harness.
///
/// A line that cannot be written is lost: progress is never a reason to fail.
pub fn say(line: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
