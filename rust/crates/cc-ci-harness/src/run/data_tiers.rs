//! The chapter of the data: backup, restore and restore elsewhere, where what is deployed asks for them.

use cc_ci_model::outcome::{Status, TierOutcome};
use cc_ci_model::plan::Decision;
use cc_ci_model::tier::Tier;

use super::{Hands, Stop, Story, untouched};
use crate::backup_tier::{self, Stage};
use crate::prepare::Prepared;
use crate::restore_tier;

impl Story<'_> {
    /// Backup and restore of what is deployed now; without meaning where its labels do not ask for it.
    pub(super) async fn back_up_and_restore(
        &mut self,
        mut stage: Stage<'_, '_>,
        prepared: &Prepared,
        hands: &Hands,
    ) -> Result<(), Stop> {
        let app = stage.app;
        let Some(plan) = backup_tier::capability(stage.deploying.docker, app).await? else {
            let why = "what is deployed has no backup labels";
            self.without_meaning(&[Tier::Backup, Tier::Restore], why);
            self.without_elsewhere(Decision::NotApplicable, Some(Status::NotApplicable), why);
            return Ok(());
        };
        let mut tier = self.begin(Tier::Backup);
        let (kept, stop) = match backup_tier::backup(&mut tier, &mut stage, plan).await {
            Ok(kept) => (Some(kept), None),
            Err(stop) => (None, Some(stop)),
        };
        self.end_tier(tier, stop, app, hands).await?;
        let Some(kept) = kept.filter(|_| self.goes_on() && prepared.plan.runs(Tier::Restore)) else {
            return Ok(());
        };
        let mut tier = self.begin(Tier::Restore);
        let mut restored = restore_tier::restore(&mut tier, &mut stage, &kept).await;
        if restored.is_ok() {
            restored = self.restore_elsewhere(&mut tier, &mut stage, &kept, prepared, hands).await;
        }
        self.end_tier(tier, restored.err(), app, hands).await
    }

    /// Tiers of the plan that turned out to have no meaning; the plan in the result says so as well.
    fn without_meaning(&mut self, tiers: &[Tier], reason: &str) {
        for tier in tiers.iter().copied() {
            if !self.planned.contains(&tier) {
                continue;
            }
            self.planned.retain(|planned| *planned != tier);
            self.outcomes.push((tier, TierOutcome::NotApplicable));
            self.reporter.update(|result| {
                for planned in result.plan.iter_mut().filter(|planned| planned.tier == tier) {
                    planned.decision = Decision::NotApplicable;
                    reason.clone_into(&mut planned.reason);
                }
            });
            self.reporter.tier_ended(untouched(tier, Status::NotApplicable, reason.to_owned()));
        }
    }
}
