//! One side of a run, base or head: its commit in the work tree, its overlay, its `.env`, its judged compose.

use std::collections::BTreeMap;
use std::io::Write;

use cc_ci_model::compose::{self, ComposeSource};
use cc_ci_model::config_drift::config_drift;
use cc_ci_model::names::CommitSha;
use cc_ci_swarm::checkout::CheckoutError;
use cc_ci_swarm::native::app_env::AppEnv;
use cc_ci_swarm::native::{App, DeployError, Rendered};

use crate::setup::{OVERLAY, Setup};

/// Which side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The release the upgrade starts from.
    Base,
    /// A release on the way from base to head.
    Between,
    /// The commit under test.
    Head,
    /// The commit under test in a fresh stack under another name, for a restore.
    Elsewhere,
}

impl Side {
    /// The word in results and messages.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Between => "between",
            Self::Head => "head",
            Self::Elsewhere => "elsewhere",
        }
    }
}

/// Moves the work tree to a commit, lays our overlay over it and brings the `.env` to this side: base settings are set
/// always, settings of `[upgrade] env` only for head. What is upgraded to gets its new secrets. Returns the judged compose and what was added to the `.env`.
///
/// A release that the test data mends gets what mends it, and nothing else does.
///
/// # Errors
/// [`DeployError`] says whose fault it is.
pub async fn take(
    setup: &Setup,
    app: &mut App,
    side: Side,
    (commit, release): (&CommitSha, Option<&str>),
) -> Result<(Rendered, Vec<String>), DeployError> {
    app.checkout.switch(commit).await?;
    let mut added = Vec::new();
    if side != Side::Base
        && let Some(sample) = app.checkout.read(".env.sample")?
    {
        added = app.env.add_new_secrets(&sample)?;
    }
    let own = &setup.recipe_toml;
    let mut values: BTreeMap<String, String> =
        own.app.env.iter().map(|(key, value)| (key.to_string(), value.clone())).collect();
    if side == Side::Head {
        values.extend(own.upgrade.env.iter().map(|(key, value)| (key.to_string(), value.clone())));
    }
    app.env.set(values.iter().map(|(key, value)| (key.as_str(), value.as_str())))?;
    // What our overlay may say is judged against the recipe without it.
    app.env.remove_compose_file(OVERLAY)?;
    if let Some(previous) = &setup.previous {
        previous.take_away(app)?;
        if side != Side::Head && release == Some(previous.version.as_str()) {
            previous.lay(app)?;
        }
    }
    if let Some(text) = overlay(setup)? {
        judge_overlay(&text, &app.render()?)?;
        lay_overlay(app, &text)?;
    }
    Ok((app.render()?, added))
}

/// The text of our overlay, where the test data has one.
fn overlay(setup: &Setup) -> Result<Option<String>, DeployError> {
    let path = setup.test_data.join(OVERLAY);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(file(format!("reading {}", path.display()), error)),
    }
}

/// Only tweaks for the machine: an overlay that pinned an image would have its own image tested.
fn judge_overlay(text: &str, recipe: &Rendered) -> Result<(), DeployError> {
    let source = ComposeSource { path: OVERLAY.to_owned(), text: text.to_owned() };
    let found = match compose::overlay::judge(&source, &recipe.compose) {
        Ok(found) => found.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        Err(error) => error.to_string(),
    };
    if found.is_empty() { Ok(()) } else { Err(DeployError::Overlay(found)) }
}

/// Our overlay goes into the run's own checkout; a file of that name which the commit tracks wins. A link of that name is
/// refused: writing through it would write where it leads.
fn lay_overlay(app: &mut App, text: &str) -> Result<(), DeployError> {
    let target = app.checkout.folder().join(OVERLAY);
    match std::fs::symlink_metadata(&target) {
        Ok(there) if there.is_file() => {}
        Ok(_) => return Err(CheckoutError::Outside(format!("\"{OVERLAY}\"")).into()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let written =
                std::fs::File::create_new(&target).and_then(|mut file| file.write_all(text.as_bytes()));
            written.map_err(|error| file(format!("laying {OVERLAY} over the checkout"), error))?;
        }
        Err(error) => return Err(file(format!("looking for {OVERLAY} in the checkout"), error)),
    }
    Ok(app.env.add_compose_file(OVERLAY)?)
}

fn file(what: String, error: std::io::Error) -> DeployError {
    CheckoutError::File { what, error }.into()
}

/// Makes the app of a run with its `.env` from the sample of the side it starts from.
///
/// # Errors
/// [`DeployError::Env`] where there is no sample.
pub fn new_env(
    abra_dir: &std::path::Path,
    checkout: &cc_ci_swarm::checkout::Checkout,
    recipe: &cc_ci_model::names::Recipe,
    version: &str,
    domain: &cc_ci_model::names::RunDomain,
) -> Result<AppEnv, DeployError> {
    let sample = checkout.read(".env.sample")?;
    Ok(AppEnv::create(abra_dir, sample.as_deref(), recipe, version, domain)?)
}

/// The configs of a side, by full name: key and content.
pub type Configs = BTreeMap<String, (String, Vec<u8>)>;

/// Reads the content of each config of a side.
///
/// # Errors
/// A file that leads out of the repository or cannot be read.
pub fn configs(app: &App, rendered: &Rendered) -> Result<Configs, DeployError> {
    let mut configs = Configs::new();
    for (key, config) in &rendered.compose.configs {
        if let Some(written) = &config.file
            && let Some(path) = rendered.compose.path_in_recipe(written)
            && let Some(text) = app.checkout.read(&path)?
        {
            let name = config.name.clone().unwrap_or_else(|| format!("{}_{key}", app.stack));
            configs.insert(name, (key.clone(), text.into_bytes()));
        }
    }
    Ok(configs)
}

/// What head changed in a config without raising its version: the upgrade of every existing app would fail.
#[must_use]
pub fn drift(base: &Configs, head: &Configs) -> Option<String> {
    let drifted = config_drift(base, head);
    (!drifted.is_empty()).then(|| drifted.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
}
