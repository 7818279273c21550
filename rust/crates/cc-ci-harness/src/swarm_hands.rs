//! The hands of checks, tests and seeds, made of the swarm: they reach this run's containers, tasks and volumes, and
//! nothing else.

use std::collections::BTreeMap;
use std::time::Duration;

use cc_ci_model::names::{RunDomain, RunId, ServiceName, StackName};
use cc_ci_process::cancel::Cancellation;
use cc_ci_process::mask::Masker;
use cc_ci_swarm::docker::Docker;
use cc_ci_swarm::exec::{ExecError, ExecLimits, exec, running_container};
use cc_ci_swarm::helper_container::{HelperError, HelperJob, HelperNetwork, HelperVolume, run_helper};
use cc_ci_swarm::lock::HeldLock;

use crate::hands::{AppHands, Executed, HandsError, TaskProbe, Volumes};

/// A command in a container: a container that swarm is replacing is waited for, a command that hangs is ended.
const COMMAND: ExecLimits = ExecLimits {
    container: Duration::from_secs(60),
    command: Duration::from_secs(300),
    output_bytes: 4 << 20,
};
/// A helper's job is one small thing.
const JOB: Duration = Duration::from_secs(60);
/// Last lines of a service's log.
const LOG_LINES: usize = 200;

/// Hands inside one run.
#[derive(Clone)]
pub struct SwarmHands {
    /// The engine.
    pub docker: Docker,
    /// The run.
    pub run: RunId,
    /// Its stack.
    pub stack: StackName,
    /// Its domain.
    pub domain: RunDomain,
    /// The web-facing service.
    pub web: ServiceName,
    /// All services of the compose.
    pub services: Vec<String>,
    /// Image of the helper.
    pub helper_image: String,
    /// The run's cancellation.
    pub cancellation: Cancellation,
    /// The run's masker.
    pub masker: Masker,
}

impl SwarmHands {
    fn own(&self, service: &ServiceName) -> Result<String, HandsError> {
        if self.services.iter().any(|own| own == service.as_str()) {
            return Ok(format!("{}_{service}", self.stack));
        }
        let known = self.services.join(", ");
        Err(HandsError::NotThere(format!(
            "there is no service {service} in this run; its services are {known}"
        )))
    }

    /// The container that runs a service's present spec.
    ///
    /// # Errors
    /// [`HandsError::NotThere`] where none runs.
    pub async fn container(&self, service: &ServiceName) -> Result<String, HandsError> {
        let name = self.own(service)?;
        let found = running_container(&self.docker, &name).await;
        let found = found.map_err(|error| HandsError::CouldNotLook(error.to_string()))?;
        found.ok_or_else(|| HandsError::NotThere(format!("service {service} has no running container")))
    }

    fn job(&self, words: &[&str]) -> HelperJob {
        HelperJob {
            stack: self.stack.clone(),
            run: self.run.clone(),
            image: self.helper_image.clone(),
            argv: std::iter::once("/cc-ci-helper").chain(words.iter().copied()).map(str::to_owned).collect(),
            environment: Vec::new(),
            volumes: Vec::new(),
            network: HelperNetwork::None,
        }
    }
}

/// Hands that may also make helper containers, which only the holder of the lock may.
pub struct LockedHands<'a> {
    /// The hands.
    pub hands: &'a SwarmHands,
    /// The lock of the domain.
    pub lock: &'a HeldLock,
}

impl LockedHands<'_> {
    async fn helper(&self, job: HelperJob, stdin: &[u8]) -> Result<Executed, HandsError> {
        let hands = self.hands;
        match run_helper(&hands.docker, &job, stdin, JOB, self.lock, &hands.cancellation).await {
            Ok(output) => {
                Ok(Executed { exit: exit_code(output.code), stdout: output.stdout, stderr: output.stderr })
            }
            Err(
                error @ (HelperError::NoImage { .. }
                | HelperError::TimedOut { .. }
                | HelperError::Cancelled { .. }),
            ) => Err(HandsError::CouldNotLook(error.to_string())),
            Err(error) => Err(HandsError::CouldNotLook(error.to_string())),
        }
    }

    /// The lowest TCP port a task listens on, as it sees itself; `None` where it listens on none.
    ///
    /// # Errors
    /// [`HandsError`] where it cannot be asked.
    pub async fn listening_port(&self, container: &str) -> Result<Option<u16>, HandsError> {
        let mut job = self.hands.job(&["listening"]);
        job.network = HelperNetwork::Container(container.to_owned());
        let answer = self.helper(job, b"").await?;
        let value: serde_json::Value = serde_json::from_slice(&answer.stdout)
            .map_err(|error| HandsError::CouldNotLook(format!("the helper's list of ports: {error}")))?;
        Ok(ports(&value).into_iter().min())
    }
}

impl LockedHands<'_> {
    /// The status of one HTTP answer of a service's task, asked in its own network.
    ///
    /// # Errors
    /// [`HandsError::NotThere`] where nobody answers.
    pub async fn status(
        &self,
        service: &ServiceName,
        port: u16,
        path: &str,
        host: &str,
    ) -> Result<u16, HandsError> {
        let container = self.hands.container(service).await?;
        let mut job = self.hands.job(&["get", "127.0.0.1", &port.to_string(), path, host]);
        job.network = HelperNetwork::Container(container);
        let answer = self.helper(job, b"").await?;
        if answer.exit != 0 {
            let said = String::from_utf8_lossy(&answer.stderr).trim().to_owned();
            return Err(HandsError::NotThere(format!("service {service}, port {port}: {said}")));
        }
        let value: serde_json::Value = serde_json::from_slice(&answer.stdout)
            .map_err(|error| HandsError::CouldNotLook(format!("the helper's answer: {error}")))?;
        let status = value.get("status").and_then(serde_json::Value::as_u64);
        status
            .and_then(|status| u16::try_from(status).ok())
            .ok_or_else(|| HandsError::CouldNotLook("the helper's answer has no status".to_owned()))
    }
}

/// Ports anywhere in the helper's answer: a list of numbers, or of objects with a `port`.
fn ports(value: &serde_json::Value) -> Vec<u16> {
    match value {
        serde_json::Value::Number(number) => {
            number.as_u64().and_then(|port| u16::try_from(port).ok()).into_iter().collect()
        }
        serde_json::Value::Array(items) => items.iter().flat_map(ports).collect(),
        // The engine's own name service listens in every task on a network of the stack.
        serde_json::Value::Object(map) if map.values().any(|value| value.as_str() == Some("127.0.0.11")) => {
            Vec::new()
        }
        serde_json::Value::Object(map) => match map.get("port") {
            Some(port) => ports(port),
            None => map.values().flat_map(ports).collect(),
        },
        _ => Vec::new(),
    }
}

fn exit_code(code: i64) -> i32 {
    i32::try_from(code).unwrap_or(-1)
}

impl AppHands for SwarmHands {
    async fn exec(
        &self,
        service: &ServiceName,
        command: &[String],
        stdin: &[u8],
    ) -> Result<Executed, HandsError> {
        self.own(service)?;
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let done = exec(&self.docker, &self.stack, service, &words, stdin, COMMAND, &self.cancellation).await;
        match done {
            Ok(output) => {
                Ok(Executed { exit: exit_code(output.code), stdout: output.stdout, stderr: output.stderr })
            }
            Err(error @ ExecError::NoContainer { .. }) => Err(HandsError::NotThere(error.to_string())),
            Err(error) => Err(HandsError::CouldNotLook(error.to_string())),
        }
    }

    async fn logs(&self, service: &ServiceName) -> Result<String, HandsError> {
        let container = self.container(service).await?;
        let lines = self.docker.log_tail(&container, LOG_LINES).await;
        let lines = lines.map_err(|error| HandsError::CouldNotLook(error.to_string()))?;
        Ok(self.masker.mask(&lines.join("\n")))
    }

    async fn env(&self) -> Result<BTreeMap<String, String>, HandsError> {
        let facts = [
            ("CCCI_APP_DOMAIN", self.domain.to_string()),
            ("CCCI_RUN_ID", self.run.to_string()),
            ("STACK_NAME", self.stack.to_string()),
            ("SERVICES", self.services.join(" ")),
        ];
        Ok(facts.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }
}

impl TaskProbe for LockedHands<'_> {
    async fn connects(&self, service: Option<&ServiceName>, port: u16, stable: u8) -> Result<(), HandsError> {
        let service = service.unwrap_or(&self.hands.web);
        let container = self.hands.container(service).await?;
        let (port, times) = (port.to_string(), stable.to_string());
        let mut job = self.hands.job(&["tcp", "127.0.0.1", &port, "--stable", &times]);
        job.network = HelperNetwork::Container(container);
        let answer = self.helper(job, b"").await?;
        if answer.exit == 0 {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&answer.stderr).trim().to_owned();
        Err(HandsError::NotThere(format!("service {service}, port {port}: {said}")))
    }
}

impl Volumes for LockedHands<'_> {
    async fn plant(&self, volume: &str, name: &str, content: &str) -> Result<(), HandsError> {
        let mut job = self.hands.job(&["volume", "plant", "/volume", name]);
        job.volumes = vec![seen(volume, false)];
        let answer = self.helper(job, content.as_bytes()).await?;
        if answer.exit == 0 {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&answer.stderr).trim().to_owned();
        Err(HandsError::CouldNotLook(format!("writing {name} in {volume}: {said}")))
    }

    async fn read(&self, volume: &str, name: &str) -> Result<Option<String>, HandsError> {
        // A volume that is not there would be made by mounting it.
        match self.hands.docker.api().inspect_volume(volume).await {
            Ok(_) => {}
            Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => {
                return Ok(None);
            }
            Err(error) => {
                return Err(HandsError::CouldNotLook(format!("looking for volume {volume}: {error}")));
            }
        }
        let mut job = self.hands.job(&["volume", "read", "/volume", name]);
        job.volumes = vec![seen(volume, true)];
        let answer = self.helper(job, b"").await?;
        match answer.exit {
            0 => Ok(Some(String::from_utf8_lossy(&answer.stdout).into_owned())),
            NOT_THERE => Ok(None),
            _ => {
                let said = String::from_utf8_lossy(&answer.stderr).trim().to_owned();
                Err(HandsError::CouldNotLook(format!("reading {name} in {volume}: {said}")))
            }
        }
    }
}

/// Exit status of the helper for a file that is not there.
const NOT_THERE: i32 = 1;

fn seen(volume: &str, is_read_only: bool) -> HelperVolume {
    HelperVolume { volume: volume.to_owned(), target: "/volume".to_owned(), is_read_only }
}
