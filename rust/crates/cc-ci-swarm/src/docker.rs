//! The connection to the Docker engine, and what the engine says about itself.

use std::collections::BTreeMap;
use std::path::Path;

use bollard::models::{LocalNodeState, NodeSpec};
use bollard::query_parameters::{LogsOptions, UpdateNodeOptions};
use futures_util::StreamExt;

use crate::lock::NotCovered;

/// Where the engine listens unless `DOCKER_HOST` says otherwise.
pub const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";

/// Seconds for one answer of the API; removing a container or a loaded engine takes a few, not more.
const ANSWER_SECONDS: u64 = 60;

/// How often an update is repeated that came in between another writer's read and write.
const UPDATE_TRIES: usize = 5;

/// Why the engine did not do what it was asked for. The message says what was attempted on what.
#[derive(Debug, thiserror::Error)]
pub enum DockerError {
    /// The address is not one of a local socket.
    #[error("connecting to Docker at {host}: only unix:// sockets are supported; set DOCKER_HOST to one")]
    Host {
        /// The address.
        host: String,
    },
    /// The engine could not be reached or went away in mid-answer: trouble of the host.
    #[error(
        "{attempt}: the Docker engine cannot be reached: {reason}; is it running (systemctl status docker)?"
    )]
    Connection {
        /// What was attempted.
        attempt: String,
        /// The words of the client library.
        reason: String,
    },
    /// The engine answered no.
    #[error("{attempt}: docker answered {status} \"{message}\"")]
    Answer {
        /// What was attempted.
        attempt: String,
        /// Status code of the HTTP answer.
        status: u16,
        /// The engine's words.
        message: String,
    },
    /// The engine answered something that this client cannot read, or reported an error inside a stream.
    #[error("{attempt}: {reason}")]
    Other {
        /// What was attempted.
        attempt: String,
        /// The words of the client library or of the engine.
        reason: String,
    },
    /// It was not asked at all, since the caller's lock is of another run.
    #[error(transparent)]
    NotCovered(#[from] NotCovered),
}

impl DockerError {
    /// Whether the engine could not be reached: it is gone, restarting or deaf.
    #[must_use]
    pub fn is_connection(&self) -> bool {
        matches!(self, Self::Connection { .. })
    }

    /// Whether the object asked for is not there.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.status() == Some(404)
    }

    /// Status code, where the engine answered.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Answer { status, .. } => Some(*status),
            Self::Host { .. } | Self::Connection { .. } | Self::Other { .. } | Self::NotCovered(_) => None,
        }
    }

    pub(crate) fn of(attempt: impl Into<String>, error: bollard::errors::Error) -> Self {
        use bollard::errors::Error;
        let attempt = attempt.into();
        match error {
            Error::DockerResponseServerError { status_code, message } => {
                Self::Answer { attempt, status: status_code, message }
            }
            Error::RequestTimeoutError
            | Error::IOError { .. }
            | Error::HyperResponseError { .. }
            | Error::HyperLegacyError { .. }
            | Error::SocketNotFoundError(_) => Self::Connection { attempt, reason: chain(&error) },
            Error::DockerStreamError { error } => Self::Other { attempt, reason: error },
            other => Self::Other { attempt, reason: chain(&other) },
        }
    }
}

/// An error with its causes: the client library's own message often leaves out the reason.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let words = inner.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        source = inner.source();
    }
    text
}

/// Says what was being attempted when the client library failed.
pub(crate) trait Attempt<T> {
    fn attempt(self, what: impl FnOnce() -> String) -> Result<T, DockerError>;
}

impl<T> Attempt<T> for Result<T, bollard::errors::Error> {
    fn attempt(self, what: impl FnOnce() -> String) -> Result<T, DockerError> {
        self.map_err(|error| DockerError::of(what(), error))
    }
}

/// Whether the kernel balances load by itself, which ingress ports and virtual addresses of services need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ipvs {
    /// It does.
    Present,
    /// It does not: only `endpoint_mode: dnsrr` and task addresses work. With the reason.
    Absent(String),
}

/// What the engine says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineInfo {
    /// Version of the engine, e.g. `28.2.2`.
    pub version: String,
    /// Version of the API spoken with it.
    pub api: String,
    /// Release of its kernel.
    pub kernel: String,
    /// Name of the machine.
    pub name: String,
    /// Processors.
    pub processors: u64,
    /// Memory of the machine in bytes.
    pub memory_bytes: u64,
    /// Folder of the engine's data.
    pub data_root: String,
    /// Id of this node, where the engine is an active manager of a swarm.
    pub swarm_node: Option<String>,
}

/// A connection to one Docker engine; cheap to clone.
#[derive(Debug, Clone)]
pub struct Docker {
    api: bollard::Docker,
    host: String,
}

impl Docker {
    /// Connects to `host`, else to `DOCKER_HOST`, else to [`DEFAULT_HOST`], and agrees on a version of the API.
    ///
    /// # Errors
    /// The address is no unix socket, nobody listens there, or the engine speaks no known version.
    pub async fn connect(host: Option<&str>) -> Result<Self, DockerError> {
        let from_environment = std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
        let host = host.map(str::to_owned).or(from_environment).unwrap_or_else(|| DEFAULT_HOST.to_owned());
        if !host.starts_with("unix://") {
            return Err(DockerError::Host { host });
        }
        let attempt = || format!("connecting to Docker at {host}");
        let api = bollard::Docker::connect_with_unix(&host, ANSWER_SECONDS, bollard::API_DEFAULT_VERSION)
            .attempt(attempt)?;
        // The library's own default is newer than most engines and would be refused.
        let api = api.negotiate_version().await.attempt(attempt)?;
        Ok(Self { api, host })
    }

    /// The client library, for rooms that need a call that is not wrapped here.
    #[must_use]
    pub fn api(&self) -> &bollard::Docker {
        &self.api
    }

    /// The address, as `DOCKER_HOST` of a child process.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Asks for versions, size and the state of the swarm.
    ///
    /// # Errors
    /// The engine cannot be reached.
    pub async fn info(&self) -> Result<EngineInfo, DockerError> {
        let info = self.api.info().await.attempt(|| "asking Docker about itself".to_owned())?;
        let swarm = info.swarm.unwrap_or_default();
        let is_active =
            swarm.local_node_state == Some(LocalNodeState::ACTIVE) && swarm.control_available == Some(true);
        let spoken = self.api.client_version();
        let count = |number: Option<i64>| u64::try_from(number.unwrap_or_default()).unwrap_or_default();
        Ok(EngineInfo {
            version: info.server_version.unwrap_or_default(),
            api: format!("{}.{}", spoken.major_version, spoken.minor_version),
            kernel: info.kernel_version.unwrap_or_default(),
            name: info.name.unwrap_or_default(),
            processors: count(info.ncpu),
            memory_bytes: count(info.mem_total),
            data_root: info.docker_root_dir.unwrap_or_default(),
            swarm_node: swarm.node_id.filter(|id| is_active && !id.is_empty()),
        })
    }

    /// Labels of a node.
    ///
    /// # Errors
    /// The engine cannot be reached, is no manager, or has no such node.
    pub async fn node_labels(&self, node: &str) -> Result<BTreeMap<String, String>, DockerError> {
        let node = self
            .api
            .inspect_node(node)
            .await
            .attempt(|| format!("reading the labels of swarm node {node}"))?;
        Ok(node.spec.and_then(|spec| spec.labels).unwrap_or_default().into_iter().collect())
    }

    /// Sets a label of a node, or takes it away with `None`. Repeated when somebody else wrote at the same time.
    ///
    /// # Errors
    /// As [`Docker::node_labels`], or others kept writing.
    pub async fn set_node_label(
        &self,
        node: &str,
        key: &str,
        value: Option<&str>,
    ) -> Result<(), DockerError> {
        let attempt = || format!("setting label {key} of swarm node {node}");
        let mut tries = 1;
        loop {
            let found = self.api.inspect_node(node).await.attempt(attempt)?;
            let mut spec: NodeSpec = found.spec.unwrap_or_default();
            let labels = spec.labels.get_or_insert_default();
            match value {
                Some(value) => labels.insert(key.to_owned(), value.to_owned()),
                None => labels.remove(key),
            };
            let version = found.version.and_then(|version| version.index).unwrap_or_default();
            let version = i64::try_from(version).unwrap_or_default();
            match self.api.update_node(node, spec, UpdateNodeOptions { version }).await.attempt(attempt) {
                // 500 is also the answer to a stale version; only its text tells.
                Err(DockerError::Answer { message, .. })
                    if message.contains("update out of sequence") && tries < UPDATE_TRIES =>
                {
                    tries += 1;
                }
                done => return done,
            }
        }
    }

    /// Sets a label of a node unless it has one of that key; returns the value it has then. Of several who do this at
    /// once, one succeeds, and all learn its value.
    ///
    /// # Errors
    /// As [`Docker::node_labels`], or others kept writing.
    pub async fn claim_node_label(&self, node: &str, key: &str, value: &str) -> Result<String, DockerError> {
        let attempt = || format!("claiming label {key} of swarm node {node}");
        let mut tries = 1;
        loop {
            let found = self.api.inspect_node(node).await.attempt(attempt)?;
            let mut spec: NodeSpec = found.spec.unwrap_or_default();
            let labels = spec.labels.get_or_insert_default();
            if let Some(there) = labels.get(key) {
                return Ok(there.clone());
            }
            labels.insert(key.to_owned(), value.to_owned());
            let version = found.version.and_then(|version| version.index).unwrap_or_default();
            let version = i64::try_from(version).unwrap_or_default();
            match self.api.update_node(node, spec, UpdateNodeOptions { version }).await.attempt(attempt) {
                Ok(()) => return Ok(value.to_owned()),
                Err(DockerError::Answer { message, .. })
                    if message.contains("update out of sequence") && tries < UPDATE_TRIES =>
                {
                    tries += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The last lines a container wrote to either stream, at most `lines`.
    ///
    /// # Errors
    /// The engine cannot be reached or the container is gone.
    pub async fn log_tail(&self, container: &str, lines: usize) -> Result<Vec<String>, DockerError> {
        let options =
            LogsOptions { stdout: true, stderr: true, tail: lines.to_string(), ..LogsOptions::default() };
        let mut stream = self.api.logs(container, Some(options));
        let mut text = Vec::new();
        while let Some(part) = stream.next().await {
            let part = part.attempt(|| format!("reading the log of container {container}"))?;
            text.extend_from_slice(&part.into_bytes());
        }
        let text = String::from_utf8_lossy(&text);
        let all: Vec<String> = text.lines().map(str::to_owned).collect();
        Ok(all[all.len().saturating_sub(lines)..].to_vec())
    }
}

/// Whether the kernel of this machine has IPVS, built in, loaded or as a module that can be loaded.
///
/// Without it Docker's virtual service addresses and ingress ports accept nothing, and no error says so.
#[must_use]
pub fn ipvs() -> Ipvs {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let modules = Path::new("/lib/modules").join(release.trim());
    ipvs_in(Path::new("/proc/net/ip_vs"), &modules)
}

fn ipvs_in(proc_file: &Path, modules: &Path) -> Ipvs {
    if proc_file.exists() {
        return Ipvs::Present;
    }
    for list in ["modules.builtin", "modules.dep"] {
        let names = std::fs::read_to_string(modules.join(list)).unwrap_or_default();
        let is_ipvs = |line: &str| {
            line.split(':').next().is_some_and(|path| {
                let file = path.rsplit('/').next().unwrap_or(path);
                file.split('.').next() == Some("ip_vs")
            })
        };
        if names.lines().any(is_ipvs) {
            return Ipvs::Present;
        }
    }
    Ipvs::Absent(format!(
        "{} is missing and {} has no module ip_vs; virtual addresses and ingress ports of services do not work",
        proc_file.display(),
        modules.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipvs_is_found_loaded_built_in_or_loadable_and_its_absence_is_explained() {
        let folder = tempfile::tempdir().unwrap();
        let (proc_file, modules) = (folder.path().join("ip_vs"), folder.path().join("modules"));
        std::fs::create_dir(&modules).unwrap();
        std::fs::write(modules.join("modules.dep"), "kernel/net/netfilter/ipvs/ip_vs_rr.ko: x/ip_vs.ko\n")
            .unwrap();
        assert!(
            matches!(ipvs_in(&proc_file, &modules), Ipvs::Absent(why) if why.contains("no module ip_vs"))
        );
        std::fs::write(modules.join("modules.dep"), "kernel/net/netfilter/ipvs/ip_vs.ko.xz: a.ko\n").unwrap();
        assert_eq!(ipvs_in(&proc_file, &modules), Ipvs::Present);
        std::fs::remove_file(modules.join("modules.dep")).unwrap();
        std::fs::write(&proc_file, "").unwrap();
        assert_eq!(ipvs_in(&proc_file, &modules), Ipvs::Present);
    }

    #[tokio::test]
    async fn engine_that_is_not_there_is_a_connection_error_that_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let host = format!("unix://{}", folder.path().join("docker.sock").display());
        let missing = Docker::connect(Some(&host)).await.unwrap_err();
        assert!(missing.is_connection(), "{missing:?}");
        let _listener = std::os::unix::net::UnixListener::bind(folder.path().join("docker.sock")).unwrap();
        drop(_listener);
        let refused = Docker::connect(Some(&host)).await.unwrap_err();
        assert!(refused.is_connection() && refused.to_string().contains("is it running"), "{refused:?}");
        assert!(matches!(Docker::connect(Some("tcp://x:2375")).await, Err(DockerError::Host { .. })));
    }
}
