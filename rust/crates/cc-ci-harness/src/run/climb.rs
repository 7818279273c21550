//! The chapter of the upgrade: from what stands to head, in place, through the releases between them where a ladder was
//! asked for. Each step is judged by itself: a bad old release is red for its own step, and the next one goes over it.

use std::time::Instant;

use cc_ci_model::head_proof::proves_head;
use cc_ci_model::names::CommitSha;
use cc_ci_model::result::Step;
use cc_ci_swarm::docker::Docker;
use cc_ci_swarm::native::{App, Deployed, Fault, Rendered};
use cc_ci_swarm::snapshot;

use super::Story;
use crate::deploying::Deploying;
use crate::examine::{Data, Examiner};
use crate::failure_evidence;
use crate::prepare::Prepared;
use crate::side::{self, Side};
use crate::standing;
use crate::tier_run::{TierRun, TierStop};

/// What an upgrade goes to.
pub(super) struct Goal<'g> {
    pub(super) side: Side,
    /// `head`, or the release's version.
    pub(super) name: &'g str,
    pub(super) commit: &'g CommitSha,
}

impl Story<'_> {
    /// All steps up to head; returns what head's compose is.
    pub(super) async fn climb(
        &self,
        tier: &mut TierRun,
        app: &mut App,
        prepared: &Prepared,
        deploying: &Deploying<'_>,
        examiner: &mut Examiner<'_>,
    ) -> Result<Rendered, TierStop> {
        let plan = &prepared.plan;
        let head = Goal { side: Side::Head, name: "head", commit: &prepared.head };
        if plan.rungs.is_empty() {
            return self.upgrade(tier, app, &head, deploying, examiner).await;
        }
        let mut from = plan.base.as_ref().map(|base| base.name.as_str()).unwrap_or_default();
        for rung in &plan.rungs {
            let goal = Goal { side: Side::Between, name: &rung.name, commit: &rung.commit };
            match self.step(tier, app, from, &goal, deploying, examiner).await {
                Ok(_) | Err(TierStop::Failed) => from = &rung.name,
                Err(stop) => return Err(stop),
            }
        }
        self.step(tier, app, from, &head, deploying, examiner).await
    }

    async fn step(
        &self,
        tier: &mut TierRun,
        app: &mut App,
        from: &str,
        goal: &Goal<'_>,
        deploying: &Deploying<'_>,
        examiner: &mut Examiner<'_>,
    ) -> Result<Rendered, TierStop> {
        let to = if goal.side == Side::Head { goal.commit.short() } else { goal.name };
        tier.begin_step(format!("{from} → {to}"));
        let mut done = self.upgrade(tier, app, goal, deploying, examiner).await;
        if let Ok(rendered) = &done
            && !examiner.has_data()
        {
            // What a failed step may have cost is its own fault: those behind it look for data of their own.
            done = match examiner.mark(tier, app, rendered).await {
                Ok(()) => examiner.plant(tier).await.and(done),
                Err(stop) => Err(stop),
            };
        }
        if done.is_err() {
            examiner.forget().await;
            failure_evidence::keep(deploying.docker, &app.stack, (tier.tier(), Some(to)), &self.reporter)
                .await;
        }
        let (status, reason, seconds) = tier.end_step();
        let step = Step { to: to.to_owned(), from: from.to_owned(), status, reason, seconds };
        self.reporter.update(|result| result.ladder.push(step));
        done
    }

    /// One move in place: converged, proven to be what was sent, on its images, with the data still there.
    pub(super) async fn upgrade(
        &self,
        tier: &mut TierRun,
        app: &mut App,
        goal: &Goal<'_>,
        deploying: &Deploying<'_>,
        examiner: &mut Examiner<'_>,
    ) -> Result<Rendered, TierStop> {
        let Goal { side, name, commit } = *goal;
        let since = Instant::now();
        let (rendered, added) = match side::take(self.setup, app, side, (commit, Some(name))).await {
            Ok(taken) => taken,
            // Head is refused as a whole; an old release is not deployed, and its step is red.
            Err(error) if side == Side::Between && error.fault() == Fault::Refused => {
                return Err(tier.failed("the compose gate lets it through", since, error.to_string()));
            }
            Err(error) => {
                return Err(deploying.stop(tier, &format!("compose of {name} is sound"), since, error));
            }
        };
        if !added.is_empty() {
            let line = format!("new secrets of {name} were added to the .env: {}", added.join(", "));
            self.reporter.update(|result| result.customisation.push(line));
        }
        let docker = deploying.docker;
        let objects = standing::lasting(docker, app).await?;
        if side == Side::Between {
            self.count_deploy(deploying.lock);
        }
        // What leads to the tasks before closes while the next ones go to the swarm.
        let landing = deploying.land(tier, app, &rendered, side, commit);
        let (landed, ()) = tokio::join!(landing, examiner.detach());
        let landed = landed?;
        self.say_limits(&landed.deployed.limits);
        let (deployed, settled, early) =
            examiner.settle(tier, app, &rendered, (deploying, landed), Data::Expect).await?;
        if !tier.leaves_out_generic() {
            self.has_moved(tier, app, goal, docker, &deployed).await?;
            standing::images_are_those_of(tier, app, name, &rendered, &settled)?;
            if side == Side::Head {
                crate::pinned::tags_follow_digests(docker, tier, &self.reporter.result()).await?;
            }
            standing::kept(docker, tier, app, &objects).await?;
        }
        examiner.look(tier, app, &rendered, (&settled, early), Data::Expect).await?;
        if side == Side::Head {
            // The recipe's own checks know head; what an older release did not have is no fault of it.
            examiner.checks(tier).await?;
        }
        Ok(rendered)
    }

    /// What runs is the commit that was sent.
    async fn has_moved(
        &self,
        tier: &mut TierRun,
        app: &App,
        Goal { name, commit, .. }: &Goal<'_>,
        docker: &Docker,
        deployed: &Deployed,
    ) -> Result<(), TierStop> {
        let since = Instant::now();
        let labels = snapshot::service_labels(docker, &app.stack, "app")
            .await
            .map_err(|error| standing::ours(&error))?;
        let label = labels.get(&format!("coop-cloud.{}.chaos-version", app.stack));
        let check = format!("{name} is what runs");
        match proves_head(label.map(String::as_str), commit) {
            Ok(()) => {
                tier.passed(&check, since, deployed.chaos_version.clone());
                Ok(())
            }
            Err(error) => Err(tier.failed(&check, since, error.to_string())),
        }
    }
}
