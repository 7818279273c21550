//! What backup and restore ask of a stack that runs: labels and volumes of its services, files that a container wrote
//! into its own layer, a container made anew.

use std::collections::{BTreeMap, BTreeSet};

use bollard::models::{ChangeType, Mount, MountType, Service};
use bollard::query_parameters::UpdateServiceOptions;
use cc_ci_model::backup_plan::{MountedVolume, ServiceFacts, key_of};
use cc_ci_model::compose::rules::is_in_memory;
use cc_ci_model::names::StackName;

use crate::docker::{Attempt, Docker, DockerError};
use crate::lock::HeldLock;
use crate::snapshot;

/// Labels and named volumes of the services that are deployed, by service without the stack's name.
///
/// # Errors
/// The engine cannot be asked.
pub async fn backup_facts(
    docker: &Docker,
    stack: &StackName,
) -> Result<BTreeMap<String, ServiceFacts>, DockerError> {
    let services = snapshot::services(docker, stack).await?;
    let prefix = stack.prefix();
    Ok(services
        .into_iter()
        .map(|(name, service)| (key_of(&name, &prefix), facts(service, &prefix)))
        .collect())
}

fn facts(service: Service, prefix: &str) -> ServiceFacts {
    let spec = service.spec.unwrap_or_default();
    let container = spec.task_template.and_then(|template| template.container_spec).unwrap_or_default();
    let volume = |mount: &Mount| {
        let name = mount.source.clone().filter(|name| !name.is_empty())?;
        let driver = mount.volume_options.as_ref().and_then(|options| options.driver_config.as_ref());
        let options = driver.and_then(|driver| driver.options.clone()).unwrap_or_default();
        let driver = driver.and_then(|driver| driver.name.as_deref()).unwrap_or_default();
        let is_own = name.starts_with(prefix) && matches!(driver, "" | "local");
        (mount.typ == Some(MountType::VOLUME)).then(|| MountedVolume {
            key: key_of(&name, prefix),
            name,
            is_own,
            is_in_memory: is_in_memory(Some(driver), &options.into_iter().collect()),
        })
    };
    ServiceFacts {
        labels: spec.labels.unwrap_or_default().into_iter().collect(),
        volumes: container.mounts.unwrap_or_default().iter().filter_map(volume).collect(),
    }
}

/// Files and folders that a container has made in its own layer, outside of every volume. They go with the container.
///
/// # Errors
/// The engine cannot be asked, or the container is gone.
pub async fn own_files(docker: &Docker, container: &str) -> Result<BTreeSet<String>, DockerError> {
    let changes = docker.api().container_changes(container).await;
    let changes = changes.attempt(|| format!("listing what container {container} wrote"))?;
    let added = |kind: &ChangeType| *kind == ChangeType::_1;
    Ok(changes.unwrap_or_default().into_iter().filter(|one| added(&one.kind)).map(|one| one.path).collect())
}

/// Has swarm make the containers of a service anew, with nothing else changed. Returns before that is done.
///
/// # Errors
/// The engine cannot be asked or refuses, or the lock is of another run.
pub async fn make_anew(
    docker: &Docker,
    stack: &StackName,
    service: &str,
    lock: &HeldLock,
) -> Result<(), DockerError> {
    lock.covers(stack)?;
    let name = format!("{stack}_{service}");
    let attempt = || format!("having the containers of {name} made anew");
    let found = docker.api().inspect_service(&name, None).await.attempt(attempt)?;
    let mut spec = found.spec.unwrap_or_default();
    if let Some(template) = &mut spec.task_template {
        template.force_update = Some(template.force_update.unwrap_or_default() + 1);
    }
    let version = found.version.and_then(|version| version.index).and_then(|index| i32::try_from(index).ok());
    let options = UpdateServiceOptions { version: version.unwrap_or_default(), ..Default::default() };
    docker.api().update_service(&name, spec, options, None).await.attempt(attempt)?;
    Ok(())
}
