//! Looking at an app while its stability window passes: what is seen counts only if the same tasks still stand at its end.

use std::pin::pin;

use cc_ci_model::outcome::Status;
use cc_ci_swarm::convergence::{Running, Settled};
use cc_ci_swarm::native::{App, Deployed, Rendered};
use tokio::sync::watch;

use crate::deploying::{Deploying, Landed};
use crate::examine::Examiner;
use crate::tier_run::{TierRun, TierStop};

/// What is done with the data of an app that serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Data {
    /// A marker is laid into each volume that is backed up whole.
    Mark,
    /// Everything that was planted is looked for.
    Expect,
}

/// What was seen before the deploy was known to stand.
pub struct Early {
    tier: TierRun,
    end: Result<(), TierStop>,
    of: Option<Running>,
    /// Whether it ended when the deploy was known to stand already: then a bad end is as good as any later one.
    is_late: bool,
}

impl Early {
    /// Whether it may stand for a look at what settled.
    fn counts_for(&self, settled: &Settled) -> bool {
        let same = self.of.as_ref() == Some(&settled.running());
        same && (self.is_late || (self.end.is_ok() && self.tier.has_only(Status::Pass)))
    }
}

impl Examiner<'_> {
    /// Waits until a deploy stands, and looks at the app meanwhile. Swarm's own watch and ours take seconds in which there is
    /// nothing else to do.
    ///
    /// # Errors
    /// The deploy does not settle: then nothing that was seen counts.
    pub async fn settle(
        &mut self,
        tier: &mut TierRun,
        app: &App,
        rendered: &Rendered,
        (deploying, landed): (&Deploying<'_>, Landed<'_>),
        data: Data,
    ) -> Result<(Deployed, Settled, Early), TierStop> {
        let aside = tier.aside();
        let up = watch::Sender::new(None);
        let hears = up.subscribe();
        let settling = deploying.settle(tier, landed, &up);
        let (result, early) = {
            let mut looking = pin!(self.look_early(aside, app, rendered, hears, data));
            let mut early = None;
            let mut settling = pin!(settling);
            let result = loop {
                tokio::select! {
                    biased;
                    result = &mut settling => break result,
                    seen = &mut looking, if early.is_none() => early = Some(seen),
                }
            };
            match (&result, early) {
                (Err(_), _) => (result, None),
                (Ok(_), Some(early)) => (result, Some(early)),
                (Ok((_, settled)), None) if up.borrow().as_ref() == Some(&settled.running()) => {
                    let early = Early { is_late: true, ..looking.await };
                    (result, Some(early))
                }
                (Ok(_), None) => (result, None),
            }
        };
        match (result, early) {
            (Err(stop), _) => {
                self.detach().await;
                Err(stop)
            }
            (Ok((deployed, settled)), Some(early)) => Ok((deployed, settled, early)),
            (Ok((deployed, settled)), None) => {
                let nothing = Early { tier: tier.aside(), end: Ok(()), of: None, is_late: false };
                Ok((deployed, settled, nothing))
            }
        }
    }

    /// The look at what settled: the early one where it counts, else another.
    ///
    /// # Errors
    /// The tier fails, or is cancelled.
    pub async fn look(
        &mut self,
        tier: &mut TierRun,
        app: &App,
        rendered: &Rendered,
        (settled, early): (&Settled, Early),
        data: Data,
    ) -> Result<(), TierStop> {
        if early.counts_for(settled) {
            tier.adopt(early.tier);
            return early.end;
        }
        self.look_now(tier, app, rendered, &settled.running(), data).await
    }

    async fn look_early(
        &mut self,
        mut tier: TierRun,
        app: &App,
        rendered: &Rendered,
        mut up: watch::Receiver<Option<Running>>,
        data: Data,
    ) -> Early {
        let of = match up.wait_for(Option::is_some).await {
            Ok(running) => running.clone(),
            // The sender outlives this look; without it there is nothing to look at.
            Err(_) => None,
        };
        let end = match &of {
            Some(running) => self.look_now(&mut tier, app, rendered, running, data).await,
            None => Ok(()),
        };
        Early { tier, end, of, is_late: false }
    }

    async fn look_now(
        &mut self,
        tier: &mut TierRun,
        app: &App,
        rendered: &Rendered,
        running: &Running,
        data: Data,
    ) -> Result<(), TierStop> {
        self.attach(tier, app, rendered, running).await?;
        self.serving(tier).await?;
        match data {
            Data::Mark => self.mark(tier, app, rendered).await,
            Data::Expect => self.expect(tier).await,
        }
    }
}
