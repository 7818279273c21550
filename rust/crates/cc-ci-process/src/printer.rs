//! The only way to a person's screen: lines, styles and tables.

use std::io::{self, IsTerminal, Write};

use unicode_width::UnicodeWidthStr;

use crate::environment::NO_COLOR;
use crate::mask::Masker;

/// Whether colour is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// It is.
    Yes,
    /// It is not.
    No,
}

impl Colour {
    /// Colour only on a terminal, and not where [`NO_COLOR`] is set and not empty.
    pub fn wanted(is_terminal: bool) -> Self {
        let is_unwanted = std::env::var_os(NO_COLOR).is_some_and(|value| !value.is_empty());
        if is_terminal && !is_unwanted { Self::Yes } else { Self::No }
    }
}

/// What a word means to the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Good news (green).
    Ok,
    /// Bad news (red).
    Fail,
    /// Something to look at (yellow).
    Warn,
    /// Beside the point (dim).
    Dim,
    /// A heading (bold).
    Strong,
}

impl Style {
    /// The parameter of the control sequence "select graphic rendition" (ECMA-48).
    fn rendition(self) -> &'static str {
        match self {
            Self::Ok => "32",
            Self::Fail => "31",
            Self::Warn => "33",
            Self::Dim => "2",
            Self::Strong => "1",
        }
    }
}

/// Writes masked lines to one output.
///
/// A reader that has seen enough (`cc-ci show | head`) is no failure: from the broken pipe on, the printer is silent
/// and the program does what it came for.
pub struct Printer {
    output: Box<dyn Write + Send>,
    colour: Colour,
    masker: Masker,
    is_closed: bool,
    failure: Option<io::Error>,
}

impl Printer {
    /// To stdout.
    pub fn stdout(masker: &Masker) -> Self {
        Self::to(Box::new(io::stdout()), Colour::wanted(io::stdout().is_terminal()), masker)
    }

    /// To stderr.
    pub fn stderr(masker: &Masker) -> Self {
        Self::to(Box::new(io::stderr()), Colour::wanted(io::stderr().is_terminal()), masker)
    }

    /// To any output.
    pub fn to(output: Box<dyn Write + Send>, colour: Colour, masker: &Masker) -> Self {
        Self { output, colour, masker: masker.clone(), is_closed: false, failure: None }
    }

    /// Is colour used?
    pub fn colour(&self) -> Colour {
        self.colour
    }

    /// The text in that style, or as it is where there is no colour.
    pub fn style(&self, style: Style, text: &str) -> String {
        paint(self.colour, style, text)
    }

    /// Prints one line, or several, and the end of the last; all of it is on its way when this returns.
    pub fn line(&mut self, text: &str) {
        let mut bytes = self.masker.mask(text).into_bytes();
        bytes.push(b'\n');
        if self.is_closed {
            return;
        }
        if let Err(error) = self.output.write_all(&bytes).and_then(|()| self.output.flush()) {
            self.is_closed = true;
            if error.kind() != io::ErrorKind::BrokenPipe {
                self.failure = Some(error);
            }
        }
    }

    /// Prints a table.
    pub fn table(&mut self, table: &Table) {
        let text = table.render(self.colour);
        self.line(text.trim_end_matches('\n'));
    }

    /// What went wrong with the output, if anything did. A broken pipe is nothing wrong.
    pub fn finish(self) -> io::Result<()> {
        self.failure.map_or(Ok(()), Err)
    }
}

fn paint(colour: Colour, style: Style, text: &str) -> String {
    match colour {
        Colour::Yes if !text.is_empty() => format!("\u{1b}[{}m{text}\u{1b}[0m", style.rendition()),
        Colour::Yes | Colour::No => text.to_owned(),
    }
}

/// One field of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    text: String,
    style: Option<Style>,
}

impl Cell {
    /// A field in that style.
    pub fn styled(style: Style, text: impl Into<String>) -> Self {
        Self { text: text.into(), style: Some(style) }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), style: None }
    }
}

/// Rows under headings, in columns as wide as their widest field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table with these headings; without any, there is no heading row.
    pub fn new<'a>(headings: impl IntoIterator<Item = &'a str>) -> Self {
        let headings: Vec<Cell> =
            headings.into_iter().map(|heading| Cell::styled(Style::Strong, heading)).collect();
        Self { rows: if headings.is_empty() { Vec::new() } else { vec![headings] } }
    }

    /// Adds a row. Line ends inside a field become spaces.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) -> &mut Self {
        let flat = |cell: Cell| Cell { text: cell.text.replace(['\n', '\r', '\t'], " "), style: cell.style };
        self.rows.push(cells.into_iter().map(flat).collect());
        self
    }

    /// The table as text, a line per row, without spaces at the ends of the lines.
    pub fn render(&self, colour: Colour) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|column| {
                self.rows
                    .iter()
                    .filter_map(|row| row.get(column))
                    .map(|cell| cell.text.width())
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        let mut text = String::new();
        for row in &self.rows {
            // Spaces are written only before a field that has something to say.
            let mut gap = 0;
            for (cell, width) in row.iter().zip(&widths) {
                if !cell.text.is_empty() {
                    text.push_str(&" ".repeat(gap));
                    gap = 0;
                    match cell.style {
                        Some(style) => text.push_str(&paint(colour, style, &cell.text)),
                        None => text.push_str(&cell.text),
                    }
                }
                gap += width - cell.text.width() + 2;
            }
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mask::SecretValue;
    use std::sync::{Arc, Mutex};

    /// An output that takes what fits and then fails in the given way.
    #[derive(Clone)]
    struct Limited {
        seen: Arc<Mutex<Vec<u8>>>,
        room: usize,
        failure: io::ErrorKind,
    }

    impl Write for Limited {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut seen = self.seen.lock().unwrap();
            if seen.len() + bytes.len() > self.room {
                return Err(self.failure.into());
            }
            seen.extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn print_three(failure: io::ErrorKind) -> (String, io::Result<()>) {
        let output = Limited { seen: Arc::default(), room: 5, failure };
        let mut printer = Printer::to(Box::new(output.clone()), Colour::No, &Masker::new());
        for line in ["1234", "5", "6"] {
            printer.line(line);
        }
        let text = String::from_utf8(output.seen.lock().unwrap().clone()).unwrap();
        (text, printer.finish())
    }

    #[test]
    fn a_reader_that_has_seen_enough_is_no_failure_but_a_full_disk_is() {
        let (text, end) = print_three(io::ErrorKind::BrokenPipe);
        assert_eq!(text, "1234\n");
        assert!(end.is_ok());
        assert_eq!(print_three(io::ErrorKind::StorageFull).1.unwrap_err().kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn what_is_printed_is_masked() {
        let masker = Masker::new();
        masker.add("test", &SecretValue::new("hunter2-hunter2")).unwrap();
        let output = Limited { seen: Arc::default(), room: 1000, failure: io::ErrorKind::Other };
        Printer::to(Box::new(output.clone()), Colour::No, &masker).line("password hunter2-hunter2");
        assert_eq!(*output.seen.lock().unwrap(), b"password [masked]\n");
    }

    #[test]
    fn columns_line_up_also_with_wide_characters_and_colour() {
        let mut table = Table::new(["tier", "status", "reason"]);
        table.row([Cell::from("install"), Cell::styled(Style::Ok, "pass"), Cell::from("")]);
        table.row([Cell::from("日本"), Cell::styled(Style::Fail, "fail"), Cell::from("two\nlines")]);
        table.row([Cell::from("x")]);
        assert_eq!(
            table.render(Colour::No),
            "tier     status  reason\ninstall  pass\n日本     fail    two lines\nx\n"
        );
        let line = table.render(Colour::Yes).lines().nth(2).unwrap().to_owned();
        assert_eq!(line, "日本     \u{1b}[31mfail\u{1b}[0m    two lines");
    }
}
