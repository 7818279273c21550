//! The restore elsewhere: the snapshot is put into a fresh stack under another name, as after the loss of a machine. What a
//! restore needs beyond the snapshot is not there.

use std::time::{Duration, Instant};

use cc_ci_model::convergence::Limits as ConvergenceLimits;
use cc_ci_model::elsewhere::{renamed, what_is_missing};
use cc_ci_model::names::{CommitSha, RunDomain};
use cc_ci_swarm::convergence::Settled;
use cc_ci_swarm::native::{App, Rendered};
use cc_ci_swarm::teardown::{Removed, TeardownError, teardown};
use tokio::sync::watch;

use crate::backup_tier::{Kept, Stage};
use crate::deploying::Deploying;
use crate::side::Side;
use crate::tier_run::{TierRun, TierStop};

/// That these images stand was seen at install and upgrade; here it is enough that they are up.
pub(crate) const STANDS: Duration = Duration::from_secs(1);

/// The fresh stack.
pub struct Fresh<'f> {
    /// Its domain; its stack is in the run's record, under the run's lock.
    pub domain: &'f RunDomain,
    /// What is deployed there: what the snapshot was taken of.
    pub commit: &'f CommitSha,
    /// How long its removal may take.
    pub removal: Duration,
}

/// The app under its other name, from the same checkout and with the same settings; and its compose.
///
/// # Errors
/// The tier fails where the recipe is none under another name.
pub fn second(
    tier: &mut TierRun,
    stage: &Stage<'_, '_>,
    domain: &RunDomain,
) -> Result<(App, Rendered), TierStop> {
    let since = Instant::now();
    let first = stage.app;
    let made = first.env.renamed(&first.domain, domain).map_err(Into::into).and_then(|env| {
        let app = App {
            run: first.run.clone(),
            recipe: first.recipe.clone(),
            domain: domain.clone(),
            stack: domain.stack(),
            checkout: first.checkout.clone(),
            env,
            state: first.state.clone(),
        };
        app.render().map(|rendered| (app, rendered))
    });
    made.map_err(|error| stage.deploying.stop(tier, "compose is sound under another name", since, error))
}

/// Deploys the fresh stack, restores the snapshot into it, looks for the data and removes the stack. Where something does not
/// hold, the stack stays for the run's end, which keeps what is to be known of it.
///
/// # Errors
/// The tier fails, is cancelled or meets trouble.
pub async fn restore_elsewhere(
    tier: &mut TierRun,
    stage: &mut Stage<'_, '_>,
    kept: &Kept<'_>,
    fresh: &Fresh<'_>,
    (app, rendered): (&App, &Rendered),
) -> Result<Removed, TierStop> {
    let first = stage.deploying;
    let limits = ConvergenceLimits { stability: STANDS, ..first.limits };
    let deploying = Deploying { limits, ..*first };
    let landed = deploying.land(tier, app, rendered, Side::Elsewhere, fresh.commit).await?;
    let (_, settled) = deploying.settle(tier, landed, &watch::Sender::new(None)).await?;
    let mut examiner = stage.examiner.beside(&stage.app.stack, &app.stack);
    let mut there = Stage {
        deploying: &deploying,
        app,
        rendered,
        helper_image: stage.helper_image,
        examiner: &mut examiner,
    };
    let done = put_back(tier, &mut there, kept, stage.app, &settled).await;
    examiner.close().await;
    done?;
    remove(tier, &deploying, app, fresh.removal).await
}

async fn put_back(
    tier: &mut TierRun,
    there: &mut Stage<'_, '_>,
    kept: &Kept<'_>,
    first: &App,
    settled: &Settled,
) -> Result<(), TierStop> {
    let why = format!("; {}", what_is_missing(&kept.plan, &first.stack));
    let (app, rendered) = (there.app, there.rendered);
    there.examiner.attach(tier, app, rendered, &settled.running()).await?;
    // A hook wants a program that is up, as it was beside the old volumes.
    there.examiner.serving(tier).await?;
    let since = Instant::now();
    there.hooks(tier, kept, ("restore pre-hook", &why), |hooks| hooks.before_restore.as_deref()).await?;
    there.deploying.reporter.progress("restoring into a fresh stack");
    let namesake = |volume: &String| (volume.clone(), renamed(volume, &first.stack, &app.stack));
    let places: Vec<(String, String)> = kept.plan.volumes.keys().map(namesake).collect();
    match kept.restic.restore_into(&kept.snapshot, &places).await {
        Ok(count) => tier.passed("the snapshot is put back", since, format!("{count} files and folders")),
        Err(error) if error.is_recipes_fault() => {
            return Err(tier.failed("the snapshot is put back", since, error.to_string()));
        }
        Err(error) => return Err(there.ours(tier, &error)),
    }
    there.hooks(tier, kept, ("restore post-hook", &why), |hooks| hooks.after_restore.as_deref()).await?;
    there.stands_again(tier, kept, settled, STANDS).await?;
    there.examiner.serving(tier).await?;
    there.examiner.restored_elsewhere(tier, &why).await
}

async fn remove(
    tier: &mut TierRun,
    deploying: &Deploying<'_>,
    app: &App,
    bound: Duration,
) -> Result<Removed, TierStop> {
    let since = Instant::now();
    let Deploying { docker, lock, cancellation, reporter, .. } = deploying;
    let progress = |text: &str| reporter.progress(&format!("removing the fresh stack: {text}"));
    match teardown(docker, &app.stack, lock, bound, cancellation, progress).await {
        Ok(removed) => {
            let objects: usize = removed.counts().values().sum();
            tier.passed("the fresh stack is removed", since, format!("{objects} objects"));
            Ok(removed)
        }
        Err(TeardownError::Cancelled { .. }) => Err(TierStop::Cancelled),
        Err(error) => Err(deploying.trouble(tier, &error)),
    }
}
