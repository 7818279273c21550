//! Everything a Docker has, as text to be compared: how a test proves that nobody touched it.

use std::collections::BTreeMap;

use crate::image::Docker;
use crate::program::ProgramError;

/// Each kind of object, and the list command that shows ids, names and states of all of them.
const LISTS: [(&str, &[&str]); 10] = [
    ("services", &["service", "ls", "--format", "{{.ID}} {{.Name}} {{.Image}} {{.Replicas}}"]),
    ("containers", &["ps", "--all", "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.State}}"]),
    ("networks", &["network", "ls", "--no-trunc", "--format", "{{.ID}} {{.Name}} {{.Driver}} {{.Scope}}"]),
    ("volumes", &["volume", "ls", "--format", "{{.Name}} {{.Driver}} {{.Labels}}"]),
    ("secrets", &["secret", "ls", "--format", "{{.ID}} {{.Name}} {{.Labels}}"]),
    ("configs", &["config", "ls", "--format", "{{.ID}} {{.Name}} {{.Labels}}"]),
    (
        "images",
        &["image", "ls", "--all", "--no-trunc", "--format", "{{.ID}} {{.Repository}}:{{.Tag}} {{.Digest}}"],
    ),
    ("nodes", &["node", "inspect", "self", "--format", "{{json .Spec}}"]),
    ("service versions", &["service", "ls", "--quiet"]),
    ("swarm", &["info", "--format", "{{.Swarm.Cluster.ID}} {{.Swarm.NodeID}} {{.Containers}} {{.Images}}"]),
];

/// Lists everything, sorted, by kind.
///
/// # Errors
/// A Docker command fails.
pub fn take(docker: &impl Docker) -> Result<BTreeMap<&'static str, Vec<String>>, ProgramError> {
    let mut inventory = BTreeMap::new();
    for (kind, list) in LISTS {
        let text = docker.docker().args(list).run()?;
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        if kind == "service versions" {
            // A service's version moves with every write to it, also with one that is taken back.
            for id in &mut lines {
                *id = docker
                    .docker()
                    .args(["service", "inspect", "--format", "{{.ID}} {{.Version.Index}}", id])
                    .run()?;
            }
        }
        lines.sort();
        inventory.insert(kind, lines);
    }
    Ok(inventory)
}
