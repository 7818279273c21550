//! The chapter of the two sides: base and head are read and judged before anything is deployed.

use std::time::Instant;

use cc_ci_model::names::{CommitSha, RunDomain};
use cc_ci_model::outcome::{Ending, Status, TierOutcome, Unjudged};
use cc_ci_model::tier::Tier;
use cc_ci_swarm::checkout::Checkout;
use cc_ci_swarm::native::{App, DeployError, Fault, Rendered};

use super::{Stop, Story, trouble};
use crate::local_tests::copy_aside;
use crate::prepare::Prepared;
use crate::sandbox::{LocalTests, local_tests};
use crate::side::{self, Side};
use crate::tier_run::TierRun;

impl Story<'_> {
    pub(super) async fn app(
        &mut self,
        checkout: Checkout,
        domain: &RunDomain,
        first: &CommitSha,
        prepared: &Prepared,
    ) -> Result<App, Stop> {
        let recipe = &self.setup.request.recipe;
        self.set_tests_aside(&checkout, &prepared.head).await?;
        let made = async {
            checkout.switch(first).await?;
            let version = prepared.plan.base.as_ref().map_or(first.short(), |base| base.name.as_str());
            side::new_env(&self.reporter.folder().abra(), &checkout, recipe, version, domain)
        };
        let env = match made.await {
            Ok(env) => env,
            Err(error) => return Err(self.before_deploy(Tier::Install, "recipe can be read", error)),
        };
        for oddity in env.file().oddities() {
            self.reporter.warn(format!(".env.sample line {}: {}", oddity.line, oddity.what));
        }
        let state = self.reporter.folder().state();
        Ok(App {
            run: self.id.clone(),
            recipe: recipe.clone(),
            domain: domain.clone(),
            stack: domain.stack(),
            checkout,
            env,
            state,
        })
    }

    /// Tests of the recipe's own repository are copied before anything moves the checkout; ignored ones are named.
    pub(super) async fn set_tests_aside(&self, checkout: &Checkout, head: &CommitSha) -> Result<(), Stop> {
        checkout.switch(head).await.map_err(|error| trouble("checkout", error, true))?;
        let aside = self.reporter.folder().local_tests();
        if let Err(error) = copy_aside(checkout.folder(), &aside) {
            self.reporter.warn(format!("tests of the recipe's own repository cannot be used: {error}"));
            return Ok(());
        }
        if let LocalTests::Ignored(sentence) =
            local_tests(&self.setup.settings, &self.setup.request.recipe, &aside)
        {
            self.reporter.note(sentence.clone());
            self.reporter.update(|result| result.customisation.push(sentence));
        }
        Ok(())
    }

    /// Both sides are read and judged before anything is deployed. `None`: install failed by the recipe's fault. Where head alone
    /// is at fault, the upgrade has failed before it began, and install is still judged at base: its level is the recipe's.
    pub(super) async fn judge(
        &mut self,
        app: &mut App,
        prepared: &Prepared,
        first: &CommitSha,
    ) -> Result<Option<(Side, Rendered)>, Stop> {
        let first_side = if prepared.plan.base.is_some() { Side::Base } else { Side::Head };
        let head_tier = if first_side == Side::Base { Tier::Upgrade } else { Tier::Install };
        let mut head_configs = None;
        if first_side == Side::Base {
            // The .env of the base side is what the app starts from: it is put back after the look at head.
            let env = app.env.clone();
            match side::take(self.setup, app, Side::Head, (&prepared.head, None)).await {
                Ok((rendered, _)) => match side::configs(app, &rendered) {
                    Ok(configs) => {
                        self.say_notes(app, &rendered);
                        head_configs = Some(configs);
                    }
                    Err(error) => self.recipe_fault(head_tier, "compose of head is sound", error)?,
                },
                Err(error) => self.recipe_fault(head_tier, "compose of head is sound", error)?,
            }
            app.env = env;
        }
        let release = prepared.plan.base.as_ref().map(|base| base.name.as_str());
        let (rendered, _) = match side::take(self.setup, app, first_side, (first, release)).await {
            Ok(taken) => taken,
            Err(error) if first_side == Side::Base && error.fault() != Fault::Ours => {
                self.give_up_base(
                    TierRun::begin(Tier::Install, &self.reporter),
                    prepared,
                    &error.to_string(),
                );
                return self.head_alone(app, prepared).await;
            }
            Err(error) => return self.recipe_fault(Tier::Install, "compose is sound", error).map(|()| None),
        };
        if first_side == Side::Head {
            self.say_notes(app, &rendered);
        }
        if let Some(head) = head_configs {
            let base = side::configs(app, &rendered)
                .map_err(|error| self.before_deploy(Tier::Install, "configs can be read", error))?;
            if let Some(drift) = side::drift(&base, &head) {
                let drift = DeployError::Recipe(drift);
                self.recipe_fault(Tier::Upgrade, "changed configs have a new version", drift)?;
            }
        }
        Ok(Some((first_side, rendered)))
    }

    /// What the gate lets through and a person should know.
    fn say_notes(&mut self, app: &App, rendered: &Rendered) {
        self.note_shared_names(app, rendered);
        for note in cc_ci_model::compose::gate::notes(&rendered.compose, &app.stack) {
            self.reporter.note(format!("gate: {note}"));
        }
    }

    /// The base cannot be deployed by the recipe's own fault: that is no fault of the commit under test. Install is judged at
    /// head, and the upgrade is nobody's to judge; what was seen of the base stands in its report.
    pub(super) fn give_up_base(&mut self, base: TierRun, prepared: &Prepared, cause: &str) {
        // No ladder is climbed from a release that does not stand.
        let rungs = u32::try_from(prepared.plan.rungs.len()).unwrap_or(u32::MAX);
        let reason = format!("the base release does not deploy ({cause}); install is judged at head");
        self.reporter.warn(reason.clone());
        // Where head is at fault already, its failure stands.
        if self.is_done(Tier::Upgrade) {
            return;
        }
        let report = base.into_report(Tier::Upgrade, Status::Unverified, reason);
        self.reporter.update(|result| {
            result.tiers.push(report);
            result.deploys.expected = result.deploys.expected.saturating_sub(rungs);
        });
        self.outcomes.push((Tier::Upgrade, TierOutcome::Unverified(Unjudged::BaseDoesNotDeploy)));
    }

    /// Head as the first and only side, with a `.env` of its own.
    pub(super) async fn head_alone(
        &mut self,
        app: &mut App,
        prepared: &Prepared,
    ) -> Result<Option<(Side, Rendered)>, Stop> {
        let head = &prepared.head;
        let taken = async {
            app.checkout.switch(head).await?;
            let (abra, recipe) = (self.reporter.folder().abra(), &self.setup.request.recipe);
            app.env = side::new_env(&abra, &app.checkout, recipe, head.short(), &app.domain)?;
            side::take(self.setup, app, Side::Head, (head, None)).await
        };
        match taken.await {
            Ok((rendered, _)) => Ok(Some((Side::Head, rendered))),
            Err(error) => self.recipe_fault(Tier::Install, "compose is sound", error).map(|()| None),
        }
    }

    /// An error before the first deploy: the recipe's is a failed check of its tier, everything else ends the story.
    pub(super) fn recipe_fault(&mut self, tier: Tier, check: &str, error: DeployError) -> Result<(), Stop> {
        match error.fault() {
            Fault::Recipe => {
                let mut run = TierRun::begin(tier, &self.reporter);
                let stop = run.failed(check, Instant::now(), error.to_string());
                let outcome = run.end(Some(&stop));
                self.outcomes.push((tier, outcome));
                Ok(())
            }
            Fault::Refused => Err(Stop::End(Ending::Refused(error.to_string()))),
            Fault::Ours => Err(trouble("checkout", error, true)),
        }
    }

    pub(super) fn before_deploy(&mut self, tier: Tier, check: &str, error: DeployError) -> Stop {
        match self.recipe_fault(tier, check, error) {
            Ok(()) => Stop::End(Ending::Completed),
            Err(stop) => stop,
        }
    }
}
