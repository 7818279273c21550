//! Checks one interpolated file against the schema of its version and brings every property into its one canonical form.
//!
//! Canonical means: lists and short forms written out, labels as mappings of texts, durations in nanoseconds, sizes in bytes. A
//! key that is missing afterwards is the CLI's zero value.

use std::collections::BTreeMap;

use super::error::{Place, Problem};
use super::schema::{self, Bits, Form, Others, Record};
use super::tree::{Node, Value, quoted};
use super::{mounts, ports, quantity, scalar, words};

/// Most ports one service may publish, ranges written out.
const MOST_PORTS: usize = 70_000;

type Map = BTreeMap<String, Node>;

/// Reads the forms of one version.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// Minor version of the 3.x format.
    pub(super) version: u8,
}

impl Shape {
    /// One mapping with fixed properties.
    pub(super) fn record(self, record: &Record, node: Node, trail: &str) -> Result<Node, Problem> {
        let place = node.place;
        let Value::Map(map) = node.value else { return Err(must_be("a mapping", &node, trail)) };
        let mut done = Map::new();
        for (key, value) in map {
            let known =
                record.properties.iter().find(|known| known.name == key && known.since <= self.version);
            let trail = join(trail, &key);
            match (known, record.others) {
                (Some(known), _) => {
                    if let Some(value) = self.form(&known.form, value, &trail)? {
                        done.insert(key, value);
                    }
                }
                (None, Others::Ignored) => {}
                (None, Others::Extensions(since)) if since <= self.version && key.starts_with("x-") => {
                    done.insert(key, value);
                }
                (None, Others::Refused | Others::Extensions(_)) => {
                    return Err(Problem::schema(value.place, self.unknown(record, &key, &trail)));
                }
            }
        }
        for name in record.required {
            if !done.contains_key(*name) {
                return Err(Problem::schema(place, format!("{trail} needs the property {name}")));
            }
        }
        Ok(Node::new(place, Value::Map(done)))
    }

    /// Why a key is refused: it came later, looks like another one, or is not known at all.
    fn unknown(self, record: &Record, key: &str, trail: &str) -> String {
        if let Some(later) = record.properties.iter().find(|known| known.name == key) {
            return format!(
                "{trail} is not allowed in version 3.{}, only from 3.{} on; change version or leave it out",
                self.version, later.since
            );
        }
        format!("{trail} is not a property that docker stack deploy knows; leave {} out", quoted(key))
    }

    /// One property. `None` if it says the same as not being there.
    pub(super) fn form(self, form: &Form, node: Node, trail: &str) -> Result<Option<Node>, Problem> {
        let place = node.place;
        let made = |value| Ok(Some(Node::new(place, value)));
        match form {
            Form::Text => match node.value {
                Value::Text(_) => Ok(Some(node)),
                _ => Err(must_be("a text", &node, trail)),
            },
            Form::TextOrNothing => match node.value {
                Value::Text(_) => Ok(Some(node)),
                Value::Null => Ok(None),
                _ => Err(must_be("a text", &node, trail)),
            },
            Form::OneOf(words) => match node.text() {
                Some(word) if words.contains(&word) => Ok(Some(node)),
                _ => Err(must_be(&format!("one of {}", words.join(", ")), &node, trail)),
            },
            Form::Flag | Form::Switch => match node.value {
                Value::Bool(_) => Ok(Some(node)),
                _ => Err(must_be("true or false", &node, trail)),
            },
            Form::Whole(bits) | Form::OptionalWhole(bits) => whole(*bits, &node, trail, Fractions::Refused),
            Form::OptionalNumber(bits) => whole(*bits, &node, trail, Fractions::CutOff),
            Form::Ratio => match node.value {
                Value::Int(number) => made(narrow(number as f64)),
                Value::Unsigned(number) => made(narrow(number as f64)),
                Value::Float(number) if number.is_finite() => made(narrow(number)),
                _ => Err(must_be("a number", &node, trail)),
            },
            Form::Duration | Form::OptionalDuration => match node.text().and_then(quantity::duration) {
                Some(length) => made(Value::Int(length.0)),
                None => Err(must_be("a duration like 90s or 1m30s", &node, trail)),
            },
            Form::Bytes => match node.text().and_then(quantity::bytes) {
                Some(size) => made(Value::Int(size)),
                None => Err(must_be("a size like 256M, in quotes if it is a number", &node, trail)),
            },
            Form::Texts(unique) => texts(node, trail, *unique).map(Some),
            Form::TextOrTexts => match node.value {
                Value::Text(_) => made(Value::List(vec![node])),
                Value::List(_) => texts(node, trail, true).map(Some),
                _ => Err(must_be("a text or a list of texts", &node, trail)),
            },
            Form::Command => match &node.value {
                Value::Text(text) => match words::split(text) {
                    Ok(words) => made(Value::List(
                        words.into_iter().map(|word| Node::new(place, Value::Text(word))).collect(),
                    )),
                    Err(why) => {
                        let what = format!("{trail} {why}: {}; write it as a list", quoted(text));
                        Err(Problem::schema(place, what))
                    }
                },
                Value::List(_) => texts(node, trail, false).map(Some),
                _ => Err(must_be("a text or a list of texts", &node, trail)),
            },
            Form::HealthTest => match node.value {
                Value::Text(_) => {
                    let shell = Node::new(place, Value::Text("CMD-SHELL".to_owned()));
                    made(Value::List(vec![shell, node]))
                }
                Value::List(_) => texts(node, trail, false).map(Some),
                _ => Err(must_be("a text or a list of texts", &node, trail)),
            },
            Form::Exposed => exposed(node, trail).map(Some),
            Form::Hosts => self.hosts(node, trail).map(Some),
            Form::Labels => pairs(node, trail, Nothing::Empty).map(Some),
            Form::Environment => pairs(node, trail, Nothing::Kept).map(Some),
            Form::Options(nothing) => options(node, trail, *nothing).map(Some),
            Form::Inner(record) | Form::OptionalInner(record) => self.record(record, node, trail).map(Some),
            Form::InnerOrNothing(record) => match node.value {
                Value::Null => Ok(None),
                _ => self.record(record, node, trail).map(Some),
            },
            Form::Records(record) => {
                let Value::List(items) = node.value else { return Err(must_be("a list", &node, trail)) };
                let items: Result<Vec<Node>, Problem> = items
                    .into_iter()
                    .enumerate()
                    .map(|(index, item)| self.record(record, item, &format!("{trail}[{index}]")))
                    .collect();
                made(Value::List(items?))
            }
            Form::Logging => self.record(&schema::LOGGING, node, trail).map(Some),
            Form::Build => match node.value {
                Value::Text(_) => made(Value::Map(Map::from([("context".to_owned(), node)]))),
                _ => self.record(&schema::BUILD, node, trail).map(Some),
            },
            Form::Ports => self.ports(node, trail).map(Some),
            Form::Mounts => self.mounts(node, trail).map(Some),
            Form::References => self.references(node, trail).map(Some),
            Form::Networks => self.networks(node, trail).map(Some),
            Form::Ulimits => ulimits(node, trail).map(Some),
            Form::External(others) => external(node, trail, *others),
            Form::Resource => self.resource(node, trail).map(Some),
            Form::Forgotten(form) => self.form(form, node, trail).map(|_| None),
            Form::Raw => Ok(Some(node)),
        }
    }

    /// `extra_hosts`: in the end a list of `host:address`.
    fn hosts(self, node: Node, trail: &str) -> Result<Node, Problem> {
        let place = node.place;
        let entries: Vec<String> = match &node.value {
            Value::Map(map) => map
                .iter()
                .filter(|(_, value)| value.value != Value::Null)
                .map(|(key, value)| match scalar_text(value) {
                    Some(text) => Ok(format!("{key}:{text}")),
                    None => Err(must_be("a text", value, &join(trail, key))),
                })
                .collect::<Result<_, _>>()?,
            Value::List(_) => texts(node, trail, true)?
                .items()
                .iter()
                .filter_map(Node::text)
                // An entry without either sign is dropped by the CLI without a word.
                .filter_map(|entry| entry.split_once('=').or_else(|| entry.split_once(':')))
                .map(|(host, address)| format!("{host}:{address}"))
                .collect(),
            _ => return Err(must_be("a mapping or a list of host:address", &node, trail)),
        };
        let bare = |entry: String| match entry.split_once(':') {
            Some((host, address)) => {
                let inner = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
                format!("{host}:{}", inner.filter(|inner| !inner.is_empty()).unwrap_or(address))
            }
            None => format!("{entry}:"),
        };
        let items = entries.into_iter().map(|entry| Node::new(place, Value::Text(bare(entry)))).collect();
        Ok(Node::new(place, Value::List(items)))
    }

    fn ports(self, node: Node, trail: &str) -> Result<Node, Problem> {
        let place = node.place;
        let Value::List(items) = node.value else { return Err(must_be("a list", &node, trail)) };
        no_twins(&items, trail)?;
        let mut all = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            let trail = format!("{trail}[{index}]");
            let text = match &item.value {
                Value::Int(number) => number.to_string(),
                Value::Text(text) => text.clone(),
                Value::Map(_) if self.version >= 2 => {
                    all.push(self.record(&schema::PORT, item, &trail)?);
                    continue;
                }
                _ => return Err(must_be("a port like \"8080:80\" or a mapping", &item, &trail)),
            };
            let short = ports::parse(&text).map_err(|why| {
                Problem::schema(item.place, format!("{trail} {} {why}; write HOST:CONTAINER", quoted(&text)))
            })?;
            let at = |value| Node::new(item.place, value);
            all.extend(short.into_iter().map(|port| {
                at(Value::Map(Map::from([
                    ("mode".to_owned(), at(Value::Text("ingress".to_owned()))),
                    ("protocol".to_owned(), at(Value::Text(port.protocol))),
                    ("published".to_owned(), at(Value::Int(i64::from(port.published)))),
                    ("target".to_owned(), at(Value::Int(i64::from(port.target)))),
                ])))
            }));
            if all.len() > MOST_PORTS {
                return Err(Problem::schema(
                    item.place,
                    format!("{trail} makes more than {MOST_PORTS} ports"),
                ));
            }
        }
        Ok(Node::new(place, Value::List(all)))
    }

    fn mounts(self, node: Node, trail: &str) -> Result<Node, Problem> {
        let place = node.place;
        let Value::List(items) = node.value else { return Err(must_be("a list", &node, trail)) };
        let mut all = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            let trail = format!("{trail}[{index}]");
            let at = |value| Node::new(item.place, value);
            let mount = match &item.value {
                Value::Text(text) => {
                    let short = mounts::parse(text).map_err(|why| {
                        Problem::schema(
                            item.place,
                            format!("{trail} {} {why}; write SOURCE:TARGET", quoted(text)),
                        )
                    })?;
                    let kind = if short.is_bind { "bind" } else { "volume" };
                    let mut map = Map::from([
                        ("type".to_owned(), at(Value::Text(kind.to_owned()))),
                        ("source".to_owned(), at(Value::Text(short.source))),
                        ("target".to_owned(), at(Value::Text(short.target))),
                        ("read_only".to_owned(), at(Value::Bool(short.read_only))),
                    ]);
                    if short.no_copy {
                        let inner = Map::from([("nocopy".to_owned(), at(Value::Bool(true)))]);
                        map.insert("volume".to_owned(), at(Value::Map(inner)));
                    }
                    if let Some(propagation) = short.propagation {
                        let inner = Map::from([("propagation".to_owned(), at(Value::Text(propagation)))]);
                        map.insert("bind".to_owned(), at(Value::Map(inner)));
                    }
                    at(Value::Map(map))
                }
                Value::Map(_) if self.version >= 2 => self.record(&schema::MOUNT, item, &trail)?,
                _ => return Err(must_be("a text like \"data:/var/lib\" or a mapping", &item, &trail)),
            };
            let is_bind = mount.get("type").and_then(Node::text) == Some("bind");
            if is_bind && mount.get("source").and_then(Node::text).unwrap_or_default().is_empty() {
                return Err(Problem::schema(mount.place, format!("{trail} is a bind and needs a source")));
            }
            if let Some(size) = mount.get("tmpfs").and_then(|tmpfs| tmpfs.get("size"))
                && matches!(size.value, Value::Int(..0))
            {
                return Err(must_be("0 or more", size, &join(&trail, "tmpfs.size")));
            }
            all.push(mount);
        }
        Ok(Node::new(place, Value::List(all)))
    }

    /// `configs` and `secrets` of a service.
    fn references(self, node: Node, trail: &str) -> Result<Node, Problem> {
        let place = node.place;
        let Value::List(items) = node.value else { return Err(must_be("a list", &node, trail)) };
        let mut all = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            let trail = format!("{trail}[{index}]");
            match item.value {
                Value::Text(_) => {
                    let place = item.place;
                    all.push(Node::new(place, Value::Map(Map::from([("source".to_owned(), item)]))));
                }
                Value::Map(_) => all.push(self.record(&schema::REFERENCE, item, &trail)?),
                _ => return Err(must_be("a name or a mapping", &item, &trail)),
            }
        }
        Ok(Node::new(place, Value::List(all)))
    }

    fn networks(self, node: Node, trail: &str) -> Result<Node, Problem> {
        let place = node.place;
        let mut done = Map::new();
        match node.value {
            Value::List(_) => {
                let list = texts(node, trail, true)?;
                for item in list.items() {
                    if let Some(name) = item.text() {
                        done.insert(name.to_owned(), Node::new(item.place, Value::Null));
                    }
                }
            }
            Value::Map(map) => {
                for (name, value) in map {
                    let trail = join(trail, &name);
                    valid_name(&name, value.place, &trail)?;
                    let value = match value.value {
                        Value::Null => value,
                        _ => self.record(&schema::ATTACHMENT, value, &trail)?,
                    };
                    done.insert(name, value);
                }
            }
            _ => return Err(must_be("a list or a mapping of networks", &node, trail)),
        }
        Ok(Node::new(place, Value::Map(done)))
    }

    /// A generic resource, whose two values are printed even if they are zero.
    fn resource(self, node: Node, trail: &str) -> Result<Node, Problem> {
        let mut resource = self.record(&schema::DISCRETE_RESOURCE, node, trail)?;
        let place = resource.place;
        if let Value::Map(map) = &mut resource.value {
            map.entry("kind".to_owned()).or_insert(Node::new(place, Value::Text(String::new())));
            map.entry("value".to_owned()).or_insert(Node::new(place, Value::Int(0)));
        }
        Ok(resource)
    }
}

/// The path of an inner property in a message.
pub(super) fn join(trail: &str, key: &str) -> String {
    if trail.is_empty() {
        key.to_owned()
    } else if trail.ends_with(':') {
        format!("{trail} {key}")
    } else {
        format!("{trail}.{key}")
    }
}

/// "x must be y, found z".
pub(super) fn must_be(wanted: &str, node: &Node, trail: &str) -> Problem {
    Problem::schema(node.place, format!("{trail} must be {wanted}, found {}", node.kind()))
}

/// Names of services, networks, volumes, secrets and configs.
pub(super) fn valid_name(name: &str, place: Place, trail: &str) -> Result<(), Problem> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !name.is_empty() && name.chars().all(fits) {
        return Ok(());
    }
    let what = format!(
        "{} in {trail} is not a name; use letters, digits, dots, hyphens and underscores",
        quoted(name)
    );
    Err(Problem::schema(place, what))
}

/// Whether a number may have decimals in the file.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fractions {
    Refused,
    CutOff,
}

fn whole(bits: Bits, node: &Node, trail: &str, fractions: Fractions) -> Result<Option<Node>, Problem> {
    let number: i128 = match node.value {
        Value::Int(number) => number.into(),
        Value::Unsigned(number) => number.into(),
        Value::Float(number) if number.fract() == 0.0 || fractions == Fractions::CutOff => number as i128,
        _ => return Err(must_be("a whole number", node, trail)),
    };
    let value = match bits {
        Bits::Signed64 => Value::Int(number as i64),
        Bits::Unsigned32 | Bits::Unsigned64 if number < 0 => {
            return Err(must_be("0 or more", node, trail));
        }
        Bits::Unsigned32 => Value::Int(i64::from(number as u32)),
        Bits::Unsigned64 => match i64::try_from(number) {
            Ok(small) => Value::Int(small),
            Err(_) => Value::Unsigned(number as u64),
        },
    };
    Ok(Some(Node::new(node.place, value)))
}

/// A number in the precision in which the CLI keeps it, printed with as few digits as that needs.
fn narrow(number: f64) -> Value {
    Value::Float((number as f32).to_string().parse().unwrap_or(number))
}

/// A list of texts.
fn texts(node: Node, trail: &str, unique: bool) -> Result<Node, Problem> {
    let Value::List(items) = &node.value else { return Err(must_be("a list of texts", &node, trail)) };
    for (index, item) in items.iter().enumerate() {
        if item.text().is_none() {
            return Err(must_be("a text", item, &format!("{trail}[{index}]")));
        }
    }
    if unique {
        no_twins(items, trail)?;
    }
    Ok(node)
}

/// Refuses equal items.
fn no_twins(items: &[Node], trail: &str) -> Result<(), Problem> {
    let mut seen: std::collections::BTreeMap<String, Vec<&Node>> = std::collections::BTreeMap::new();
    for item in items {
        let alike = seen.entry(scalar::printed(&item.value).unwrap_or_default()).or_default();
        if let Some(earlier) = alike.iter().find(|earlier| **earlier == item) {
            let what = format!(
                "{trail} has the same item here and on line {}: {}; keep one",
                earlier.place.line,
                item.kind()
            );
            return Err(Problem::schema(item.place, what));
        }
        alike.push(item);
    }
    Ok(())
}

/// `expose`, which swarm ignores: numbers and texts.
fn exposed(node: Node, trail: &str) -> Result<Node, Problem> {
    let place = node.place;
    let Value::List(items) = node.value else { return Err(must_be("a list", &node, trail)) };
    no_twins(&items, trail)?;
    let items: Result<Vec<Node>, Problem> = items
        .into_iter()
        .map(|item| match scalar_text(&item) {
            Some(text) => Ok(Node::new(item.place, Value::Text(text))),
            None => Err(must_be("a port", &item, trail)),
        })
        .collect();
    Ok(Node::new(place, Value::List(items?)))
}

/// What a key without value becomes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Nothing {
    Empty,
    Kept,
}

/// Texts, numbers and dates, as text; booleans are not accepted by the schema.
fn scalar_text(node: &Node) -> Option<String> {
    match node.value {
        Value::Bool(_) => None,
        _ => scalar::printed(&node.value),
    }
}

/// A mapping, or a list of `key=value`.
fn pairs(node: Node, trail: &str, nothing: Nothing) -> Result<Node, Problem> {
    let place = node.place;
    let empty = || if nothing == Nothing::Empty { Value::Text(String::new()) } else { Value::Null };
    let mut done = Map::new();
    match node.value {
        Value::List(_) => {
            let list = texts(node, trail, true)?;
            for item in list.items() {
                let entry = item.text().unwrap_or_default();
                let (key, value) = match entry.split_once('=') {
                    Some((key, value)) => (key, Value::Text(value.to_owned())),
                    None => (entry, empty()),
                };
                done.insert(key.to_owned(), Node::new(item.place, value));
            }
        }
        Value::Map(map) => {
            for (key, value) in map {
                if key.is_empty() {
                    return Err(Problem::schema(value.place, format!("{trail} has an empty key")));
                }
                let text = match &value.value {
                    Value::Null => empty(),
                    _ => Value::Text(scalar_text(&value).ok_or_else(|| {
                        must_be(
                            "a text or a number (put true and false in quotes)",
                            &value,
                            &join(trail, &key),
                        )
                    })?),
                };
                done.insert(key, Node::new(value.place, text));
            }
        }
        _ => return Err(must_be("a mapping or a list of key=value", &node, trail)),
    }
    Ok(Node::new(place, Value::Map(done)))
}

fn options(node: Node, trail: &str, nothing_allowed: bool) -> Result<Node, Problem> {
    let place = node.place;
    let Value::Map(map) = node.value else { return Err(must_be("a mapping", &node, trail)) };
    let mut done = Map::new();
    for (key, value) in map {
        let text = match &value.value {
            Value::Null if nothing_allowed => String::new(),
            _ => scalar_text(&value)
                .ok_or_else(|| must_be("a text or a number", &value, &join(trail, &key)))?,
        };
        done.insert(key, Node::new(value.place, Value::Text(text)));
    }
    Ok(Node::new(place, Value::Map(done)))
}

/// Limits as one number or as soft and hard.
fn ulimits(node: Node, trail: &str) -> Result<Node, Problem> {
    let Value::Map(map) = &node.value else { return Err(must_be("a mapping", &node, trail)) };
    for (name, limit) in map {
        let trail = join(trail, name);
        match &limit.value {
            Value::Int(_) => {}
            Value::Map(inner) => {
                for key in ["soft", "hard"] {
                    match inner.get(key) {
                        Some(Node { value: Value::Int(_), .. }) => {}
                        Some(other) => return Err(must_be("a whole number", other, &join(&trail, key))),
                        None => return Err(Problem::schema(limit.place, format!("{trail} needs {key}"))),
                    }
                }
                if let Some((key, other)) = inner.iter().find(|(key, _)| *key != "soft" && *key != "hard") {
                    let what = format!("{} is not known, only soft and hard", join(&trail, key));
                    return Err(Problem::schema(other.place, what));
                }
            }
            _ => return Err(must_be("a whole number or a mapping of soft and hard", limit, &trail)),
        }
    }
    Ok(node)
}

/// `external: true`, or a mapping with the name; false is the same as not there.
fn external(node: Node, trail: &str, others: Others) -> Result<Option<Node>, Problem> {
    match &node.value {
        Value::Bool(true) => Ok(Some(node)),
        Value::Bool(false) => Ok(None),
        Value::Map(map) => {
            for (key, value) in map {
                if key == "name" {
                    if value.text().is_none() {
                        return Err(must_be("a text", value, &join(trail, key)));
                    }
                } else if matches!(others, Others::Refused) {
                    let what = format!("{} is not known, only name", join(trail, key));
                    return Err(Problem::schema(value.place, what));
                }
            }
            Ok(Some(node))
        }
        _ => Err(must_be("true, false or a mapping with name", &node, trail)),
    }
}
