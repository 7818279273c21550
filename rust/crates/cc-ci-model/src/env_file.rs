//! An app's `.env` file as a list of lines: read with in-file expansion, changed line by line, never re-serialised.
//!
//! Rules as abra.md 1.2 states them: quotes as in docker env files, `#` comments (whose text carries meaning on secret
//! lines), later lines may use earlier keys, the last of several equal keys wins.

use std::collections::BTreeMap;

/// A `.env` file that keeps every line it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvFile {
    lines: Vec<Line>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    raw: String,
    entry: Option<Entry>,
}

/// One active `KEY=value` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The value before expansion, without its quotes.
    value: String,
    /// Whether `$KEY` in the value is replaced: not within single quotes.
    expands: bool,
    /// The trailing comment without `#`, trimmed; empty if there is none.
    pub comment: String,
}

/// A line that is neither an assignment, a comment nor blank; kept as it is, without effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oddity {
    /// Line number, from 1.
    pub line: usize,
    /// What is odd about it.
    pub what: String,
}

impl EnvFile {
    /// Reads a file. Nothing is refused: lines without meaning are kept and reported by [`EnvFile::oddities`].
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = text.lines().map(|raw| Line { raw: raw.to_owned(), entry: parse_entry(raw) }).collect();
        Self { lines }
    }

    /// Active assignments in file order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.lines.iter().filter_map(|line| line.entry.as_ref())
    }

    /// All values after in-file expansion; of several equal keys the last one.
    #[must_use]
    pub fn values(&self) -> BTreeMap<String, String> {
        let mut values = BTreeMap::new();
        for entry in self.entries() {
            let value = if entry.expands { expand(&entry.value, &values) } else { entry.value.clone() };
            values.insert(entry.key.clone(), value);
        }
        values
    }

    /// The value of one key after expansion.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<String> {
        self.values().remove(key)
    }

    /// The last active line of a key.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().filter(|entry| entry.key == key).last()
    }

    /// Sets a key: the line is then its own line, exactly once active, and reads back as `value`. Commented-out lines stay.
    /// A trailing comment of the replaced line stays too, since it may carry the rules of a secret.
    pub fn set(&mut self, key: &str, value: &str) {
        let comment = self.entry(key).map(|entry| entry.comment.clone()).unwrap_or_default();
        let mut raw = format!("{key}={}", quote(value));
        if !comment.is_empty() {
            raw.push_str(" # ");
            raw.push_str(&comment);
        }
        let line = Line { entry: parse_entry(&raw), raw };
        let is_key = |line: &Line| line.entry.as_ref().is_some_and(|entry| entry.key == key);
        // The last one stays in place, because lines below it may use the key and lines above it cannot.
        match self.lines.iter().rposition(is_key) {
            Some(last) => {
                self.lines[last] = line;
                let mut index = 0;
                self.lines.retain(|line| {
                    let keep = index == last || !is_key(line);
                    index += 1;
                    keep
                });
            }
            None => self.lines.push(line),
        }
    }

    /// Makes a commented-out assignment of `key` active, as an operator would who switches an optional overlay on.
    /// Returns whether there was one (or an active one already).
    pub fn uncomment(&mut self, key: &str) -> bool {
        if self.entry(key).is_some() {
            return true;
        }
        for line in &mut self.lines {
            let bare = line.raw.trim_start().trim_start_matches('#').trim_start();
            if let Some(entry) = parse_entry(bare).filter(|entry| entry.key == key) {
                *line = Line { raw: bare.to_owned(), entry: Some(entry) };
                return true;
            }
        }
        false
    }

    /// Lines that look like a mistake, for a remark in the log.
    #[must_use]
    pub fn oddities(&self) -> Vec<Oddity> {
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        let mut odd = Vec::new();
        for (index, line) in self.lines.iter().enumerate() {
            let number = index + 1;
            match &line.entry {
                None => {
                    let text = line.raw.trim();
                    if !text.is_empty() && !text.starts_with('#') {
                        let what =
                            format!("{} is neither KEY=value nor a comment", crate::names::quoted(text));
                        odd.push(Oddity { line: number, what });
                    }
                }
                Some(entry) => {
                    if let Some(first) = seen.insert(&entry.key, number)
                        && !(entry.expands && mentions(&entry.value, &entry.key))
                    {
                        let what = format!("{} was set in line {first} already; this line wins", entry.key);
                        odd.push(Oddity { line: number, what });
                    }
                }
            }
        }
        odd
    }
}

impl std::fmt::Display for EnvFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for line in &self.lines {
            writeln!(f, "{}", line.raw)?;
        }
        Ok(())
    }
}

/// Whether a variable of this name would change how programs of the host run that are given the app's environment
/// for interpolation (`LD_PRELOAD` loads code, `DOCKER_HOST` picks another engine). Such a key is refused.
#[must_use]
pub fn steers_programs(key: &str) -> bool {
    let prefixes = ["LD_", "DOCKER_", "GLIBC_", "MALLOC_", "GIT_", "BUILDKIT_", "BUILDX_", "OTEL_", "CCCI_"];
    let names = [
        "PATH",
        "HOME",
        "USER",
        "SHELL",
        "IFS",
        "ENV",
        "BASH_ENV",
        "TMPDIR",
        "GODEBUG",
        "GOGC",
        "GOMAXPROCS",
        "GOTRACEBACK",
        "GOCOVERDIR",
        "GCONV_PATH",
        "LOCPATH",
        "NLSPATH",
        "HOSTALIASES",
        "RES_OPTIONS",
        "ABRA_DIR",
        "XDG_CONFIG_HOME",
        "XDG_RUNTIME_DIR",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
    ];
    let key = key.to_ascii_uppercase();
    names.contains(&key.as_str()) || prefixes.iter().any(|prefix| key.starts_with(prefix))
}

fn is_key(text: &str) -> bool {
    text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.')
}

fn parse_entry(raw: &str) -> Option<Entry> {
    let text = raw.trim();
    let text = text.strip_prefix("export ").map_or(text, str::trim_start);
    let (key, rest) = text.split_once('=')?;
    let key = key.trim_end();
    if !is_key(key) {
        return None;
    }
    let rest = rest.trim_start();
    let (value, expands, after) = match rest.chars().next() {
        Some('\'') => match rest[1..].split_once('\'') {
            Some((value, after)) => (value.to_owned(), false, after),
            None => (rest.to_owned(), true, ""),
        },
        Some('"') => match double_quoted(&rest[1..]) {
            Some((value, after)) => (value, true, after),
            None => (rest.to_owned(), true, ""),
        },
        _ => {
            // A `#` begins a comment only at the start or after a blank: `a#b` is a value.
            let cut = rest
                .char_indices()
                .find(|(index, c)| *c == '#' && (*index == 0 || rest[..*index].ends_with([' ', '\t'])))
                .map_or(rest.len(), |(index, _)| index);
            (rest[..cut].trim_end().to_owned(), true, &rest[cut..])
        }
    };
    let comment = after.trim_start().strip_prefix('#').unwrap_or_default().trim().to_owned();
    Some(Entry { key: key.to_owned(), value, expands, comment })
}

/// The inside of a double-quoted value up to its closing quote. Escapes other than `\$` are resolved; `\$` is kept
/// for [`expand`], which must tell an escaped dollar from a variable.
fn double_quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[index + 1..])),
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                '"' => value.push('"'),
                '\\' => value.push_str("\\\\"),
                other => {
                    value.push('\\');
                    value.push(other);
                }
            },
            other => value.push(other),
        }
    }
    None
}

fn mentions(value: &str, key: &str) -> bool {
    value.contains(&format!("${key}")) || value.contains(&format!("${{{key}}}"))
}

/// Replaces `$KEY` and `${KEY}` by the keys read so far (unknown ones by nothing) and resolves `\$` and `\\`.
fn expand(value: &str, values: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = value;
    while let Some(index) = rest.find(['$', '\\']) {
        out.push_str(&rest[..index]);
        let tail = &rest[index..];
        if let Some(after) = tail.strip_prefix("\\\\") {
            out.push('\\');
            rest = after;
        } else if let Some(after) = tail.strip_prefix("\\$") {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = variable(tail) {
            out.push_str(values.get(name).map_or("", String::as_str));
            rest = after;
        } else {
            out.push_str(&tail[..1]);
            rest = &tail[1..];
        }
    }
    out.push_str(rest);
    out
}

fn variable(tail: &str) -> Option<(&str, &str)> {
    let body = tail.strip_prefix('$')?;
    if let Some(braced) = body.strip_prefix('{') {
        let (name, after) = braced.split_once('}')?;
        return is_key(name).then_some((name, after));
    }
    let end = body.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(body.len());
    let (name, after) = body.split_at(end);
    is_key(name).then_some((name, after))
}

/// Writes a value so that it reads back as it is.
fn quote(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:,@%+=".contains(c);
    if value.chars().all(plain) {
        value.to_owned()
    } else if !value.contains(['\'', '\n', '\r']) {
        format!("'{value}'")
    } else {
        let escaped = value
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('$', "\\$")
            .replace('\n', "\\n")
            .replace('\r', "");
        format!("\"{escaped}\"")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn env_append_without_final_newline_starts_a_new_line() {
        let mut file = EnvFile::parse("# a comment without a newline");
        file.set("RESTIC_REPOSITORY", "/backups");
        assert_eq!(file.to_string(), "# a comment without a newline\nRESTIC_REPOSITORY=/backups\n");
        let mut file = EnvFile::parse("#KEY=old\nKEY=one\nOTHER=1\nKEY=two # length=3\n");
        file.set("KEY", "three");
        assert_eq!(file.to_string(), "#KEY=old\nOTHER=1\nKEY=three # length=3\n");
        assert_eq!(file.get("KEY").as_deref(), Some("three"));
    }

    #[test]
    fn later_lines_use_earlier_keys_and_the_last_one_wins() {
        let file = EnvFile::parse(
            "COMPOSE_FILE=\"compose.yml\"\nCOMPOSE_FILE=\"$COMPOSE_FILE:compose.postgres.yml\"\nA=${COMPOSE_FILE}x\nB='$A'\nC=$NONE.\n",
        );
        assert_eq!(file.get("COMPOSE_FILE").as_deref(), Some("compose.yml:compose.postgres.yml"));
        assert_eq!(file.get("A").as_deref(), Some("compose.yml:compose.postgres.ymlx"));
        assert_eq!(file.get("B").as_deref(), Some("$A"));
        assert_eq!(file.get("C").as_deref(), Some("."));
        assert_eq!(file.oddities(), vec![]);
    }

    #[test]
    fn comments_quotes_and_oddities_are_understood() {
        let file = EnvFile::parse(
            "\u{feff}export A=1\r\nSECRET_X_VERSION=v1 # length=64 charset=hex\nB=a#b\nC=\"x # y\" # z\nnonsense\nD=\nE=\"open\n#F=1\nA=2",
        );
        let values = file.values();
        assert_eq!(values["A"], "2");
        assert_eq!(values["SECRET_X_VERSION"], "v1");
        assert_eq!(file.entry("SECRET_X_VERSION").unwrap().comment, "length=64 charset=hex");
        assert_eq!(values["B"], "a#b");
        assert_eq!(values["C"], "x # y");
        assert_eq!(file.entry("C").unwrap().comment, "z");
        assert_eq!(values["D"], "");
        assert_eq!(values["E"], "\"open");
        assert!(!values.contains_key("F"));
        let lines: Vec<_> = file.oddities().iter().map(|oddity| oddity.line).collect();
        assert_eq!(lines, [5, 9]);
    }

    #[test]
    fn variables_that_steer_programs_of_the_host_are_known() {
        for key in ["LD_PRELOAD", "PATH", "DOCKER_HOST", "HOME", "https_proxy", "GODEBUG", "CCCI_SETTINGS"] {
            assert!(steers_programs(key), "{key}");
        }
        for key in ["DOMAIN", "TYPE", "COMPOSE_FILE", "LETS_ENCRYPT_ENV", "PATH_PREFIX", "STACK_NAME"] {
            assert!(!steers_programs(key), "{key}");
        }
    }

    #[test]
    fn an_optional_line_can_be_switched_on() {
        let mut file = EnvFile::parse("#SECRET_DB_PASSWORD_VERSION=v1 # length=32\n# a note\n");
        assert!(file.uncomment("SECRET_DB_PASSWORD_VERSION"));
        assert_eq!(file.entry("SECRET_DB_PASSWORD_VERSION").unwrap().comment, "length=32");
        assert!(!file.uncomment("NOTHING"));
    }

    proptest! {
        #[test]
        fn a_value_that_was_set_reads_back(
            before in "(#?[A-Z_]{1,4}=[^\n\r]{0,12}\n?){0,6}", key in "[A-Z_]{1,4}", value in "[^\r\u{0}]{0,40}"
        ) {
            let mut file = EnvFile::parse(&before);
            file.set(&key, &value);
            let again = EnvFile::parse(&file.to_string());
            prop_assert_eq!(again.get(&key), Some(value));
            prop_assert_eq!(again.entries().filter(|entry| entry.key == key).count(), 1);
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in "\\PC*", noise in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = EnvFile::parse(&text).values();
            let _ = EnvFile::parse(&String::from_utf8_lossy(&noise)).values();
        }
    }
}
