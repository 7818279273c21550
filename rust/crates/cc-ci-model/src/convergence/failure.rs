//! Why a deployment did not settle, with the sentence that names the cause.

use std::time::Duration;

use super::UpdateState;
use super::host_fault::HostFault;

/// A deployment that will not settle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The engine has no image of that name: the recipe names one that does not exist or was not pulled.
    #[error("service {service}: there is no image {image}; check that the recipe names one that exists")]
    ImageMissing {
        /// The service.
        service: String,
        /// The image as the engine named it.
        image: String,
    },
    /// The node refused the task, e.g. because a bind source does not exist.
    #[error("service {service}: its task was rejected: {error}")]
    TaskRejected {
        /// The service.
        service: String,
        /// The engine's words.
        error: String,
    },
    /// The kernel killed a container that went over its memory limit.
    #[error(
        "service {service}: out of memory, the kernel killed its container ({then}); raise its memory limit"
    )]
    OutOfMemory {
        /// The service.
        service: String,
        /// What came of it.
        then: String,
    },
    /// A task got no network address: the address pool or the network's subnet is used up.
    #[error(
        "service {service}: a task got no address on {network}; the swarm's address pool or that network is full, \
         remove unused networks"
    )]
    AllocationFailure {
        /// The service.
        service: String,
        /// The network without a subnet, or all networks of the service if each has one.
        network: String,
    },
    /// No node can take the task, whatever the host does: the recipe asks for what there is not.
    #[error("service {service}: no node can run it: {error}")]
    Unplaceable {
        /// The service.
        service: String,
        /// The scheduler's words.
        error: String,
    },
    /// Its tasks fail by a fault of the host.
    #[error("service {service}: {}: {error}; {}", .fault.what, .fault.remedy)]
    Host {
        /// The service.
        service: String,
        /// What is wrong with the host.
        fault: HostFault,
        /// The engine's words.
        error: String,
    },
    /// The update failed, and swarm went back to the former spec.
    #[error("service {service}: the update failed and was rolled back ({state}): {message}{}", after_colon(.cause))]
    RolledBack {
        /// The service.
        service: String,
        /// One of the three rollback states.
        state: UpdateState,
        /// Swarm's message, naming the task.
        message: String,
        /// Last error of a task of the attempted spec, empty if none is known.
        cause: String,
    },
    /// The update failed, and swarm stopped it where it was.
    #[error("service {service}: the update failed and is paused: {message}{}", after_colon(.cause))]
    Paused {
        /// The service.
        service: String,
        /// Swarm's message, naming the task.
        message: String,
        /// Last error of a task of the attempted spec, empty if none is known.
        cause: String,
    },
    /// Its tasks fail again and again.
    #[error("service {service}: restart loop, {failures} tasks failed within {}: {last_error}", seconds(.within))]
    RestartLoop {
        /// The service.
        service: String,
        /// Failed tasks within the window.
        failures: usize,
        /// The window.
        within: Duration,
        /// The last task's error.
        last_error: String,
    },
    /// Its restart policy gave up: no task runs, and none will be started.
    #[error("service {service}: it stopped and its restart policy starts no other task: {last_error}")]
    GaveUp {
        /// The service.
        service: String,
        /// The last task's error.
        last_error: String,
    },
    /// A service that was deployed is not on the swarm.
    #[error("service {service} was deployed and is not there")]
    Missing {
        /// The service.
        service: String,
    },
    /// The service is not what was deployed, and no rollback explains it.
    #[error("service {service} still is the old one: {what} is {found}, deployed was {sent}")]
    StillOld {
        /// The service.
        service: String,
        /// What differs: a label or the image.
        what: String,
        /// What was sent.
        sent: String,
        /// What the swarm says.
        found: String,
    },
    /// The time allowed is over.
    #[error("time limit of {} reached; last seen: {last}", seconds(.limit))]
    TimeLimit {
        /// The limit.
        limit: Duration,
        /// What it was waiting for at the end.
        last: String,
    },
    /// The Docker engine restarted in the meantime, so what was seen afterwards says nothing about the recipe.
    #[error("the Docker engine restarted while the deployment settled; after that: {then}; run it again")]
    EngineRestarted {
        /// The failure that was seen after the restart.
        then: Box<Failure>,
    },
}

impl Failure {
    /// Whether the host is to blame and not the recipe: such a failure is trouble, never a red verdict.
    #[must_use]
    pub fn is_trouble(&self) -> bool {
        match self {
            Self::AllocationFailure { .. } | Self::Host { .. } | Self::EngineRestarted { .. } => true,
            Self::ImageMissing { .. }
            | Self::Unplaceable { .. }
            | Self::TaskRejected { .. }
            | Self::OutOfMemory { .. }
            | Self::RolledBack { .. }
            | Self::Paused { .. }
            | Self::RestartLoop { .. }
            | Self::GaveUp { .. }
            | Self::Missing { .. }
            | Self::StillOld { .. }
            | Self::TimeLimit { .. } => false,
        }
    }

    /// The service it is about, if it is about one.
    #[must_use]
    pub fn service(&self) -> Option<&str> {
        match self {
            Self::ImageMissing { service, .. }
            | Self::TaskRejected { service, .. }
            | Self::OutOfMemory { service, .. }
            | Self::AllocationFailure { service, .. }
            | Self::Unplaceable { service, .. }
            | Self::Host { service, .. }
            | Self::RolledBack { service, .. }
            | Self::Paused { service, .. }
            | Self::RestartLoop { service, .. }
            | Self::GaveUp { service, .. }
            | Self::Missing { service }
            | Self::StillOld { service, .. } => Some(service),
            Self::TimeLimit { .. } => None,
            Self::EngineRestarted { then } => then.service(),
        }
    }

    /// Of several failures at once the one nearest to the cause is told: a missing image before the rollback it caused.
    pub(super) fn distance_from_cause(&self) -> u8 {
        match self {
            Self::ImageMissing { .. } => 0,
            Self::AllocationFailure { .. } | Self::Host { .. } => 1,
            Self::OutOfMemory { .. } => 2,
            Self::TaskRejected { .. } | Self::Unplaceable { .. } => 3,
            Self::RolledBack { .. } | Self::Paused { .. } => 4,
            Self::RestartLoop { .. } | Self::GaveUp { .. } => 5,
            Self::Missing { .. } | Self::StillOld { .. } => 6,
            Self::TimeLimit { .. } | Self::EngineRestarted { .. } => 7,
        }
    }
}

fn after_colon(cause: &str) -> String {
    if cause.is_empty() { String::new() } else { format!(": {cause}") }
}

fn seconds(duration: &Duration) -> String {
    format!("{} s", duration.as_secs())
}
