//! The survey: everything that lies on the swarm at this moment.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{Config, ContainerSummary, Network, Secret, Service, Task, TaskState, Volume};
use bollard::query_parameters::{
    ListConfigsOptions, ListContainersOptions, ListNetworksOptions, ListSecretsOptions, ListServicesOptions,
    ListTasksOptions, ListVolumesOptions,
};
use cc_ci_model::inventory::{Inventory, Kind, Object, RUN_LABEL, STACK_LABEL, fingerprint};
use cc_ci_model::names::RunId;
use serde_json::json;

use crate::docker::{Attempt, Docker, DockerError};

/// Lists every service, task, container (stopped ones too), network, volume, secret and config.
///
/// Nothing is filtered by the engine: a network that never got a subnet has an empty driver, external secrets and
/// anonymous volumes have no label. An anonymous volume belongs to the stack of the container that mounts it. Left out is
/// only the history of jobs that are gone ([`is_history`]).
///
/// # Errors
/// The engine cannot be reached or is no swarm manager: then nothing is known, and nothing is said to be gone.
pub async fn survey(docker: &Docker) -> Result<Inventory, DockerError> {
    let api = docker.api();
    let all_containers = ListContainersOptions { all: true, ..ListContainersOptions::default() };
    let (services, tasks, containers, networks, volumes, secrets, configs) = tokio::join!(
        api.list_services(None::<ListServicesOptions>),
        api.list_tasks(None::<ListTasksOptions>),
        api.list_containers(Some(all_containers)),
        api.list_networks(None::<ListNetworksOptions>),
        api.list_volumes(None::<ListVolumesOptions>),
        api.list_secrets(None::<ListSecretsOptions>),
        api.list_configs(None::<ListConfigsOptions>),
    );
    let listing = |what: &'static str| move || format!("listing the {what} of the swarm");
    let services = services.attempt(listing("services"))?;
    let containers = containers.attempt(listing("containers"))?;
    let mounted_by = stacks_of_anonymous_volumes(&containers);

    let mut objects = Vec::new();
    let tasks = tasks.attempt(listing("tasks"))?;
    let tasks = tasks.iter().filter(|task| !is_history(task, &services));
    objects.extend(tasks.map(|task| of_task(task, &services)));
    objects.extend(services.iter().map(of_service));
    objects.extend(containers.iter().map(of_container));
    objects.extend(networks.attempt(listing("networks"))?.iter().map(of_network));
    let volumes = volumes.attempt(listing("volumes"))?.volumes.unwrap_or_default();
    objects.extend(volumes.iter().map(|volume| of_volume(volume, &mounted_by)));
    objects.extend(secrets.attempt(listing("secrets"))?.iter().map(of_secret));
    objects.extend(configs.attempt(listing("configs"))?.iter().map(of_config));
    Ok(Inventory::new(objects))
}

/// Whether a task is nothing but a line in the engine's list: an ended task of a job whose service is removed.
///
/// Of other services swarm takes such lines away within seconds. Of jobs it keeps them for good (seen with engine 20.10: state
/// and desired state `complete` or `failed`, no container, no address), and the API has no call that removes a task.
fn is_history(task: &Task, services: &[Service]) -> bool {
    let state = task.status.as_ref().and_then(|status| status.state);
    let is_over = matches!(
        state,
        Some(
            TaskState::COMPLETE
                | TaskState::SHUTDOWN
                | TaskState::FAILED
                | TaskState::REJECTED
                | TaskState::REMOVE
                | TaskState::ORPHANED
        )
    );
    task.job_iteration.is_some() && is_over && services.iter().all(|service| service.id != task.service_id)
}

type Labels = Option<HashMap<String, String>>;

fn stack_of(labels: &Labels) -> Option<String> {
    labels.as_ref()?.get(STACK_LABEL).cloned()
}

fn run_of(labels: &Labels) -> Option<RunId> {
    RunId::parse(labels.as_ref()?.get(RUN_LABEL)?).ok()
}

fn object(
    kind: Kind,
    id: &Option<String>,
    name: &str,
    labels: &Labels,
    made_of: &serde_json::Value,
) -> Object {
    Object {
        kind,
        id: id.clone().unwrap_or_default(),
        name: name.to_owned(),
        stack: stack_of(labels),
        run: run_of(labels),
        fingerprint: fingerprint(made_of),
    }
}

fn of_service(service: &Service) -> Object {
    let spec = service.spec.clone().unwrap_or_default();
    // The version index and the update status move by themselves; the spec is what somebody asked for.
    object(Kind::Service, &service.id, spec.name.as_deref().unwrap_or_default(), &spec.labels, &json!(spec))
}

fn of_task(task: &Task, services: &[Service]) -> Object {
    let service = services.iter().find(|service| service.id == task.service_id);
    let spec = service.and_then(|service| service.spec.as_ref());
    // Tasks outlive their service for seconds; what they were made from says where they belong.
    let own = task.spec.as_ref().and_then(|spec| spec.container_spec.as_ref());
    let own_labels = own.and_then(|spec| spec.labels.clone());
    let service_labels = spec.and_then(|spec| spec.labels.clone());
    let name = match spec.and_then(|spec| spec.name.as_deref()) {
        Some(name) => format!("{name}.{}", task.slot.unwrap_or_default()),
        None => task.id.clone().unwrap_or_default(),
    };
    let mut found = object(Kind::Task, &task.id, &name, &service_labels, &json!(null));
    found.stack = found.stack.or_else(|| stack_of(&own_labels));
    found.run = found.run.or_else(|| run_of(&own_labels));
    found
}

fn of_container(container: &ContainerSummary) -> Object {
    let names = container.names.as_deref().unwrap_or_default();
    let name = names.first().map_or("", |name| name.trim_start_matches('/'));
    let made_of = json!([container.image_id, container.created, container.command]);
    object(Kind::Container, &container.id, name, &container.labels, &made_of)
}

fn of_network(network: &Network) -> Object {
    let made_of = json!([
        network.driver,
        network.options,
        network.labels,
        network.ipam,
        network.internal,
        network.attachable
    ]);
    object(Kind::Network, &network.id, network.name.as_deref().unwrap_or_default(), &network.labels, &made_of)
}

fn of_volume(volume: &Volume, mounted_by: &BTreeMap<String, String>) -> Object {
    // Not when it was made: for the engine that is the last change in its top folder, which any app makes.
    let made_of = json!([volume.driver, volume.mountpoint, volume.labels, volume.options]);
    let labels = Some(volume.labels.clone());
    let mut found = object(Kind::Volume, &Some(volume.name.clone()), &volume.name, &labels, &made_of);
    if found.is_anonymous_volume() && found.stack.is_none() {
        found.stack = mounted_by.get(&volume.name).cloned();
    }
    found
}

fn of_secret(secret: &Secret) -> Object {
    let spec = secret.spec.clone().unwrap_or_default();
    let made_of = json!([secret.created_at, spec]);
    object(Kind::Secret, &secret.id, spec.name.as_deref().unwrap_or_default(), &spec.labels, &made_of)
}

fn of_config(config: &Config) -> Object {
    let spec = config.spec.clone().unwrap_or_default();
    let made_of = json!([config.created_at, spec]);
    object(Kind::Config, &config.id, spec.name.as_deref().unwrap_or_default(), &spec.labels, &made_of)
}

/// Which stack's container mounts which volume.
fn stacks_of_anonymous_volumes(containers: &[ContainerSummary]) -> BTreeMap<String, String> {
    let mut mounted_by = BTreeMap::new();
    for container in containers {
        let Some(stack) = stack_of(&container.labels) else { continue };
        for mount in container.mounts.as_deref().unwrap_or_default() {
            // Only volumes have names here.
            if let Some(name) = &mount.name {
                mounted_by.insert(name.clone(), stack.clone());
            }
        }
    }
    mounted_by
}
