//! The restore tier: the data is changed, the snapshot put back, and the data is as it was. Judged by data, never by
//! an exit status.

use std::collections::BTreeMap;
use std::time::Instant;

use cc_ci_swarm::convergence::{Converging, Settled};
use cc_ci_swarm::stateful;

use crate::backup_tier::{Halt, Kept, NOTHING, Setback, Stage};
use crate::tier_run::{TierRun, TierStop};

/// A stack that nothing replaced stands for this long before it is looked at.
const STANDS: std::time::Duration = std::time::Duration::from_secs(1);

/// Changes the data, restores the snapshot and looks for the data.
///
/// # Errors
/// The tier fails, is cancelled or meets trouble.
pub async fn restore(tier: &mut TierRun, stage: &mut Stage<'_, '_>, kept: &Kept<'_>) -> Result<(), TierStop> {
    let checkout = stage.checkout(tier).await?;
    // It stood through the backup just now; whether it still does is seen at once.
    let mut settled = stage.settle(tier, &kept.plan, std::time::Duration::ZERO).await?;
    let mutation = stage.examiner.mutate(tier).await?;
    if let Some(anew) = stage.without_own_layers(tier, kept).await? {
        settled = anew;
    }
    let since = Instant::now();
    let outside = cause_outside(kept);
    stage.hooks(tier, kept, ("restore pre-hook", &outside), |hooks| hooks.before_restore.as_deref()).await?;
    stage.deploying.reporter.progress("restoring");
    let volumes: Vec<String> = kept.plan.volumes.keys().cloned().collect();
    let restored = match kept.restic.restore(&kept.snapshot, &volumes).await {
        Ok(restored) => restored,
        Err(error) if error.is_recipes_fault() => {
            return Err(tier.failed("the snapshot is put back", since, error.to_string()));
        }
        Err(error) => return Err(stage.ours(tier, &error)),
    };
    tier.passed("the snapshot is put back", since, format!("{restored} files and folders"));
    stage.hooks(tier, kept, ("restore post-hook", &outside), |hooks| hooks.after_restore.as_deref()).await?;
    let stability = stage.deploying.limits.stability;
    stage.stands_again(tier, kept, &settled, stability).await?;
    stage.checkout_is(tier, &checkout).await?;
    stage.examiner.serving(tier).await?;
    let loads_dumps = kept.plan.hooks.values().any(|hooks| hooks.before_backup.is_some());
    stage.examiner.restored(tier, &mutation, loads_dumps, &cause(kept)).await?;
    stage.examiner.checks(tier).await?;
    if !stage.examiner.has_data() {
        tier.unproven(NOTHING);
    }
    Ok(())
}

impl Stage<'_, '_> {
    /// Runs the hooks of one kind; `why` ends the sentence about one that fails.
    pub(crate) async fn hooks(
        &self,
        tier: &mut TierRun,
        kept: &Kept<'_>,
        (which, why): (&str, &str),
        line: impl Fn(&cc_ci_model::backup_plan::Hooks) -> Option<&str>,
    ) -> Result<(), TierStop> {
        for (service, hooks) in &kept.plan.hooks {
            let Some(line) = line(hooks) else { continue };
            match self.hook(tier, service, which, line).await {
                Ok(()) => {}
                Err(Halt::Stop(stop)) => return Err(stop),
                Err(Halt::Setback(Setback { check, message, .. })) => {
                    return Err(tier.failed(&check, Instant::now(), format!("{message}{why}")));
                }
            }
        }
        Ok(())
    }

    /// A restore happens on another machine or after an accident: what a hook left in a container's own layer is not there.
    /// So such containers are made anew; where hooks write into volumes, as they should, nothing happens here.
    async fn without_own_layers(
        &mut self,
        tier: &mut TierRun,
        kept: &Kept<'_>,
    ) -> Result<Option<Settled>, TierStop> {
        let since = Instant::now();
        let services: Vec<&String> =
            kept.outside.iter().filter(|(_, files)| !files.is_empty()).map(|(service, _)| service).collect();
        if services.is_empty() {
            return Ok(None);
        }
        let check = "containers are made anew";
        let converging = Converging::begin(self.deploying.docker, &self.app.stack).await;
        let converging = converging.map_err(|error| self.engine(tier, &error))?;
        for service in &services {
            let made =
                stateful::make_anew(self.deploying.docker, &self.app.stack, service, self.deploying.lock)
                    .await;
            made.map_err(|error| self.engine(tier, &error))?;
        }
        let settled = self.wait(tier, check, since, converging, self.deploying.limits.stability).await?;
        self.examiner.attach(tier, self.app, self.rendered, &settled.running()).await?;
        tier.passed(check, since, cause_outside(kept).trim_start_matches("; ").to_owned());
        Ok(Some(settled))
    }

    /// Waits until the stack stands; where hooks replaced containers, as long as `stability` says.
    pub(crate) async fn stands_again(
        &mut self,
        tier: &mut TierRun,
        kept: &Kept<'_>,
        before: &Settled,
        stability: std::time::Duration,
    ) -> Result<(), TierStop> {
        let since = Instant::now();
        let mut settled = self.settle(tier, &kept.plan, STANDS).await?;
        if containers(&settled) != containers(before) {
            settled = self.settle(tier, &kept.plan, stability).await?;
            self.examiner.attach(tier, self.app, self.rendered, &settled.running()).await?;
        }
        tier.passed(
            "the stack stands after the restore",
            since,
            format!("{} services", settled.services.len()),
        );
        Ok(())
    }
}

fn containers(settled: &Settled) -> BTreeMap<&str, &[String]> {
    settled.services.iter().map(|(name, service)| (name.as_str(), service.containers.as_slice())).collect()
}

/// What labels and hooks suggest as the cause of lost data: the end of a sentence.
fn cause(kept: &Kept<'_>) -> String {
    let lacking: Vec<&str> = kept.plan.without_restore_hook().collect();
    let mut text = String::new();
    if !lacking.is_empty() {
        text = format!(
            "; service {} has a dump hook and no restore hook, so nothing loads what was dumped",
            lacking.join(", ")
        );
    }
    text + &cause_outside(kept)
}

fn cause_outside(kept: &Kept<'_>) -> String {
    let outside = kept.outside.iter().filter(|(_, files)| !files.is_empty()).map(|(service, files)| {
        let files = files.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
        format!("; the hook of {service} writes {files} outside of every volume, so it is in no snapshot")
    });
    outside.collect()
}
