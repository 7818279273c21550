//! A service of the merged files in typed form, with positions where a person may be told about it.

use std::collections::BTreeMap;

use super::error::Position;
use super::quantity::Nanoseconds;
use super::reading::Compose;
use super::top_level::{flag, text};
use super::tree::{Node, Value};

/// A value and the line that says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed<T> {
    /// Where.
    pub at: Position,
    /// What.
    pub value: T,
}

/// A service.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// Where it is declared (in the first file that does).
    pub at: Position,
    /// The image after interpolation; the deploy needs one.
    pub image: Option<Placed<String>>,
    /// `deploy.labels`: on the service, where the proxy and the backup look.
    pub deploy_labels: BTreeMap<String, Placed<String>>,
    /// `labels`: on the containers.
    pub container_labels: BTreeMap<String, Placed<String>>,
    /// `deploy.mode`, `replicated` where the file says nothing.
    pub mode: Option<Placed<String>>,
    /// `deploy.replicas`; swarm takes 1 where the file says nothing.
    pub replicas: Option<Placed<u64>>,
    /// `deploy.update_config`.
    pub update: Option<UpdatePolicy>,
    /// `deploy.rollback_config`.
    pub rollback: Option<UpdatePolicy>,
    /// `deploy.restart_policy`.
    pub restart: Option<RestartPolicy>,
    /// `deploy.resources.limits`.
    pub limits: Resources,
    /// `deploy.resources.reservations`.
    pub reservations: Resources,
    /// `deploy.endpoint_mode`.
    pub endpoint_mode: Option<Placed<String>>,
    /// `healthcheck`.
    pub healthcheck: Option<Healthcheck>,
    /// `ports`.
    pub ports: Vec<Port>,
    /// `volumes`.
    pub mounts: Vec<Mount>,
    /// `networks`, by the name in the file; empty means the stack's default network.
    pub networks: BTreeMap<String, Attachment>,
    /// `secrets`.
    pub secrets: Vec<Reference>,
    /// `configs`.
    pub configs: Vec<Reference>,
    /// The variables of its containers, `env_file` included. No value means: not set.
    pub environment: BTreeMap<String, Placed<Option<String>>>,
    /// `env_file`, as written.
    pub env_files: Vec<Placed<String>>,
    /// `command`, split into words.
    pub command: Vec<String>,
    /// `entrypoint`, split into words.
    pub entrypoint: Vec<String>,
    /// `cap_add`.
    pub cap_add: Vec<Placed<String>>,
    /// `devices`.
    pub devices: Vec<Placed<String>>,
    /// `security_opt`.
    pub security_opt: Vec<Placed<String>>,
    /// `tmpfs`.
    pub tmpfs: Vec<Placed<String>>,
    /// Where `privileged: true` stands.
    pub privileged: Option<Position>,
    /// `network_mode`.
    pub network_mode: Option<Placed<String>>,
    /// `pid`.
    pub pid: Option<Placed<String>>,
    /// `ipc`.
    pub ipc: Option<Placed<String>>,
    /// `userns_mode`.
    pub userns_mode: Option<Placed<String>>,
    /// `cgroupns_mode`.
    pub cgroupns_mode: Option<Placed<String>>,
    /// `cgroup_parent`.
    pub cgroup_parent: Option<Placed<String>>,
    /// `sysctls`.
    pub sysctls: BTreeMap<String, Placed<String>>,
    /// `credential_spec`, which reads files and the registry of a Windows host.
    pub credential_spec: Option<Position>,
    /// `user`.
    pub user: Option<String>,
    /// `stop_grace_period`; swarm takes 10 s where the file says nothing.
    pub stop_grace_period: Option<Nanoseconds>,
    /// Where `logging` stands, with the driver's name.
    pub logging_driver: Option<Placed<String>>,
}

/// How an update or a rollback goes on.
#[derive(Debug, Clone, PartialEq)]
pub struct UpdatePolicy {
    /// Where it is declared.
    pub at: Position,
    /// `start-first` or `stop-first`; swarm takes `stop-first`.
    pub order: Option<String>,
    /// `pause`, `continue` or `rollback`; swarm takes `pause`.
    pub failure_action: Option<String>,
    /// How long a new task is watched; swarm takes 5 s.
    pub monitor: Option<Nanoseconds>,
    /// Time between two tasks.
    pub delay: Option<Nanoseconds>,
    /// Tasks at once; 0 means all.
    pub parallelism: Option<u64>,
    /// Share of tasks that may fail, 0 to 1.
    pub max_failure_ratio: Option<f64>,
}

/// When a task that ended is started again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestartPolicy {
    /// Where it is declared.
    pub at: Position,
    /// `none`, `on-failure` or `any`; swarm takes `any`.
    pub condition: Option<String>,
    /// Time before a start; swarm takes 5 s.
    pub delay: Option<Nanoseconds>,
    /// Most starts in the window.
    pub max_attempts: Option<u64>,
    /// The window.
    pub window: Option<Nanoseconds>,
}

/// Limits or reservations of one task.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resources {
    /// Bytes.
    pub memory: Option<Placed<u64>>,
    /// Processors as text, for instance `0.5`.
    pub cpus: Option<Placed<String>>,
}

/// How the engine finds out whether a container is healthy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Healthcheck {
    /// Where it is declared.
    pub at: Position,
    /// `CMD`, `CMD-SHELL` or `NONE` and what follows it; empty takes the image's own.
    pub test: Vec<String>,
    /// Time between two checks.
    pub interval: Option<Nanoseconds>,
    /// Longest time of one check.
    pub timeout: Option<Nanoseconds>,
    /// Failures in a row that mean unhealthy.
    pub retries: Option<u64>,
    /// Time in which failures do not count.
    pub start_period: Option<Nanoseconds>,
    /// Time between two checks in the start period.
    pub start_interval: Option<Nanoseconds>,
    /// Switched off, by `disable` or by the test `NONE`.
    pub is_disabled: bool,
}

/// A published port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Where it is declared.
    pub at: Position,
    /// The container's.
    pub target: u32,
    /// The host's; 0 lets swarm choose.
    pub published: u32,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// `ingress` or `host`.
    pub mode: String,
}

/// What a mount is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountKind {
    /// A volume, named or anonymous.
    Volume,
    /// A path of the host.
    Bind,
    /// Memory.
    Tmpfs,
    /// Anything else the file says (`npipe`, `cluster`, `image`, nonsense).
    Other(String),
}

/// A mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where it is declared.
    pub at: Position,
    /// What it is.
    pub kind: MountKind,
    /// The volume's name in the file or the host's path as written; empty for an anonymous volume.
    pub source: String,
    /// The path in the container.
    pub target: String,
    /// Read only.
    pub read_only: bool,
}

/// A service's place in a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Where it is declared.
    pub at: Position,
    /// Its further names there; the service's own name is always one.
    pub aliases: Vec<String>,
}

/// A secret or config that a service uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Where it is declared.
    pub at: Position,
    /// Its name in the file.
    pub source: String,
    /// Where it is put, as written; without it secrets lie in `/run/secrets/<source>` and configs in `/<source>`.
    pub target: Option<String>,
    /// Permission bits; the CLI takes 0444.
    pub mode: Option<u32>,
}

/// Reads canonical nodes.
struct From<'a> {
    names: &'a [String],
}

impl From<'_> {
    fn at(&self, node: &Node) -> Position {
        node.place.named(self.names)
    }

    fn text(&self, node: &Node, key: &str) -> Option<Placed<String>> {
        let value = text(node, key)?;
        Some(Placed { at: self.at(node.get(key)?), value })
    }

    fn texts(&self, node: &Node, key: &str) -> Vec<Placed<String>> {
        let items = node.get(key).map(Node::items).unwrap_or_default();
        let items = items.iter().filter_map(|item| Some((item, item.text()?)));
        items.map(|(item, text)| Placed { at: self.at(item), value: text.to_owned() }).collect()
    }

    fn labels(&self, node: Option<&Node>) -> BTreeMap<String, Placed<String>> {
        let entries = node.into_iter().flat_map(Node::entries);
        entries
            .filter_map(|(key, value)| {
                Some((key.clone(), Placed { at: self.at(value), value: value.text()?.to_owned() }))
            })
            .collect()
    }

    fn update(&self, node: &Node) -> UpdatePolicy {
        UpdatePolicy {
            at: self.at(node),
            order: text(node, "order"),
            failure_action: text(node, "failure_action"),
            monitor: length(node, "monitor"),
            delay: length(node, "delay"),
            parallelism: count(node, "parallelism"),
            max_failure_ratio: match node.get("max_failure_ratio").map(|ratio| &ratio.value) {
                Some(Value::Float(ratio)) => Some(*ratio),
                _ => None,
            },
        }
    }

    fn resources(&self, node: Option<&Node>) -> Resources {
        let Some(node) = node else { return Resources::default() };
        let memory = node.get("memory").and_then(|memory| match memory.value {
            Value::Int(bytes) => {
                Some(Placed { at: self.at(memory), value: u64::try_from(bytes).unwrap_or_default() })
            }
            _ => None,
        });
        Resources { memory, cpus: self.text(node, "cpus") }
    }

    fn mount(&self, node: &Node) -> Mount {
        let kind = match text(node, "type").unwrap_or_default().as_str() {
            "volume" => MountKind::Volume,
            "bind" => MountKind::Bind,
            "tmpfs" => MountKind::Tmpfs,
            other => MountKind::Other(other.to_owned()),
        };
        Mount {
            at: self.at(node),
            kind,
            source: text(node, "source").unwrap_or_default(),
            target: text(node, "target").unwrap_or_default(),
            read_only: flag(node, "read_only"),
        }
    }

    fn port(&self, node: &Node) -> Port {
        let number = |key| count(node, key).and_then(|port| u32::try_from(port).ok()).unwrap_or_default();
        let word = |key, default: &str| text(node, key).unwrap_or_else(|| default.to_owned());
        Port {
            at: self.at(node),
            target: number("target"),
            published: number("published"),
            protocol: word("protocol", "tcp"),
            mode: word("mode", "ingress"),
        }
    }

    fn references(&self, node: &Node, key: &str) -> Vec<Reference> {
        let items = node.get(key).map(Node::items).unwrap_or_default();
        let made = items.iter().map(|item| Reference {
            at: self.at(item),
            source: text(item, "source").unwrap_or_default(),
            target: text(item, "target"),
            mode: count(item, "mode").and_then(|mode| u32::try_from(mode).ok()),
        });
        made.collect()
    }

    fn healthcheck(&self, node: &Node) -> Healthcheck {
        let test = words(node, "test");
        Healthcheck {
            at: self.at(node),
            interval: length(node, "interval"),
            timeout: length(node, "timeout"),
            retries: count(node, "retries"),
            start_period: length(node, "start_period"),
            start_interval: length(node, "start_interval"),
            is_disabled: flag(node, "disable") || test.first().is_some_and(|word| word == "NONE"),
            test,
        }
    }
}

fn words(node: &Node, key: &str) -> Vec<String> {
    let items = node.get(key).map(Node::items).unwrap_or_default();
    items.iter().filter_map(Node::text).map(str::to_owned).collect()
}

fn length(node: &Node, key: &str) -> Option<Nanoseconds> {
    match node.get(key)?.value {
        Value::Int(length) => Some(Nanoseconds(length)),
        _ => None,
    }
}

fn count(node: &Node, key: &str) -> Option<u64> {
    match node.get(key)?.value {
        Value::Int(count) => u64::try_from(count).ok(),
        Value::Unsigned(count) => Some(count),
        _ => None,
    }
}

impl Service {
    pub(super) fn new(node: &Node, names: &[String]) -> Service {
        let from = From { names };
        let nothing = Node::new(node.place, Value::Null);
        let deploy = node.get("deploy").unwrap_or(&nothing);
        let resources = deploy.get("resources").unwrap_or(&nothing);
        let environment = node.get("environment").into_iter().flat_map(Node::entries);
        let networks = node.get("networks").into_iter().flat_map(Node::entries);
        let list = |key: &str| node.get(key).map(Node::items).unwrap_or_default();
        Service {
            at: from.at(node),
            image: from.text(node, "image"),
            deploy_labels: from.labels(deploy.get("labels")),
            container_labels: from.labels(node.get("labels")),
            mode: from.text(deploy, "mode"),
            replicas: deploy.get("replicas").and_then(|replicas| {
                Some(Placed { at: from.at(replicas), value: count(deploy, "replicas")? })
            }),
            update: deploy.get("update_config").map(|update| from.update(update)),
            rollback: deploy.get("rollback_config").map(|update| from.update(update)),
            restart: deploy.get("restart_policy").map(|restart| RestartPolicy {
                at: from.at(restart),
                condition: text(restart, "condition"),
                delay: length(restart, "delay"),
                max_attempts: count(restart, "max_attempts"),
                window: length(restart, "window"),
            }),
            limits: from.resources(resources.get("limits")),
            reservations: from.resources(resources.get("reservations")),
            endpoint_mode: from.text(deploy, "endpoint_mode"),
            healthcheck: node.get("healthcheck").map(|check| from.healthcheck(check)),
            ports: list("ports").iter().map(|port| from.port(port)).collect(),
            mounts: list("volumes").iter().map(|mount| from.mount(mount)).collect(),
            networks: networks
                .map(|(name, place)| {
                    (name.clone(), Attachment { at: from.at(place), aliases: words(place, "aliases") })
                })
                .collect(),
            secrets: from.references(node, "secrets"),
            configs: from.references(node, "configs"),
            environment: environment
                .map(|(key, value)| {
                    (key.clone(), Placed { at: from.at(value), value: value.text().map(str::to_owned) })
                })
                .collect(),
            env_files: from.texts(node, "env_file"),
            command: words(node, "command"),
            entrypoint: words(node, "entrypoint"),
            cap_add: from.texts(node, "cap_add"),
            devices: from.texts(node, "devices"),
            security_opt: from.texts(node, "security_opt"),
            tmpfs: from.texts(node, "tmpfs"),
            privileged: node
                .get("privileged")
                .filter(|_| flag(node, "privileged"))
                .map(|found| from.at(found)),
            network_mode: from.text(node, "network_mode"),
            pid: from.text(node, "pid"),
            ipc: from.text(node, "ipc"),
            userns_mode: from.text(node, "userns_mode"),
            cgroupns_mode: from.text(node, "cgroupns_mode"),
            cgroup_parent: from.text(node, "cgroup_parent"),
            sysctls: from.labels(node.get("sysctls")),
            credential_spec: node.get("credential_spec").map(|found| from.at(found)),
            user: text(node, "user"),
            stop_grace_period: length(node, "stop_grace_period"),
            logging_driver: node.get("logging").and_then(|logging| from.text(logging, "driver")),
        }
    }

    /// Swarm runs one task per node instead of a number of replicas.
    pub fn is_global(&self) -> bool {
        self.mode.as_ref().is_some_and(|mode| mode.value.starts_with("global"))
    }

    /// What the deploy would miss, in words, with its place.
    pub(super) fn missing_part(&self, compose: &Compose) -> Option<(Position, String)> {
        if self.image.is_none() {
            return Some((self.at.clone(), "needs an image".to_owned()));
        }
        let undeclared =
            |section: &str, name: &str| format!("uses {name:?}, which {section} does not declare");
        for mount in &self.mounts {
            let is_named = mount.kind == MountKind::Volume && !mount.source.is_empty();
            if is_named && !compose.volumes.contains_key(&mount.source) {
                return Some((mount.at.clone(), undeclared("volumes", &mount.source)));
            }
        }
        for (name, network) in &self.networks {
            // The CLI makes the default network by itself.
            if name != "default" && !compose.networks.contains_key(name) {
                return Some((network.at.clone(), undeclared("networks", name)));
            }
        }
        let secret = self.secrets.iter().find(|used| !compose.secrets.contains_key(&used.source));
        if let Some(used) = secret {
            return Some((used.at.clone(), undeclared("secrets", &used.source)));
        }
        let config = self.configs.iter().find(|used| !compose.configs.contains_key(&used.source));
        config.map(|used| (used.at.clone(), undeclared("configs", &used.source)))
    }
}
