//! The helper container: a small image of our own beside a volume or inside a task's network.

use std::time::Duration;

use bollard::models::{ContainerCreateBody, HostConfig, Mount, MountType};
use bollard::query_parameters::{
    AttachContainerOptions, CreateContainerOptions, RemoveContainerOptions, WaitContainerOptions,
};
use cc_ci_model::inventory::{RUN_LABEL, STACK_LABEL};
use cc_ci_model::names::{RunId, StackName};
use cc_ci_process::cancel::Cancellation;
use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;

use crate::docker::{Attempt, Docker, DockerError};
use crate::exec::{ExecOutput, keep_part};
use crate::lock::HeldLock;

/// How much of each stream of a helper is kept.
const KEEP: usize = 16 << 20;

/// Why a helper gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum HelperError {
    /// Its image is not on the engine.
    #[error("starting a helper for {stack}: image {image} is missing; make it with `cargo xtask helper`")]
    NoImage {
        /// The stack.
        stack: String,
        /// The image.
        image: String,
    },
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] DockerError),
    /// It ran longer than allowed and was removed.
    #[error("running {command} in a helper for {stack}: no end after {} s", after.as_secs())]
    TimedOut {
        /// The stack.
        stack: String,
        /// The command.
        command: String,
        /// The bound.
        after: Duration,
    },
    /// The run was cancelled, and the helper removed.
    #[error("running {command} in a helper for {stack}: ended because {cause}")]
    Cancelled {
        /// The stack.
        stack: String,
        /// The command.
        command: String,
        /// Why.
        cause: String,
    },
}

/// A volume that a helper sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelperVolume {
    /// The volume's name.
    pub volume: String,
    /// Where the helper sees it.
    pub target: String,
    /// Whether it may only read.
    pub is_read_only: bool,
}

/// What a helper is attached to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HelperNetwork {
    /// Nothing: it only works on volumes.
    None,
    /// The network namespace of this container: the app answers on 127.0.0.1 and on its own address.
    Container(String),
    /// A network of this name.
    Named(String),
}

/// One job for a helper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelperJob {
    /// The stack it works for; teardown finds the helper by it.
    pub stack: StackName,
    /// The run it works for.
    pub run: RunId,
    /// The helper's image, e.g. `cc-ci-helper:latest`.
    pub image: String,
    /// Program and arguments, in place of the image's own entry point; empty: that one.
    pub argv: Vec<String>,
    /// `KEY=value`.
    pub environment: Vec<String>,
    /// Volumes it sees.
    pub volumes: Vec<HelperVolume>,
    /// Where it is on the network.
    pub network: HelperNetwork,
}

/// Runs a helper to its end, hands it `stdin`, removes it whatever happened, and returns what it answered.
///
/// The helper carries the labels of run and stack: one that outlives a killed run goes with the stack.
///
/// # Errors
/// The image is missing, the engine failed, the limit passed, the run was cancelled, or the lock is of another run.
pub async fn run_helper(
    docker: &Docker,
    job: &HelperJob,
    stdin: &[u8],
    limit: Duration,
    lock: &HeldLock,
    cancellation: &Cancellation,
) -> Result<ExecOutput, HelperError> {
    lock.covers(&job.stack).map_err(DockerError::from)?;
    let id = create(docker, job).await?;
    let command = job.argv.first().cloned().unwrap_or_default();
    let stack = job.stack.to_string();
    let outcome = tokio::select! {
        outcome = tokio::time::timeout(limit, run(docker, &id, stdin)) => match outcome {
            Ok(outcome) => outcome.map_err(HelperError::from),
            Err(_) => Err(HelperError::TimedOut { stack, command, after: limit }),
        },
        cause = cancellation.cancelled() => {
            Err(HelperError::Cancelled { stack, command, cause: cause.to_string() })
        }
    };
    let options = RemoveContainerOptions { v: true, force: true, link: false };
    let removed = docker.api().remove_container(&id, Some(options)).await;
    let removed = removed.attempt(|| format!("removing the helper of {}", job.stack));
    match (outcome, removed) {
        (Ok(output), Ok(())) => Ok(output),
        (Ok(output), Err(error)) if error.is_missing() => Ok(output),
        (Ok(_), Err(error)) => Err(error.into()),
        (Err(error), _) => Err(error),
    }
}

async fn create(docker: &Docker, job: &HelperJob) -> Result<String, HelperError> {
    let labels =
        [(STACK_LABEL.to_owned(), job.stack.to_string()), (RUN_LABEL.to_owned(), job.run.to_string())];
    let mounts = job.volumes.iter().map(|volume| Mount {
        target: Some(volume.target.clone()),
        source: Some(volume.volume.clone()),
        typ: Some(MountType::VOLUME),
        read_only: Some(volume.is_read_only),
        ..Mount::default()
    });
    let network = match &job.network {
        HelperNetwork::None => "none".to_owned(),
        HelperNetwork::Container(container) => format!("container:{container}"),
        HelperNetwork::Named(name) => name.clone(),
    };
    let (entrypoint, cmd) = match job.argv.split_first() {
        Some((program, arguments)) => (Some(vec![program.clone()]), Some(arguments.to_vec())),
        None => (None, None),
    };
    let body = ContainerCreateBody {
        image: Some(job.image.clone()),
        entrypoint,
        cmd,
        env: Some(job.environment.clone()),
        labels: Some(labels.into_iter().collect()),
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        open_stdin: Some(true),
        stdin_once: Some(true),
        host_config: Some(HostConfig {
            mounts: Some(mounts.collect()),
            network_mode: Some(network),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let created = docker.api().create_container(None::<CreateContainerOptions>, body).await;
    match created.attempt(|| format!("creating a helper for {}", job.stack)) {
        Ok(created) => Ok(created.id),
        Err(DockerError::Answer { status: 404, message, .. }) if message.contains("No such image") => {
            Err(HelperError::NoImage { stack: job.stack.to_string(), image: job.image.clone() })
        }
        Err(error) => Err(error.into()),
    }
}

async fn run(docker: &Docker, id: &str, stdin: &[u8]) -> Result<ExecOutput, DockerError> {
    let api = docker.api();
    let attempt = || format!("running helper {id}");
    let options = AttachContainerOptions {
        stream: true,
        stdin: true,
        stdout: true,
        stderr: true,
        ..AttachContainerOptions::default()
    };
    // Attached before the start, so that not a byte of a quick answer is missed.
    let mut attached = api.attach_container(id, Some(options)).await.attempt(attempt)?;
    let mut output =
        ExecOutput { code: 0, stdout: vec![], stderr: vec![], is_cut: false, container: id.to_owned() };
    api.start_container(id, None).await.attempt(attempt)?;
    let feed = async {
        // One that does not want all of its input ends early; its exit code tells what that means.
        let _ = attached.input.write_all(stdin).await;
        let _ = attached.input.shutdown().await;
    };
    let read = async {
        while let Some(part) = attached.output.next().await {
            keep_part(&mut output, part.attempt(attempt)?, KEEP);
        }
        Ok::<(), DockerError>(())
    };
    tokio::join!(feed, read).1?;
    // Its streams are at their end; this waits for the rest of it, and answers at once if it ended already.
    let ended = WaitContainerOptions { condition: "not-running".to_owned() };
    let ended = std::pin::pin!(api.wait_container(id, Some(ended))).next().await;
    output.code = match ended {
        Some(Ok(answer)) => answer.status_code,
        // The client library makes an error of every exit code but 0.
        Some(Err(bollard::errors::Error::DockerContainerWaitError { code, .. })) => code,
        Some(Err(error)) => return Err(DockerError::of(attempt(), error)),
        None => {
            return Err(DockerError::Other { attempt: attempt(), reason: "no exit code came".to_owned() });
        }
    };
    Ok(output)
}
