//! From the files of a checkout and an app's `.env` to one judged compose.

use std::collections::BTreeMap;
use std::path::PathBuf;

use cc_ci_model::compose::{self, Compose, ComposeSource};
use cc_ci_model::env_file::steers_programs;
use cc_ci_model::names::{Recipe, RunDomain, RunId, StackName};
use cc_ci_process::environment;

use super::DeployError;
use super::app_env::AppEnv;
use crate::checkout::{Checkout, CheckoutError};

/// The app under test: everything about it that lies in files.
#[derive(Debug)]
pub struct App {
    /// The run it belongs to.
    pub run: RunId,
    /// Its recipe.
    pub recipe: Recipe,
    /// Its domain.
    pub domain: RunDomain,
    /// Its stack.
    pub stack: StackName,
    /// The run's own checkout of the recipe.
    pub checkout: Checkout,
    /// Its `.env`.
    pub env: AppEnv,
    /// Folder for files of the run that are no part of the checkout.
    pub state: PathBuf,
}

/// One side (base or head) ready to be deployed.
#[derive(Debug, Clone)]
pub struct Rendered {
    /// The merged, interpolated compose.
    pub compose: Compose,
    /// The environment it was interpolated with.
    pub env: BTreeMap<String, String>,
    /// The files it was made from, in order.
    pub files: Vec<String>,
}

impl App {
    /// Reads, merges and judges the compose files as they lie in the checkout.
    ///
    /// # Errors
    /// [`DeployError::Recipe`] for a compose that no operator could deploy, [`DeployError::Refused`] for one that reaches for
    /// the host.
    pub fn render(&self) -> Result<Rendered, DeployError> {
        let files = self.env.compose_files();
        let mut sources = Vec::new();
        for path in &files {
            let text = self.checkout.read(path)?.ok_or_else(|| {
                let path = cc_ci_model::names::quoted(path);
                DeployError::Recipe(format!(
                    "COMPOSE_FILE names {path}, which is not in the recipe's repository"
                ))
            })?;
            sources.push(ComposeSource { path: path.clone(), text });
        }
        let abra_sh = self.checkout.read("abra.sh")?;
        let env = self.env.interpolation(abra_sh.as_deref(), &self.stack);
        if let Some(key) = env.keys().find(|key| steers_programs(key)) {
            return Err(DeployError::Refused(format!(
                "the app's .env or abra.sh sets {key}, which would steer programs of the host: give the variable another name"
            )));
        }
        refuse_own_variables(&sources, &env)?;
        let file = |path: &str| self.checkout.read(path).ok().flatten();
        let compose =
            compose::read(&sources, &env, &file).map_err(|error| DeployError::Recipe(error.to_string()))?;
        self.judge(&compose)?;
        Ok(Rendered { compose, env, files })
    }

    fn judge(&self, compose: &Compose) -> Result<(), DeployError> {
        let refusals = compose::gate::judge(compose, &self.stack);
        if !refusals.is_empty() {
            let sentences: Vec<String> = refusals.iter().map(ToString::to_string).collect();
            return Err(DeployError::Refused(format!(
                "refused by the compose gate: {}",
                sentences.join("; ")
            )));
        }
        let too_long = compose::names::too_long(compose, &self.stack);
        if let Some(first) = too_long.first() {
            return Err(DeployError::Recipe(first.to_string()));
        }
        if !compose.services.contains_key("app") {
            return Err(DeployError::Recipe(
                "the compose has no service called app (R009): the web-facing service needs that name"
                    .to_owned(),
            ));
        }
        if let Some(fault) = compose.deploy_fault() {
            return Err(DeployError::Recipe(fault.to_string()));
        }
        // The CLI follows links when it reads a config, and a recipe's config reaches the recipe's containers.
        let configs = compose.configs.iter().map(|(key, config)| (key, &config.file, &config.at));
        let secrets = compose.secrets.iter().map(|(key, secret)| (key, &secret.file, &secret.at));
        for (key, file, at) in configs.chain(secrets) {
            let Some(written) = file else { continue };
            let there = match compose.path_in_recipe(written) {
                Some(path) => self.checkout.inside(&path)?.is_some(),
                None => return Err(CheckoutError::Outside(cc_ci_model::names::quoted(written)).into()),
            };
            if !there {
                let written = cc_ci_model::names::quoted(written);
                return Err(DeployError::Recipe(format!(
                    "{at}: {key} names {written}, which is not in the repository"
                )));
            }
        }
        Ok(())
    }
}

/// The CLI has these in its environment whatever the app sets, so it would put our values where our reader sees none: a
/// volume `${DOCKER_CONFIG-data}` is a folder of the host to the CLI and a volume to the reader. Using one is refused.
const OWN_VARIABLES: [&str; 6] = [
    environment::PATH,
    environment::HOME,
    environment::ABRA_DIR,
    environment::LANG,
    environment::DOCKER_HOST,
    environment::DOCKER_CONFIG,
];

fn refuse_own_variables(
    sources: &[ComposeSource],
    env: &BTreeMap<String, String>,
) -> Result<(), DeployError> {
    for source in sources {
        let uses =
            compose::used::variables(source).map_err(|error| DeployError::Recipe(error.to_string()))?;
        let own = uses
            .iter()
            .find(|used| OWN_VARIABLES.contains(&used.name.as_str()) && !env.contains_key(&used.name));
        if let Some(used) = own {
            let sentence = format!(
                "{}: ${{{}}} is a variable of the deploying program, not of the app: use one of the app's .env",
                used.at, used.name
            );
            return Err(DeployError::Refused(sentence));
        }
    }
    Ok(())
}
