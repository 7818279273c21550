//! The witness: a small stack that no run may change, fingerprinted before and after each.

use std::time::Duration;

use crate::image::Docker;
use crate::patience::{self, TimedOut};
use crate::program::ProgramError;

/// The stack's name.
pub const STACK: &str = "cc-ci-witness";

/// Why there is no witness.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// A Docker command failed.
    #[error("deploying the witness: {0}")]
    Docker(#[from] ProgramError),
    /// It does not run.
    #[error(transparent)]
    NotRunning(#[from] TimedOut),
}

/// Deploys the witness with an image of the probe and waits until it runs.
///
/// # Errors
/// The deploy fails, or it does not run within 60 s.
pub fn deploy(docker: &impl Docker, probe_image: &str) -> Result<(), WitnessError> {
    let compose = format!(
        "version: \"3.8\"\nservices:\n  app:\n    image: {probe_image}\n    volumes: [\"marker:/data\"]\n    \
         environment: {{PROBE_WRITE: /data/marker=witness}}\nvolumes: {{marker: {{}}}}\n"
    );
    let deploy = ["stack", "deploy", "--resolve-image=never", "--compose-file", "-", STACK];
    docker.docker().args(deploy).input(compose).run()?;
    let wanted = format!("{STACK}_app 1/1");
    patience::until("the witness to run", Duration::from_secs(60), Duration::from_millis(50), || {
        let list = docker.docker().args(["service", "ls", "--format", "{{.Name}} {{.Replicas}}"]).run();
        let list = list.map_err(|error| error.to_string())?;
        if list.lines().any(|line| line == wanted) { Ok(()) } else { Err(list) }
    })?;
    Ok(())
}

/// Removes the witness, its volume and its containers, and waits until they are gone.
///
/// # Errors
/// A Docker command fails, or something of it is still there after 60 s.
pub fn remove(docker: &impl Docker) -> Result<(), WitnessError> {
    let label = format!("label=com.docker.stack.namespace={STACK}");
    docker.docker().args(["stack", "rm", STACK]).run()?;
    for (list, remove) in [
        (["ps", "--all", "--quiet", "--filter"], ["rm", "--force"]),
        (["network", "ls", "--quiet", "--filter"], ["network", "rm"]),
        (["volume", "ls", "--quiet", "--filter"], ["volume", "rm"]),
    ] {
        patience::until(
            "the witness to be gone",
            Duration::from_secs(60),
            Duration::from_millis(200),
            || {
                let text = |error: ProgramError| error.to_string();
                let left = docker.docker().args(list).arg(&label).run().map_err(text)?;
                if left.trim().is_empty() {
                    return Ok(());
                }
                // In use until the tasks are out; the next look tries again.
                docker.docker().args(remove).args(left.split_whitespace()).run().map_err(text)?;
                Err(left)
            },
        )?;
    }
    Ok(())
}
