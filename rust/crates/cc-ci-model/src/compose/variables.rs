//! The environment of a service: what `env_file` and `environment` say, and what the caller's own variables change in it.

use std::collections::BTreeMap;

use super::error::{Problem, ProblemKind};
use super::mounts;
use super::tree::{Node, Value, quoted};

/// Longest line of an env file in bytes; the CLI's scanner gives up beyond it.
const LONGEST_LINE: usize = 64 * 1024 - 1;

/// Reads a file of the recipe, by its path from the recipe folder.
pub(super) type ReadFile<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Replaces a service's `environment` by the one its containers get.
///
/// A key without value, or with an empty one, takes the caller's value where there is one; that holds for env files too. Files outside
/// the recipe are not read (the gate refuses them).
pub(super) fn resolve(
    service: &mut BTreeMap<String, Node>,
    folder: &str,
    env: &BTreeMap<String, String>,
    read: ReadFile<'_>,
    trail: &str,
) -> Result<(), Problem> {
    let mut from_files: BTreeMap<String, Node> = BTreeMap::new();
    for file in service.get("env_file").map(Node::items).unwrap_or_default() {
        let path = file.text().unwrap_or_default();
        let Some(inside) = mounts::inside_recipe(folder, path) else { continue };
        let fault = |what: String| Problem { place: file.place, kind: ProblemKind::EnvironmentFile, what };
        let text = read(&inside).ok_or_else(|| {
            fault(format!("{trail} env_file {} cannot be read; add the file to the recipe", quoted(path)))
        })?;
        let lines =
            lines(&text, env).map_err(|why| fault(format!("{trail} env_file {} {why}", quoted(path))))?;
        from_files
            .extend(lines.into_iter().map(|(key, value)| (key, Node::new(file.place, Value::Text(value)))));
    }
    let own = match service.remove("environment") {
        Some(Node { value: Value::Map(map), .. }) => map,
        _ => BTreeMap::new(),
    };
    let mut all = BTreeMap::new();
    let mut place = None;
    for (key, node) in from_files.into_iter().chain(own) {
        place = place.or(Some(node.place));
        let is_empty = matches!(&node.value, Value::Null) || node.text() == Some("");
        let value = match env.get(&key) {
            Some(value) if is_empty => Value::Text(value.clone()),
            _ => node.value,
        };
        all.insert(key, Node::new(node.place, value));
    }
    if let Some(place) = place {
        service.insert("environment".to_owned(), Node::new(place, Value::Map(all)));
    }
    Ok(())
}

/// The variables of an env file, in which nothing is interpolated and nothing unquoted.
fn lines(text: &str, env: &BTreeMap<String, String>) -> Result<Vec<(String, String)>, String> {
    let mut found = Vec::new();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (index, line) in text.split('\n').enumerate() {
        if line.len() > LONGEST_LINE {
            return Err(format!("has a line of more than 64 KiB (line {})", index + 1));
        }
        let line = line.strip_suffix('\r').unwrap_or(line).trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = match line.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (line, env.get(line).cloned()),
        };
        if key.is_empty() || key.contains([' ', '\t']) {
            return Err(format!("has no valid variable name on line {}; write NAME=value", index + 1));
        }
        found.extend(value.map(|value| (key.to_owned(), value)));
    }
    Ok(found)
}
