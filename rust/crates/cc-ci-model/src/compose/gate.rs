//! The compose gate: what a recipe may not ask of the host, found in the merged files before anything is deployed.
//!
//! A bind of `/` or of the Docker socket is root on the host, whoever opened the pull request. The gate is a list of what is fine,
//! so that what nobody thought of is refused. Options that swarm ignores today are judged as if it did not.

use std::fmt;

use crate::names::StackName;

use super::error::Position;
use super::mounts;
use super::reading::Compose;
use super::service::{Mount, MountKind, Placed, Service};
use super::top_level::Volume;

/// The one network that recipes share with the proxy.
pub const PROXY_NETWORK: &str = "proxy";

/// Files of the host that may be mounted read-only: they say nothing but the time zone.
pub const HARMLESS_BINDS: [&str; 2] = ["/etc/timezone", "/etc/localtime"];

/// Capabilities that a service may add: those a container has anyway, and two that databases ask for and that do not reach out.
pub const HARMLESS_CAPABILITIES: [&str; 16] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
    "SYS_NICE",
];

/// Something the gate does not let through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The line that asks for it.
    pub position: Position,
    /// The service, if it is one that asks.
    pub service: Option<String>,
    /// What is asked for.
    pub what: String,
    /// Why not, and what to do instead.
    pub why: &'static str,
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: ", self.position)?;
        if let Some(service) = &self.service {
            write!(formatter, "service {service:?}: ")?;
        }
        write!(formatter, "{} is refused: {}", self.what, self.why)
    }
}

/// Everything the gate refuses in the files of one app, in the order of sections and names; empty means: go on.
pub fn judge(compose: &Compose, stack: &StackName) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    for (name, service) in &compose.services {
        let mut refuse = |position: &Position, what: String, why: &'static str| {
            let service = Some(name.clone());
            refusals.push(Refusal { position: position.clone(), service, what, why });
        };
        mounts_of(service, &mut refuse);
        rights_of(service, &mut refuse);
        for file in &service.env_files {
            if compose.path_in_recipe(&file.value).is_none() {
                refuse(&file.at, format!("env_file {:?}", file.value), OUTSIDE);
            }
        }
    }
    let mut refuse = |position: &Position, what: String, why: &'static str| {
        refusals.push(Refusal { position: position.clone(), service: None, what, why });
    };
    for (key, network) in &compose.networks {
        let name = network.name.as_deref();
        let is_proxy = network.external && name == Some(PROXY_NETWORK);
        if !is_proxy {
            foreign_name("network", key, name, stack, &network.at, &mut refuse);
        }
        if let Some(driver) = network.driver.as_deref().filter(|driver| *driver != "overlay") {
            refuse(&network.at, format!("network {key:?} with driver {driver:?}"), NETWORK_DRIVER);
        }
    }
    for (key, volume) in &compose.volumes {
        foreign_name("volume", key, volume.name.as_deref(), stack, &volume.at, &mut refuse);
        if let Some(what) = reach_of(volume) {
            refuse(&volume.at, format!("volume {key:?} with {what}"), VOLUME_DRIVER);
        }
    }
    let secrets = compose.secrets.iter().map(|(key, it)| ("secret", key, &it.name, &it.file, &it.at));
    let configs = compose.configs.iter().map(|(key, it)| ("config", key, &it.name, &it.file, &it.at));
    for (kind, key, name, file, at) in secrets.chain(configs) {
        foreign_name(kind, key, name.as_deref(), stack, at, &mut refuse);
        if let Some(file) = file.as_deref().filter(|file| compose.path_in_recipe(file).is_none()) {
            refuse(at, format!("{kind} {key:?} from the file {file:?}"), OUTSIDE);
        }
    }
    refusals
}

const OUTSIDE: &str = "it lies outside the recipe's folder; put the file into the recipe";
const NETWORK_DRIVER: &str = "only overlay networks stay inside the swarm; leave the driver out";
const VOLUME_DRIVER: &str =
    "only plain local volumes (or ones in memory) stay inside the stack; leave driver and options out";
const HOST_BIND: &str =
    "a path of the host gives the recipe power over the host; use a named volume or a config";
const SOCKET: &str = "the Docker socket is root on the host; no recipe under test gets it";
const MOUNT_KIND: &str = "only volumes, memory and the two time zone files can be mounted";
const NAMESPACE: &str = "it shares the host's or another container's own view; leave it out";
const RIGHTS: &str = "it takes away the walls of the container; leave it out";

/// Reports one refusal: position, what, why.
type Refuse<'a> = dyn FnMut(&Position, String, &'static str) + 'a;

fn mounts_of(service: &Service, refuse: &mut Refuse<'_>) {
    for Mount { at, kind, source, target, read_only } in &service.mounts {
        match kind {
            MountKind::Volume | MountKind::Tmpfs => {}
            MountKind::Bind if source.contains("docker.sock") || source.contains("docker_engine") => {
                refuse(at, format!("the mount of {source:?} at {target:?}"), SOCKET);
            }
            MountKind::Bind if HARMLESS_BINDS.contains(&source.as_str()) && *read_only => {}
            MountKind::Bind => {
                refuse(at, format!("the mount of the host's {source:?} at {target:?}"), HOST_BIND)
            }
            MountKind::Other(kind) => {
                refuse(at, format!("a mount of type {kind:?} at {target:?}"), MOUNT_KIND)
            }
        }
        // A volume cannot be named like a path; refused here rather than by the engine in the middle of a deploy.
        if *kind == MountKind::Volume && mounts::is_absolute(source) {
            refuse(at, format!("the mount of the host's {source:?} at {target:?}"), HOST_BIND);
        }
    }
}

fn rights_of(service: &Service, refuse: &mut Refuse<'_>) {
    let modes = [
        ("network_mode", &service.network_mode),
        ("pid", &service.pid),
        ("ipc", &service.ipc),
        ("userns_mode", &service.userns_mode),
        ("cgroupns_mode", &service.cgroupns_mode),
    ];
    for (property, mode) in modes {
        if let Some(Placed { at, value }) = mode
            && (value == "host" || value.starts_with("container:") || value.starts_with("service:"))
        {
            refuse(at, format!("{property}: {value}"), NAMESPACE);
        }
    }
    if let Some(parent) = &service.cgroup_parent {
        refuse(&parent.at, format!("cgroup_parent: {}", parent.value), NAMESPACE);
    }
    if let Some(at) = &service.privileged {
        refuse(at, "privileged: true".to_owned(), RIGHTS);
    }
    if let Some(at) = &service.credential_spec {
        refuse(at, "credential_spec".to_owned(), RIGHTS);
    }
    for capability in &service.cap_add {
        let upper = capability.value.to_ascii_uppercase();
        if !HARMLESS_CAPABILITIES.contains(&upper.strip_prefix("CAP_").unwrap_or(&upper)) {
            refuse(&capability.at, format!("the capability {:?}", capability.value), RIGHTS);
        }
    }
    for device in &service.devices {
        refuse(&device.at, format!("the device {:?}", device.value), RIGHTS);
    }
    for option in &service.security_opt {
        if !["no-new-privileges", "no-new-privileges:true"].contains(&option.value.as_str()) {
            refuse(&option.at, format!("security_opt {:?}", option.value), RIGHTS);
        }
    }
}

/// Names must begin with the stack's, or the run would touch what is not its own.
fn foreign_name(
    kind: &str,
    key: &str,
    name: Option<&str>,
    stack: &StackName,
    at: &Position,
    refuse: &mut Refuse<'_>,
) {
    const FOREIGN: &str = "it belongs to somebody else; begin the name with ${STACK_NAME}_ (of others only the network proxy is shared)";
    if let Some(name) = name.filter(|name| !name.starts_with(&stack.prefix())) {
        refuse(at, format!("{kind} {key:?} with the name {name:?}"), FOREIGN);
    }
}

/// What makes a volume reach beyond itself.
fn reach_of(volume: &Volume) -> Option<String> {
    if volume.is_cluster {
        return Some("x-cluster-spec".to_owned());
    }
    if let Some(driver) = volume.driver.as_deref().filter(|driver| *driver != "local") {
        return Some(format!("driver {driver:?}"));
    }
    let option = |key: &str| volume.driver_opts.get(key).map(String::as_str);
    let in_memory = option("type") == Some("tmpfs") && option("device") == Some("tmpfs");
    let harmless = |(key, value): &(&String, &String)| match key.as_str() {
        "type" | "device" => in_memory,
        "o" => in_memory && value.split(',').all(is_tmpfs_option),
        _ => false,
    };
    let odd = volume.driver_opts.iter().find(|option| !harmless(option));
    odd.map(|(key, value)| format!("the driver option {key}={value}"))
}

fn is_tmpfs_option(option: &str) -> bool {
    ["size=", "mode=", "uid=", "gid=", "nr_inodes="].iter().any(|known| option.starts_with(known))
        || ["noexec", "nosuid", "nodev", "rw", "ro"].contains(&option)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::{ComposeSource, read};
    use super::*;
    use crate::names::{StackName, Zone};

    fn stack() -> StackName {
        let zone = Zone::parse("ci.example.org").unwrap();
        StackName::parse_in("note-1a2b3c_ci_example_org", &zone).unwrap()
    }

    fn told(text: &str) -> Vec<String> {
        let source = ComposeSource { path: "compose.yml".to_owned(), text: text.to_owned() };
        let env = BTreeMap::from([
            ("STACK_NAME".to_owned(), stack().as_str().to_owned()),
            ("HOME".to_owned(), "/home/ci".to_owned()),
        ]);
        let compose = read(&[source], &env, &|_| None).unwrap();
        judge(&compose, &stack()).iter().map(ToString::to_string).collect()
    }

    fn service(lines: &str) -> Vec<String> {
        let lines: String = lines.lines().map(|line| format!("    {line}\n")).collect();
        told(&format!("services:\n  app:\n    image: a\n{lines}volumes: {{data: {{}}}}\n"))
    }

    #[test]
    fn compose_that_reaches_the_host_is_refused_before_deploy() {
        for lines in [
            "volumes: [\"/:/host\"]",
            "volumes: [\"/var/run/docker.sock:/var/run/docker.sock:ro\"]",
            "volumes: [\"./data:/data\"]",
            "volumes: [\"../data:/data\"]",
            "volumes: [\"~/data:/data\"]",
            "volumes: [\"/etc/localtime:/etc/localtime\"]",
            "volumes: [\"/etc/../etc/localtime:/etc/localtime:ro\"]",
            "volumes: [{type: bind, source: /etc/timezone, target: /x}]",
            "volumes: [{type: bind, source: \"${HOME}\", target: /x, read_only: true}]",
            "volumes: [{type: npipe, source: x, target: /x}]",
            "volumes: [{type: cluster, source: x, target: /x}]",
            "volumes: [{type: volume, source: /etc, target: /x}]",
            "network_mode: host",
            "network_mode: container:other",
            "pid: host",
            "ipc: host",
            "userns_mode: host",
            "cgroup_parent: /",
            "privileged: true",
            "cap_add: [SYS_ADMIN]",
            "cap_add: [all]",
            "cap_add: [CAP_NET_ADMIN]",
            "devices: [\"/dev/fuse\"]",
            "security_opt: [\"seccomp:unconfined\"]",
            "env_file: /etc/environment",
            "env_file: ../other/.env",
            "credential_spec: {file: x}",
        ] {
            let told = service(lines);
            assert_eq!(told.len(), 1, "{lines}: {told:?}");
            assert!(told[0].starts_with("compose.yml:4: service \"app\": "), "{lines}: {told:?}");
        }
        for section in [
            "volumes: {v: {driver_opts: {type: none, o: bind, device: /srv}}}",
            "volumes: {v: {driver_opts: {type: tmpfs, device: tmpfs, o: \"size=1m,bind\"}}}",
            "volumes: {v: {driver: rclone}}",
            "volumes: {v: {x-cluster-spec: {group: g}}}",
            "volumes: {v: {external: true, name: other_data}}",
            "volumes: {v: {name: other_data}}",
            "volumes: {proxy: {external: true}}",
            "networks: {n: {external: true, name: other_internal}}",
            "networks: {host: {external: true}}",
            "networks: {proxy: {name: proxy}}",
            "networks: {n: {driver: macvlan}}",
            "secrets: {s: {external: true}}",
            "secrets: {s: {file: /etc/shadow}}",
            "configs: {c: {file: a/../../c}}",
            "configs: {c: {external: {name: other_c_v1}}}",
            "configs: {c: {external: true, name: \"${STACK_NAME}x_c\"}}",
        ] {
            let told = told(&format!("services: {{app: {{image: a}}}}\n{section}\n"));
            assert_eq!(told.len(), 1, "{section}: {told:?}");
            assert!(told[0].starts_with("compose.yml:2: "), "{section}: {told:?}");
        }
    }

    #[test]
    fn what_recipes_really_use_passes_the_gate() {
        let text = r#"
services:
  app:
    image: a
    volumes:
      - data:/data
      - /cache
      - /etc/localtime:/etc/localtime:ro
      - {type: bind, source: /etc/timezone, target: /etc/timezone, read_only: true}
      - {type: tmpfs, target: /tmp}
    networks: [proxy, internal]
    cap_add: [CAP_CHOWN, ipc_lock]
    security_opt: ["no-new-privileges:true"]
    env_file: app.env
    secrets: [s]
    configs: [c]
networks: {proxy: {external: true}, internal: {internal: true, driver: overlay}}
volumes: {data: {name: "${STACK_NAME}_data", driver: local}, memory: {driver_opts: {type: tmpfs, device: tmpfs, o: "size=100m,uid=1000"}}}
secrets: {s: {external: true, name: "${STACK_NAME}_s_v1"}}
configs: {c: {name: "${STACK_NAME}_c_v1", file: ./sub/c.tmpl, template_driver: golang}}
"#;
        // The reader asks for the env file, so it has to be there.
        let source = ComposeSource { path: "compose.yml".to_owned(), text: text.to_owned() };
        let env = BTreeMap::from([("STACK_NAME".to_owned(), stack().as_str().to_owned())]);
        let compose = read(&[source], &env, &|path| (path == "app.env").then(String::new)).unwrap();
        assert_eq!(judge(&compose, &stack()), []);
    }

    #[test]
    fn a_refusal_names_the_line_the_thing_and_the_way_out() {
        assert_eq!(
            service("volumes:\n  - data:/data\n  - /var/run/docker.sock:/s"),
            ["compose.yml:6: service \"app\": the mount of \"/var/run/docker.sock\" at \"/s\" is refused: \
              the Docker socket is root on the host; no recipe under test gets it"]
        );
    }

    #[test]
    fn files_outside_the_recipe_are_never_asked_for() {
        let text = "services: {app: {image: a, env_file: [/etc/passwd, ../x, a/../../y]}}\n";
        let source = ComposeSource { path: "compose.yml".to_owned(), text: text.to_owned() };
        let read = read(&[source], &BTreeMap::new(), &|path| panic!("asked for {path}"));
        assert_eq!(judge(&read.unwrap(), &stack()).len(), 3);
    }
}
