//! What a run is given: the request, the host's settings, our copy of the recipe's test data.

use std::path::PathBuf;

use cc_ci_model::recipe_toml::RecipeToml;
use cc_ci_model::request::Request;
use cc_ci_model::settings::{DeployerChoice, Settings, ViaChoice};
use cc_ci_process::state::StatePaths;

/// Everything a run or a plan starts from.
#[derive(Debug, Clone)]
pub struct Setup {
    /// What was asked for.
    pub request: Request,
    /// The host's settings.
    pub settings: Settings,
    /// Our copy of the recipe's data; all defaults for a recipe without any.
    pub recipe_toml: RecipeToml,
    /// Folder of the recipe's test data: `recipe.toml`, `compose.ccci.yml`, `tests/`.
    pub test_data: PathBuf,
    /// Where state lies on this host.
    pub paths: StatePaths,
    /// Who deploys.
    pub deployer: DeployerChoice,
    /// How checks reach the app.
    pub via: ViaChoice,
}

/// Name of the overlay with tweaks for the machine, in the test data and in the checkout.
pub const OVERLAY: &str = "compose.ccci.yml";
