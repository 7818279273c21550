//! The compose gate: what a recipe may not ask of the host, found in the merged files before anything is deployed.
//!
//! A bind of `/` or of the Docker socket is root on the host, whoever opened the pull request. The gate is a list of what is fine,
//! so that what nobody thought of is refused. Options that swarm ignores today are judged as if it did not.

use std::fmt;

use crate::names::StackName;

use super::error::Position;
use super::reading::Compose;
use super::routes;
use super::rules::{self, Finding, Mounted, RIGHTS, Weight};
use super::service::{MountKind, Placed, Service};

pub use super::rules::PROXY_NETWORK;

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
    let found = look(compose, stack).into_iter().filter(|(weight, _)| *weight == Weight::Refused);
    found.map(|(_, refusal)| refusal).collect()
}

/// What the gate lets through and a person should know: what two runs of it would fight for, and routes that nobody reaches.
pub fn notes(compose: &Compose, stack: &StackName) -> Vec<String> {
    let found = look(compose, stack).into_iter().filter(|(weight, _)| *weight == Weight::Noted);
    let sentence = |(_, Refusal { position, service, what, why }): (Weight, Refusal)| {
        let service = service.map(|service| format!("service {service:?}: ")).unwrap_or_default();
        format!("{position}: {service}{what}: {why}")
    };
    found.map(sentence).collect()
}

fn look(compose: &Compose, stack: &StackName) -> Vec<(Weight, Refusal)> {
    let mut found = Vec::new();
    for (name, service) in &compose.services {
        let mut tell = |position: &Position, Finding { weight, what, why }: Finding| {
            let service = Some(name.clone());
            found.push((weight, Refusal { position: position.clone(), service, what, why }));
        };
        mounts_of(service, &mut tell);
        rights_of(service, &mut tell);
        reach_of(service, stack, &mut tell);
        for file in &service.env_files {
            if compose.path_in_recipe(&file.value).is_none() {
                tell(&file.at, Finding::refused(format!("env_file {:?}", file.value), OUTSIDE));
            }
        }
    }
    let mut tell = |position: &Position, finding: Option<Finding>| {
        if let Some(Finding { weight, what, why }) = finding {
            found.push((weight, Refusal { position: position.clone(), service: None, what, why }));
        }
    };
    let own_name = |kind: &str, key: &str, name: Option<&str>| rules::name(kind, key, name?, stack);
    for (key, network) in &compose.networks {
        let name = network.name.as_deref();
        if !(network.external && name == Some(PROXY_NETWORK)) {
            tell(&network.at, own_name("network", key, name));
        }
        tell(&network.at, rules::network_driver(key, network.driver.as_deref()));
    }
    for (key, volume) in &compose.volumes {
        tell(&volume.at, own_name("volume", key, volume.name.as_deref()));
        let cluster = || Finding::refused(format!("volume {key:?} with x-cluster-spec"), rules::OWN_VOLUME);
        let driver = rules::volume(key, volume.driver.as_deref(), &volume.driver_opts);
        tell(&volume.at, volume.is_cluster.then(cluster).or(driver));
    }
    let secrets = compose.secrets.iter().map(|(key, it)| ("secret", key, &it.name, &it.file, &it.at));
    let configs = compose.configs.iter().map(|(key, it)| ("config", key, &it.name, &it.file, &it.at));
    for (kind, key, name, file, at) in secrets.chain(configs) {
        tell(at, own_name(kind, key, name.as_deref()));
        if let Some(file) = file.as_deref().filter(|file| compose.path_in_recipe(file).is_none()) {
            tell(at, Some(Finding::refused(format!("{kind} {key:?} from the file {file:?}"), OUTSIDE)));
        }
    }
    found
}

const OUTSIDE: &str = "it lies outside the recipe's folder; put the file into the recipe";
const NAMESPACE: &str = "it shares the host's or another container's own view; leave it out";

/// Reports one finding at its position.
type Tell<'a> = dyn FnMut(&Position, Finding) + 'a;

fn mounts_of(service: &Service, tell: &mut Tell<'_>) {
    for mount in &service.mounts {
        let kind = match &mount.kind {
            MountKind::Volume => Mounted::Volume,
            MountKind::Bind => Mounted::Bind { read_only: mount.read_only },
            MountKind::Tmpfs => Mounted::Tmpfs,
            MountKind::Other(kind) => Mounted::Other(kind),
        };
        if let Some(finding) = rules::mount(kind, &mount.source, &mount.target) {
            tell(&mount.at, finding);
        }
    }
}

fn rights_of(service: &Service, tell: &mut Tell<'_>) {
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
            tell(at, Finding::refused(format!("{property}: {value}"), NAMESPACE));
        }
    }
    if let Some(parent) = &service.cgroup_parent {
        tell(&parent.at, Finding::refused(format!("cgroup_parent: {}", parent.value), NAMESPACE));
    }
    if let Some(at) = &service.privileged {
        tell(at, Finding::refused("privileged: true".to_owned(), RIGHTS));
    }
    if let Some(at) = &service.credential_spec {
        tell(at, Finding::refused("credential_spec".to_owned(), RIGHTS));
    }
    for added in &service.cap_add {
        if let Some(finding) = rules::capability(&added.value) {
            tell(&added.at, finding);
        }
    }
    for device in &service.devices {
        tell(&device.at, Finding::refused(format!("the device {:?}", device.value), RIGHTS));
    }
    for option in &service.security_opt {
        if !["no-new-privileges", "no-new-privileges:true"].contains(&option.value.as_str()) {
            tell(&option.at, Finding::refused(format!("security_opt {:?}", option.value), RIGHTS));
        }
    }
}

/// Where a service reaches beyond its own containers: logs, ports, the proxy.
fn reach_of(service: &Service, stack: &StackName, tell: &mut Tell<'_>) {
    if let Some(driver) = &service.logging_driver
        && let Some(finding) = rules::log_driver(&driver.value)
    {
        tell(&driver.at, finding);
    }
    for port in &service.ports {
        if let Some(finding) = rules::port(port.published, &port.protocol) {
            tell(&port.at, finding);
        }
    }
    for labels in [&service.deploy_labels, &service.container_labels] {
        let values = labels.iter().map(|(key, label)| (key.clone(), label.value.clone())).collect();
        for (key, finding) in routes::judge(&values, stack) {
            tell(labels.get(&key).map_or(&service.at, |label| &label.at), finding);
        }
    }
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
            "logging: {driver: syslog, options: {syslog-address: \"tcp://192.0.2.1:514\"}}",
            "logging: {driver: gelf}",
            "ports: [\"443:8443\"]",
            "ports: [{target: 22, published: 22, mode: host}]",
            "labels: {traefik.http.routers.x.rule: \"PathPrefix(`/`)\"}",
            "deploy: {labels: [\"traefik.http.routers.${STACK_NAME}.rule=Host(`drone.ci.example.org`)\"]}",
            "env_file: /etc/environment",
            "env_file: ../other/.env",
            "credential_spec: {file: x}",
        ] {
            let told = service(lines);
            assert_eq!(told.len(), 1, "{lines}: {told:?}");
            assert!(told[0].contains(" is refused: "), "{lines}: {told:?}");
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
    logging: {driver: json-file, options: {max-size: 10m}}
    ports: ["8080"]
    secrets: [s]
    configs: [c]
    deploy: {labels: ["traefik.enable=true", "traefik.http.routers.${STACK_NAME}.rule=Host(`note-1a2b3c.ci.example.org`)"]}
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
        assert_eq!(notes(&compose, &stack()), Vec::<String>::new());
    }

    #[test]
    fn what_two_runs_would_fight_for_is_noted_and_not_refused() {
        let text = "services:\n  app:\n    image: a\n    ports:\n      - {target: 1, published: 64738, mode: host}\n      - \"25:25\"\n    deploy: {labels: [\"traefik.http.routers.notes.tls=true\"]}\n";
        let source = ComposeSource { path: "compose.yml".to_owned(), text: text.to_owned() };
        let compose = read(&[source], &BTreeMap::new(), &|_| None).unwrap();
        assert_eq!(judge(&compose, &stack()), []);
        let notes = notes(&compose, &stack());
        assert_eq!(notes.len(), 3, "{notes:?}");
        assert_eq!(
            notes[0],
            "compose.yml:5: service \"app\": the published port 64738/tcp: the host has it once: two runs of it cannot be at once"
        );
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
