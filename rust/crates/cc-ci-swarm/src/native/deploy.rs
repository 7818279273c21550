//! The deploy itself: one call of the Docker CLI with the recipe's files and one of ours.

use std::path::Path;
use std::time::Duration;

use cc_ci_model::compose::RECIPE_FOLDER;
use cc_ci_model::deploy_overlay::{OverlayFacts, deploy_overlay};
use cc_ci_model::names::CommitSha;
use cc_ci_process::{atomic, environment};
use serde_json::Value;

use super::DeployError;
use super::render::{App, Rendered};
use crate::docker::{Docker, DockerError};
use crate::lock::HeldLock;
use crate::programs::{ProgramOutput, Programs};

/// `stack deploy` returns within a fraction of a second (swarm.md 2.1); a loaded engine gets more.
const DEPLOY_LIMIT: Duration = Duration::from_secs(120);

/// What the reader calls files without a version; the CLI then takes ours without one as equal.
const UNSTATED_VERSION: &str = "3.13";

/// What a deploy left behind to be judged by.
#[derive(Debug, Clone)]
pub struct Deployed {
    /// The commit label that was sent: eight digits, with `+U` where the checkout holds more than the commit.
    pub chaos_version: String,
    /// What this host does otherwise than an operator's.
    pub limits: Vec<String>,
    /// What the CLI remarked.
    pub remarks: Vec<String>,
}

/// Deploys with the Docker CLI.
#[derive(Clone)]
pub struct NativeDeployer {
    programs: Programs,
    engine: String,
    has_ipvs: bool,
    knows_detach: bool,
}

impl NativeDeployer {
    /// `cli_version` is the CLI's own, e.g. `20.10.24`; `--detach` came with 26 (with it, and without waiting, both behave alike).
    #[must_use]
    pub fn new(programs: Programs, docker: &Docker, cli_version: &str, has_ipvs: bool) -> Self {
        let major = cli_version.split('.').next().and_then(|major| major.parse::<u32>().ok()).unwrap_or(0);
        Self { programs, engine: docker.host().to_owned(), has_ipvs, knows_detach: major >= 26 }
    }

    /// Version of the Docker CLI.
    ///
    /// # Errors
    /// [`DeployError::Program`] where there is none.
    pub async fn cli_version(programs: &Programs) -> Result<String, DeployError> {
        let arguments = ["version", "--format", "{{.Client.Version}}"];
        let label = "asking the Docker CLI for its version";
        let output =
            programs.run(label, "docker", &arguments, std::path::Path::new("/"), DEPLOY_LIMIT).await?;
        Ok(output.stdout.trim().to_owned())
    }

    /// Deploys the checkout as it is (abra calls that chaos), in place where the stack is there already. Services that
    /// the compose no longer names stay, as they do with abra.
    ///
    /// # Errors
    /// [`DeployError::Recipe`] where the CLI refuses the stack, [`DeployError::Docker`] and [`DeployError::Program`] where something of ours failed,
    /// or the lock is of another run.
    pub async fn deploy(
        &self,
        app: &App,
        rendered: &Rendered,
        commit: &CommitSha,
        lock: &HeldLock,
    ) -> Result<Deployed, DeployError> {
        lock.covers(&app.stack).map_err(DockerError::from)?;
        let dirty = if app.checkout.is_dirty().await? { "+U" } else { "" };
        let chaos_version = format!("{}{dirty}", commit.short());
        let merged = relocated(rendered.compose.to_value(), app.checkout.folder());
        let overlay = deploy_overlay(&OverlayFacts {
            merged: &merged,
            version: Some(rendered.compose.version()).filter(|version| *version != UNSTATED_VERSION),
            run: &app.run,
            stack: &app.stack,
            recipe: &app.recipe,
            chaos_version: &chaos_version,
            app_env: &app.env.file().values(),
            has_ipvs: self.has_ipvs,
        });
        let path = app.state.join(format!("overlay-{}.json", commit.short()));
        atomic::write_json(&path, &overlay.document)?;
        let mut arguments: Vec<&str> =
            vec!["stack", "deploy", "--resolve-image=never", "--with-registry-auth"];
        if self.knows_detach {
            arguments.push("--detach=true");
        }
        let path = path.to_string_lossy();
        let mut input = Vec::new();
        if overlay.stands_alone {
            // From standard input, so that paths of configs stay relative to the checkout.
            input = overlay.document.to_string().into_bytes();
            arguments.extend(["-c", "-"]);
        } else {
            for file in &rendered.files {
                arguments.extend(["-c", file.as_str()]);
            }
            arguments.extend(["-c", &path]);
        }
        arguments.push(app.stack.as_str());
        let env = rendered.env.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let logins = logins();
        let logins = logins.as_deref().map(|folder| (environment::DOCKER_CONFIG, folder));
        // Said always, since a context in the caller's configuration would lead the CLI to another engine than ours.
        let engine = [(environment::DOCKER_HOST, self.engine.as_str())];
        let programs = self.programs.with_env(env.chain(logins).chain(engine));
        let label = format!("deploying {} at {chaos_version} to {}", app.recipe, app.domain);
        let output = programs
            .run_with_input(&label, "docker", &arguments, app.checkout.folder(), DEPLOY_LIMIT, input)
            .await?;
        judge(&label, &output)?;
        let remarks = output.stderr.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned);
        Ok(Deployed { chaos_version, limits: overlay.limits, remarks: remarks.collect() })
    }
}

/// The reader does not know where the recipe lies; the CLI has to.
fn relocated(mut merged: Value, folder: &Path) -> Value {
    let place = |value: &mut Value| {
        if let Some(rest) = value.as_str().and_then(|text| text.strip_prefix(RECIPE_FOLDER)) {
            *value = Value::String(format!("{}{rest}", folder.display()));
        }
    };
    for section in ["configs", "secrets"] {
        let objects = merged.get_mut(section).and_then(Value::as_object_mut);
        for object in objects.into_iter().flat_map(|objects| objects.values_mut()) {
            object.get_mut("file").map(place);
        }
    }
    merged
}

/// Folder of the caller's registry logins: the run has a home of its own, and its pulls count against somebody's quota.
fn logins() -> Option<String> {
    let own = std::env::var(environment::DOCKER_CONFIG).ok().filter(|folder| !folder.is_empty());
    let in_home = || std::env::var(environment::HOME).ok().map(|home| format!("{home}/.docker"));
    own.or_else(in_home).filter(|folder| Path::new(folder).join("config.json").is_file())
}

/// What the CLI or the engine says of a stack that no engine would take. Anything else (an engine that is gone, a port that
/// another run holds, a swarm without a leader) is no word about the recipe.
const RECIPES_FAULT: [&str; 17] = [
    "only updates to Labels are allowed",
    "Unsupported Compose file",
    "declared as external, but could not be found",
    "invalid mount config",
    "invalid reference format",
    "invalid interpolation format",
    "invalid pool request",
    "required variable",
    "Additional property",
    "must be a",
    "undefined ",
    "refers to undefined",
    "unknown volume option",
    "name must be valid",
    "duplicate mount point",
    "InvalidArgument",
    // Engines up to 20.10 call it Unknown.
    "constraint expected one operator",
];

/// A refusal of the stack itself is the recipe's fault; everything else is ours or the world's.
fn judge(label: &str, output: &ProgramOutput) -> Result<(), DeployError> {
    if output.success() {
        return Ok(());
    }
    let why = output.last_line();
    if !RECIPES_FAULT.iter().any(|words| output.stderr.contains(words)) {
        return Err(crate::programs::ProgramError::Failed { label: label.to_owned(), why }.into());
    }
    Err(DeployError::Recipe(format!("{label}: docker stack deploy said: {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::Fault;

    fn said(code: i32, stderr: &str) -> Result<(), DeployError> {
        judge("deploying x", &ProgramOutput { code, stdout: String::new(), stderr: stderr.to_owned() })
    }

    #[test]
    fn an_engine_that_is_gone_is_trouble_and_a_refused_stack_is_the_recipes_fault() {
        assert!(said(0, "Ignoring unsupported options: restart").is_ok());
        let gone = said(1, "Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?");
        assert_eq!(gone.unwrap_err().fault(), Fault::Ours);
        let refused = said(1, "failed to update config x: only updates to Labels are allowed").unwrap_err();
        assert_eq!(refused.fault(), Fault::Recipe);
        assert!(refused.to_string().contains("only updates to Labels"));
        let placed = "rpc error: code = Unknown desc = constraint expected one operator from ==, !=";
        assert_eq!(said(1, placed).unwrap_err().fault(), Fault::Recipe);
        for ours in [
            "port '64738' is already in use by service x as an ingress port",
            "rpc error: code = Unavailable",
            "unheard of",
        ] {
            assert_eq!(said(1, ours).unwrap_err().fault(), Fault::Ours, "{ours}");
        }
    }
}
