//! A relay beside a task: a helper in the task's network namespace that listens on a socket in a folder of the run.
//! It sticks to the task's container; [`Relay::follow`] puts another in its place where swarm replaces that.
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

use tokio::sync::Mutex;

use crate::docker::{Docker, DockerError};
use crate::exec::running_containers;
use crate::lock::HeldLock;

/// The socket is there as soon as the helper runs; a loaded engine takes a few seconds to start it.
const APPEARS: Waiting = Waiting { deadline: Duration::from_secs(30), interval: Duration::from_millis(20) };

/// Until the wait that a look is, at the longest; the run's own deadline comes before.
const FOLLOWS: Waiting =
    Waiting { deadline: Duration::from_secs(24 * 3600), interval: Duration::from_secs(1) };
/// How often a replaced task is followed: one that restarts more often than that is no app to look at.
pub const MOVES: u32 = 3;

/// Name of the socket in its folder.
const SOCKET: &str = "socket";
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
    /// Full name of the task's service.
    pub service: &'a str,
    /// The task's container.
    pub container: &'a str,
    /// The port the app listens on.
    pub port: u16,
    /// A new folder of the run for the socket.
    pub folder: &'a Path,
}

/// A relay that runs. It goes with the stack; [`Relay::stop`] only ends it sooner.
#[derive(Debug)]
pub struct Relay {
    place: Mutex<Place>,
    socket: PathBuf,
}

/// Where a relay is at this moment.
#[derive(Debug, Clone)]
struct Place {
    /// Its own container.
    id: String,
    /// The task's container.
    container: String,
    /// How often it was put beside another container.
    moves: u32,
}

impl Relay {
    /// Starts a relay and waits until it listens.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn start(
        docker: &Docker,
        job: &RelayJob<'_>,
        lock: &HeldLock,
        cancellation: &Cancellation,
    ) -> Result<Self, RelayError> {
        let id = begin(docker, job, lock, cancellation).await?;
        let place = Place { id, container: job.container.to_owned(), moves: 0 };
        Ok(Self { place: Mutex::new(place), socket: job.folder.join(SOCKET) })
    }

    /// Follows the service: whenever swarm has replaced the task's container (it restarted, or somebody updated it), the relay
    /// is put beside the new one, on the same socket. At most [`MOVES`] times; `news` hears a sentence of each. Returns where
    /// it cannot follow any more; what asks through the relay finds nobody then, and says so.
    pub async fn follow(
        &self,
        docker: &Docker,
        job: &RelayJob<'_>,
        lock: &HeldLock,
        cancellation: &Cancellation,
        news: impl Fn(&str),
    ) {
        let sentence = format!("watching the task of {}", job.service);
        loop {
            let mut place = self.place.lock().await.clone();
            let replaced = wait_for(&sentence, FOLLOWS, None, cancellation, || async {
                // A lost engine comes back; until then there is nobody to follow.
                let found = running_containers(docker, job.service).await.unwrap_or_default();
                // Of several replicas the one it stands beside is as good as any, as long as it runs.
                let is_there = found.contains(&place.container);
                let other = found.into_iter().next().filter(|_| !is_there);
                Ok::<_, DockerError>(Look::from_option(other, "it runs where it ran"))
            });
            let Ok(container) = replaced.await else { return };
            let (from, to) = (short(&place.container).to_owned(), short(&container).to_owned());
            if place.moves == MOVES {
                news(&format!(
                    "the task of {} was replaced once more ({from} → {to}); it was followed {MOVES} times and is no more",
                    job.service
                ));
                return;
            }
            if let Err(error) = remove(docker, &place.id).await {
                news(&format!(
                    "the task of {} was replaced ({from} → {to}) and not followed: {error}",
                    job.service
                ));
                return;
            }
            // The new helper's socket must not be taken for there because the old one's still is.
            let _ = std::fs::remove_file(&self.socket);
            let beside = RelayJob { container: &container, ..job.clone() };
            place.moves += 1;
            let moves = place.moves;
            match begin(docker, &beside, lock, cancellation).await {
                Ok(id) => {
                    news(&format!(
                        "the task of {} was replaced while it was looked at ({from} → {to}); it was followed, {moves} of {MOVES}",
                        job.service
                    ));
                    place.id = id;
                    place.container = container;
                }
                Err(RelayError::Cancelled(_)) => return,
                // That container may be gone again already; the next look tells.
                Err(error) => {
                    news(&format!("following the task of {} from {from} to {to}: {error}", job.service))
                }
            }
            *self.place.lock().await = place;
        }
    }

    /// The socket it listens on.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// What is wrong with the relay itself, in a sentence: its helper has ended, and the task it stands beside runs on. `None`
    /// where it lives, and where that task has ended, which is the app's own.
    pub async fn fault(&self, docker: &Docker) -> Option<String> {
        let place = self.place.lock().await.clone();
        let states = async {
            Ok::<_, DockerError>((
                is_running(docker, &place.id).await?,
                is_running(docker, &place.container).await?,
            ))
        };
        match states.await {
            Ok((false, true)) => Some(format!(
                "the helper container {} that leads to the task has ended, and the task {} runs on: look who ended it, and run again",
                short(&place.id),
                short(&place.container)
            )),
            Ok(_) => None,
            Err(error) => Some(error.to_string()),
        }
    }

    /// Ends the relay and removes its container.
    ///
    /// # Errors
    /// The engine cannot be asked.
    pub async fn stop(&self, docker: &Docker) -> Result<(), DockerError> {
        remove(docker, &self.place.lock().await.id).await
    }
}

fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// Starts the helper and waits until it listens; its id.
async fn begin(
    docker: &Docker,
    job: &RelayJob<'_>,
    lock: &HeldLock,
    cancellation: &Cancellation,
) -> Result<String, RelayError> {
    lock.covers(job.stack).map_err(DockerError::from)?;
    let folder = |cause| RelayError::Folder { path: job.folder.to_owned(), cause };
    std::fs::create_dir_all(job.folder).map_err(folder)?;
    let source = std::fs::canonicalize(job.folder).map_err(folder)?;
    let attempt = || format!("starting a relay to port {} of {}", job.port, job.stack);
    let addresses = addresses(docker, job.container).await?;
    let mut command: Vec<String> =
        ["relay", "--listen", &format!("{INSIDE}/{SOCKET}")].iter().map(|word| (*word).to_owned()).collect();
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
    let socket = job.folder.join(SOCKET);
    let started = docker.api().start_container(&id, None).await;
    if let Err(error) = started {
        remove(docker, &id).await?;
        return Err(DockerError::of(attempt(), error).into());
    }
    let sentence = attempt();
    let listening = wait_for(&sentence, APPEARS, None, cancellation, async || {
        Ok::<_, DockerError>(Look::from_option(socket.exists().then_some(()), "no socket yet"))
    });
    match listening.await {
        Ok(()) => Ok(id),
        Err(error @ WaitError::Cancelled { .. }) => Err(RelayError::Cancelled(error.to_string())),
        Err(error) => {
            let log = docker.log_tail(&id, 5).await.unwrap_or_default().join(" / ");
            remove(docker, &id).await?;
            Err(RelayError::Silent(format!("{error}; the helper said: {log}")))
        }
    }
}

async fn remove(docker: &Docker, id: &str) -> Result<(), DockerError> {
    let options = RemoveContainerOptions { v: true, force: true, link: false };
    match docker.api().remove_container(id, Some(options)).await {
        Ok(()) => Ok(()),
        Err(error) => match DockerError::of("removing a relay", error) {
            error if error.is_missing() => Ok(()),
            error => Err(error),
        },
    }
}

/// Whether a container runs; one that is gone does not.
async fn is_running(docker: &Docker, id: &str) -> Result<bool, DockerError> {
    match docker.api().inspect_container(id, None).await {
        Ok(found) => Ok(found.state.and_then(|state| state.running).unwrap_or(false)),
        Err(error) => match DockerError::of(format!("looking at container {id}"), error) {
            error if error.is_missing() => Ok(false),
            error => Err(error),
        },
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
