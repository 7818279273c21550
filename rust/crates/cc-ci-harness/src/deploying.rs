//! One deploy, from images to a judged, settled stack.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use cc_ci_model::convergence::{Limits as ConvergenceLimits, Sent};
use cc_ci_model::deploy_overlay::RUN_LABEL;
use cc_ci_model::names::CommitSha;
use cc_ci_model::outcome::Trouble;
use cc_ci_model::plausible::Settling;
use cc_ci_model::result::Image;
use cc_ci_process::cancel::Cancellation;
use cc_ci_swarm::convergence::{Converging, Running, Settled, Unsettled};
use cc_ci_swarm::docker::Docker;
use cc_ci_swarm::image_lock::{ImageLockError, ImagesInUse, use_images};
use cc_ci_swarm::lock::HeldLock;
use cc_ci_swarm::native::{App, DeployError, Deployed, Fault, NativeDeployer, Rendered, SecretSources};
use cc_ci_swarm::pull::{PullError, pull_missing};
use cc_ci_swarm::registry_login::Logins;
use cc_ci_swarm::spec_gate;

use tokio::sync::watch;

use crate::report::Reporter;
use crate::side::Side;
use crate::standing;
use crate::tier_run::{TierRun, TierStop};

/// Pulling has a budget of its own, apart from converging: several large images on a slow line take minutes.
const PULL_LIMIT: Duration = Duration::from_secs(900);

/// What a deploy needs beside the app.
pub struct Deploying<'a> {
    /// The engine.
    pub docker: &'a Docker,
    /// The deployer.
    pub deployer: &'a NativeDeployer,
    /// The lock of the domain.
    pub lock: &'a HeldLock,
    /// The state folder, where the lock of the images lies.
    pub state: &'a Path,
    /// The run's cancellation.
    pub cancellation: &'a Cancellation,
    /// The run's reporter.
    pub reporter: &'a Reporter,
    /// Time to converge and the stability window behind it.
    pub limits: ConvergenceLimits,
    /// Logins to registries.
    pub logins: &'a Logins,
    /// Values of secrets that are not made anew.
    pub secrets: SecretSources<'a>,
}

/// A deploy that the swarm has accepted; whether it stands is not known yet.
pub struct Landed<'a> {
    /// What the deployer says.
    pub deployed: Deployed,
    side: Side,
    converging: Converging<'a>,
    sent: BTreeMap<String, Sent>,
    since: Instant,
    /// Held until the tasks run: what a container is made of cannot be removed.
    _images: ImagesInUse,
}

impl<'a> Deploying<'a> {
    /// Pulls, makes secrets, deploys. Each step is a check of the tier with a name of its own.
    ///
    /// # Errors
    /// [`TierStop`]: whose fault it is.
    pub async fn land(
        &self,
        tier: &mut TierRun,
        app: &App,
        rendered: &Rendered,
        side: Side,
        commit: &CommitSha,
    ) -> Result<Landed<'a>, TierStop> {
        let images = self.use_images(tier).await?;
        self.pull(tier, rendered, side).await?;
        let since = Instant::now();
        let masker = self.reporter.masker();
        match app.make_secrets(self.docker, rendered, self.secrets, masker, self.lock).await {
            Ok(made) if made.is_empty() => {}
            Ok(made) => tier.passed("secrets are made", since, made.join(", ")),
            Err(error) => return Err(self.stop(tier, "secrets are made", since, error)),
        }
        let since = Instant::now();
        let place = tier.tier().word().to_owned();
        let converging = Converging::begin(self.docker, &app.stack).await.map_err(|error| {
            TierStop::Trouble(Trouble { what: error.to_string(), place: place.clone(), retry: true })
        })?;
        self.reporter.progress(&format!("deploying {}", side.word()));
        tier.deploys(since, if side == Side::Elsewhere { side.word() } else { tier.tier().word() });
        let deployed = match self.deployer.deploy(app, rendered, commit, self.lock).await {
            Ok(deployed) => deployed,
            Err(error) => return Err(self.stop(tier, "deploy is accepted", since, error)),
        };
        match spec_gate::judge(self.docker, &app.stack).await {
            Ok(found) if found.is_empty() => {}
            Ok(found) => return Err(TierStop::Refused(found.join("; "))),
            Err(error) => {
                return Err(TierStop::Trouble(Trouble { what: error.to_string(), place, retry: true }));
            }
        }
        for remark in &deployed.remarks {
            self.reporter.log(&format!("docker: {remark}"));
        }
        if side != Side::Base {
            // What head no longer names would only be judged by what it is not part of any more.
            standing::remove_dropped(self.docker, self.lock, tier, app, rendered).await?;
        }
        let sent = sent(app, rendered, &deployed);
        Ok(Landed { deployed, side, converging, sent, since, _images: images })
    }

    /// Waits until what landed stands; `up` hears what runs as soon as everything does, before it is known to last.
    ///
    /// # Errors
    /// [`TierStop`]: whose fault it is.
    pub async fn settle(
        &self,
        tier: &mut TierRun,
        landed: Landed<'a>,
        up: &watch::Sender<Option<Running>>,
    ) -> Result<(Deployed, Settled), TierStop> {
        let Landed { deployed, side, converging, sent, since, _images } = landed;
        let place = tier.tier().word().to_owned();
        let progress = |text: &str| self.reporter.progress(&format!("{}: {text}", side.word()));
        match converging.wait_and_tell(&sent, &self.limits, self.cancellation, progress, up).await {
            Ok(settled) => {
                tier.settled(Settling { took: settled.took, changed: settled.changed });
                let restarts: usize = settled.services.values().map(|service| service.restarts).sum();
                let message = match restarts {
                    0 => format!("{} services, settled", settled.services.len()),
                    count => format!("{} services, settled after {count} restarts", settled.services.len()),
                };
                tier.passed("deploy converges", since, message);
                if settled.is_engine_restarted {
                    self.reporter.update(|result| {
                        result.retries.push(
                            "the engine restarted while a deploy was watched; it was watched anew".to_owned(),
                        )
                    });
                }
                Ok((deployed, settled))
            }
            Err(Unsettled::Failed { failure, log }) if failure.is_trouble() => {
                self.reporter.log(&log.join("\n"));
                Err(TierStop::Trouble(Trouble { what: failure.to_string(), place, retry: true }))
            }
            Err(Unsettled::Failed { failure, log }) => {
                let last = log.iter().rev().take(3).rev().cloned().collect::<Vec<_>>().join(" / ");
                let said = if last.is_empty() { String::new() } else { format!("; its last words: {last}") };
                Err(tier.failed("deploy converges", since, format!("{failure}{said}")))
            }
            Err(Unsettled::Cancelled { .. }) => Err(TierStop::Cancelled),
            Err(error @ Unsettled::Engine { .. }) => {
                Err(TierStop::Trouble(Trouble { what: error.to_string(), place, retry: true }))
            }
        }
    }

    async fn use_images(&self, tier: &TierRun) -> Result<ImagesInUse, TierStop> {
        let waits = || self.reporter.note("the janitor removes images — waiting");
        use_images(self.state, self.cancellation, waits).await.map_err(|error| match error {
            ImageLockError::Cancelled(_) => TierStop::Cancelled,
            ImageLockError::File { .. } | ImageLockError::TimedOut(_) => {
                let place = tier.tier().word().to_owned();
                TierStop::Trouble(Trouble { what: error.to_string(), place, retry: true })
            }
        })
    }

    async fn pull(&self, tier: &mut TierRun, rendered: &Rendered, side: Side) -> Result<(), TierStop> {
        let since = Instant::now();
        let named = rendered.compose.images();
        let names: Vec<String> = named.iter().map(|(_, image, _)| image.clone()).collect();
        self.reporter.progress(&format!("pulling {} images of {}", names.len(), side.word()));
        let pulled = match pull_missing(self.docker, &names, self.logins, PULL_LIMIT, self.cancellation).await
        {
            Ok(pulled) => pulled,
            Err(PullError::Cancelled { .. }) => return Err(TierStop::Cancelled),
            Err(error) if error.is_recipes_fault() => {
                let place = named.iter().find(|(_, image, _)| error.to_string().contains(image.as_str()));
                let place = place.map_or(String::new(), |(service, _, position)| {
                    format!(" ({position}, service {service})")
                });
                return Err(tier.failed("images are there", since, format!("{error}{place}")));
            }
            Err(error) => {
                let place = tier.tier().word().to_owned();
                return Err(TierStop::Trouble(Trouble { what: error.to_string(), place, retry: true }));
            }
        };
        let fresh = pulled.iter().filter(|image| image.took.is_some()).count();
        tier.passed("images are there", since, format!("{} images, {fresh} pulled", pulled.len()));
        if side == Side::Elsewhere {
            // They are head's, and stand in the result as such.
            return Ok(());
        }
        self.reporter.update(|result| {
            for (service, name, _) in &named {
                let digest =
                    pulled.iter().find(|image| image.image == *name).and_then(|image| image.digest.clone());
                let (service, side, name) = (service.to_string(), side.word().to_owned(), name.clone());
                let image = Image { service, side, name, digest };
                // What made room for the fresh stack comes back with the same ones.
                if !result.images.contains(&image) {
                    result.images.push(image);
                }
            }
            let bytes: u64 = pulled.iter().map(|image| image.size_bytes).sum();
            result.footprint.image_bytes = Some(result.footprint.image_bytes.unwrap_or(0).max(bytes));
        });
        Ok(())
    }

    /// Trouble in this tier, unless the run was cancelled.
    pub fn trouble(&self, tier: &TierRun, error: &dyn std::fmt::Display) -> TierStop {
        if self.cancellation.is_cancelled() {
            return TierStop::Cancelled;
        }
        let place = tier.tier().word().to_owned();
        TierStop::Trouble(Trouble { what: error.to_string(), place, retry: true })
    }

    /// Turns an error of the deployer into a failed check, trouble or a refusal.
    pub fn stop(&self, tier: &mut TierRun, check: &str, since: Instant, error: DeployError) -> TierStop {
        if self.cancellation.is_cancelled() {
            return TierStop::Cancelled;
        }
        match error.fault() {
            Fault::Recipe => tier.failed(check, since, error.to_string()),
            Fault::Refused => TierStop::Refused(error.to_string()),
            Fault::Ours => {
                let place = tier.tier().word().to_owned();
                TierStop::Trouble(Trouble { what: error.to_string(), place, retry: true })
            }
        }
    }
}

/// What each service is expected to carry once it runs: its labels and its image.
fn sent(app: &App, rendered: &Rendered, deployed: &Deployed) -> BTreeMap<String, Sent> {
    let services = rendered.compose.services.keys().map(|service| {
        let mut labels = rendered.compose.deploy_labels(service);
        labels.insert(RUN_LABEL.to_owned(), app.run.to_string());
        if service == "app" {
            labels.insert(format!("coop-cloud.{}.chaos-version", app.stack), deployed.chaos_version.clone());
        }
        let image = rendered
            .compose
            .images()
            .into_iter()
            .find(|(name, ..)| name == service)
            .map(|(_, image, _)| image);
        (format!("{}_{service}", app.stack), Sent { labels, image })
    });
    services.collect()
}
