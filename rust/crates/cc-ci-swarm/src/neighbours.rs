//! Who else is on the network shared with the proxy, and under which names.

use std::collections::BTreeMap;

use bollard::models::Service;
use bollard::query_parameters::{InspectNetworkOptions, ListServicesOptions};
use cc_ci_model::compose::gate::PROXY_NETWORK;
use cc_ci_model::names::StackName;

use crate::docker::{Attempt, Docker, DockerError};

/// The services of other stacks on the proxy's network, by full name, each with the names it has there: its short name, as the
/// CLI gives it to every service of a stack, what its recipe asked for, and its full name.
///
/// # Errors
/// The engine cannot be asked, or there is no such network.
pub async fn neighbours(
    docker: &Docker,
    own: &StackName,
) -> Result<BTreeMap<String, Vec<String>>, DockerError> {
    let attempt = || format!("listing who is on the network {PROXY_NETWORK}");
    let network = docker.api().inspect_network(PROXY_NETWORK, None::<InspectNetworkOptions>).await;
    let network = network.attempt(attempt)?;
    let services = docker.api().list_services(None::<ListServicesOptions>).await.attempt(attempt)?;
    let places = [network.id.as_deref(), network.name.as_deref()];
    let named = services.into_iter().filter_map(|service| named(service, &places));
    Ok(named.filter(|(name, _)| !name.starts_with(&own.prefix())).collect())
}

/// Full name of a service on the network, and its names there.
fn named(service: Service, places: &[Option<&str>]) -> Option<(String, Vec<String>)> {
    let spec = service.spec?;
    let networks = spec.task_template.and_then(|template| template.networks).unwrap_or_default();
    let is_there = |target: Option<&str>| target.is_some() && places.contains(&target);
    let mut on_it = networks.into_iter().filter(|at| is_there(at.target.as_deref())).peekable();
    on_it.peek()?;
    let name = spec.name?;
    let names = on_it.flat_map(|at| at.aliases.unwrap_or_default()).chain([name.clone()]).collect();
    Some((name, names))
}
