//! The page that is written: comments that cannot break out of their line, values as TOML writes them.

/// Lines of a file in the making.
#[derive(Debug, Default)]
pub(super) struct Page {
    lines: Vec<String>,
}

impl Page {
    /// A comment on a line of its own. Control characters, line ends among them, become spaces.
    pub(super) fn says(&mut self, words: &str) {
        let words: String = words.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.lines.push(format!("# {}", words.trim_end()));
    }

    /// A line of the file. It holds nothing of the recipe's but values from [`text`].
    pub(super) fn line(&mut self, line: &str) {
        self.lines.push(line.to_owned());
    }

    /// A line that takes effect once somebody removes the `#` before it.
    pub(super) fn example(&mut self, line: &str) {
        self.lines.push(format!("#{line}"));
    }

    /// An empty line.
    pub(super) fn blank(&mut self) {
        self.lines.push(String::new());
    }

    /// The whole text.
    pub(super) fn text(self) -> String {
        self.lines.join("\n") + "\n"
    }
}

/// A text as a TOML value on one line.
pub(super) fn text(words: &str) -> String {
    // JSON's escapes are TOML's, but for DEL, which JSON leaves as it is (toml.io, v1.0.0, String).
    serde_json::Value::from(words).to_string().replace('\u{7f}', "\\u007F")
}
