//! The compose gate's second look: the service specs as the engine holds them, judged by the same rules.
//!
//! The first look is at files, read by our own reader; the deploy is the CLI's. Should the two ever read a file
//! differently, this look sees what was really asked for, and the run ends before anything is checked.

use std::collections::BTreeMap;

use bollard::models::{
    Mount, MountType, ServiceSpec, TaskSpec, TaskSpecContainerSpec, TaskSpecContainerSpecPrivileges,
    TaskSpecContainerSpecPrivilegesAppArmorModeEnum as AppArmor,
    TaskSpecContainerSpecPrivilegesSeccompModeEnum as Seccomp,
};
use bollard::query_parameters::ListNetworksOptions;
use cc_ci_model::compose::routes;
use cc_ci_model::compose::rules::{self, Finding, Mounted, PROXY_NETWORK, Weight};
use cc_ci_model::names::StackName;

use crate::docker::{Attempt, Docker, DockerError};
use crate::snapshot;

/// A network of the engine, as far as it is judged.
#[derive(Debug, Clone, Default)]
struct Network {
    name: String,
    driver: Option<String>,
}

/// Networks by their ids.
type Networks = BTreeMap<String, Network>;

/// Everything the deployed services of a stack ask for that no recipe may, in sentences; empty means: go on.
///
/// # Errors
/// The engine cannot be asked.
pub async fn judge(docker: &Docker, stack: &StackName) -> Result<Vec<String>, DockerError> {
    let services = snapshot::services(docker, stack).await?;
    let listed = docker.api().list_networks(None::<ListNetworksOptions>).await;
    let listed = listed.attempt(|| format!("listing the networks of {stack}"))?;
    let networks = listed
        .into_iter()
        .filter_map(|one| Some((one.id?, Network { name: one.name.unwrap_or_default(), driver: one.driver })))
        .collect();
    let specs = services.values().filter_map(|service| service.spec.as_ref());
    Ok(specs.flat_map(|spec| of_spec(spec, stack, &networks)).collect())
}

fn of_spec(spec: &ServiceSpec, stack: &StackName, networks: &Networks) -> Vec<String> {
    let service = spec.name.as_deref().unwrap_or_default();
    let mut found: Vec<Finding> = Vec::new();
    if let Some(template) = &spec.task_template {
        of_task(template, stack, networks, &mut found);
    }
    for attachment in spec.networks.iter().flatten() {
        found.extend(of_network(attachment.target.as_deref().unwrap_or_default(), stack, networks));
    }
    for port in spec.endpoint_spec.iter().flat_map(|endpoint| endpoint.ports.iter().flatten()) {
        let published = u32::try_from(port.published_port.unwrap_or_default()).unwrap_or_default();
        let protocol = port.protocol.map(|protocol| protocol.to_string()).unwrap_or_default();
        found.extend(rules::port(published, &protocol));
    }
    found.extend(of_labels(spec.labels.as_ref(), stack));
    found
        .into_iter()
        .filter(|finding| finding.weight == Weight::Refused)
        .map(|Finding { what, why, .. }| format!("service {service} was deployed with {what}: {why}"))
        .collect()
}

fn of_task(template: &TaskSpec, stack: &StackName, networks: &Networks, found: &mut Vec<Finding>) {
    for attachment in template.networks.iter().flatten() {
        found.extend(of_network(attachment.target.as_deref().unwrap_or_default(), stack, networks));
    }
    let driver = template.log_driver.as_ref().and_then(|driver| driver.name.as_deref());
    found.extend(rules::log_driver(driver.unwrap_or_default()));
    if let Some(container) = &template.container_spec {
        of_container(container, stack, found);
    }
}

fn of_network(target: &str, stack: &StackName, networks: &Networks) -> Option<Finding> {
    // One that is not listed by its id is named by its name.
    let network = networks.get(target).cloned().unwrap_or(Network { name: target.to_owned(), driver: None });
    if network.name == PROXY_NETWORK {
        return None;
    }
    rules::name("network", target, &network.name, stack)
        .or_else(|| rules::network_driver(&network.name, network.driver.as_deref()))
}

fn of_container(container: &TaskSpecContainerSpec, stack: &StackName, found: &mut Vec<Finding>) {
    for mount in container.mounts.iter().flatten() {
        found.extend(of_mount(mount, stack));
    }
    for name in container.capability_add.iter().flatten() {
        found.extend(rules::capability(name));
    }
    if let Some(privileges) = &container.privileges {
        found.extend(of_privileges(privileges));
    }
    let secrets = container.secrets.iter().flatten().map(|secret| ("secret", secret.secret_name.as_deref()));
    let configs = container.configs.iter().flatten().map(|config| ("config", config.config_name.as_deref()));
    for (kind, name) in secrets.chain(configs) {
        let name = name.unwrap_or_default();
        found.extend(rules::name(kind, name, name, stack));
    }
    found.extend(of_labels(container.labels.as_ref(), stack));
}

fn of_mount(mount: &Mount, stack: &StackName) -> Option<Finding> {
    let source = mount.source.as_deref().unwrap_or_default();
    let target = mount.target.as_deref().unwrap_or_default();
    let other = mount.typ.map(|kind| kind.to_string()).unwrap_or_default();
    let kind = match mount.typ {
        Some(MountType::VOLUME) | None => Mounted::Volume,
        Some(MountType::TMPFS) => Mounted::Tmpfs,
        Some(MountType::BIND) => Mounted::Bind { read_only: mount.read_only == Some(true) },
        Some(_) => Mounted::Other(&other),
    };
    if let Some(finding) = rules::mount(kind, source, target) {
        return Some(finding);
    }
    if kind != Mounted::Volume {
        return None;
    }
    let driver = mount.volume_options.as_ref().and_then(|options| options.driver_config.as_ref());
    let options = driver.and_then(|driver| driver.options.clone()).unwrap_or_default();
    let name = driver.and_then(|driver| driver.name.as_deref());
    rules::volume(source, name, &options.into_iter().collect()).or_else(|| {
        // An anonymous volume has no name, and goes with its container.
        (!source.is_empty()).then(|| rules::name("volume", source, source, stack)).flatten()
    })
}

fn of_privileges(privileges: &TaskSpecContainerSpecPrivileges) -> Vec<Finding> {
    let seccomp = privileges.seccomp.as_ref().and_then(|seccomp| seccomp.mode);
    let app_armor = privileges.app_armor.as_ref().and_then(|app_armor| app_armor.mode);
    let selinux = privileges.se_linux_context.as_ref().and_then(|context| context.disable);
    [
        (privileges.credential_spec.is_some(), "credential_spec"),
        (matches!(seccomp, Some(Seccomp::UNCONFINED | Seccomp::CUSTOM)), "a seccomp profile of its own"),
        (app_armor == Some(AppArmor::DISABLED), "AppArmor switched off"),
        (selinux == Some(true), "SELinux switched off"),
    ]
    .into_iter()
    .filter(|(is_asked, _)| *is_asked)
    .map(|(_, what)| Finding::refused(what.to_owned(), rules::RIGHTS))
    .collect()
}

fn of_labels(
    labels: Option<&std::collections::HashMap<String, String>>,
    stack: &StackName,
) -> impl Iterator<Item = Finding> {
    let labels = labels.into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect();
    routes::judge(&labels, stack).into_iter().map(|(_, finding)| finding)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use cc_ci_model::names::Zone;

    const STACK: &str = "note-1a2b3c_ci_example_org";

    /// Judges a spec as the engine's API words it.
    fn judged(spec: Value) -> Vec<String> {
        let zone = Zone::parse("ci.example.org").unwrap();
        let stack = StackName::parse_in(STACK, &zone).unwrap();
        let network = |name: &str, driver: &str| Network { name: name.into(), driver: Some(driver.into()) };
        let networks = BTreeMap::from([
            ("n1".to_owned(), network("proxy", "overlay")),
            ("n2".to_owned(), network(&format!("{STACK}_internal"), "overlay")),
            ("n3".to_owned(), network("wiki-000000_ci_example_org_internal", "overlay")),
            ("n4".to_owned(), network("host", "host")),
            ("n5".to_owned(), network(&format!("{STACK}_lan"), "macvlan")),
        ]);
        of_spec(&serde_json::from_value(spec).unwrap(), &stack, &networks)
    }

    fn container(container: Value) -> Vec<String> {
        judged(json!({ "Name": "x_app", "TaskTemplate": { "ContainerSpec": container } }))
    }

    fn mount(mount: Value) -> Vec<String> {
        container(json!({ "Mounts": [mount] }))
    }

    #[test]
    fn what_a_stack_of_its_own_asks_for_passes_both_gates() {
        let options = |device: &str| json!({ "DriverConfig": { "Name": "local", "Options": { "type": "tmpfs", "device": device, "o": "size=100m" } } });
        let spec = json!({
            "Name": format!("{STACK}_app"),
            "Labels": {
                "traefik.enable": "true",
                format!("traefik.http.routers.{STACK}.rule"): "Host(`note-1a2b3c.ci.example.org`)",
            },
            "EndpointSpec": { "Ports": [{ "Protocol": "tcp", "TargetPort": 1, "PublishedPort": 64738, "PublishMode": "host" }] },
            "TaskTemplate": {
                "LogDriver": { "Name": "json-file", "Options": { "max-size": "10m" } },
                "Networks": [{ "Target": "n1" }, { "Target": "n2" }],
                "ContainerSpec": {
                    "Mounts": [
                        { "Type": "volume", "Source": format!("{STACK}_data"), "Target": "/data" },
                        { "Type": "volume", "Source": format!("{STACK}_memory"), "Target": "/m", "VolumeOptions": options("tmpfs") },
                        { "Type": "volume", "Target": "/cache" },
                        { "Type": "tmpfs", "Target": "/tmp" },
                        { "Type": "bind", "Source": "/etc/localtime", "Target": "/etc/localtime", "ReadOnly": true },
                    ],
                    "CapabilityAdd": ["CAP_CHOWN", "IPC_LOCK"],
                    "Secrets": [{ "SecretName": format!("{STACK}_password_v1"), "SecretID": "s" }],
                    "Configs": [{ "ConfigName": format!("{STACK}_conf_v1"), "ConfigID": "c" }],
                    "Privileges": { "NoNewPrivileges": true },
                },
            },
        });
        assert_eq!(judged(spec), Vec::<String>::new());
    }

    #[test]
    fn what_was_really_deployed_is_judged_by_the_gates_rules() {
        let device = json!({ "DriverConfig": { "Name": "local", "Options": { "type": "none", "o": "bind", "device": "/" } } });
        let nfs = json!({ "DriverConfig": { "Name": "local", "Options": { "type": "nfs", "o": "addr=192.0.2.1" } } });
        let task = |template: Value| judged(json!({ "Name": "x_app", "TaskTemplate": template }));
        for (told, words) in [
            (mount(json!({ "Type": "bind", "Source": "/etc/localtime", "Target": "/x" })), "/etc/localtime"),
            (
                mount(
                    json!({ "Type": "bind", "Source": "/var/run/docker.sock", "Target": "/x", "ReadOnly": true }),
                ),
                "root on the host",
            ),
            (mount(json!({ "Type": "bind", "Source": "/", "Target": "/x" })), "the host's \"/\""),
            (
                mount(
                    json!({ "Type": "volume", "Source": "wiki-000000_ci_example_org_data", "Target": "/x" }),
                ),
                "somebody else",
            ),
            (
                mount(
                    json!({ "Type": "volume", "Source": format!("{STACK}_a"), "Target": "/x", "VolumeOptions": device }),
                ),
                "driver option",
            ),
            (
                mount(
                    json!({ "Type": "volume", "Source": format!("{STACK}_a"), "Target": "/x", "VolumeOptions": nfs }),
                ),
                "driver option",
            ),
            (mount(json!({ "Type": "npipe", "Source": "x", "Target": "/x" })), "type \"npipe\""),
            (container(json!({ "CapabilityAdd": ["CAP_SYS_ADMIN"] })), "CAP_SYS_ADMIN"),
            (container(json!({ "CapabilityAdd": ["ALL"] })), "ALL"),
            (container(json!({ "Privileges": { "Seccomp": { "Mode": "unconfined" } } })), "seccomp"),
            (container(json!({ "Privileges": { "AppArmor": { "Mode": "disabled" } } })), "AppArmor"),
            (container(json!({ "Secrets": [{ "SecretName": "drone_ci_example_org_token_v1" }] })), "secret"),
            (container(json!({ "Configs": [{ "ConfigName": "traefik_file_provider_v1" }] })), "config"),
            (
                container(json!({ "Labels": { "traefik.http.routers.a.rule": "PathPrefix(`/`)" } })),
                "PathPrefix",
            ),
            (task(json!({ "Networks": [{ "Target": "n3" }] })), "wiki-000000"),
            (task(json!({ "Networks": [{ "Target": "n4" }] })), "\"host\""),
            (task(json!({ "Networks": [{ "Target": "n5" }] })), "macvlan"),
            (task(json!({ "Networks": [{ "Target": "unlisted" }] })), "unlisted"),
            (task(json!({ "LogDriver": { "Name": "syslog" } })), "syslog"),
            (judged(json!({ "Name": "x_app", "Networks": [{ "Target": "n3" }] })), "wiki-000000"),
            (
                judged(
                    json!({ "Name": "x_app", "EndpointSpec": { "Ports": [{ "Protocol": "tcp", "PublishedPort": 443 }] } }),
                ),
                "443/tcp",
            ),
            (
                judged(
                    json!({ "Name": "x_app", "Labels": { "traefik.http.routers.a.service": "api@internal" } }),
                ),
                "api@internal",
            ),
        ] {
            assert_eq!(told.len(), 1, "{words}: {told:?}");
            assert!(
                told[0].starts_with("service x_app was deployed with ") && told[0].contains(words),
                "{words}: {told:?}"
            );
        }
    }
}
