//! Names on the proxy's network that another app may have as well: swarm gives every service its short name in each of its
//! networks, and every app has a service `app` there.

use std::collections::BTreeMap;

use crate::compose::gate::PROXY_NETWORK;
use crate::compose::{Compose, Position, Service};
use crate::names::{StackName, quoted};

/// A name that this recipe asks for on the proxy's network, or calls there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedName {
    /// The name.
    pub name: String,
    /// What the recipe does with it.
    pub part: Part,
    /// Where that stands.
    pub at: Position,
}

/// What a recipe does with a name on the proxy's network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// This service of it is called so, by everybody there.
    Alias(String),
    /// This service of it calls another one by it.
    Call(String),
}

impl std::fmt::Display for SharedName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.part {
            Part::Alias(service) => {
                write!(
                    f,
                    "service {service} is called {} by every app on the proxy's network",
                    quoted(&self.name)
                )
            }
            Part::Call(service) => write!(
                f,
                "service {service} calls {} by a name that every app has on the proxy's network, and may reach another's",
                self.name
            ),
        }
    }
}

impl SharedName {
    /// What is true where other stacks have the name at this moment; `owners` are their services, by full name.
    #[must_use]
    pub fn with_owners(&self, owners: &[String]) -> String {
        format!("{}: {self}; at this moment it is also {}", self.at, owners.join(", "))
    }
}

/// Finds them. `text` reads a file of the recipe.
#[must_use]
pub fn shared_names(
    compose: &Compose,
    stack: &StackName,
    text: &dyn Fn(&str) -> Option<String>,
) -> Vec<SharedName> {
    let mut found = Vec::new();
    let shared: Vec<&String> = compose
        .networks
        .iter()
        .filter(|(_, network)| network.external && network.name.as_deref() == Some(PROXY_NETWORK))
        .map(|(key, _)| key)
        .collect();
    let is_shared = |service: &Service| shared.iter().any(|key| service.networks.contains_key(*key));
    for (name, service) in compose.services.iter().filter(|(_, service)| is_shared(service)) {
        for attachment in shared.iter().filter_map(|key| service.networks.get(*key)) {
            for alias in attachment.aliases.iter().filter(|alias| !alias.contains(stack.as_str())) {
                let (name, part) = (alias.clone(), Part::Alias(name.clone()));
                found.push(SharedName { name, part, at: attachment.at.clone() });
            }
        }
        let others = compose.services.iter().filter(|(other, it)| *other != name && is_shared(it));
        for (other, it) in others.filter(|(_, it)| calls(compose, text, it, name)) {
            let (name, part) = (name.clone(), Part::Call(other.clone()));
            found.push(SharedName { name, part, at: it.at.clone() });
        }
    }
    found
}

/// The services of others that have a name, by full name. `others` holds what is on the proxy's network: full name of each
/// service, and the names it has there.
#[must_use]
pub fn owners(name: &str, others: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let has_it = others.iter().filter(|(_, names)| names.iter().any(|own| own == name));
    has_it.map(|(service, _)| service.clone()).collect()
}

/// Whether a service's environment, command or configs address a host of that name.
fn calls(compose: &Compose, text: &dyn Fn(&str) -> Option<String>, service: &Service, host: &str) -> bool {
    let environment =
        service.environment.iter().filter_map(|(key, value)| Some((key, value.value.as_ref()?)));
    let is_host_key = |key: &str| {
        ["HOST", "SERVER", "ADDR", "URL", "UPSTREAM"]
            .iter()
            .any(|word| key.to_ascii_uppercase().contains(word))
    };
    let by_environment =
        environment.clone().any(|(key, value)| addresses(value, host) || (is_host_key(key) && value == host));
    let by_command = service.command.iter().chain(&service.entrypoint).any(|word| addresses(word, host));
    let configs = service.configs.iter().filter_map(|used| {
        let path = compose.path_in_recipe(compose.configs.get(&used.source)?.file.as_deref()?)?;
        text(&path)
    });
    by_environment || by_command || configs.into_iter().any(|text| addresses(&text, host))
}

/// Whether a text holds `//host` or `host:<digit>` with nothing of a longer name around it.
fn addresses(text: &str, host: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    text.match_indices(host).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + host.len()..]);
        let stands_alone = !before.ends_with(is_part) && !after.starts_with(is_part);
        let has_port =
            after.strip_prefix(':').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        stands_alone && (has_port || before.ends_with("//"))
    })
}
