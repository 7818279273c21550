//! What a run is given: the request, the host's settings, our copy of the recipe's test data.

use std::path::PathBuf;
use std::time::Duration;

use cc_ci_model::opt_outs::OptOuts;
use cc_ci_model::recipe_toml::RecipeToml;
use cc_ci_model::request::Request;
use cc_ci_model::settings::{DeployerChoice, Settings, ViaChoice};
use cc_ci_process::state::StatePaths;

use crate::previous::Previous;

/// Everything a run or a plan starts from.
#[derive(Debug, Clone)]
pub struct Setup {
    /// What was asked for.
    pub request: Request,
    /// The host's settings.
    pub settings: Settings,
    /// Our copy of the recipe's data; all defaults for a recipe without any.
    pub recipe_toml: RecipeToml,
    /// Folder of the recipe's test data: `recipe.toml`, `compose.ccci.yml`, `tests/`, `previous/`.
    pub test_data: PathBuf,
    /// What mends an old release that no longer deploys, where the test data has such a thing.
    pub previous: Option<Previous>,
    /// Generic checks that are left out.
    pub opt_outs: OptOuts,
    /// Where state lies on this host.
    pub paths: StatePaths,
    /// Who deploys.
    pub deployer: DeployerChoice,
    /// How checks reach the app.
    pub via: ViaChoice,
    /// What becomes of the stack of a red run.
    pub when_red: WhenRed,
}

/// What becomes of the stack of a run whose recipe is red.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenRed {
    /// It goes, as always.
    #[default]
    Remove,
    /// It stays for a person to look at, see `keeping.rs`.
    Keep,
}

impl Setup {
    /// How long a removal may take, whatever ended the run.
    #[must_use]
    pub fn teardown_bound(&self) -> Duration {
        self.settings.limits.teardown.into()
    }
}

/// Name of the overlay with tweaks for the machine, in the test data and in the checkout.
pub const OVERLAY: &str = "compose.ccci.yml";
