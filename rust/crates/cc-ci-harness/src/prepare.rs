//! Before anything is touched: the recipe's repository, the commit under test, the plan.

use std::path::Path;

use cc_ci_model::elsewhere::ElsewhereFacts;
use cc_ci_model::names::CommitSha;
use cc_ci_model::outcome::Trouble;
use cc_ci_model::plan::{Plan, PlanFacts, plan};
use cc_ci_model::tier::Tier;
use cc_ci_model::upgrade_ladder::{UpgradeFrom, way_to_head};
use cc_ci_model::version::NoBase;
use cc_ci_swarm::checkout::{Checkout, CheckoutError};
use cc_ci_swarm::programs::Programs;

use crate::setup::Setup;

/// The tiers this program runs.
pub const AVAILABLE: [Tier; 6] = Tier::PLANNABLE;

/// A run that knows what it is about.
#[derive(Debug)]
pub struct Prepared {
    /// The recipe's repository in the run's own folder.
    pub checkout: Checkout,
    /// The commit under test.
    pub head: CommitSha,
    /// What is going to happen.
    pub plan: Plan,
}

/// Why there is nothing to run.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The caller named something that is not there: exit 64, no run folder.
    #[error("{0}")]
    BadArgument(String),
    /// Something of ours or of the world's failed.
    #[error("{}", .0.what)]
    Trouble(Trouble),
}

impl From<CheckoutError> for PrepareError {
    fn from(error: CheckoutError) -> Self {
        if error.is_bad_argument() {
            Self::BadArgument(error.to_string())
        } else {
            Self::Trouble(Trouble { what: error.to_string(), place: "checkout".to_owned(), retry: true })
        }
    }
}

/// Clones the recipe into `folder`, resolves the commit, chooses the base and plans.
///
/// # Errors
/// [`PrepareError`] says whose fault it is.
pub async fn prepare(
    setup: &Setup,
    programs: &Programs,
    folder: &Path,
    git_config: &Path,
) -> Result<Prepared, PrepareError> {
    let request = &setup.request;
    let Some(source) = &request.source else {
        let what =
            format!("no source for {}: say where to clone it from with --src GIT or SRC", request.recipe);
        return Err(PrepareError::BadArgument(what));
    };
    let checkout = Checkout::clone_from(programs, source, folder, git_config).await?;
    let head = checkout.resolve(request.reference.as_ref(), request.pr).await?;
    let releases = checkout.releases(&head).await?;
    let tip = checkout.tip(&head).await?;
    let in_settings = setup.recipe_toml.upgrade.base.as_ref();
    let in_settings = in_settings.map(|version| UpgradeFrom::Version(version.to_string()));
    let asked = request.from.clone().or(in_settings);
    let longest = setup.settings.limits.ladder;
    let way = way_to_head(&head, &releases, tip.as_ref(), asked.as_ref(), longest);
    let (base, rungs) = match way {
        Ok((base, rungs)) => (Ok(base), rungs),
        Err(none) => (Err(none), Vec::new()),
    };
    if let Err(error @ (NoBase::UnknownVersion { .. } | NoBase::IsHead { .. } | NoBase::Newer { .. })) = &base
    {
        return Err(match request.from {
            Some(_) => PrepareError::BadArgument(error.to_string()),
            None => PrepareError::Trouble(Trouble {
                what: format!("recipe.toml, upgrade.base: {error}"),
                place: "plan".to_owned(),
                retry: false,
            }),
        });
    }
    let local = local_programs(setup, &checkout, &head, Tier::Custom).await?;
    let plan = plan(&PlanFacts {
        head: &head,
        base: &base,
        rungs: &rungs,
        asked: request.tiers.as_deref(),
        declared: &setup.recipe_toml.not_applicable.declared(),
        elsewhere: ElsewhereFacts {
            declared: setup.recipe_toml.not_applicable.elsewhere.as_ref().map(|reason| reason.as_str()),
            is_left_out: setup.opt_outs.leaves_out(Tier::Restore),
        },
        available: &AVAILABLE,
        custom_checks: setup.recipe_toml.checks(Tier::Custom).count()
            + programs_of(setup, Tier::Custom)
            + local,
    });
    Ok(Prepared { checkout, head, plan })
}

/// Number of test programs the commit itself brings for a tier, where this host approves of running them.
async fn local_programs(
    setup: &Setup,
    checkout: &Checkout,
    head: &CommitSha,
    tier: Tier,
) -> Result<usize, CheckoutError> {
    if !setup.settings.runs_tests_of(&setup.request.recipe) {
        return Ok(0);
    }
    checkout.switch(head).await?;
    Ok(crate::local_tests::programs(checkout.folder(), tier))
}

/// Number of test programs our copy of the test data brings for a tier.
fn programs_of(setup: &Setup, tier: Tier) -> usize {
    let folder = setup.test_data.join("tests");
    // No folder, no programs; an unreadable one is found by the tier itself.
    let found = crate::sandbox::Programs::find(&folder, tier, cc_ci_model::result::Origin::Recipe);
    found.map_or(0, |found| found.names.len() + found.not_executable.len())
}
