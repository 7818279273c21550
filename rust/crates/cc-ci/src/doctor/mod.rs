//! Looking at this host: facts are measured here, and judged in `cc-ci-model/src/doctor.rs`. Nothing is changed.

mod engine;
mod folders;
mod leftovers;
mod tools;
mod zone;

use std::time::Duration;

use cc_ci_model::doctor::Line;
use cc_ci_model::settings::Settings;
use cc_ci_process::state::StatePaths;
use cc_ci_swarm::docker::Docker;
use cc_ci_swarm::programs::Programs;

/// How long one question may take. An engine under load answers within seconds; a deaf one never does.
const LIMIT: Duration = Duration::from_secs(10);

/// What is looked at.
pub struct Host<'a> {
    /// Its folders.
    pub paths: &'a StatePaths,
    /// Its settings; the defaults where they cannot be read.
    pub settings: &'a Settings,
    /// How outside programs are called.
    pub programs: &'a Programs,
}

/// Looks at everything, in the order in which a person would mend it. `settings` is the line about the settings file.
pub async fn examine(host: &Host<'_>, settings: Line) -> Vec<Line> {
    let mut lines = vec![settings];
    let (engine, docker) = engine::examine(host).await;
    lines.extend(engine);
    lines.extend(folders::room(host, docker.as_ref().map(|(_, info)| info.data_root.as_str())));
    lines.extend(tools::examine(host).await);
    lines.extend(folders::rights(host));
    let docker = docker.map(|(docker, _)| docker);
    lines.extend(zone::examine(host, docker.as_ref()).await);
    lines.push(leftovers::examine(host, docker.as_ref()).await);
    lines
}

/// Bounds a question; what was asked comes back as a sentence where no answer came.
async fn within<T>(asking: &str, answer: impl Future<Output = T>) -> Result<T, String> {
    let answer = tokio::time::timeout(LIMIT, answer).await;
    answer.map_err(|_| format!("{asking}: no answer within {} s", LIMIT.as_secs()))
}

/// What stands in lines that need the engine where there is none.
fn no_engine(checked: &str) -> Line {
    Line::skipped(checked, "not looked at: Docker does not answer, or is no manager of a swarm")
}

/// The engine, where it answers and is a manager.
type Engine = Option<(Docker, cc_ci_swarm::docker::EngineInfo)>;
