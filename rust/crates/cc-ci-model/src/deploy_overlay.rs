//! The one compose file of ours that goes last into every deploy: marks of the run, abra's labels, the app's
//! environment, and what a kernel without IPVS needs.
//!
//! It is JSON, which is YAML. `$` is doubled, since the CLI interpolates it like any other file.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::names::{Recipe, RunId, StackName};

/// Label with the run's id on everything a run makes.
pub const RUN_LABEL: &str = "cc-ci.run";

/// What the overlay is made from.
#[derive(Debug, Clone)]
pub struct OverlayFacts<'a> {
    /// The merged compose in the form `docker stack config` prints.
    pub merged: &'a Value,
    /// The `version:` of the recipe's first file. The CLI refuses files that disagree, so ours repeats it.
    pub version: Option<&'a str>,
    /// The run.
    pub run: &'a RunId,
    /// Its stack.
    pub stack: &'a StackName,
    /// The recipe.
    pub recipe: &'a Recipe,
    /// First eight digits of the deployed commit, with `+U` where the checkout holds more than the commit.
    pub chaos_version: &'a str,
    /// The app's `.env`: handed to service `app` where its compose sets no such key, as abra does (abra.md 2.6, step 6).
    pub app_env: &'a BTreeMap<String, String>,
    /// Whether virtual IPs work here. Without IPVS in the kernel they do not (swarm.md 5.3).
    pub has_ipvs: bool,
}

/// The overlay and what has to be said about it.
#[derive(Debug, Clone, PartialEq)]
pub struct DeployOverlay {
    /// The compose document.
    pub document: Value,
    /// Whether it stands alone. A published port cannot be taken back by a later file, so where ports have to go the
    /// document is the whole merged compose and the only file deployed.
    pub stands_alone: bool,
    /// What this host does otherwise than an operator's, in sentences.
    pub limits: Vec<String>,
}

/// Makes the overlay.
#[must_use]
pub fn deploy_overlay(facts: &OverlayFacts<'_>) -> DeployOverlay {
    let mut limits = Vec::new();
    let mut services = Map::new();
    let mut drops_ports = Vec::new();
    let mut dnsrr = Vec::new();
    for (name, service) in entries(facts.merged, "services") {
        let mut labels = Map::new();
        labels.insert(RUN_LABEL.to_owned(), text(facts.run.as_str()));
        let mut ours = Map::new();
        if name == "app" {
            let prefix = format!("coop-cloud.{}", facts.stack);
            labels.insert(format!("{prefix}.recipe"), text(facts.recipe.as_str()));
            labels.insert(format!("{prefix}.chaos"), text("true"));
            labels.insert(format!("{prefix}.chaos-version"), text(facts.chaos_version));
            let present = service.get("environment").and_then(Value::as_object);
            let environment: Map<String, Value> = facts
                .app_env
                .iter()
                .filter(|(key, _)| present.is_none_or(|present| !present.contains_key(*key)))
                .map(|(key, value)| (key.clone(), text(value)))
                .collect();
            ours.insert("environment".to_owned(), Value::Object(environment));
        }
        let mut deploy = Map::new();
        deploy.insert("labels".to_owned(), Value::Object(labels));
        if !facts.has_ipvs && service.pointer("/deploy/endpoint_mode").is_none() {
            deploy.insert("endpoint_mode".to_owned(), text("dnsrr"));
            dnsrr.push(name.clone());
        }
        ours.insert("deploy".to_owned(), Value::Object(deploy));
        if !facts.has_ipvs
            && service.get("ports").and_then(Value::as_array).is_some_and(|all| all.iter().any(is_ingress))
        {
            drops_ports.push(name.clone());
        }
        services.insert(name.clone(), Value::Object(ours));
    }
    if !dnsrr.is_empty() {
        limits.push(format!("kernel without IPVS: endpoint_mode dnsrr for {}", dnsrr.join(", ")));
    }
    let mut document = Map::new();
    if let Some(version) = facts.version {
        document.insert("version".to_owned(), text(version));
    }
    document.insert("services".to_owned(), Value::Object(services));
    for section in ["networks", "volumes", "secrets", "configs"] {
        let marked: Map<String, Value> = entries(facts.merged, section)
            .filter(|(_, object)| !is_external(object))
            .map(|(name, object)| (name.clone(), marked(object, facts.run)))
            .collect();
        if !marked.is_empty() {
            document.insert(section.to_owned(), Value::Object(marked));
        }
    }
    let mut document = Value::Object(document);
    let stands_alone = !drops_ports.is_empty();
    if stands_alone {
        limits.push(format!(
            "kernel without IPVS: published ingress ports of {} are left out",
            drops_ports.join(", ")
        ));
        let mut whole = escaped(facts.merged);
        for name in &drops_ports {
            if let Some(ports) =
                whole.pointer_mut(&format!("/services/{name}/ports")).and_then(Value::as_array_mut)
            {
                ports.retain(|port| !is_ingress(port));
            }
        }
        lay_over(&mut whole, document);
        document = whole;
    }
    DeployOverlay { document, stands_alone, limits }
}

fn entries<'a>(merged: &'a Value, section: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    merged.get(section).and_then(Value::as_object).into_iter().flatten()
}

fn is_external(object: &Value) -> bool {
    match object.get("external") {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(_) => true,
    }
}

fn is_ingress(port: &Value) -> bool {
    port.get("published").is_some() && port.get("mode").and_then(Value::as_str) != Some("host")
}

/// A later file replaces a network, volume, secret or config as a whole, so ours repeats what was there.
fn marked(object: &Value, run: &RunId) -> Value {
    let mut object = match escaped(object) {
        Value::Object(object) => object,
        _ => Map::new(),
    };
    let labels = object.entry("labels").or_insert_with(|| json!({}));
    if let Some(labels) = labels.as_object_mut() {
        labels.insert(RUN_LABEL.to_owned(), text(run.as_str()));
    }
    Value::Object(object)
}

fn text(value: &str) -> Value {
    Value::String(value.replace('$', "$$"))
}

fn escaped(value: &Value) -> Value {
    match value {
        Value::String(string) => text(string),
        Value::Array(items) => Value::Array(items.iter().map(escaped).collect()),
        Value::Object(object) => {
            Value::Object(object.iter().map(|(key, value)| (key.clone(), escaped(value))).collect())
        }
        other => other.clone(),
    }
}

fn lay_over(below: &mut Value, above: Value) {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            for (key, value) in above {
                match below.get_mut(&key) {
                    Some(old) => lay_over(old, value),
                    None => {
                        below.insert(key, value);
                    }
                }
            }
        }
        (below, above) => *below = above,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Zone;

    fn overlay(merged: &Value, has_ipvs: bool) -> DeployOverlay {
        let zone = Zone::parse("ci.test").unwrap();
        let stack = StackName::parse_in("cust-c95a69_ci_test", &zone).unwrap();
        let app_env =
            BTreeMap::from([("SET".to_owned(), "no".to_owned()), ("DOLLAR".to_owned(), "a$b".to_owned())]);
        deploy_overlay(&OverlayFacts {
            merged,
            version: Some("3.8"),
            run: &RunId::parse("20260102T030405-1a2b3c").unwrap(),
            stack: &stack,
            recipe: &Recipe::parse("custom-html").unwrap(),
            chaos_version: "7ae7b0f7+U",
            app_env: &app_env,
            has_ipvs,
        })
    }

    fn merged() -> Value {
        json!({
            "services": {
                "app": {"image": "nginx", "environment": {"SET": "yes"},
                        "ports": [{"target": 80, "published": 80, "mode": "ingress"}, {"target": 1, "published": 1, "mode": "host"}]},
                "db": {"image": "db", "command": ["echo", "$HOME"], "deploy": {"endpoint_mode": "vip"}}
            },
            "networks": {"proxy": {"external": true, "name": "proxy"}, "internal": {"driver": "overlay"}},
            "configs": {"c": {"name": "x_c_v1", "file": "./c$", "template_driver": "golang"}}
        })
    }

    #[test]
    fn everything_a_run_makes_carries_its_mark_and_external_things_do_not() {
        let overlay = overlay(&merged(), true);
        assert!(!overlay.stands_alone);
        assert_eq!(overlay.limits, Vec::<String>::new());
        let document = &overlay.document;
        for service in ["app", "db"] {
            assert_eq!(
                document["services"][service]["deploy"]["labels"][RUN_LABEL],
                "20260102T030405-1a2b3c"
            );
        }
        assert_eq!(
            document["networks"],
            json!({"internal": {"driver": "overlay", "labels": {RUN_LABEL: "20260102T030405-1a2b3c"}}})
        );
        assert_eq!(document["configs"]["c"]["file"], "./c$$");
        assert_eq!(document["configs"]["c"]["template_driver"], "golang");
    }

    #[test]
    fn the_app_gets_abras_labels_and_its_env_where_compose_sets_none() {
        let overlay = overlay(&merged(), true);
        let app = &overlay.document["services"]["app"];
        assert_eq!(app["environment"], json!({"DOLLAR": "a$$b"}));
        assert_eq!(app["deploy"]["labels"]["coop-cloud.cust-c95a69_ci_test.chaos-version"], "7ae7b0f7+U");
        assert_eq!(overlay.document["services"]["db"].get("environment"), None);
    }

    #[test]
    fn a_kernel_without_ipvs_is_handled_and_said() {
        let overlay = overlay(&merged(), false);
        assert!(overlay.stands_alone);
        assert_eq!(overlay.limits.len(), 2);
        let services = &overlay.document["services"];
        assert_eq!(services["app"]["deploy"]["endpoint_mode"], "dnsrr");
        assert_eq!(services["db"]["deploy"]["endpoint_mode"], "vip", "what the recipe sets stays");
        assert_eq!(services["app"]["ports"].as_array().unwrap().len(), 1);
        assert_eq!(services["db"]["command"], json!(["echo", "$$HOME"]));
        assert_eq!(services["app"]["environment"]["SET"], "yes");
    }
}
