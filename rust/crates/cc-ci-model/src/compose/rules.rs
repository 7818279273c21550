//! What any app may ask of the host, as rules over plain values: the gate judges files by them, and the second gate the specs
//! that the engine holds.

use std::collections::BTreeMap;

use crate::names::StackName;

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

/// Log drivers that keep logs where the engine can read them again, or keep none.
pub const HARMLESS_LOG_DRIVERS: [&str; 3] = ["json-file", "local", "none"];

/// Ports of the host that are taken: ssh, the proxy's two, and those of swarm itself.
pub const INFRASTRUCTURE_PORTS: [u32; 6] = [22, 80, 443, 2377, 4789, 7946];

/// Below this, ports are the system's (RFC 6335, 6).
const FIRST_USER_PORT: u32 = 1024;

/// What a finding means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// The app is not deployed.
    Refused,
    /// It is, and a person should know.
    Noted,
}

/// Something an app asks for that is not its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it means.
    pub weight: Weight,
    /// What is asked for.
    pub what: String,
    /// Why it matters, and what to do instead.
    pub why: &'static str,
}

impl Finding {
    /// Something that is refused.
    #[must_use]
    pub fn refused(what: String, why: &'static str) -> Self {
        Self { weight: Weight::Refused, what, why }
    }
}

/// How something is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mounted<'a> {
    /// A volume, named or anonymous.
    Volume,
    /// A path of the host, read-only or not.
    Bind {
        /// Whether it can only be read.
        read_only: bool,
    },
    /// Memory.
    Tmpfs,
    /// Anything else, by its name.
    Other(&'a str),
}

pub(super) const OWN_VOLUME: &str =
    "only plain local volumes (or ones in memory) stay inside the stack; leave driver and options out";
const HOST_BIND: &str =
    "a path of the host gives the recipe power over the host; use a named volume or a config";
const SOCKET: &str = "the Docker socket is root on the host; no recipe under test gets it";
const MOUNT_KIND: &str = "only volumes, memory and the two time zone files can be mounted";
/// Why what weakens a container is refused.
pub const RIGHTS: &str = "it takes away the walls of the container; leave it out";
const NETWORK_DRIVER: &str = "only overlay networks stay inside the swarm; leave the driver out";
const FOREIGN: &str = "it belongs to somebody else; begin the name with ${STACK_NAME}_ (of others only the network proxy is shared)";
const LOGS: &str =
    "logs would leave the engine, and nobody could read why a task failed; use json-file, local or none";
const TAKEN_PORT: &str = "it is the host's own; let the proxy lead to the app, or choose another port";
const SYSTEM_PORT: &str =
    "it is one of the system's, so a service of the host may hold it; two runs of it cannot be at once";
const FIXED_PORT: &str = "the host has it once: two runs of it cannot be at once";

/// Judges a mount; `source` is a path of the host or a volume's name.
#[must_use]
pub fn mount(kind: Mounted<'_>, source: &str, target: &str) -> Option<Finding> {
    let of_host = || format!("the mount of the host's {source:?} at {target:?}");
    match kind {
        // A volume cannot be named like a path; refused here rather than by the engine in the middle of a deploy.
        Mounted::Volume if super::mounts::is_absolute(source) => Some(Finding::refused(of_host(), HOST_BIND)),
        Mounted::Volume | Mounted::Tmpfs => None,
        Mounted::Bind { .. } if source.contains("docker.sock") || source.contains("docker_engine") => {
            Some(Finding::refused(format!("the mount of {source:?} at {target:?}"), SOCKET))
        }
        Mounted::Bind { read_only: true } if HARMLESS_BINDS.contains(&source) => None,
        Mounted::Bind { .. } => Some(Finding::refused(of_host(), HOST_BIND)),
        Mounted::Other(kind) => {
            Some(Finding::refused(format!("a mount of type {kind:?} at {target:?}"), MOUNT_KIND))
        }
    }
}

/// Judges the driver of a volume: no name and `local` without options are plain, and tmpfs is memory.
#[must_use]
pub fn volume(name: &str, driver: Option<&str>, options: &BTreeMap<String, String>) -> Option<Finding> {
    let refused = |what: &str| Some(Finding::refused(format!("volume {name:?} with {what}"), OWN_VOLUME));
    if let Some(driver) = driver.filter(|driver| !matches!(*driver, "" | "local")) {
        return refused(&format!("driver {driver:?}"));
    }
    let in_memory = is_in_memory(driver, options);
    let harmless = |(key, value): &(&String, &String)| match key.as_str() {
        "type" | "device" => in_memory,
        "o" => in_memory && value.split(',').all(is_tmpfs_option),
        _ => false,
    };
    let (key, value) = options.iter().find(|option| !harmless(option))?;
    refused(&format!("the driver option {key}={value}"))
}

/// Whether a volume lies in memory: it is empty again when nobody mounts it, so nothing in it can be kept.
#[must_use]
pub fn is_in_memory(driver: Option<&str>, options: &BTreeMap<String, String>) -> bool {
    let option = |key: &str| options.get(key).map(String::as_str);
    matches!(driver, None | Some("" | "local"))
        && option("type") == Some("tmpfs")
        && option("device") == Some("tmpfs")
}

fn is_tmpfs_option(option: &str) -> bool {
    ["size=", "mode=", "uid=", "gid=", "nr_inodes="].iter().any(|known| option.starts_with(known))
        || ["noexec", "nosuid", "nodev", "rw", "ro"].contains(&option)
}

/// Judges an added capability.
#[must_use]
pub fn capability(name: &str) -> Option<Finding> {
    let upper = name.to_ascii_uppercase();
    let is_harmless = HARMLESS_CAPABILITIES.contains(&upper.strip_prefix("CAP_").unwrap_or(&upper));
    (!is_harmless).then(|| Finding::refused(format!("the capability {name:?}"), RIGHTS))
}

/// Judges where logs go; no name means the engine's own choice.
#[must_use]
pub fn log_driver(name: &str) -> Option<Finding> {
    let is_harmless = name.is_empty() || HARMLESS_LOG_DRIVERS.contains(&name);
    (!is_harmless).then(|| Finding::refused(format!("the log driver {name:?}"), LOGS))
}

/// Judges a published port; 0 lets swarm choose.
#[must_use]
pub fn port(published: u32, protocol: &str) -> Option<Finding> {
    let what = format!("the published port {published}/{protocol}");
    let noted = |why| Some(Finding { weight: Weight::Noted, what: what.clone(), why });
    match published {
        0 => None,
        taken if INFRASTRUCTURE_PORTS.contains(&taken) => Some(Finding::refused(what, TAKEN_PORT)),
        system if system < FIRST_USER_PORT => noted(SYSTEM_PORT),
        _ => noted(FIXED_PORT),
    }
}

/// Judges the driver of a network; one without addresses has none.
#[must_use]
pub fn network_driver(name: &str, driver: Option<&str>) -> Option<Finding> {
    let driver = driver.filter(|driver| !matches!(*driver, "" | "overlay"))?;
    Some(Finding::refused(format!("network {name:?} with driver {driver:?}"), NETWORK_DRIVER))
}

/// Judges the full name of a network, volume, secret or config: it begins with the stack's, or the run would touch what is
/// not its own. `key` is what the file calls it.
#[must_use]
pub fn name(kind: &str, key: &str, name: &str, stack: &StackName) -> Option<Finding> {
    let is_own = name.starts_with(&stack.prefix());
    (!is_own).then(|| Finding::refused(format!("{kind} {key:?} with the name {name:?}"), FOREIGN))
}
