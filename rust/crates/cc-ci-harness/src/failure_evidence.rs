//! What is kept of a stack that failed, before it is removed: task errors, logs, the services as they were.

use cc_ci_model::names::StackName;
use cc_ci_model::tier::Tier;
use cc_ci_swarm::docker::Docker;
use cc_ci_swarm::inventory::survey;
use cc_ci_swarm::snapshot;

use crate::report::Reporter;

/// Last lines of each container that are kept.
const LOG_LINES: usize = 200;
/// Largest file of evidence, in bytes.
const LARGEST: usize = 512 * 1024;

/// Writes what can be had to `tiers/<tier>/`, or a folder below it. What cannot be had is said in the log; it never changes a verdict.
pub async fn keep(
    docker: &Docker,
    stack: &StackName,
    (tier, below): (Tier, Option<&str>),
    reporter: &Reporter,
) {
    let folder = reporter.folder().tier(tier);
    let folder = below.map_or(folder.clone(), |below| folder.join(below));
    if let Err(error) = std::fs::create_dir_all(&folder) {
        reporter.warn(format!("keeping evidence in {}: {error}", folder.display()));
        return;
    }
    let save = |name: &str, text: &str| {
        let mut text = reporter.masker().mask(text);
        if text.len() > LARGEST {
            let cut = (0..=LARGEST).rev().find(|index| text.is_char_boundary(*index)).unwrap_or(0);
            text.truncate(cut);
            text.push_str("\n… cut here\n");
        }
        if let Err(error) = cc_ci_process::atomic::write_atomic(&folder.join(name), text.as_bytes()) {
            reporter.warn(error.to_string());
        }
    };
    match snapshot::task_table(docker, stack).await {
        Ok(table) => save("tasks.txt", &table),
        Err(error) => reporter.warn(error.to_string()),
    }
    match snapshot::services_json(docker, stack).await {
        Ok(text) => save("services.json", &text),
        Err(error) => reporter.warn(error.to_string()),
    }
    match survey(docker).await {
        Ok(inventory) => {
            let ours = inventory.of_stack(stack);
            for container in ours.of_kind(cc_ci_model::inventory::Kind::Container) {
                let lines = docker.log_tail(&container.id, LOG_LINES).await.unwrap_or_default();
                if !lines.is_empty() {
                    let name: String = container
                        .name
                        .chars()
                        .filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c))
                        .collect();
                    save(&format!("{name}.log"), &lines.join("\n"));
                }
            }
        }
        Err(error) => reporter.warn(error.to_string()),
    }
}
