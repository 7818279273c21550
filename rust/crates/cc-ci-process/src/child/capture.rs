//! What a child says, on its way from the pipe to the sink, to memory and to the evidence file.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use super::terminal::ControlCodes;
use crate::mask::{MaskStream, Masker};

/// A line longer than this is handed on in parts.
const LONGEST_LINE: usize = 64 * 1024;

/// Where a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// The terminal, which does not tell the two apart.
    Terminal,
}

/// One masked line, without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Where it came from.
    pub stream: Stream,
    /// What it says; bytes that are no UTF-8 are replaced.
    pub text: String,
}

/// One stream of a child.
pub(super) struct Capture {
    stream: Stream,
    control_codes: Option<ControlCodes>,
    mask: MaskStream,
    lines: Lines,
    kept: Kept,
}

impl Capture {
    pub(super) fn new(stream: Stream, masker: &Masker, kept_bytes: usize) -> Self {
        Self {
            stream,
            control_codes: (stream == Stream::Terminal).then(ControlCodes::default),
            mask: masker.stream(),
            lines: Lines::default(),
            kept: Kept::new(kept_bytes),
        }
    }

    /// Takes what was read and hands on each line that is whole by now.
    pub(super) fn take(&mut self, bytes: &[u8], mut sink: impl FnMut(Line)) {
        let masked = match &mut self.control_codes {
            // Control codes go first: they could stand inside a secret and hide it from the mask.
            Some(codes) => self.mask.push(&codes.strip(bytes)),
            None => self.mask.push(bytes),
        };
        self.hand_on(&masked, &mut sink);
    }

    /// The stream is at its end.
    pub(super) fn finish(&mut self, mut sink: impl FnMut(Line)) {
        let rest = self.mask.finish();
        self.hand_on(&rest, &mut sink);
        if let Some(text) = self.lines.finish() {
            self.keep_line(&text, "");
            sink(Line { stream: self.stream, text });
        }
    }

    fn hand_on(&mut self, masked: &[u8], sink: &mut impl FnMut(Line)) {
        if self.stream != Stream::Terminal {
            // From a pipe exactly what was written is kept: it may be a document.
            self.kept.add(masked);
        }
        let mut whole = Vec::new();
        self.lines.push(masked, |text| whole.push(text));
        for text in whole {
            self.keep_line(&text, "\n");
            sink(Line { stream: self.stream, text });
        }
    }

    /// From a terminal lines are kept as they stood on it in the end.
    fn keep_line(&mut self, text: &str, end: &str) {
        if self.stream == Stream::Terminal {
            self.kept.add(text.as_bytes());
            self.kept.add(end.as_bytes());
        }
    }

    /// The text that was kept, and how many bytes were left out of it.
    pub(super) fn into_text(self) -> (String, usize) {
        self.kept.into_text()
    }
}

/// Cuts a stream into lines. A carriage return in the middle starts the line over, as it does on a terminal: of a
/// progress bar only the last state stays.
#[derive(Default)]
struct Lines {
    current: Vec<u8>,
    is_returned: bool,
}

impl Lines {
    fn push(&mut self, bytes: &[u8], mut whole: impl FnMut(String)) {
        for byte in bytes {
            match byte {
                b'\n' => whole(self.cut()),
                b'\r' => self.is_returned = true,
                byte => {
                    if std::mem::take(&mut self.is_returned) {
                        self.current.clear();
                    }
                    self.current.push(*byte);
                    if self.current.len() >= LONGEST_LINE {
                        whole(self.cut());
                    }
                }
            }
        }
    }

    fn finish(&mut self) -> Option<String> {
        (!self.current.is_empty()).then(|| self.cut())
    }

    fn cut(&mut self) -> String {
        self.is_returned = false;
        String::from_utf8_lossy(&std::mem::take(&mut self.current)).into_owned()
    }
}

/// The beginning and the end of a stream, within a limit.
struct Kept {
    half: usize,
    beginning: Vec<u8>,
    end: VecDeque<u8>,
    left_out: usize,
}

impl Kept {
    fn new(limit: usize) -> Self {
        Self { half: limit / 2, beginning: Vec::new(), end: VecDeque::new(), left_out: 0 }
    }

    fn add(&mut self, bytes: &[u8]) {
        let (first, rest) = bytes.split_at(bytes.len().min(self.half - self.beginning.len()));
        self.beginning.extend_from_slice(first);
        self.end.extend(rest);
        let surplus = self.end.len().saturating_sub(self.half);
        self.end.drain(..surplus);
        self.left_out += surplus;
    }

    fn into_text(self) -> (String, usize) {
        let mut bytes = self.beginning;
        if self.left_out > 0 {
            bytes.extend_from_slice(format!("\n[… {} bytes left out …]\n", self.left_out).as_bytes());
        }
        bytes.extend(self.end);
        (String::from_utf8_lossy(&bytes).into_owned(), self.left_out)
    }
}

/// The evidence file: every line, up to a limit. What goes wrong with it is noted and changes nothing else.
pub(super) struct Evidence {
    file: Option<File>,
    left: usize,
    pub(super) note: Option<String>,
}

impl Evidence {
    pub(super) fn open(path: Option<&Path>, limit: usize) -> Self {
        let Some(path) = path else {
            return Self { file: None, left: 0, note: None };
        };
        match OpenOptions::new().append(true).create(true).open(path) {
            Ok(file) => Self { file: Some(file), left: limit, note: None },
            Err(error) => Self { file: None, left: 0, note: Some(unwritten(path, &error)) },
        }
    }

    pub(super) fn write(&mut self, line: &Line) {
        let Some(file) = &mut self.file else { return };
        let length = line.text.len() + 1;
        let written = if length <= self.left {
            self.left -= length;
            writeln!(file, "{}", line.text)
        } else {
            self.note = Some("the evidence file is full; its end is missing".to_owned());
            let closed = writeln!(file, "[… the rest is left out …]");
            self.file = None;
            closed
        };
        if let Err(error) = written {
            self.note = Some(format!("the evidence file could not be written: {error}"));
            self.file = None;
        }
    }
}

fn unwritten(path: &Path, error: &io::Error) -> String {
    format!("the evidence file {} could not be opened: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mask::SecretValue;

    fn lines(stream: Stream, chunks: &[&str]) -> (Vec<String>, String) {
        let masker = Masker::new();
        masker.add("test", &SecretValue::new("hunter2-hunter2")).unwrap();
        let mut capture = Capture::new(stream, &masker, 1000);
        let mut lines = Vec::new();
        for chunk in chunks {
            capture.take(chunk.as_bytes(), |line| lines.push(line.text));
        }
        capture.finish(|line| lines.push(line.text));
        (lines, capture.into_text().0)
    }

    #[test]
    fn of_a_progress_bar_only_the_last_state_stays() {
        let (seen, kept) = lines(Stream::Terminal, &["10%\r 50%", "\r100%\r", "\nnext\r\nend"]);
        assert_eq!(seen, ["100%", "next", "end"]);
        assert_eq!(kept, "100%\nnext\nend");
    }

    #[test]
    fn control_codes_cannot_hide_a_secret_from_the_mask() {
        let (seen, _) = lines(Stream::Terminal, &["a hunter2-\u{1b}[1", "mhunter2\u{1b}[0m b\n"]);
        assert_eq!(seen, ["a [masked] b"]);
    }

    #[test]
    fn a_document_from_a_pipe_is_kept_byte_for_byte() {
        let text = "{\"a\":\r\n\"\u{1b}[1m\"}\n\n";
        assert_eq!(lines(Stream::Stdout, &[text]).1, text);
    }

    #[test]
    fn beyond_the_limit_beginning_and_end_stay_and_the_gap_is_named() {
        let mut kept = Kept::new(10);
        for _ in 0..4 {
            kept.add(b"abcdefgh");
        }
        assert_eq!(kept.into_text(), ("abcde\n[… 22 bytes left out …]\ndefgh".to_owned(), 22));
    }

    #[test]
    fn a_line_without_an_end_does_not_grow_without_bound() {
        let (seen, _) = lines(Stream::Stdout, &[&"x".repeat(LONGEST_LINE + 1)]);
        assert_eq!(seen.iter().map(String::len).collect::<Vec<_>>(), [LONGEST_LINE, 1]);
    }
}
