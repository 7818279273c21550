//! The chapter of the fresh stack: the restore once more under another name, beside the first stack where the host has room
//! for both, and in its place where it has not.

use std::time::Instant;

use cc_ci_model::convergence::Limits as ConvergenceLimits;
use cc_ci_model::elsewhere::{conflict, obstacle};
use cc_ci_model::names::RunDomain;
use cc_ci_model::outcome::Status;
use cc_ci_model::plan::Decision;
use cc_ci_model::tier::Tier;
use cc_ci_swarm::native::Rendered;
use cc_ci_swarm::undeploy::undeploy;
use tokio::sync::watch;

use super::{Hands, Story};
use crate::admission::{admit, shortage_beside};
use crate::backup_tier::{Kept, NOTHING, Stage};
use crate::deploying::Deploying;
use crate::elsewhere::{Fresh, STANDS, restore_elsewhere, second};
use crate::failure_evidence;
use crate::prepare::Prepared;
use crate::side::Side;
use crate::tier_run::{TierRun, TierStop};

impl Story<'_> {
    /// The restore elsewhere, as a step of the restore; nothing where the plan or the deployed app leaves it out.
    pub(super) async fn restore_elsewhere(
        &mut self,
        tier: &mut TierRun,
        stage: &mut Stage<'_, '_>,
        kept: &Kept<'_>,
        prepared: &Prepared,
        hands: &Hands,
    ) -> Result<(), TierStop> {
        let Some(domain) = &hands.elsewhere else { return Ok(()) };
        if !stage.examiner.has_data() {
            self.without_elsewhere(Decision::Run, Some(Status::Unverified), NOTHING);
            return Ok(());
        }
        if let Some(why) = obstacle(&stage.rendered.compose, &stage.app.stack) {
            self.without_elsewhere(Decision::NotApplicable, Some(Status::NotApplicable), &why);
            return Ok(());
        }
        tier.begin_step("elsewhere".to_owned());
        let done = self.in_a_fresh_stack(tier, stage, kept, (prepared, hands, domain)).await;
        if done == Err(TierStop::Failed) {
            let place = (tier.tier(), Some("elsewhere"));
            failure_evidence::keep(stage.deploying.docker, &domain.stack(), place, &self.reporter).await;
        }
        let (status, reason, seconds) = tier.end_step();
        self.reporter.update(|result| {
            if let Some(elsewhere) = &mut result.elsewhere {
                elsewhere.status = Some(status);
                elsewhere.seconds = seconds;
                if !reason.is_empty() {
                    elsewhere.reason = reason;
                }
            }
        });
        done
    }

    /// It was planned, and what is deployed leaves it without a meaning or without anything to look for.
    pub(super) fn without_elsewhere(&self, decision: Decision, status: Option<Status>, reason: &str) {
        self.reporter.update(|result| {
            let Some(elsewhere) = result.elsewhere.as_mut().filter(|one| one.decision == Decision::Run)
            else {
                return;
            };
            elsewhere.decision = decision;
            elsewhere.status = status;
            reason.clone_into(&mut elsewhere.reason);
            (elsewhere.domain, elsewhere.stack) = (None, None);
            result.deploys.expected = result.deploys.expected.saturating_sub(1);
        });
        self.reporter.log(&format!("elsewhere: not done: {reason}"));
    }

    async fn in_a_fresh_stack(
        &mut self,
        tier: &mut TierRun,
        stage: &mut Stage<'_, '_>,
        kept: &Kept<'_>,
        (prepared, hands, domain): (&Prepared, &Hands, &RunDomain),
    ) -> Result<(), TierStop> {
        let (app, rendered) = second(tier, stage, domain)?;
        let is_alone = self.make_room(tier, stage, hands, &rendered).await?;
        self.count_deploy(&hands.lock);
        let fresh = Fresh { domain, commit: &prepared.head, removal: self.setup.teardown_bound() };
        let removed = restore_elsewhere(tier, stage, kept, &fresh, (&app, &rendered)).await?;
        self.removed.push(removed);
        if is_alone && prepared.plan.runs(Tier::Custom) {
            self.deploy_again(tier, stage, prepared, hands).await?;
        }
        Ok(())
    }

    /// Takes the first stack's services away where both cannot be there at once; true where that was so.
    async fn make_room(
        &self,
        tier: &mut TierRun,
        stage: &mut Stage<'_, '_>,
        hands: &Hands,
        rendered: &Rendered,
    ) -> Result<bool, TierStop> {
        // By such a name the fresh stack's app could reach the first one's data, and look sound.
        let shared = self.shared_names.first();
        let shared = shared.map(|shared| format!("both would be {} on the proxy's network", shared.name));
        let why = match conflict(&stage.rendered.compose, &stage.app.stack).or(shared) {
            Some(why) => Some(why),
            None => shortage_beside(self.setup, &hands.host, &rendered.compose).await?,
        };
        let Some(why) = why else { return Ok(false) };
        let since = Instant::now();
        let Deploying { docker, lock, cancellation, reporter, .. } = stage.deploying;
        reporter.progress("the first stack makes room for the fresh one");
        stage.examiner.detach().await;
        let bound = self.setup.teardown_bound();
        let gone = undeploy(docker, &stage.app.stack, lock, bound, cancellation).await;
        gone.map_err(|error| stage.deploying.trouble(tier, &error))?;
        tier.passed("the first stack makes room", since, why.clone());
        self.say_limits(&[format!(
            "the first stack was away while its snapshot was restored elsewhere: {why}"
        )]);
        let standing = self.deadline.stand();
        admit(self.setup, &hands.host, &rendered.compose, cancellation, reporter).await?;
        drop(standing);
        Ok(true)
    }

    /// Brings the first stack back, which has kept its data, for the checks behind the restore.
    async fn deploy_again(
        &self,
        tier: &mut TierRun,
        stage: &mut Stage<'_, '_>,
        prepared: &Prepared,
        hands: &Hands,
    ) -> Result<(), TierStop> {
        let (app, rendered) = (stage.app, stage.rendered);
        let limits = ConvergenceLimits { stability: STANDS, ..stage.deploying.limits };
        let deploying = Deploying { limits, ..*stage.deploying };
        self.reporter.update(|result| result.deploys.expected += 1);
        self.count_deploy(&hands.lock);
        let landed = deploying.land(tier, app, rendered, Side::Head, &prepared.head).await?;
        let (_, settled) = deploying.settle(tier, landed, &watch::Sender::new(None)).await?;
        stage.examiner.attach(tier, app, rendered, &settled.running()).await?;
        stage.examiner.serving(tier).await
    }
}
