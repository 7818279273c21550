//! Taking the services of a stack away for a while: its volumes, secrets, configs and networks stay.

use std::time::Duration;

use cc_ci_model::inventory::Kind;
use cc_ci_model::names::StackName;
use cc_ci_process::cancel::Cancellation;
use cc_ci_process::wait::{Look, WaitError, Waiting, wait_for};

use crate::docker::Docker;
use crate::docker::DockerError;
use crate::inventory::survey;
use crate::lock::HeldLock;
use crate::snapshot;

/// Between two looks at what is left; one costs some 20 ms.
const INTERVAL: Duration = Duration::from_millis(150);

/// Removes the services and waits until no container of the stack is left: then nothing holds its memory, ports and volumes.
/// Containers end in their own time, as data may be at stake.
///
/// # Errors
/// The engine failed, `bound` passed, it was cancelled, or the lock is of another run.
pub async fn undeploy(
    docker: &Docker,
    stack: &StackName,
    lock: &HeldLock,
    bound: Duration,
    cancellation: &Cancellation,
) -> Result<(), WaitError<DockerError>> {
    let sentence = format!("taking the services of {stack} away");
    let failed = |reason| WaitError::Failed { sentence: sentence.clone(), reason };
    let services = snapshot::services(docker, stack).await.map_err(failed)?;
    for name in services.keys() {
        snapshot::remove_service(docker, stack, name, lock).await.map_err(failed)?;
    }
    let waiting = Waiting { deadline: bound, interval: INTERVAL };
    wait_for(&sentence, waiting, None, cancellation, || async {
        let ours = survey(docker).await?.of_stack(stack);
        let left = [Kind::Service, Kind::Task, Kind::Container].map(|kind| ours.of_kind(kind).count());
        Ok(match left.iter().sum() {
            0 => Look::There(()),
            left => Look::NotYet(format!("{left} objects left")),
        })
    })
    .await
}
