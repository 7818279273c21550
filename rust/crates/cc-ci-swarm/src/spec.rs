//! Telling apart what tasks were made from.

use bollard::models::TaskSpec;
use cc_ci_model::inventory::fingerprint;
use serde_json::json;

/// Digest of a task template, equal for a service and the tasks made from it.
///
/// Placement is left out: swarm keeps a task whose node still fits (swarmkit, `isTaskDirty`).
pub(crate) fn template_of(spec: &TaskSpec) -> String {
    let mut spec = spec.clone();
    spec.placement = None;
    fingerprint(&json!(spec))
}
