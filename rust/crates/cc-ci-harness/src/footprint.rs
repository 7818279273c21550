//! Looking, beside a run, at how much memory its app takes.

use std::time::Duration;

use cc_ci_model::names::StackName;
use cc_ci_swarm::docker::Docker;
use cc_ci_swarm::memory;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::report::Reporter;

/// Between two looks; one costs the engine some milliseconds for each container.
const INTERVAL: Duration = Duration::from_secs(1);

/// Looks as long as it is held.
pub struct Footprint(JoinHandle<()>);

impl Footprint {
    /// Begins to look at the containers of these stacks. A look that fails is left out: it never changes a verdict.
    #[must_use]
    pub fn watch(docker: &Docker, stacks: Vec<StackName>, reporter: &Reporter) -> Self {
        let (docker, reporter) = (docker.clone(), reporter.clone());
        Self(tokio::spawn(async move {
            let mut tick = interval(INTERVAL);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tick.tick().await;
                if let Ok(bytes) = memory::of_stacks(&docker, &stacks).await {
                    reporter.memory(bytes);
                }
            }
        }))
    }
}

impl Drop for Footprint {
    fn drop(&mut self) {
        self.0.abort();
    }
}
