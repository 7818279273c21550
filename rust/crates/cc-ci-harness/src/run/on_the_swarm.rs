//! The chapters on the swarm: install, upgrade in place, and what stands on them.

use std::collections::BTreeMap;

use cc_ci_model::convergence::Limits as ConvergenceLimits;
use cc_ci_model::names::CommitSha;
use cc_ci_model::outcome::{Ending, TierOutcome};
use cc_ci_model::previous::stale;
use cc_ci_model::tier::Tier;
use cc_ci_swarm::lock::HeldLock;
use cc_ci_swarm::native::{App, KnownSecrets, NativeDeployer, Rendered, SecretSources};
use cc_ci_swarm::registry_login::Logins;
use cc_ci_swarm::teardown::teardown;

use super::{Hands, Stop, Story, trouble};
use crate::admission::admit;
use crate::backup_tier::Stage;
use crate::deploying::Deploying;
use crate::examine::{Data, Examiner};
use crate::failure_evidence;
use crate::footprint::Footprint;
use crate::prepare::Prepared;
use crate::side::Side;
use crate::tier_run::{TierRun, TierStop};

impl Story<'_> {
    pub(super) async fn on_the_swarm(
        &mut self,
        app: &mut App,
        prepared: &Prepared,
        first: &CommitSha,
        first_side: Side,
        mut rendered: Rendered,
        hands: &Hands,
    ) -> Result<(), Stop> {
        let standing = self.deadline.stand();
        admit(self.setup, &hands.host, &rendered.compose, self.cancellation, &self.reporter).await?;
        drop(standing);
        self.say_owners_of_names(app, hands).await;
        self.say_limits(&self.setup.settings.limits.in_words(&self.setup.recipe_toml.app));
        let docker = &hands.host.docker;
        let deployer = NativeDeployer::new(
            self.programs.clone(),
            docker,
            &hands.host.cli_version,
            hands.host.has_ipvs(),
        );
        let own = self.setup.settings.limits.for_recipe(&self.setup.recipe_toml.app.timeouts);
        let limits = ConvergenceLimits { time: own.deploy.into(), ..ConvergenceLimits::default() };
        let (given, known) = (BTreeMap::new(), KnownSecrets::default());
        let logins = Logins::of_user(&self.programs, self.reporter.masker());
        let logins = logins.map_err(|error| trouble("registry logins", error, false))?;
        let reporter = self.reporter.clone();
        let deploying = Deploying {
            docker,
            deployer: &deployer,
            lock: &hands.lock,
            state: &self.setup.paths.state,
            cancellation: self.cancellation,
            reporter: &reporter,
            limits,
            logins: &logins,
            secrets: SecretSources { given: &given, known: &known },
        };
        let mut examiner = Examiner::new(
            self.setup,
            &hands.host,
            &hands.lock,
            self.cancellation,
            &reporter,
            own.http.into(),
        )
        .await?;

        let _footprint = Footprint::watch(docker, hands.world.stacks(), &reporter);

        // Install: the deploy is counted only while the lock is held.
        let mut tier = self.begin(Tier::Install);
        self.count_deploy(&hands.lock);
        let mut stop = self
            .install_side(&mut tier, app, &rendered, (first_side, first), &deploying, &mut examiner)
            .await
            .err();
        if first_side == Side::Base && stop == Some(TierStop::Failed) {
            failure_evidence::keep(docker, &app.stack, (Tier::Upgrade, None), &reporter).await;
            let cause = tier.first_failure().unwrap_or_default();
            self.give_up_base(tier, prepared, &cause);
            examiner.detach().await;
            let progress = |text: &str| reporter.progress(&format!("removing the base: {text}"));
            let bound = self.setup.teardown_bound();
            teardown(docker, &app.stack, &hands.lock, bound, self.cancellation, progress)
                .await
                .map_err(|error| trouble("removal of the base", error, true))?;
            let Some((_, head)) = self.head_alone(app, prepared).await? else { return Ok(()) };
            rendered = head;
            reporter.update(|result| result.deploys.expected += 1);
            tier = self.begin(Tier::Install);
            self.count_deploy(&hands.lock);
            stop = self
                .install_side(
                    &mut tier,
                    app,
                    &rendered,
                    (Side::Head, &prepared.head),
                    &deploying,
                    &mut examiner,
                )
                .await
                .err();
        }
        self.end_tier(tier, stop, app, hands).await?;
        if self.goes_on() && !self.is_done(Tier::Upgrade) {
            self.note_needless_repair(prepared);
        }

        if self.goes_on() && prepared.plan.runs(Tier::Upgrade) && !self.is_done(Tier::Upgrade) {
            let mut tier = self.begin(Tier::Upgrade);
            let stop = match self.climb(&mut tier, app, prepared, &deploying, &mut examiner).await {
                Ok(head) => {
                    rendered = head;
                    None
                }
                Err(stop) => Some(stop),
            };
            self.end_tier(tier, stop, app, hands).await?;
        }
        if self.goes_on() && prepared.plan.runs(Tier::Backup) {
            let stage = Stage {
                deploying: &deploying,
                app,
                rendered: &rendered,
                helper_image: &self.setup.settings.helper_image,
                examiner: &mut examiner,
            };
            self.back_up_and_restore(stage, prepared, hands).await?;
        }
        if self.goes_on() && prepared.plan.runs(Tier::Custom) {
            let mut tier = self.begin(Tier::Custom);
            let checked = examiner.checks(&mut tier).await;
            self.end_tier(tier, checked.err(), app, hands).await?;
        }
        examiner.close().await;
        Ok(())
    }

    pub(super) async fn install_side(
        &self,
        tier: &mut TierRun,
        app: &App,
        rendered: &Rendered,
        (side, commit): (Side, &CommitSha),
        deploying: &Deploying<'_>,
        examiner: &mut Examiner<'_>,
    ) -> Result<(), TierStop> {
        let landed = deploying.land(tier, app, rendered, side, commit).await?;
        self.say_limits(&landed.deployed.limits);
        let (_, settled, early) =
            examiner.settle(tier, app, rendered, (deploying, landed), Data::Mark).await?;
        examiner.look(tier, app, rendered, (&settled, early), Data::Mark).await?;
        examiner.checks(tier).await?;
        examiner.plant(tier).await
    }

    /// The base stands without the repair that the test data holds for another release.
    fn note_needless_repair(&self, prepared: &Prepared) {
        let Some((previous, base)) = self.setup.previous.as_ref().zip(prepared.plan.base.as_ref()) else {
            return;
        };
        if stale(&previous.version, &prepared.plan).is_some() {
            let line = format!("previous/ is no longer needed: {} stands without it; remove it", base.name);
            self.reporter.warn(line.clone());
            self.reporter.update(|result| result.customisation.push(line));
        }
    }

    /// Begins a tier, loudly where generic checks of it are left out.
    pub(super) fn begin(&self, name: Tier) -> TierRun {
        let tier = TierRun::begin(name, &self.reporter);
        if !self.setup.opt_outs.leaves_out(name) {
            return tier;
        }
        self.reporter.warn(format!("!! the generic checks of {name} are left out"));
        tier.without_generic()
    }

    /// A tier's end: into the outcomes, and with logs kept where it failed. Trouble, refusal and cancel end the story.
    pub(super) async fn end_tier(
        &mut self,
        tier: TierRun,
        stop: Option<TierStop>,
        app: &App,
        hands: &Hands,
    ) -> Result<(), Stop> {
        let name = tier.tier();
        let refused = matches!(stop, Some(TierStop::Refused(_)));
        if !refused && (stop.is_some() || tier.has_failed()) {
            failure_evidence::keep(&hands.host.docker, &app.stack, (name, None), &self.reporter).await;
        }
        let outcome = tier.end(stop.as_ref());
        self.outcomes.push((name, outcome));
        match stop {
            None | Some(TierStop::Failed) => Ok(()),
            Some(TierStop::Trouble(trouble)) => Err(trouble.into()),
            Some(TierStop::Refused(reason)) => Err(Stop::End(Ending::Refused(reason))),
            Some(TierStop::Cancelled) => Err(Stop::End(Ending::Cancelled)),
        }
    }

    /// A failed tier ends the run: what stands on it would only fail again. Nothing stands on lint.
    pub(super) fn goes_on(&self) -> bool {
        self.outcomes.iter().all(|(tier, outcome)| *tier == Tier::Lint || *outcome != TierOutcome::Fail)
    }

    pub(super) fn is_done(&self, tier: Tier) -> bool {
        self.outcomes.iter().any(|(done, _)| *done == tier)
    }

    pub(super) fn count_deploy(&self, _lock: &HeldLock) {
        let path = self.reporter.folder().state().join("deploys.jsonl");
        let line = serde_json::json!({ "at": jiff::Timestamp::now().to_string() });
        if let Err(error) = cc_ci_process::atomic::append_line(&path, &line) {
            tracing::error!(code = "count-not-written", "{error}");
        }
        self.reporter.update(|result| result.deploys.counted += 1);
    }

    pub(super) fn say_limits(&self, limits: &[String]) {
        for limit in limits {
            self.reporter.log(&format!("limit: {limit}"));
        }
        self.reporter.update(|result| {
            for limit in limits {
                if !result.limits.contains(limit) {
                    result.limits.push(limit.clone());
                }
            }
        });
    }
}
