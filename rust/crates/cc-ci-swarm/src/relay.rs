//! A relay beside a task: a helper in the task's network namespace that listens on a socket in a folder of the run.
//!
//! So the host reaches one port of one task without a published port, without a route, and without ever sending a
//! packet to an overlay address, which from the host could be a stranger's machine.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::models::{ContainerCreateBody, HostConfig, Mount, MountType};
use bollard::query_parameters::{CreateContainerOptions, RemoveContainerOptions};
use cc_ci_model::deploy_overlay::RUN_LABEL;
use cc_ci_model::names::{RunId, StackName};
use cc_ci_process::cancel::Cancellation;
use cc_ci_process::wait::{Look, WaitError, Waiting, wait_for};

use crate::docker::{Docker, DockerError};
use crate::lock::HeldLock;

/// The socket is there as soon as the helper runs; a loaded engine takes a few seconds to start it.
const APPEARS: Waiting = Waiting { deadline: Duration::from_secs(30), interval: Duration::from_millis(20) };

/// Where the helper sees the folder of its socket.
const INSIDE: &str = "/relay";

/// Why there is no relay.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The engine failed, or the helper's image is missing.
    #[error(transparent)]
    Docker(#[from] DockerError),
    /// The folder of the socket could not be made.
    #[error("making {}: {cause}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the kernel said.
        cause: std::io::Error,
    },
    /// The helper did not begin to listen.
    #[error("{0}")]
    Silent(String),
    /// The run was cancelled.
    #[error("{0}")]
    Cancelled(String),
}

/// What a relay is made for.
#[derive(Debug, Clone)]
pub struct RelayJob<'a> {
    /// The stack it works for; teardown finds the relay by it.
    pub stack: &'a StackName,
    /// The run it works for.
    pub run: &'a RunId,
    /// The helper's image.
    pub image: &'a str,
    /// The task's container.
    pub container: &'a str,
    /// The port the app listens on.
    pub port: u16,
    /// A new folder of the run for the socket.
    pub folder: &'a Path,
}

/// A relay that runs. It goes with the stack; [`Relay::stop`] only ends it sooner.
#[derive(Debug, Clone)]
pub struct Relay {
    id: String,
    socket: PathBuf,
}

impl Relay {
    /// Starts a relay and waits until it listens.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn start(
        docker: &Docker,
        job: &RelayJob<'_>,
        _lock: &HeldLock,
        cancellation: &Cancellation,
    ) -> Result<Self, RelayError> {
        let folder = |cause| RelayError::Folder { path: job.folder.to_owned(), cause };
        std::fs::create_dir_all(job.folder).map_err(folder)?;
        let source = std::fs::canonicalize(job.folder).map_err(folder)?;
        let attempt = || format!("starting a relay to port {} of {}", job.port, job.stack);
        let addresses = addresses(docker, job.container).await?;
        let mut command: Vec<String> = ["relay", "--listen", &format!("{INSIDE}/socket")]
            .iter()
            .map(|word| (*word).to_owned())
            .collect();
        // An app may listen on one address only: its loopback comes first, then the task's own.
        for address in ["127.0.0.1".to_owned()].into_iter().chain(addresses) {
            command.extend(["--to".to_owned(), format!("{address}:{}", job.port)]);
        }
        let labels = [
            ("com.docker.stack.namespace".to_owned(), job.stack.to_string()),
            (RUN_LABEL.to_owned(), job.run.to_string()),
        ];
        let mount = Mount {
            target: Some(INSIDE.to_owned()),
            source: Some(source.to_string_lossy().into_owned()),
            typ: Some(MountType::BIND),
            ..Mount::default()
        };
        let body = ContainerCreateBody {
            image: Some(job.image.to_owned()),
            entrypoint: Some(vec!["/cc-ci-helper".to_owned()]),
            cmd: Some(command),
            labels: Some(labels.into_iter().collect()),
            host_config: Some(HostConfig {
                mounts: Some(vec![mount]),
                network_mode: Some(format!("container:{}", job.container)),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let created = docker.api().create_container(None::<CreateContainerOptions>, body).await;
        let id = created.map_err(|error| DockerError::of(attempt(), error))?.id;
        let this = Self { id, socket: job.folder.join("socket") };
        let started = docker.api().start_container(&this.id, None).await;
        if let Err(error) = started {
            this.stop(docker).await?;
            return Err(DockerError::of(attempt(), error).into());
        }
        let sentence = attempt();
        let listening = wait_for(&sentence, APPEARS, None, cancellation, async || {
            Ok::<_, DockerError>(Look::from_option(this.socket.exists().then_some(()), "no socket yet"))
        });
        match listening.await {
            Ok(()) => Ok(this),
            Err(error @ WaitError::Cancelled { .. }) => Err(RelayError::Cancelled(error.to_string())),
            Err(error) => {
                let log = docker.log_tail(&this.id, 5).await.unwrap_or_default().join(" / ");
                this.stop(docker).await?;
                Err(RelayError::Silent(format!("{error}; the helper said: {log}")))
            }
        }
    }

    /// The socket it listens on.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Ends the relay and removes its container.
    ///
    /// # Errors
    /// The engine cannot be asked.
    pub async fn stop(&self, docker: &Docker) -> Result<(), DockerError> {
        let options = RemoveContainerOptions { v: true, force: true, link: false };
        match docker.api().remove_container(&self.id, Some(options)).await {
            Ok(()) => Ok(()),
            Err(error) => match DockerError::of("removing a relay", error) {
                error if error.is_missing() => Ok(()),
                error => Err(error),
            },
        }
    }
}

/// The addresses a task has on its networks, as seen from within.
async fn addresses(docker: &Docker, container: &str) -> Result<Vec<String>, DockerError> {
    let found = docker.api().inspect_container(container, None).await;
    let found = found.map_err(|error| DockerError::of(format!("looking at container {container}"), error))?;
    let networks = found.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
    let mut addresses: Vec<String> = networks
        .into_values()
        .filter_map(|network| network.ip_address)
        .filter(|address| !address.is_empty())
        .collect();
    addresses.sort();
    Ok(addresses)
}
