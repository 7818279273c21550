//! The environment overlay `compose.ccci.yml`: only tweaks that fit a recipe to the CI's machine, never what is under test.

use super::error::{ComposeError, Position};
use super::reading::{Compose, ComposeSource};
use super::tree::{self, Node, Value, quoted};

/// What the overlay may set in a service; a path covers everything below it.
pub const TWEAKS: [&str; 12] = [
    "deploy.endpoint_mode",
    "deploy.placement",
    "deploy.resources",
    "deploy.rollback_config",
    "deploy.update_config",
    "healthcheck.interval",
    "healthcheck.retries",
    "healthcheck.start_interval",
    "healthcheck.start_period",
    "healthcheck.timeout",
    "stop_grace_period",
    "ulimits",
];

/// Something in the overlay that is no tweak.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {what}; the overlay may only set, per service: {}", TWEAKS.join(", "))]
pub struct NoTweak {
    /// The line.
    pub at: Position,
    /// What stands there.
    pub what: String,
}

/// Everything in an overlay that it may not say; empty means it may be laid over the recipe.
///
/// A tweak applies to services that the recipe has: a service of the overlay's own would be tested in place of one of the recipe's.
///
/// # Errors
/// The overlay is not YAML.
pub fn judge(overlay: &ComposeSource, recipe: &Compose) -> Result<Vec<NoTweak>, ComposeError> {
    let names = [overlay.path.clone()];
    let tree = tree::parse(&overlay.text, 0).map_err(|problem| problem.named(&names))?;
    let mut found = Vec::new();
    let mut report = |node: &Node, what: String| found.push(NoTweak { at: node.place.named(&names), what });
    for (section, node) in tree.entries() {
        match section.as_str() {
            "version" => {}
            "services" if matches!(node.value, Value::Map(_)) => {
                for (service, node) in node.entries() {
                    if !recipe.services.contains_key(service) {
                        report(node, format!("the recipe has no service {}", quoted(service)));
                    }
                    properties(service, node, "", &mut report);
                }
            }
            _ => report(node, format!("{} is not for the overlay to say", quoted(section))),
        }
    }
    Ok(found)
}

/// Walks down until a path is a tweak or cannot become one.
fn properties(service: &str, node: &Node, path: &str, report: &mut dyn FnMut(&Node, String)) {
    let Value::Map(map) = &node.value else {
        let what = if path.is_empty() { "is empty or no mapping" } else { "must be a mapping" };
        report(node, format!("service {service:?}: {path} {what}"));
        return;
    };
    for (key, value) in map {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        if TWEAKS.contains(&path.as_str()) {
            continue;
        }
        // A key with a dot in it must not pass for a path.
        let leads_on =
            !key.contains('.') && TWEAKS.iter().any(|tweak| tweak.starts_with(&format!("{path}.")));
        if leads_on {
            properties(service, value, &path, report);
        } else {
            report(value, format!("service {service:?}: {path} is not for the overlay to say"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::read;
    use super::*;

    fn source(path: &str, text: &str) -> ComposeSource {
        ComposeSource { path: path.to_owned(), text: text.to_owned() }
    }

    fn told(text: &str) -> Vec<String> {
        let recipe = read(
            &[source("compose.yml", "services: {app: {image: a}, db: {image: b}}")],
            &BTreeMap::new(),
            &|_| None,
        );
        let found = judge(&source("compose.ccci.yml", text), &recipe.unwrap()).unwrap();
        found.iter().map(|found| format!("{}: {}", found.at, found.what)).collect()
    }

    #[test]
    fn environment_overlay_cannot_pin_an_image() {
        assert_eq!(
            told("services:\n  app:\n    image: other:1\n    stop_grace_period: 1s\n"),
            ["compose.ccci.yml:3: service \"app\": image is not for the overlay to say"]
        );
        // Not through an anchor, a merge key or a service of its own either.
        assert_eq!(told("x-a: &a {image: x}\nservices:\n  app:\n    <<: *a\n").len(), 2);
        assert_eq!(told("services: {extra: {image: x}}\n").len(), 2);
    }

    #[test]
    fn node_tweaks_are_accepted() {
        let text = "
version: \"3.8\"
services:
  app:
    stop_grace_period: 1s
    healthcheck: {interval: 1s, timeout: 5s, retries: 3, start_period: 10m}
    ulimits: {nofile: 1000}
    deploy:
      endpoint_mode: dnsrr
      update_config: {order: stop-first, monitor: 1s}
      resources: {limits: {memory: 1G}}
  db: {deploy: {rollback_config: {monitor: 1s}}}
";
        assert_eq!(told(text), Vec::<String>::new());
    }

    #[test]
    fn what_is_under_test_stays_the_recipes() {
        for lines in [
            "deploy: {labels: {a: b}}",
            "deploy: {replicas: 0}",
            "deploy: {restart_policy: {condition: none}}",
            "healthcheck: {test: [\"NONE\"]}",
            "healthcheck: {disable: true}",
            "environment: {A: b}",
            "volumes: [\"/:/host\"]",
            "command: \"true\"",
            "deploy.resources.x: 1",
            "deploy: {\"update_config.x\": 1}",
            "healthcheck: []",
            "x-own: 1",
        ] {
            assert_eq!(told(&format!("services:\n  app:\n    {lines}\n")).len(), 1, "{lines}");
        }
        for text in ["networks: {a: {}}", "x-a: 1", "services: []", "services: {app: }", "secrets: {}"] {
            assert_eq!(told(text).len(), 1, "{text}");
        }
    }
}
