//! What an update that fails does to a recipe's users: its update policy, and who would notice.

use serde::Serialize;

use crate::compose::{self, Compose, ComposeSource};
use crate::env_file::EnvFile;
use crate::names::StackName;

use super::facts::{default_files, environment, read};
use super::{Finding, OWN_OVERLAY, RecipeFiles};

/// How bad it is, from least to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    /// A failed update stands still where people see it.
    None,
    /// A failed update goes back, and the app is away for that long.
    Low,
    /// A failed update goes back behind the old task; tests of the upgrade would tell.
    Latent,
    /// A failed update goes back behind the old task, and nobody would tell.
    High,
}

impl Risk {
    /// The word in tables.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Low => "low",
            Self::Latent => "latent",
            Self::High => "high",
        }
    }
}

/// One row of the table: the riskiest service of a recipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BlastRadius {
    /// The service.
    pub service: String,
    /// `rollback`, `pause` or `continue`; swarm's own is `pause`.
    pub failure_action: String,
    /// `start-first` or `stop-first`; swarm's own is `stop-first`.
    pub order: String,
    /// What the test host's overlay makes of the order; `None` without one.
    pub overlay: Option<String>,
    /// Whether our test data looks at the upgrade.
    pub has_upgrade_tests: bool,
    /// How bad it is for operators, who have no overlay of ours.
    pub risk: Risk,
}

/// The row of a recipe, from its files; `None` if it has no service. `overlay` is the text of the test host's overlay.
///
/// # Errors
/// The compose files cannot be read.
pub fn of_recipe(
    files: &RecipeFiles,
    overlay: Option<&str>,
    has_upgrade_tests: bool,
    stack: &StackName,
) -> Result<Option<BlastRadius>, Finding> {
    let sample = files.text(".env.sample").map(EnvFile::parse);
    let paths = default_files(sample.as_ref());
    let env = environment(files, stack, false);
    let plain = read(files, &paths, env.clone(), &mut Vec::new())?;
    let laid_over = match overlay {
        None => None,
        Some(text) => {
            let recipe = paths.iter().filter_map(|path| files.source(path));
            let own = ComposeSource { path: OWN_OVERLAY.to_owned(), text: text.to_owned() };
            let sources: Vec<ComposeSource> = recipe.chain([own]).collect();
            let read = compose::read(&sources, &env, &|path| files.text(path).map(str::to_owned));
            Some(read.map_err(|error| Finding::of_error(&error))?)
        }
    };
    Ok(blast_radius(&plain, laid_over.as_ref(), has_upgrade_tests))
}

/// The riskiest service of a recipe; `None` if it has none. `laid_over` is the recipe with the test host's overlay.
#[must_use]
pub fn blast_radius(
    compose: &Compose,
    laid_over: Option<&Compose>,
    has_upgrade_tests: bool,
) -> Option<BlastRadius> {
    let rows = compose.services.keys().map(|service| {
        let (failure_action, order) = policy(compose, service);
        let risk = match (failure_action.as_str(), order.as_str(), has_upgrade_tests) {
            ("rollback", "start-first", false) => Risk::High,
            ("rollback", "start-first", true) => Risk::Latent,
            ("rollback", _, _) => Risk::Low,
            _ => Risk::None,
        };
        let overlay = laid_over.map(|laid_over| policy(laid_over, service).1);
        BlastRadius { service: service.clone(), failure_action, order, overlay, has_upgrade_tests, risk }
    });
    // Of equals the one called app, as everybody knows it.
    rows.max_by_key(|row| (row.risk, row.service == "app"))
}

fn policy(compose: &Compose, service: &str) -> (String, String) {
    let update = compose.services.get(service).and_then(|service| service.update.as_ref());
    let word = |value: Option<&String>, default: &str| value.cloned().unwrap_or_else(|| default.to_owned());
    (
        word(update.and_then(|update| update.failure_action.as_ref()), "pause"),
        word(update.and_then(|update| update.order.as_ref()), "stop-first"),
    )
}
