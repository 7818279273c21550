//! A stack as the engine describes it at one moment: for judging an upgrade and for keeping evidence of a failure.

use std::collections::BTreeMap;

use bollard::models::Service;
use bollard::query_parameters::{ListServicesOptions, ListTasksOptions};
use cc_ci_model::names::StackName;

use crate::docker::{Docker, DockerError};
use crate::lock::HeldLock;

fn of_stack(stack: &StackName) -> std::collections::HashMap<String, Vec<String>> {
    let label = format!("com.docker.stack.namespace={stack}");
    [("label".to_owned(), vec![label])].into_iter().collect()
}

/// The services of a stack, by full name.
///
/// # Errors
/// The engine cannot be asked.
pub async fn services(docker: &Docker, stack: &StackName) -> Result<BTreeMap<String, Service>, DockerError> {
    let options = ListServicesOptions { filters: Some(of_stack(stack)), ..ListServicesOptions::default() };
    let listed = docker.api().list_services(Some(options)).await;
    let listed =
        listed.map_err(|error| DockerError::of(format!("listing the services of {stack}"), error))?;
    let named = listed.into_iter().filter_map(|service| {
        let name = service.spec.as_ref()?.name.clone()?;
        Some((name, service))
    });
    Ok(named.collect())
}

/// Labels of one service's spec; empty for a service that is not there.
///
/// # Errors
/// The engine cannot be asked.
pub async fn service_labels(
    docker: &Docker,
    stack: &StackName,
    service: &str,
) -> Result<BTreeMap<String, String>, DockerError> {
    let services = services(docker, stack).await?;
    let labels =
        services.get(&format!("{stack}_{service}")).and_then(|found| found.spec.as_ref()?.labels.clone());
    Ok(labels.unwrap_or_default().into_iter().collect())
}

/// Removes one service of a stack by its full name.
///
/// # Errors
/// The engine cannot be asked or refuses, or the lock is of another run.
pub async fn remove_service(
    docker: &Docker,
    stack: &StackName,
    name: &str,
    lock: &HeldLock,
) -> Result<(), DockerError> {
    lock.covers(stack)?;
    let removed = docker.api().delete_service(name).await;
    removed.map_err(|error| DockerError::of(format!("removing the service {name}"), error))
}

/// The specs and update states of a stack's services as JSON.
///
/// # Errors
/// The engine cannot be asked.
pub async fn services_json(docker: &Docker, stack: &StackName) -> Result<String, DockerError> {
    let services = services(docker, stack).await?;
    Ok(serde_json::to_string_pretty(&services).unwrap_or_default())
}

/// The tasks of a stack as a table: state, error, image, node; newest first.
///
/// # Errors
/// The engine cannot be asked.
pub async fn task_table(docker: &Docker, stack: &StackName) -> Result<String, DockerError> {
    let names: BTreeMap<String, String> = services(docker, stack)
        .await?
        .into_iter()
        .filter_map(|(name, service)| Some((service.id?, name)))
        .collect();
    let options = ListTasksOptions { filters: Some(of_stack(stack)) };
    let listed = docker.api().list_tasks(Some(options)).await;
    let mut tasks =
        listed.map_err(|error| DockerError::of(format!("listing the tasks of {stack}"), error))?;
    tasks.sort_by(|left, right| right.created_at.cmp(&left.created_at));
    let mut table = String::from("SERVICE  DESIRED  STATE  SINCE  ERROR\n");
    for task in tasks {
        let status = task.status.unwrap_or_default();
        let state = status.state.map(|state| state.to_string()).unwrap_or_default();
        let desired = task.desired_state.map(|state| state.to_string()).unwrap_or_default();
        let service =
            task.service_id.and_then(|id| names.get(&id).cloned()).unwrap_or_else(|| "(gone)".to_owned());
        let (since, error) = (status.timestamp.unwrap_or_default(), status.err.unwrap_or_default());
        table.push_str(&format!("{service}  {desired}  {state}  {since}  {error}\n"));
    }
    Ok(table)
}
