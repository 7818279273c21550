//! Networks, volumes, secrets and configs as a compose file declares them.

use std::collections::BTreeMap;

use super::error::{Position, Problem};
use super::tree::{Node, Value};
use super::{render, tree};

/// A network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Where it is declared.
    pub at: Position,
    /// Its full name, if the file gives one (external networks always have one).
    pub name: Option<String>,
    /// Made by somebody else.
    pub external: bool,
    /// The driver, if one is named.
    pub driver: Option<String>,
    /// Options of the driver.
    pub driver_opts: BTreeMap<String, String>,
    /// Without a way out.
    pub internal: bool,
    /// Containers outside the stack may join.
    pub attachable: bool,
}

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Where it is declared.
    pub at: Position,
    /// Its full name, if the file gives one (external volumes always have one).
    pub name: Option<String>,
    /// Made by somebody else.
    pub external: bool,
    /// The driver, if one is named.
    pub driver: Option<String>,
    /// Options of the driver; a local volume can be bound to a host path with them.
    pub driver_opts: BTreeMap<String, String>,
    /// A cluster volume (`x-cluster-spec`), made by a storage plugin.
    pub is_cluster: bool,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// A secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// Where it is declared.
    pub at: Position,
    /// Its full name, if the file gives one (external secrets always have one).
    pub name: Option<String>,
    /// Made by somebody else, which for recipes means: by the deployer.
    pub external: bool,
    /// The file with its content, as written.
    pub file: Option<String>,
    /// What renders it in the task.
    pub template_driver: Option<String>,
}

/// A config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where it is declared.
    pub at: Position,
    /// Its full name, if the file gives one (external configs always have one).
    pub name: Option<String>,
    /// Made by somebody else.
    pub external: bool,
    /// The file with its content, as written.
    pub file: Option<String>,
    /// What renders it in the task.
    pub template_driver: Option<String>,
}

/// A text that says something.
pub(super) fn text(node: &Node, key: &str) -> Option<String> {
    node.get(key).and_then(Node::text).filter(|text| !text.is_empty()).map(str::to_owned)
}

pub(super) fn flag(node: &Node, key: &str) -> bool {
    matches!(node.get(key), Some(Node { value: Value::Bool(true), .. }))
}

fn options(node: &Node, key: &str) -> BTreeMap<String, String> {
    let entries = node.get(key).into_iter().flat_map(Node::entries);
    entries.filter_map(|(key, value)| Some((key.clone(), value.text()?.to_owned()))).collect()
}

impl Network {
    pub(super) fn new(node: &Node, names: &[String]) -> Network {
        Network {
            at: node.place.named(names),
            name: text(node, "name"),
            external: node.get("external").is_some(),
            driver: text(node, "driver"),
            driver_opts: options(node, "driver_opts"),
            internal: flag(node, "internal"),
            attachable: flag(node, "attachable"),
        }
    }
}

impl Volume {
    pub(super) fn new(node: &Node, names: &[String]) -> Volume {
        Volume {
            at: node.place.named(names),
            name: text(node, "name"),
            external: node.get("external").is_some(),
            driver: text(node, "driver"),
            driver_opts: options(node, "driver_opts"),
            is_cluster: node.get("x-cluster-spec").is_some(),
            labels: options(node, "labels"),
        }
    }
}

impl Secret {
    pub(super) fn new(node: &Node, names: &[String]) -> Secret {
        Secret {
            at: node.place.named(names),
            name: text(node, "name"),
            external: node.get("external").is_some(),
            file: text(node, "file"),
            template_driver: text(node, "template_driver"),
        }
    }
}

impl Config {
    pub(super) fn new(node: &Node, names: &[String]) -> Config {
        Config {
            at: node.place.named(names),
            name: text(node, "name"),
            external: node.get("external").is_some(),
            file: text(node, "file"),
            template_driver: text(node, "template_driver"),
        }
    }
}

/// Any YAML mapping as JSON, read by the rules of the CLI, for instance what `docker stack config` prints.
///
/// # Errors
/// [`super::ComposeError::Malformed`] with `name` as the file.
pub fn yaml_to_json(name: &str, text: &str) -> Result<serde_json::Value, super::ComposeError> {
    tree::parse(text, 0)
        .map(|node| render::raw(&node))
        .map_err(|problem: Problem| problem.named(&[name.to_owned()]))
}
