//! One whole compose file in canonical form: its version, its five sections, and what is merged or printed of them.

use std::collections::BTreeMap;

use serde_json::{Map as Object, Value as Json};

use super::error::{Place, Problem};
use super::render::{self, Render};
use super::schema::{self, Record};
use super::shape::{self, Shape};
use super::tree::{Node, Value, quoted};
use super::variables::{self, ReadFile};
use super::{interpolate, merge};

type Map = BTreeMap<String, Node>;

/// A file, or several merged ones.
#[derive(Debug, Clone)]
pub(super) struct Document {
    /// As the CLI states it: `3.13` where the file states none or `3`.
    pub(super) version: String,
    /// By section name; every section is there.
    pub(super) sections: BTreeMap<&'static str, Map>,
    /// Keys that begin with `x-`, of the first file only.
    extensions: Map,
}

/// What reading a file needs besides its text.
#[derive(Clone, Copy)]
pub(super) struct Surroundings<'a> {
    /// The only variables there are.
    pub(super) env: &'a BTreeMap<String, String>,
    /// Reads files of the recipe.
    pub(super) read: ReadFile<'a>,
    /// The folder of the first compose file.
    pub(super) folder: &'a str,
}

/// The version a file states, `3` and none being the newest one.
pub(super) fn version(tree: &Node) -> String {
    let newest = format!("3.{}", schema::NEWEST);
    let Some(stated) = tree.get("version") else { return newest };
    match super::scalar::printed(&stated.value).unwrap_or_else(|| "nothing".to_owned()).as_str() {
        "" | "3" => newest,
        other => other.to_owned(),
    }
}

/// Interpolates, checks and brings one file into canonical form.
pub(super) fn load(tree: Node, surroundings: Surroundings<'_>) -> Result<Document, Problem> {
    forbidden(&tree)?;
    let version = version(&tree);
    let minor = version
        .strip_prefix("3.")
        .filter(|minor| minor.len() == 1 || !minor.starts_with('0'))
        .and_then(|minor| minor.parse::<u8>().ok())
        .filter(|minor| *minor <= schema::NEWEST);
    let place = tree.get("version").map_or(tree.place, |node| node.place);
    let tree = interpolate::interpolate(tree, surroundings.env)?;
    let Some(minor) = minor else {
        let what = format!("version {} is not supported; leave it out or use \"3.8\"", quoted(&version));
        return Err(Problem::schema(place, what));
    };
    let shape = Shape { version: minor };
    let Value::Map(top) = tree.value else { return Err(shape::must_be("a mapping", &tree, "the file")) };
    let mut document = Document {
        version,
        sections: schema::SECTIONS.iter().map(|(name, _, _)| (*name, Map::new())).collect(),
        extensions: Map::new(),
    };
    for (key, node) in top {
        let section = schema::SECTIONS.iter().find(|(name, since, _)| *name == key && *since <= minor);
        if let Some((name, _, record)) = section {
            let entries = load_section(shape, name, record, node, surroundings)?;
            document.sections.insert(name, entries);
        } else if key == "version" {
            if node.text().is_none() {
                return Err(shape::must_be("a text; put the number in quotes", &node, "version"));
            }
        } else if minor >= schema::TOP_EXTENSIONS_SINCE && key.starts_with("x-") {
            document.extensions.insert(key, node);
        } else {
            let what = format!(
                "{} is not a section of a compose file of version 3.{minor}; leave it out",
                quoted(&key)
            );
            return Err(Problem::schema(node.place, what));
        }
    }
    Ok(document)
}

/// Properties of older formats, refused before anything else is looked at.
fn forbidden(tree: &Node) -> Result<(), Problem> {
    for (service, node) in tree.get("services").into_iter().flat_map(Node::entries) {
        for (property, instead) in schema::FORBIDDEN {
            if let Some(found) = node.get(property) {
                let what = format!("service {service:?}: {property} is not supported; {instead}");
                return Err(Problem::schema(found.place, what));
            }
        }
    }
    Ok(())
}

/// One of the five sections.
fn load_section(
    shape: Shape,
    section: &'static str,
    record: &Record,
    node: Node,
    surroundings: Surroundings<'_>,
) -> Result<Map, Problem> {
    let Value::Map(entries) = node.value else { return Err(shape::must_be("a mapping", &node, section)) };
    let kind = section.trim_end_matches('s');
    let mut done = Map::new();
    for (name, node) in entries {
        // The CLI's schema forgets to check the names of networks.
        if section != "networks" {
            shape::valid_name(&name, node.place, section)?;
        }
        let trail = format!("{kind} {name:?}:");
        let place = node.place;
        let may_be_empty = matches!(section, "networks" | "volumes");
        let node = match node.value {
            Value::Null if may_be_empty => Node::new(place, Value::Map(Map::new())),
            _ => shape.record(record, node, &trail)?,
        };
        let Value::Map(mut map) = node.value else { continue };
        if section == "services" {
            variables::resolve(&mut map, surroundings.folder, surroundings.env, surroundings.read, &trail)?;
            expand_home(&mut map, surroundings.env);
        } else {
            name_external(section, &name, place, &mut map, &trail)?;
        }
        done.insert(name, Node::new(place, Value::Map(map)));
    }
    Ok(done)
}

/// `~` at the start of a bind's source becomes the caller's home, where one is known.
fn expand_home(service: &mut Map, env: &BTreeMap<String, String>) {
    let Some(home) = env.get("HOME") else { return };
    let Some(Node { value: Value::List(mounts), .. }) = service.get_mut("volumes") else { return };
    for mount in mounts {
        let is_bind = mount.get("type").and_then(Node::text) == Some("bind");
        let Value::Map(mount) = &mut mount.value else { continue };
        if let (true, Some(Node { value: Value::Text(source), .. })) = (is_bind, mount.get_mut("source"))
            && let Some(rest) = source.strip_prefix('~')
        {
            *source = format!("{home}{rest}");
        }
    }
}

/// Settles the name of an external object and refuses what cannot go together with `external`.
fn name_external(section: &str, key: &str, place: Place, map: &mut Map, trail: &str) -> Result<(), Problem> {
    let is_set = |map: &Map, property: &str| match map.get(property).map(|node| &node.value) {
        Some(Value::Text(text)) => !text.is_empty(),
        Some(Value::Map(map)) => !map.is_empty(),
        _ => false,
    };
    let Some(external) = map.get("external") else {
        if is_set(map, "driver") && is_set(map, "file") {
            let what = format!("{trail} driver and file cannot be used together; use one");
            return Err(Problem::schema(place, what));
        }
        // The CLI forgets a recipe's own keys of networks and volumes that it makes itself.
        if matches!(section, "networks" | "volumes") {
            map.retain(|key, _| !key.starts_with("x-") || key == "x-cluster-spec");
        }
        return Ok(());
    };
    let external_place = external.place;
    let old_name = external.get("name").cloned().filter(|name| name.text() != Some(""));
    if section == "volumes"
        && let Some(clash) = ["driver", "driver_opts", "labels"].iter().find(|clash| is_set(map, clash))
    {
        let what = format!("{trail} external and {clash} cannot be used together; leave {clash} out");
        return Err(Problem::schema(external_place, what));
    }
    match (old_name, is_set(map, "name")) {
        (Some(_), true) => {
            let what = format!("{trail} external.name and name cannot be used together; use only name");
            return Err(Problem::schema(external_place, what));
        }
        (Some(old), false) => {
            map.insert("name".to_owned(), old);
        }
        (None, false) => {
            map.insert("name".to_owned(), Node::new(place, Value::Text(key.to_owned())));
        }
        (None, true) => {}
    }
    Ok(())
}

impl Document {
    /// Puts a later file over this one.
    pub(super) fn merge(&mut self, over: Document) -> Result<(), Problem> {
        for (section, entries) in over.sections {
            let base = self.sections.entry(section).or_default();
            for (name, given) in entries {
                match base.get_mut(&name) {
                    Some(Node { value: Value::Map(base), .. }) if section == "services" => {
                        if let Value::Map(given) = given.value {
                            merge::record(&schema::SERVICE, base, given, &format!("service {name:?}:"))?;
                        }
                    }
                    _ => {
                        base.insert(name, given);
                    }
                }
            }
        }
        Ok(())
    }

    /// The shape of `docker stack config`.
    pub(super) fn render(&self, folder: &str) -> Json {
        let render = Render { folder };
        let mut object = Object::new();
        object.insert("version".to_owned(), Json::String(self.version.clone()));
        for (section, _, record) in schema::SECTIONS {
            let Some(entries) = self.sections.get(section) else { continue };
            let mut printed = Object::new();
            for (name, node) in entries {
                let mut entry = render.record(record, node);
                let extensions = node.entries().filter(|(key, _)| key.starts_with("x-"));
                entry.extend(extensions.map(|(key, value)| (key.clone(), render::raw(value))));
                if matches!(*section, "secrets" | "configs") && !entry.contains_key("external") {
                    let file = node.get("file").and_then(Node::text).unwrap_or_default();
                    let has_driver = entry.contains_key("driver");
                    if !has_driver {
                        // Without a file the CLI prints the folder.
                        let path = super::mounts::resolve(folder, file);
                        entry.insert("file".to_owned(), Json::String(path));
                    }
                }
                printed.insert(name.clone(), Json::Object(entry));
            }
            if !printed.is_empty() || *section == "services" {
                object.insert((*section).to_owned(), Json::Object(printed));
            }
        }
        for (key, node) in &self.extensions {
            object.insert(key.clone(), render::raw(node));
        }
        Json::Object(object)
    }
}
