//! Several compose files become one, property by property, as the Docker CLI merges them.
//!
//! Measured with CLI 28.2.2. The rules that surprise: lists are appended (a healthcheck's test as well, which breaks it); ports,
//! mounts, secrets and configs are joined by published port, target and source and then sorted; false, zero and empty never
//! override; a volume, network, secret or config of a later file replaces the earlier one as a whole.

use std::collections::BTreeMap;

use super::error::Problem;
use super::schema::{self, Form, Record};
use super::shape;
use super::tree::{Node, Value};

type Map = BTreeMap<String, Node>;

/// Puts a later record over an earlier one.
pub(super) fn record(record: &Record, base: &mut Map, mut over: Map, trail: &str) -> Result<(), Problem> {
    for property in record.properties {
        let given = over.remove(property.name);
        match (base.get_mut(property.name), given) {
            (Some(base), given) => form(&property.form, base, given),
            (None, Some(given)) if !is_empty_list(&given) => {
                base.insert(property.name.to_owned(), given);
            }
            (None, _) => {}
        }
    }
    for (key, value) in over {
        match base.get_mut(&key) {
            Some(base) => extension(base, value, &shape::join(trail, &key))?,
            None => {
                base.insert(key, value);
            }
        }
    }
    Ok(())
}

fn is_empty_list(node: &Node) -> bool {
    matches!(&node.value, Value::List(items) if items.is_empty())
}

/// Merges one property that the earlier file has.
fn form(form: &Form, base: &mut Node, given: Option<Node>) {
    match form {
        Form::Ports => keyed(base, given, |item| {
            Key::Number(match item.get("published").map(|node| &node.value) {
                Some(Value::Int(port)) => *port,
                _ => 0,
            })
        }),
        Form::Mounts => keyed(base, given, |item| Key::Text(text_of(item, "target"))),
        Form::References => keyed(base, given, |item| Key::Text(text_of(item, "source"))),
        _ => {
            if let Some(given) = given {
                present(form, base, given);
            }
        }
    }
}

/// Merges one property that both files have and that is no keyed list.
fn present(form: &Form, base: &mut Node, given: Node) {
    match form {
        Form::OptionalWhole(_) | Form::OptionalNumber(_) => *base = given,
        Form::Text
        | Form::TextOrNothing
        | Form::OneOf(_)
        | Form::Flag
        | Form::Switch
        | Form::Whole(_)
        | Form::Ratio
        | Form::Duration
        | Form::OptionalDuration
        | Form::Bytes
        | Form::Command
        | Form::External(_) => {
            if !is_zero(&given.value) {
                *base = given;
            }
        }
        Form::Texts(_)
        | Form::TextOrTexts
        | Form::HealthTest
        | Form::Exposed
        | Form::Hosts
        | Form::Records(_) => {
            if let (Value::List(base), Value::List(given)) = (&mut base.value, given.value) {
                base.extend(given);
            }
        }
        Form::Labels | Form::Options(_) => each(base, given, |base, given| *base = given),
        Form::Environment => each(base, given, |base, given| {
            // An empty value never covers one that says something.
            if !is_zero(&given.value) || is_zero(&base.value) {
                *base = given;
            }
        }),
        Form::Inner(inner) | Form::OptionalInner(inner) | Form::InnerOrNothing(inner) => {
            both(inner, base, given)
        }
        Form::Build => both(&schema::BUILD, base, given),
        Form::Logging => logging(base, given),
        Form::Networks => each(base, given, attachment),
        Form::Ulimits => each(base, given, |base, given| *base = given),
        Form::Resource | Form::Forgotten(_) | Form::Raw | Form::Ports | Form::Mounts | Form::References => {
            *base = given;
        }
    }
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) | Value::Int(0) | Value::Unsigned(0) => true,
        Value::Bool(true) | Value::Int(_) | Value::Unsigned(_) | Value::Time(_) => false,
        Value::Float(number) => *number == 0.0,
        Value::Text(text) => text.is_empty(),
        Value::List(items) => items.is_empty(),
        Value::Map(map) => map.is_empty(),
    }
}

fn both(inner: &Record, base: &mut Node, given: Node) {
    if let (Value::Map(base), Value::Map(given)) = (&mut base.value, given.value) {
        // Only a service has extensions, and only they can clash.
        let merged = record(inner, base, given, "");
        debug_assert!(merged.is_ok());
    }
}

/// Merges two mappings key by key.
fn each(base: &mut Node, given: Node, mut merge: impl FnMut(&mut Node, Node)) {
    if let (Value::Map(base), Value::Map(given)) = (&mut base.value, given.value) {
        for (key, value) in given {
            match base.get_mut(&key) {
                Some(base) => merge(base, value),
                None => {
                    base.insert(key, value);
                }
            }
        }
    }
}

/// A service's place in a network: aliases of the later file replace, addresses replace if given, driver options are lost.
fn attachment(base: &mut Node, given: Node) {
    match (&mut base.value, given.value) {
        (_, Value::Null) => {}
        (Value::Map(base), Value::Map(mut given)) => {
            base.remove("aliases");
            base.extend(given.remove_entry("aliases"));
            for key in ["ipv4_address", "ipv6_address"] {
                base.extend(given.remove_entry(key).filter(|(_, value)| !is_zero(&value.value)));
            }
        }
        (_, value) => *base = Node::new(given.place, value),
    }
}

/// Options are joined where the driver stays the same; where the earlier file had none, the later ones are lost (a fault).
fn logging(base: &mut Node, given: Node) {
    let driver = |node: &Node| text_of(node, "driver");
    let (old, new) = (driver(base), driver(&given));
    if !old.is_empty() && !new.is_empty() && old != new {
        *base = given;
        return;
    }
    let Value::Map(given) = given.value else { return };
    let Value::Map(map) = &mut base.value else { return };
    for (key, value) in given {
        match (key.as_str(), map.get_mut(&key)) {
            ("driver", _) if old.is_empty() => {
                map.insert(key, value);
            }
            ("options", Some(options)) => each(options, value, |base, given| *base = given),
            _ => {}
        }
    }
}

/// What joins the items of a list.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Number(i64),
    Text(String),
}

fn text_of(item: &Node, key: &str) -> String {
    item.get(key).and_then(Node::text).unwrap_or_default().to_owned()
}

/// Joins two lists by a key; the last item with a key stays. Happens to a service in two files even if only the first has the list.
fn keyed(base: &mut Node, given: Option<Node>, key: impl Fn(&Node) -> Key) {
    let mut all: BTreeMap<Key, Node> = BTreeMap::new();
    let mut take = |node: &mut Node| {
        if let Value::List(items) = &mut node.value {
            all.extend(items.drain(..).map(|item| (key(&item), item)));
        }
    };
    take(base);
    if let Some(mut given) = given {
        take(&mut given);
    }
    base.value = Value::List(all.into_values().collect());
}

/// Merges what lies under a key of the recipe's own (`x-…`) inside a service.
fn extension(base: &mut Node, given: Node, trail: &str) -> Result<(), Problem> {
    match (&mut base.value, given.value) {
        (Value::Map(base), Value::Map(given)) => {
            for (key, value) in given {
                match base.get_mut(&key) {
                    Some(base) => extension(base, value, &shape::join(trail, &key))?,
                    None => {
                        base.insert(key, value);
                    }
                }
            }
        }
        (Value::List(base), Value::List(given)) => base.extend(given),
        (Value::Null, value) => *base = Node::new(given.place, value),
        (_, Value::List(_)) => {
            let what = format!("{trail} is a list here and something else in an earlier file; use one form");
            return Err(Problem::schema(given.place, what));
        }
        (_, value) => *base = Node::new(given.place, value),
    }
    Ok(())
}
