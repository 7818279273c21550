//! What checks need from the swarm, as small interfaces: commands in this run's containers, ports of its tasks, and
//! files in its volumes. None of them can name anything outside of this run.

use std::collections::BTreeMap;

use cc_ci_model::names::ServiceName;
use cc_ci_process::mask::Masker;

/// What a command in a container came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executed {
    /// Its exit status.
    pub exit: i32,
    /// What it printed, bounded by whoever executed it.
    pub stdout: Vec<u8>,
    /// What it complained of.
    pub stderr: Vec<u8>,
}

impl Executed {
    /// What it printed without the values the masker knows.
    #[must_use]
    pub fn masked(self, masker: &Masker) -> Self {
        let mask = |bytes: Vec<u8>| masker.mask(&String::from_utf8_lossy(&bytes)).into_bytes();
        Self { exit: self.exit, stdout: mask(self.stdout), stderr: mask(self.stderr) }
    }
}

/// Why something could not be done in this run's containers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandsError {
    /// The app is not there to be asked: no running container, no such service, nobody listening. A readiness
    /// time-out of this kind is the app's failure.
    #[error("{0}")]
    NotThere(String),
    /// We could not look: the engine or the helper failed. This never becomes a failure of the app.
    #[error("{0}")]
    CouldNotLook(String),
}

/// Hands inside the containers of this run's app.
pub trait AppHands: Send + Sync {
    /// Runs an argument vector in a running container of a service of this run.
    fn exec(
        &self,
        service: &ServiceName,
        command: &[String],
        stdin: &[u8],
    ) -> impl Future<Output = Result<Executed, HandsError>> + Send;

    /// The last log lines of a service of this run, masked.
    fn logs(&self, service: &ServiceName) -> impl Future<Output = Result<String, HandsError>> + Send;

    /// What a test may know of the app: domain, stack, services; never a secret.
    fn env(&self) -> impl Future<Output = Result<BTreeMap<String, String>, HandsError>> + Send;
}

/// Looks at ports from within a task's own network namespace.
pub trait TaskProbe: Send + Sync {
    /// Connects `stable` times in a row to a port of a task; the web-facing service where none is named.
    /// [`HandsError::NotThere`] where one of them was refused.
    fn connects(
        &self,
        service: Option<&ServiceName>,
        port: u16,
        stable: u8,
    ) -> impl Future<Output = Result<(), HandsError>> + Send;
}

/// Files in the top folder of this run's volumes.
pub trait Volumes: Send + Sync {
    /// Writes a file.
    fn plant(
        &self,
        volume: &str,
        name: &str,
        content: &str,
    ) -> impl Future<Output = Result<(), HandsError>> + Send;

    /// Reads a file; `None` where volume or file is not there.
    fn read(
        &self,
        volume: &str,
        name: &str,
    ) -> impl Future<Output = Result<Option<String>, HandsError>> + Send;
}
