//! How much room a host has left: disks, inodes, and the addresses of the network shared with the proxy.

use std::io;
use std::path::Path;

use bollard::models::{NetworkInspect, Service, Task, TaskState};
use bollard::query_parameters::{InspectNetworkOptions, ListServicesOptions, ListTasksOptions};

use crate::docker::{Attempt, Docker, DockerError};

/// The network that recipes share with the proxy.
const PROXY_NETWORK: &str = "proxy";

/// One file system at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct DiskRoom {
    /// What is used and what may still be taken, in bytes: without what is reserved for root, as `df` reckons.
    pub total_bytes: u64,
    /// What a normal user may still take, in bytes.
    pub free_bytes: u64,
    /// All inodes; 0 where the file system makes them as needed.
    pub inodes: u64,
    /// Inodes that are left.
    pub inodes_free: u64,
}

/// Asks the file system that a path lies on (statvfs(3)).
///
/// # Errors
/// The path is not there or may not be reached.
pub fn disk(path: &Path) -> io::Result<DiskRoom> {
    let found = nix::sys::statvfs::statvfs(path)?;
    let block = found.fragment_size();
    let used = found.blocks().saturating_sub(found.blocks_free());
    Ok(DiskRoom {
        total_bytes: used.saturating_add(found.blocks_available()).saturating_mul(block),
        free_bytes: found.blocks_available().saturating_mul(block),
        inodes: found.files(),
        inodes_free: found.files_available(),
    })
}

/// The addresses of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Addresses {
    /// What tasks and services may take.
    pub total: u64,
    /// What they have taken.
    pub used: u64,
}

impl Addresses {
    /// What is left.
    #[must_use]
    pub fn left(self) -> u64 {
        self.total.saturating_sub(self.used)
    }
}

/// Counts the addresses of the proxy's network: one for each task that is to run on it, and one for each service with a
/// virtual address there (`swarm.md` 6: a full network says nothing, tasks just never start). `None` where the
/// network is missing or says no IPv4 subnet.
///
/// # Errors
/// The engine cannot be reached or is no manager.
pub async fn proxy_addresses(docker: &Docker) -> Result<Option<Addresses>, DockerError> {
    let api = docker.api();
    let attempt = || format!("counting the addresses of the network {PROXY_NETWORK}");
    let network =
        match api.inspect_network(PROXY_NETWORK, None::<InspectNetworkOptions>).await.attempt(attempt) {
            Ok(network) => network,
            Err(error) if error.is_missing() => return Ok(None),
            Err(error) => return Err(error),
        };
    let services = api.list_services(None::<ListServicesOptions>).await.attempt(attempt)?;
    let tasks = api.list_tasks(None::<ListTasksOptions>).await.attempt(attempt)?;
    Ok(count(&network, &services, &tasks))
}

fn count(network: &NetworkInspect, services: &[Service], tasks: &[Task]) -> Option<Addresses> {
    let ipam = network.ipam.as_ref()?.config.as_deref().unwrap_or_default();
    let total: u64 = ipam.iter().filter_map(|config| usable(config.subnet.as_deref()?)).sum();
    if total == 0 {
        return None;
    }
    let names = [network.id.as_deref(), network.name.as_deref()];
    let is_on_it = |service: &&Service| {
        let template = service.spec.as_ref().and_then(|spec| spec.task_template.as_ref());
        let networks = template.and_then(|template| template.networks.as_deref()).unwrap_or_default();
        networks
            .iter()
            .any(|attached| attached.target.is_some() && names.contains(&attached.target.as_deref()))
    };
    let on_it: Vec<&Service> = services.iter().filter(is_on_it).collect();
    let has_address = |service: &&&Service| {
        let addresses = service.endpoint.as_ref().and_then(|endpoint| endpoint.virtual_ips.as_deref());
        addresses.unwrap_or_default().iter().any(|address| address.network_id == network.id)
    };
    let virtual_addresses = on_it.iter().filter(has_address).count();
    let is_to_run = |task: &&Task| {
        task.desired_state == Some(TaskState::RUNNING)
            && on_it.iter().any(|service| service.id.is_some() && service.id == task.service_id)
    };
    let running = tasks.iter().filter(is_to_run).count();
    Some(Addresses { total, used: (virtual_addresses + running) as u64 })
}

/// Addresses of an IPv4 subnet that tasks and services can have: without its own, the broadcast, the gateway and the one
/// that each node takes for its load balancer.
fn usable(subnet: &str) -> Option<u64> {
    let (address, length) = subnet.split_once('/')?;
    address.parse::<std::net::Ipv4Addr>().ok()?;
    let length: u32 = length.parse().ok().filter(|length| *length <= 32)?;
    Some((1_u64 << (32 - length)).saturating_sub(4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_a_subnet_are_what_tasks_can_have() {
        assert_eq!(usable("10.0.1.0/24"), Some(252));
        assert_eq!(usable("10.199.0.0/20"), Some(4092));
        assert_eq!(usable("10.0.0.0/31"), Some(0));
        assert_eq!(usable("fd00::/64"), None);
        assert_eq!(usable("10.0.0.0/33"), None);
    }

    #[test]
    fn tasks_and_virtual_addresses_on_the_network_are_counted_and_others_are_not() {
        let from = |text: &str| serde_json::from_str(text);
        let network: NetworkInspect =
            from(r#"{"Id":"n1","Name":"proxy","IPAM":{"Config":[{"Subnet":"10.0.1.0/24"}]}}"#).unwrap();
        let service = |id: &str, target: &str, vips: &str| -> Service {
            let text = format!(
                r#"{{"ID":"{id}","Spec":{{"TaskTemplate":{{"Networks":[{{"Target":"{target}"}}]}}}},"Endpoint":{{"VirtualIPs":{vips}}}}}"#
            );
            serde_json::from_str(&text).unwrap()
        };
        let services = [
            service("vip", "n1", r#"[{"NetworkID":"n1","Addr":"10.0.1.2/24"}]"#),
            service("dnsrr", "n1", "[]"),
            service("other", "n2", r#"[{"NetworkID":"n2","Addr":"10.0.2.2/24"}]"#),
        ];
        let task = |service: &str, state: &str| -> Task {
            serde_json::from_str(&format!(r#"{{"ServiceID":"{service}","DesiredState":"{state}"}}"#)).unwrap()
        };
        let tasks = [
            task("vip", "running"),
            task("vip", "shutdown"),
            task("dnsrr", "running"),
            task("other", "running"),
        ];
        let counted = count(&network, &services, &tasks).unwrap();
        assert_eq!((counted.total, counted.used, counted.left()), (252, 3, 249));
    }

    #[test]
    fn a_disk_says_what_it_has() {
        let room = disk(Path::new("/")).unwrap();
        assert!(room.total_bytes > room.free_bytes && room.free_bytes > 0);
        assert!(disk(Path::new("/nowhere/at/all")).is_err());
    }
}
