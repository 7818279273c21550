//! Telling apart what tasks were made from.

use bollard::models::TaskSpec;
use cc_ci_model::inventory::fingerprint;
use serde_json::{Value, json};

/// Digest of a task template, equal for a service and the tasks made from it.
///
/// Placement is left out: swarm keeps a task whose node still fits (swarmkit, `isTaskDirty`). The runtime is left out, and
/// so is everything empty: the API writes defaults into the template of a service that its tasks do not have
/// (`"Runtime": "container"` with engine 20.10).
pub(crate) fn template_of(spec: &TaskSpec) -> String {
    let spec = TaskSpec { placement: None, runtime: None, ..spec.clone() };
    fingerprint(&without_empty(json!(spec)))
}

fn without_empty(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.into_iter().map(|(key, inner)| (key, without_empty(inner)));
            Value::Object(kept.filter(|(_, inner)| !is_empty(inner)).collect())
        }
        // An empty element is still one of the list.
        Value::Array(list) => Value::Array(list.into_iter().map(without_empty).collect()),
        plain @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => plain,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> String {
        template_of(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn defaults_that_only_the_service_shows_make_no_difference() {
        let task = r#"{"ContainerSpec":{"Image":"x:1","Env":["A=1"]},"ForceUpdate":0,"Placement":{}}"#;
        let service = r#"{"ContainerSpec":{"Image":"x:1","Env":["A=1"],"DNSConfig":{},"Mounts":[]},"ForceUpdate":0,
            "Placement":{"Constraints":["node.role==manager"]},"Runtime":"container"}"#;
        assert_eq!(of(task), of(service));
    }

    #[test]
    fn what_replaces_a_task_makes_a_difference() {
        let base = r#"{"ContainerSpec":{"Image":"x:1"},"ForceUpdate":0}"#;
        for other in [
            r#"{"ContainerSpec":{"Image":"x:2"},"ForceUpdate":0}"#,
            r#"{"ContainerSpec":{"Image":"x:1"},"ForceUpdate":1}"#,
            r#"{"ContainerSpec":{"Image":"x:1","Env":["A="]},"ForceUpdate":0}"#,
            r#"{"ContainerSpec":{"Image":"x:1","Labels":{"a":""}},"ForceUpdate":0}"#,
        ] {
            assert_ne!(of(base), of(other), "{other}");
        }
    }
}
