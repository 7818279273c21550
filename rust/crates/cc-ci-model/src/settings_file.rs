//! The one strict reader of TOML settings: an unknown key or a wrong type is an error with file, line and key.

use serde::de::DeserializeOwned;

/// Why a settings file is refused: where the mistake is, what it is, and which valid key is nearest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}, line {line}: {}{what}{}", key_part(.key), hint_part(.nearest.as_deref()))]
pub struct SettingsError {
    /// The file as it was named to the reader.
    pub file: String,
    /// Line of the mistake, counted from 1.
    pub line: usize,
    /// The key with its tables, e.g. `app.health.path`; empty where the whole file is meant.
    pub key: String,
    /// What is wrong with it.
    pub what: String,
    /// The valid key that an unknown one resembles most.
    pub nearest: Option<String>,
}

fn key_part(key: &str) -> String {
    if key.is_empty() { String::new() } else { format!("key {key}: ") }
}

fn hint_part(nearest: Option<&str>) -> String {
    nearest.map(|key| format!("; did you mean `{key}`?")).unwrap_or_default()
}

/// Reads a settings document into its type. Nothing is ignored: types that are read this way deny unknown fields.
pub fn read_strict<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, SettingsError> {
    let deserializer = toml::Deserializer::parse(text).map_err(|error| refusal(file, text, "", &error))?;
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let path = error.path().to_string();
        refusal(file, text, &path, error.inner())
    })
}

/// An error about a document that was read, but whose parts do not fit each other.
pub(crate) fn mismatch(file: &str, text: &str, key: &str, needle: &str, what: String) -> SettingsError {
    let line = text.lines().position(|line| line.contains(needle)).map_or(1, |index| index + 1);
    SettingsError { file: file.to_owned(), line, key: key.to_owned(), what, nearest: None }
}

fn refusal(file: &str, text: &str, path: &str, error: &toml::de::Error) -> SettingsError {
    let start = error.span().map_or(0, |span| span.start.min(text.len()));
    let line = text.as_bytes()[..start].iter().filter(|byte| **byte == b'\n').count() + 1;
    let message = error.message().lines().collect::<Vec<_>>().join(", ");
    let path = if path == "." { "" } else { path };
    let mut names = message.split('`').skip(1).step_by(2);
    match message.strip_prefix("unknown field `").and_then(|_| names.next()) {
        Some(unknown) => {
            let key = with_last(path, unknown);
            let valid: Vec<&str> = names.collect();
            let nearest = nearest(unknown, &valid);
            let what = if valid.is_empty() {
                "there is no such key".to_owned()
            } else {
                format!("there is no such key, only {}", valid.join(", "))
            };
            SettingsError { file: file.to_owned(), line, key, what, nearest }
        }
        None => {
            SettingsError { file: file.to_owned(), line, key: path.to_owned(), what: message, nearest: None }
        }
    }
}

/// The path with the unknown key at its end, whether or not the path already ends with it.
fn with_last(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else if path == key || path.ends_with(&format!(".{key}")) {
        path.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// The valid key that resembles the unknown one most, if any does.
fn nearest(unknown: &str, valid: &[&str]) -> Option<String> {
    let unknown = unknown.to_lowercase();
    valid
        .iter()
        .map(|key| (strsim::jaro_winkler(&unknown, &key.to_lowercase()), *key))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, key)| key.to_owned())
}
