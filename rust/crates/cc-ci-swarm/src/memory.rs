//! How much memory the containers of stacks take at this moment, as the engine reads it from their control groups.

use bollard::query_parameters::{ListContainersOptions, StatsOptions};
use cc_ci_model::inventory::STACK_LABEL;
use cc_ci_model::names::StackName;
use futures_util::StreamExt;
use futures_util::future::join_all;

use crate::docker::{Docker, DockerError};

/// What swarm alone writes on a container: helpers of ours have no service.
const SERVICE_LABEL: &str = "com.docker.swarm.service.name";

/// Bytes that all running containers of the stacks' services take together, without what the kernel only keeps of files and can
/// take back at once: the number that `docker stats` shows.
///
/// # Errors
/// The engine cannot be asked. A container that ends meanwhile takes nothing.
pub async fn of_stacks(docker: &Docker, stacks: &[StackName]) -> Result<u64, DockerError> {
    let options = ListContainersOptions {
        filters: Some([("label".to_owned(), vec![SERVICE_LABEL.to_owned()])].into()),
        ..ListContainersOptions::default()
    };
    let listed = docker.api().list_containers(Some(options)).await;
    let listed = listed.map_err(|error| DockerError::of("listing containers for their memory", error))?;
    let ours = listed.into_iter().filter_map(|container| {
        let stack = container.labels?.remove(STACK_LABEL)?;
        stacks.iter().any(|own| own.as_str() == stack).then_some(container.id?)
    });
    let taken = join_all(ours.map(|id| async move { of_container(docker, &id).await })).await;
    Ok(taken.into_iter().flatten().sum())
}

async fn of_container(docker: &Docker, id: &str) -> Option<u64> {
    let once = StatsOptions { stream: false, one_shot: true };
    let read = Box::pin(docker.api().stats(id, Some(once))).next().await?.ok()?;
    let memory = read.memory_stats?;
    let files = memory.stats.unwrap_or_default();
    // The first name is that of the older control groups, where the second would be without what is below.
    let idle = files.get("total_inactive_file").or_else(|| files.get("inactive_file"));
    Some(memory.usage?.saturating_sub(idle.copied().unwrap_or_default()))
}
