//! Running a command in the container of a service.

use std::time::Duration;

use bollard::container::LogOutput;
use bollard::exec::StartExecResults;
use bollard::models::{ExecConfig, TaskState};
use bollard::query_parameters::ListTasksOptions;
use cc_ci_model::names::{ServiceName, StackName};
use cc_ci_process::cancel::Cancellation;
use cc_ci_process::wait::{Look, WaitError, Waiting, wait_for};
use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;

use crate::docker::{Attempt, Docker, DockerError};
use crate::spec::template_of;

/// How often a running container is looked for.
const INTERVAL: Duration = Duration::from_millis(300);

/// Exit codes of a command that was killed (KILL, TERM), or whose engine was (255).
const KILLED: [i64; 3] = [137, 143, 255];
/// How long after such an end the container is watched.
const ENDS_SOON: Waiting = Waiting { deadline: Duration::from_secs(2), interval: Duration::from_millis(100) };

/// Why a command has no result. A command that ran and failed has one: its exit code.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// No container of the service's present spec came to run, or none took the command, within the bound.
    #[error("executing {command} in {service}: {cause}")]
    NoContainer {
        /// The command.
        command: String,
        /// Full name of the service.
        service: String,
        /// The wait that ended.
        cause: WaitError<DockerError>,
    },
    /// The container ended while the command ran, so what it wrote is not its whole answer.
    #[error("executing {command} in {service}: its container ended meanwhile")]
    Interrupted {
        /// The command.
        command: String,
        /// Full name of the service.
        service: String,
    },
    /// The command ran longer than allowed; it may still run in the container.
    #[error("executing {command} in {service}: no end after {} s", after.as_secs())]
    TimedOut {
        /// The command.
        command: String,
        /// Full name of the service.
        service: String,
        /// The bound.
        after: Duration,
    },
    /// The run was cancelled while the command ran.
    #[error("executing {command} in {service}: ended because {cause}")]
    Cancelled {
        /// The command.
        command: String,
        /// Full name of the service.
        service: String,
        /// Why.
        cause: String,
    },
    /// The engine failed while the command ran.
    #[error("executing {command} in {service}: {cause}")]
    Engine {
        /// The command.
        command: String,
        /// Full name of the service.
        service: String,
        /// What failed.
        cause: DockerError,
    },
}

/// What a command may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExecLimits {
    /// How long to wait for a running container that takes the command.
    pub container: Duration,
    /// How long the command may run.
    pub command: Duration,
    /// How much of each stream is kept, in bytes; the rest is read and dropped.
    pub output_bytes: usize,
}

impl Default for ExecLimits {
    /// 90 s for a container that swarm is replacing, 10 min for a dump, 16 MiB of output.
    fn default() -> Self {
        Self { container: Duration::from_secs(90), command: Duration::from_secs(600), output_bytes: 16 << 20 }
    }
}

/// What a command answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecOutput {
    /// Its exit code; 126 and 127 if it could not be started in the container.
    pub code: i64,
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: Vec<u8>,
    /// Whether more was written than is kept.
    pub is_cut: bool,
    /// The container it ran in.
    pub container: String,
}

/// Runs `argv` in a running container of the service's present spec and hands over `stdin`.
///
/// Waits for such a container; a container that goes away before the command starts is looked for anew. Once
/// the command has started it is never repeated: whatever it answers is the answer, also a wrong one, since a repeat
/// would hide lost data.
///
/// # Errors
/// The command was not executed or not to its end; never an empty output in its stead.
pub async fn exec(
    docker: &Docker,
    stack: &StackName,
    service: &ServiceName,
    argv: &[&str],
    stdin: &[u8],
    limits: ExecLimits,
    cancellation: &Cancellation,
) -> Result<ExecOutput, ExecError> {
    let service = format!("{stack}_{service}");
    let command = argv.first().copied().unwrap_or_default().to_owned();
    let waiting = Waiting { deadline: limits.container, interval: INTERVAL };
    let sentence = format!("waiting for a running container of {service}");
    let started = wait_for(&sentence, waiting, None, cancellation, || async {
        let container = match running_container(docker, &service).await {
            Ok(Some(container)) => container,
            Ok(None) => return Ok(Look::NotYet("no task of its present spec is running".to_owned())),
            Err(error) => return Ok(Look::NotYet(error.to_string())),
        };
        match start(docker, &container, argv, !stdin.is_empty()).await {
            Ok(started) => Ok(Look::There((container, started))),
            // 404 and 409: it ended meanwhile. A lost engine comes back. Anything else is no matter of time.
            Err(error) if error.is_connection() || matches!(error.status(), Some(404 | 409)) => {
                Ok(Look::NotYet(error.to_string()))
            }
            Err(error) => Err(error),
        }
    })
    .await;
    let (container, started) = started.map_err(|cause| ExecError::NoContainer {
        command: command.clone(),
        service: service.clone(),
        cause,
    })?;
    let finish = finish(docker, started, stdin, limits.output_bytes, container);
    let finished = tokio::select! {
        finished = tokio::time::timeout(limits.command, finish) => finished,
        cause = cancellation.cancelled() => {
            return Err(ExecError::Cancelled { command, service, cause: cause.to_string() });
        }
    };
    match finished {
        Err(_) => Err(ExecError::TimedOut { command, service, after: limits.command }),
        Ok(Err(cause)) => Err(ExecError::Engine { command, service, cause }),
        Ok(Ok(None)) => Err(ExecError::Interrupted { command, service }),
        Ok(Ok(Some(output))) => Ok(output),
    }
}

/// The container of a task that runs, is meant to run, and was made from the service's present spec.
///
/// # Errors
/// The engine cannot be reached or has no such service.
pub async fn running_container(docker: &Docker, service: &str) -> Result<Option<String>, DockerError> {
    Ok(running_containers(docker, service).await?.into_iter().next())
}

/// The containers of all such tasks: several where the service has replicas.
///
/// # Errors
/// As [`running_container`].
pub async fn running_containers(docker: &Docker, service: &str) -> Result<Vec<String>, DockerError> {
    let attempt = || format!("looking for a running container of {service}");
    let found = docker.api().inspect_service(service, None).await.attempt(attempt)?;
    let wanted = found.spec.as_ref().and_then(|spec| spec.task_template.as_ref()).map(template_of);
    let filters = [("service".to_owned(), vec![found.id.unwrap_or_default()])];
    let options = ListTasksOptions { filters: Some(filters.into_iter().collect()) };
    let tasks = docker.api().list_tasks(Some(options)).await.attempt(attempt)?;
    Ok(tasks
        .into_iter()
        .filter(|task| task.desired_state == Some(TaskState::RUNNING))
        .filter(|task| task.spec.as_ref().map(template_of) == wanted)
        .filter_map(|task| task.status)
        .filter(|status| status.state == Some(TaskState::RUNNING))
        .filter_map(|status| status.container_status.and_then(|container| container.container_id))
        .collect())
}

struct Started {
    exec: String,
    streams: StartExecResults,
}

async fn start(
    docker: &Docker,
    container: &str,
    argv: &[&str],
    has_stdin: bool,
) -> Result<Started, DockerError> {
    let attempt = || format!("starting a command in container {container}");
    let config = ExecConfig {
        attach_stdin: Some(has_stdin),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        cmd: Some(argv.iter().map(|word| (*word).to_owned()).collect()),
        ..ExecConfig::default()
    };
    let exec = docker.api().create_exec(container, config).await.attempt(attempt)?.id;
    let streams = docker.api().start_exec(&exec, None).await.attempt(attempt)?;
    Ok(Started { exec, streams })
}

/// Feeds and reads the command to its end; `None` if its container ended first.
async fn finish(
    docker: &Docker,
    started: Started,
    stdin: &[u8],
    keep: usize,
    container: String,
) -> Result<Option<ExecOutput>, DockerError> {
    let attempt = || format!("running a command in container {container}");
    let mut output =
        ExecOutput { code: 0, stdout: vec![], stderr: vec![], is_cut: false, container: container.clone() };
    if let StartExecResults::Attached { output: mut stream, mut input } = started.streams {
        let feed = async {
            // A command that does not want all of its input closes it early; its exit code tells what that means.
            let _ = input.write_all(stdin).await;
            let _ = input.shutdown().await;
            // The writing half must live until the answer is read.
            input
        };
        let read = async {
            while let Some(part) = stream.next().await {
                keep_part(&mut output, part.attempt(attempt)?, keep);
            }
            Ok::<(), DockerError>(())
        };
        let (_input, result) = tokio::join!(feed, read);
        result?;
    }
    let inspected = match docker.api().inspect_exec(&started.exec).await.attempt(attempt) {
        Ok(inspected) => inspected,
        Err(error) if error.is_missing() => return Ok(None),
        Err(error) => return Err(error),
    };
    let Some(code) = inspected.exit_code else { return Ok(None) };
    if KILLED.contains(&code) && ends_soon(docker, &container).await? {
        return Ok(None);
    }
    output.code = code;
    Ok(Some(output))
}

/// Whether the container is gone, or goes within a moment: a command that was killed together with its container
/// ends first, and its exit code is not its own.
async fn ends_soon(docker: &Docker, container: &str) -> Result<bool, DockerError> {
    let never = Cancellation::new();
    let sentence = format!("waiting for container {container} to end");
    let ended = wait_for(&sentence, ENDS_SOON, None, &never, || async {
        match docker.api().inspect_container(container, None).await.attempt(|| sentence.clone()) {
            Ok(found) if found.state.as_ref().and_then(|state| state.running) == Some(true) => {
                Ok(Look::NotYet("it runs".to_owned()))
            }
            Ok(_) => Ok(Look::There(())),
            Err(error) if error.is_missing() => Ok(Look::There(())),
            Err(error) => Err(error),
        }
    })
    .await;
    match ended {
        Ok(()) => Ok(true),
        Err(WaitError::TimedOut { .. } | WaitError::Cancelled { .. }) => Ok(false),
        Err(WaitError::Failed { reason, .. }) => Err(reason),
    }
}

pub(crate) fn keep_part(output: &mut ExecOutput, part: LogOutput, keep: usize) {
    let (kept, message) = match part {
        LogOutput::StdErr { message } => (&mut output.stderr, message),
        LogOutput::StdOut { message } | LogOutput::Console { message } | LogOutput::StdIn { message } => {
            (&mut output.stdout, message)
        }
    };
    let room = keep.saturating_sub(kept.len()).min(message.len());
    kept.extend_from_slice(&message[..room]);
    output.is_cut |= room < message.len();
}
