//! Variables in values, replaced exactly as the Docker CLI does it, its faults included.
//!
//! Measured with CLI 28.2.2 (`cli/compose/template` and `cli/compose/interpolation` there). The faults that recipes meet:
//! nested defaults stay literal; `$NAME-text` takes `-text` for a default; a message of `${NAME:?some-message}` that contains a
//! hyphen becomes a default; an error is forgotten if a later variable in the same text is fine.

use std::collections::BTreeMap;

use super::error::{Problem, ProblemKind};
use super::tree::{Node, Value, quoted};

/// Replaces the variables in all values of a tree (keys are left alone) and casts what the CLI casts.
///
/// # Errors
/// A `$` that starts no variable, a required variable without value, or a result that is not of the type of its property.
pub(super) fn interpolate(node: Node, env: &BTreeMap<String, String>) -> Result<Node, Problem> {
    let Value::Map(map) = node.value else { return Ok(node) };
    let mut done = BTreeMap::new();
    for (key, value) in map {
        let path = key.clone();
        done.insert(key, walk(value, &path, env)?);
    }
    Ok(Node::new(node.place, Value::Map(done)))
}

fn walk(node: Node, path: &str, env: &BTreeMap<String, String>) -> Result<Node, Problem> {
    let place = node.place;
    let value = match node.value {
        Value::Text(text) => match substitute(&text, env) {
            Err(fault) => return Err(fault.at(path, place)),
            Ok(same) if same == text => Value::Text(same),
            Ok(changed) => cast(path, changed).map_err(|what| Problem {
                place,
                kind: ProblemKind::Interpolation,
                what: format!("{}: {what}; the text was {}", named(path), quoted(&text)),
            })?,
        },
        Value::Map(map) => {
            let mut done = BTreeMap::new();
            for (key, value) in map {
                let inner = format!("{path}.{key}");
                done.insert(key, walk(value, &inner, env)?);
            }
            Value::Map(done)
        }
        Value::List(items) => {
            let inner = format!("{path}.[]");
            Value::List(items.into_iter().map(|item| walk(item, &inner, env)).collect::<Result<_, _>>()?)
        }
        other => other,
    };
    Ok(Node::new(place, value))
}

/// A path as a person reads it.
fn named(path: &str) -> String {
    let path = path.replace(".[]", "[]");
    match path.strip_prefix("services.").and_then(|rest| rest.split_once('.')) {
        Some((service, rest)) => format!("service {service:?}: {rest}"),
        None => path,
    }
}

/// What can be wrong with one template.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fault {
    /// A `$` that starts nothing.
    Invalid { template: String },
    /// A required variable without value.
    Missing { variable: String, message: String },
}

impl Fault {
    fn at(self, path: &str, place: super::error::Place) -> Problem {
        match self {
            Fault::Invalid { template } => Problem {
                place,
                kind: ProblemKind::Interpolation,
                what: format!(
                    "{}: invalid interpolation format {}; write $$ for a literal dollar",
                    named(path),
                    quoted(&template)
                ),
            },
            Fault::Missing { variable, message } => {
                Problem { place, kind: ProblemKind::MissingVariable { variable, message }, what: named(path) }
            }
        }
    }
}

/// One text with its variables replaced.
pub(super) fn substitute(template: &str, env: &BTreeMap<String, String>) -> Result<String, Fault> {
    let mut result = String::with_capacity(template.len());
    let mut fault = None;
    let mut rest = template;
    while let Some(at) = rest.find('$') {
        result.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            result.push('$');
            rest = after;
        } else if let Some((substitution, after)) = variable(rest) {
            // The outcome of the last variable decides: an earlier fault is forgotten.
            fault = apply(substitution, env, &mut result).err();
            rest = after;
        } else {
            fault = Some(Fault::Invalid { template: template.to_owned() });
        }
    }
    result.push_str(rest);
    match fault {
        Some(fault) => Err(fault),
        None => Ok(result),
    }
}

/// The inside of `NAME…` or `{NAME…}` at the start of a text, and what follows it.
pub(super) fn variable(text: &str) -> Option<(&str, &str)> {
    match text.strip_prefix('{') {
        None => {
            let length = name_length(text)?;
            let length = length + modifier_length(&text[length..]);
            Some(text.split_at(length))
        }
        Some(inside) => {
            let name = name_length(inside)?;
            let length = name + modifier_length(&inside[name..]);
            let after = inside[length..].strip_prefix('}')?;
            Some((&inside[..length], after))
        }
    }
}

/// Bytes of the variable's name. Go's case folding counts two more letters as ASCII ones: the long s and the Kelvin sign.
fn name_length(text: &str) -> Option<usize> {
    let is_start = |c: char| c == '_' || c.is_ascii_alphabetic() || c == '\u{17f}' || c == '\u{212a}';
    let first = text.chars().next().filter(|c| is_start(*c))?;
    let rest: usize =
        text.chars().skip(1).take_while(|c| is_start(*c) || c.is_ascii_digit()).map(char::len_utf8).sum();
    Some(first.len_utf8() + rest)
}

/// Bytes of `:-default`, `-default`, `:?message` or `?message`, which reach up to the next closing brace or the end.
fn modifier_length(text: &str) -> usize {
    let after = text.strip_prefix(':').unwrap_or(text);
    if after.starts_with(['-', '?']) { text.find('}').unwrap_or(text.len()) } else { 0 }
}

/// Appends the value of one substitution. The order of the four forms is the CLI's and explains its faults.
fn apply(substitution: &str, env: &BTreeMap<String, String>, result: &mut String) -> Result<(), Fault> {
    let value = |name: &str| env.get(name).map(String::as_str);
    if let Some((name, default)) = substitution.split_once(":-") {
        result.push_str(value(name).filter(|value| !value.is_empty()).unwrap_or(default));
    } else if let Some((name, default)) = substitution.split_once('-') {
        result.push_str(value(name).unwrap_or(default));
    } else {
        let (name, message, may_be_empty) = match substitution.split_once(":?") {
            Some((name, message)) => (name, Some(message), false),
            None => match substitution.split_once('?') {
                Some((name, message)) => (name, Some(message), true),
                None => (substitution, None, true),
            },
        };
        match (value(name).filter(|value| may_be_empty || !value.is_empty()), message) {
            (Some(value), _) => result.push_str(value),
            (None, None) => {}
            (None, Some(message)) => {
                return Err(Fault::Missing { variable: name.to_owned(), message: message.to_owned() });
            }
        }
    }
    Ok(())
}

/// What a changed text becomes at its place.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Cast {
    Whole,
    Decimal,
    Boolean,
}

/// The places where the CLI casts; `*` is any key, `[]` any item.
const CASTS: &[(&str, Cast)] = &[
    ("services.*.configs.[].mode", Cast::Whole),
    ("services.*.secrets.[].mode", Cast::Whole),
    ("services.*.healthcheck.retries", Cast::Whole),
    ("services.*.healthcheck.disable", Cast::Boolean),
    ("services.*.deploy.replicas", Cast::Whole),
    ("services.*.deploy.update_config.parallelism", Cast::Whole),
    ("services.*.deploy.update_config.max_failure_ratio", Cast::Decimal),
    ("services.*.deploy.rollback_config.parallelism", Cast::Whole),
    ("services.*.deploy.rollback_config.max_failure_ratio", Cast::Decimal),
    ("services.*.deploy.restart_policy.max_attempts", Cast::Whole),
    ("services.*.deploy.placement.max_replicas_per_node", Cast::Whole),
    ("services.*.ports.[].target", Cast::Whole),
    ("services.*.ports.[].published", Cast::Whole),
    ("services.*.ulimits.*", Cast::Whole),
    ("services.*.ulimits.*.hard", Cast::Whole),
    ("services.*.ulimits.*.soft", Cast::Whole),
    ("services.*.privileged", Cast::Boolean),
    ("services.*.oom_score_adj", Cast::Whole),
    ("services.*.read_only", Cast::Boolean),
    ("services.*.stdin_open", Cast::Boolean),
    ("services.*.tty", Cast::Boolean),
    ("services.*.volumes.[].read_only", Cast::Boolean),
    ("services.*.volumes.[].volume.nocopy", Cast::Boolean),
    ("networks.*.external", Cast::Boolean),
    ("networks.*.internal", Cast::Boolean),
    ("networks.*.attachable", Cast::Boolean),
    ("volumes.*.external", Cast::Boolean),
    ("secrets.*.external", Cast::Boolean),
    ("configs.*.external", Cast::Boolean),
];

/// The value a changed text has at this path, or what it should have been.
fn cast(path: &str, text: String) -> Result<Value, String> {
    let matches = |pattern: &str| {
        let (mut wanted, mut given) = (pattern.split('.'), path.split('.'));
        loop {
            match (wanted.next(), given.next()) {
                (None, None) => return true,
                (Some(wanted), Some(given)) if wanted == "*" || wanted == given => {}
                _ => return false,
            }
        }
    };
    let Some((_, cast)) = CASTS.iter().find(|(pattern, _)| matches(pattern)) else {
        return Ok(Value::Text(text));
    };
    let found = match cast {
        Cast::Whole => text.parse().ok().map(Value::Int),
        Cast::Decimal => text.parse::<f64>().ok().map(Value::Float),
        Cast::Boolean => match text.to_lowercase().as_str() {
            "y" | "yes" | "true" | "on" => Some(Value::Bool(true)),
            "n" | "no" | "false" | "off" => Some(Value::Bool(false)),
            _ => None,
        },
    };
    let wanted = match cast {
        Cast::Whole => "a whole number",
        Cast::Decimal => "a number",
        Cast::Boolean => "a boolean",
    };
    found.ok_or_else(|| format!("must be {wanted} after interpolation, is {}", quoted(&text)))
}
