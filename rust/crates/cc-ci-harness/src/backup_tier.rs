//! The backup tier: a snapshot of what is deployed, made as its labels and hooks say, that really holds the data.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use cc_ci_model::backup_plan::{
    Archived, BackupPlan, NodeKind, Selection, backup_plan, faults, folder_of, judge_dump,
};
use cc_ci_model::convergence::Limits as ConvergenceLimits;
use cc_ci_model::names::ServiceName;
use cc_ci_model::outcome::Trouble;
use cc_ci_swarm::convergence::{Converging, Settled, Unsettled};
use cc_ci_swarm::docker::{Docker, DockerError};
use cc_ci_swarm::exec::{ExecError, ExecLimits, exec, running_container};
use cc_ci_swarm::helper_container::HelperError;
use cc_ci_swarm::native::{App, Rendered};
use cc_ci_swarm::restic::{Restic, ResticError, Snapshot};
use cc_ci_swarm::stateful;

use crate::deploying::Deploying;
use crate::evidence::Evidence;
use crate::examine::Examiner;
use crate::tier_run::{TierRun, TierStop};

/// How often a backup is made at most. Repeating is fair where a container was replaced while it was dumped, if it is
/// bounded and shown.
const TRIES: u32 = 3;
/// A stack that was settled before stands for this long again before it is backed up or restored.
const STANDS: Duration = Duration::from_secs(1);
/// Dumps that are read to their end at most.
const DUMPS_READ: usize = 20;
/// Names by which a file in a volume that is archived whole is known as a dump.
const DUMP_NAMES: [&str; 6] = [".sql", ".sql.gz", ".dump", ".dump.gz", ".pgdump", ".bak.gz"];

/// What backup and restore have in their hands.
pub struct Stage<'s, 'e> {
    /// What the deploy before it had: engine, lock, cancellation, reporter, limits.
    pub deploying: &'s Deploying<'s>,
    /// The app.
    pub app: &'s App,
    /// What is deployed.
    pub rendered: &'s Rendered,
    /// Image of the helper.
    pub helper_image: &'s str,
    /// The eyes of the run.
    pub examiner: &'s mut Examiner<'e>,
}

/// A snapshot that holds what it should, and what has to be known to put it back.
pub struct Kept<'s> {
    pub(crate) plan: BackupPlan,
    pub(crate) restic: Restic<'s>,
    pub(crate) snapshot: Snapshot,
    /// By service: what its hook left in the container's own layer, outside of every volume.
    pub(crate) outside: BTreeMap<String, BTreeSet<String>>,
}

/// Why a backup, or a part of it, did not succeed by the recipe's fault.
pub(crate) struct Setback {
    pub(crate) check: String,
    pub(crate) message: String,
    /// Whether the same once more is fair.
    pub(crate) may_repeat: bool,
}

/// A setback, or a reason to end the tier that is none of the recipe's.
pub(crate) enum Halt {
    Setback(Setback),
    Stop(TierStop),
}

impl From<TierStop> for Halt {
    fn from(stop: TierStop) -> Self {
        Self::Stop(stop)
    }
}

fn setback(check: impl Into<String>, message: impl Into<String>, may_repeat: bool) -> Halt {
    Halt::Setback(Setback { check: check.into(), message: message.into(), may_repeat })
}

/// What the labels of the deployed services ask for; `None` where the stack takes no part in backups.
///
/// # Errors
/// Trouble: the engine cannot be asked.
pub async fn capability(docker: &Docker, app: &App) -> Result<Option<BackupPlan>, Trouble> {
    let facts = stateful::backup_facts(docker, &app.stack).await;
    let facts = facts.map_err(|error| Trouble {
        what: error.to_string(),
        place: "backup".to_owned(),
        retry: true,
    })?;
    Ok(backup_plan(&facts))
}

/// Plants fresh data, backs it up and looks inside the snapshot.
///
/// # Errors
/// The tier fails, is cancelled or meets trouble.
pub async fn backup<'s>(
    tier: &mut TierRun,
    stage: &mut Stage<'s, '_>,
    plan: BackupPlan,
) -> Result<Kept<'s>, TierStop> {
    let since = Instant::now();
    for warning in &plan.warnings {
        stage.deploying.reporter.warn(warning.clone());
    }
    for (volume, reason) in &plan.left_out {
        stage.deploying.reporter.log(&format!("backup: volume {volume} is {reason}"));
    }
    if !plan.faults.is_empty() {
        return Err(tier.failed("labels can be obeyed", since, plan.faults.join("; ")));
    }
    let message = format!("{} volumes, {} services with hooks", plan.volumes.len(), plan.hooks.len());
    tier.passed("labels can be obeyed", since, message);
    let checkout = stage.checkout(tier).await?;
    let (docker, lock, cancellation) =
        (stage.deploying.docker, stage.deploying.lock, stage.deploying.cancellation);
    let names = (&stage.app.stack, &stage.app.run);
    let masker = stage.deploying.reporter.masker();
    // restic takes about a second to choose how costly its key shall be: meanwhile the data is planted.
    let restic = Restic::create(docker, names, stage.helper_image, masker, lock, cancellation);
    let planted = async {
        stage.settle(tier, &plan, STANDS).await?;
        stage.examiner.mark(tier, stage.app, stage.rendered).await?;
        stage.examiner.plant(tier).await
    };
    let (restic, planted) = tokio::join!(restic, planted);
    planted?;
    let restic = restic.map_err(|error| stage.ours(tier, &error))?;
    let mut outside = BTreeMap::new();
    let mut attempt = 1;
    let snapshot = loop {
        match stage.once(tier, &plan, &restic, &mut outside).await {
            Ok(snapshot) => break snapshot,
            Err(Halt::Stop(stop)) => return Err(stop),
            Err(Halt::Setback(setback)) if setback.may_repeat && attempt < TRIES => {
                attempt += 1;
                let line = format!("backup: made again, {attempt} of {TRIES}: {}", setback.message);
                stage.deploying.reporter.note(line.clone());
                stage.deploying.reporter.update(|result| result.retries.push(line));
                stage.settle(tier, &plan, STANDS).await?;
            }
            Err(Halt::Setback(Setback { check, message, .. })) => {
                let message =
                    if attempt > 1 { format!("{message}; {attempt} backups were made") } else { message };
                return Err(tier.failed(&check, Instant::now(), message));
            }
        }
    };
    stage.checkout_is(tier, &checkout).await?;
    stage.examiner.expect(tier).await?;
    stage.examiner.checks(tier).await?;
    if !stage.examiner.has_data() {
        tier.unproven(NOTHING);
    }
    Ok(Kept { plan, restic, snapshot, outside })
}

/// Why neither backup nor restore proves anything.
pub(crate) const NOTHING: &str =
    "no data to look for: no volume may hold a marker, and recipe.toml has no [[seed]]";

impl<'s> Stage<'s, '_> {
    /// One whole backup: hooks, files, hooks, and the look inside.
    async fn once(
        &mut self,
        tier: &mut TierRun,
        plan: &BackupPlan,
        restic: &Restic<'s>,
        outside: &mut BTreeMap<String, BTreeSet<String>>,
    ) -> Result<Snapshot, Halt> {
        let begun = jiff::Timestamp::now();
        let since = Instant::now();
        let containers = self.containers(tier, plan).await?;
        for (service, hooks) in &plan.hooks {
            let Some(line) = &hooks.before_backup else { continue };
            let before = self.own_files(tier, &containers, service).await?;
            self.hook(tier, service, "backup pre-hook", line).await?;
            let after = self.own_files(tier, &containers, service).await?;
            let new: BTreeSet<String> = after.difference(&before).cloned().collect();
            outside.entry(service.clone()).or_default().extend(new);
        }
        self.deploying.reporter.progress("backing up");
        let volumes: Vec<String> = plan.volumes.keys().cloned().collect();
        let made = restic.backup(&volumes, &plan.archived_paths()).await;
        // What a hook before began, a hook behind ends: also where the backup failed.
        let mut ended = Ok(());
        for (service, hooks) in &plan.hooks {
            if let Some(line) = &hooks.after_backup {
                ended = ended.and(self.hook(tier, service, "backup post-hook", line).await);
            }
        }
        let check = "a snapshot is made";
        let is_dumped = plan.volumes.values().any(|volume| volume.is_dumped);
        let (snapshot, nodes) = match made {
            Ok(made) => made,
            Err(error) if error.is_recipes_fault() => {
                return Err(setback(check, error.to_string(), is_dumped));
            }
            Err(error) => return Err(self.ours(tier, &error).into()),
        };
        ended?;
        let time: Option<jiff::Timestamp> = snapshot.time.parse().ok();
        if time.is_none_or(|time| time < begun) {
            let what = format!("restic says its snapshot is of {}, before {begun}", snapshot.time);
            return Err(TierStop::Trouble(Trouble { what, place: "backup".to_owned(), retry: true }).into());
        }
        let now = self.containers(tier, plan).await?;
        if let Some((service, _)) = containers.iter().find(|(service, was)| now.get(*service) != Some(was)) {
            let message = format!("the container of {service} was replaced while the backup was made");
            return Err(setback(check, message, true));
        }
        let short = snapshot.id.get(..8).unwrap_or(&snapshot.id);
        let message = format!("{short}, {} files, {} bytes", snapshot.files, snapshot.bytes);
        if tier.leaves_out_generic() {
            tier.passed(check, since, message);
            return Ok(snapshot);
        }
        let found = faults(plan, &self.examiner.expected_markers(), &nodes);
        if !found.is_empty() {
            self.keep(tier, "the snapshot", &shown(&nodes));
            let may_repeat = found.iter().all(|fault| fault.is_dump);
            let messages: Vec<String> = found.into_iter().map(|fault| fault.message).collect();
            return Err(setback("the snapshot holds the data", messages.join("; "), may_repeat));
        }
        let read = self.dumps_are_whole(tier, plan, restic, &snapshot, &nodes).await?;
        tier.passed(check, since, message);
        let message = format!("{} paths, {read} dumps read to their end", plan.archived_paths().len());
        tier.passed("the snapshot holds the data", since, message);
        Ok(snapshot)
    }

    /// Reads dumps out of the snapshot to their end; returns how many.
    async fn dumps_are_whole(
        &self,
        tier: &TierRun,
        plan: &BackupPlan,
        restic: &Restic<'s>,
        snapshot: &Snapshot,
        nodes: &[Archived],
    ) -> Result<usize, Halt> {
        let dumps = dumps(plan, nodes);
        for (volume, path) in dumps.iter().take(DUMPS_READ) {
            let ends = restic.ends_of(snapshot, path).await.map_err(|error| self.ours(tier, &error))?;
            if let Err(what) = judge_dump(&ends) {
                let name = path.strip_prefix(&folder_of(volume)).unwrap_or(path).trim_start_matches('/');
                let message = format!("the dump {name} in volume {volume} {what}");
                return Err(setback("dumps are complete", message, true));
            }
        }
        Ok(dumps.len().min(DUMPS_READ))
    }

    /// The one container of each service with hooks.
    async fn containers(
        &self,
        tier: &TierRun,
        plan: &BackupPlan,
    ) -> Result<BTreeMap<String, String>, TierStop> {
        let mut containers = BTreeMap::new();
        for service in plan.hooks.keys() {
            let name = format!("{}_{service}", self.app.stack);
            let found = running_container(self.deploying.docker, &name)
                .await
                .map_err(|error| self.engine(tier, &error))?;
            containers.insert(service.clone(), found.unwrap_or_default());
        }
        Ok(containers)
    }

    async fn own_files(
        &self,
        tier: &TierRun,
        containers: &BTreeMap<String, String>,
        service: &str,
    ) -> Result<BTreeSet<String>, TierStop> {
        let Some(container) = containers.get(service).filter(|id| !id.is_empty()) else {
            return Ok(BTreeSet::new());
        };
        match stateful::own_files(self.deploying.docker, container).await {
            // It was replaced just now; the hook waits for the next one.
            Err(error) if error.is_missing() => Ok(BTreeSet::new()),
            found => found.map_err(|error| self.engine(tier, &error)),
        }
    }

    /// Runs a hook in the running container of its service, as the bot does.
    pub(crate) async fn hook(
        &self,
        tier: &mut TierRun,
        service: &str,
        which: &str,
        line: &str,
    ) -> Result<(), Halt> {
        let since = Instant::now();
        let check = format!("{which} of {service}");
        self.deploying.reporter.progress(&format!("{which} of {service}"));
        let name = ServiceName::parse(service).map_err(|error| setback(&check, error.to_string(), false))?;
        let (stack, limits) =
            (&self.app.stack, ExecLimits { output_bytes: 1 << 20, ..ExecLimits::default() });
        let words = ["sh", "-c", line];
        match exec(self.deploying.docker, stack, &name, &words, b"", limits, self.deploying.cancellation)
            .await
        {
            Ok(output) if output.code == 0 => {
                tier.passed(&check, since, "");
                Ok(())
            }
            Ok(output) => {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let (out, error) = (text(&output.stdout), text(&output.stderr));
                self.keep(
                    tier,
                    &check,
                    &format!("{line}\n\nstandard output:\n{out}\nstandard error:\n{error}\n"),
                );
                let said =
                    [error.as_str(), out.as_str()].into_iter().find_map(|text| text.trim().lines().last());
                let said = said.map_or(String::new(), |last| format!(": {last}"));
                Err(setback(
                    &check,
                    format!("the {which} of service {service} ended with {}{said}", output.code),
                    false,
                ))
            }
            Err(ExecError::Cancelled { .. }) => Err(TierStop::Cancelled.into()),
            Err(_) if self.deploying.cancellation.is_cancelled() => Err(TierStop::Cancelled.into()),
            Err(ExecError::Engine { cause, .. }) => Err(self.engine(tier, &cause).into()),
            Err(error @ ExecError::TimedOut { .. }) => Err(setback(&check, error.to_string(), false)),
            Err(error) => Err(setback(&check, error.to_string(), true)),
        }
    }

    /// Waits until the stack stands, and until exactly one task of each service with hooks runs.
    pub(crate) async fn settle(
        &self,
        tier: &mut TierRun,
        plan: &BackupPlan,
        stability: Duration,
    ) -> Result<Settled, TierStop> {
        let since = Instant::now();
        let check = "the stack stands";
        let converging = Converging::begin(self.deploying.docker, &self.app.stack).await;
        let converging = converging.map_err(|error| self.engine(tier, &error))?;
        self.wait(tier, check, since, converging, stability).await.and_then(|settled| {
            let crowded = plan.hooks.keys().find_map(|service| {
                let count = settled.services.get(&format!("{}_{service}", self.app.stack))?.containers.len();
                (count != 1).then_some((service, count))
            });
            match crowded {
                None => Ok(settled),
                Some((service, count)) => {
                    let message = format!(
                        "service {service} has hooks, which run in one container, and {count} of its containers run"
                    );
                    Err(tier.failed(check, since, message))
                }
            }
        })
    }

    /// Waits until the stack stands again after something that replaced its tasks.
    pub(crate) async fn wait(
        &self,
        tier: &mut TierRun,
        check: &str,
        since: Instant,
        converging: Converging<'_>,
        stability: Duration,
    ) -> Result<Settled, TierStop> {
        let place = tier.tier().word().to_owned();
        let limits = ConvergenceLimits { stability, ..self.deploying.limits };
        let progress = |text: &str| self.deploying.reporter.progress(text);
        match converging.wait(&BTreeMap::new(), &limits, self.deploying.cancellation, progress).await {
            Ok(settled) => Ok(settled),
            Err(Unsettled::Failed { failure, .. }) if !failure.is_trouble() => {
                Err(tier.failed(check, since, failure.to_string()))
            }
            Err(Unsettled::Cancelled { .. }) => Err(TierStop::Cancelled),
            Err(error) => Err(TierStop::Trouble(Trouble { what: error.to_string(), place, retry: true })),
        }
    }

    /// Where the checkout stands.
    pub(crate) async fn checkout(&self, tier: &TierRun) -> Result<String, TierStop> {
        let state = self.app.checkout.state().await;
        let place = tier.tier().word().to_owned();
        state.map_err(|error| TierStop::Trouble(Trouble { what: error.to_string(), place, retry: true }))
    }

    /// The recipe's checkout stands where it stood.
    pub(crate) async fn checkout_is(&self, tier: &mut TierRun, before: &str) -> Result<(), TierStop> {
        let since = Instant::now();
        if self.checkout(tier).await? == before {
            tier.passed("the checkout is untouched", since, "");
            return Ok(());
        }
        let what = "the recipe's checkout was moved or changed meanwhile".to_owned();
        Err(TierStop::Trouble(Trouble { what, place: tier.tier().word().to_owned(), retry: true }))
    }

    pub(crate) fn engine(&self, tier: &TierRun, error: &DockerError) -> TierStop {
        if self.deploying.cancellation.is_cancelled() {
            return TierStop::Cancelled;
        }
        let place = tier.tier().word().to_owned();
        TierStop::Trouble(Trouble { what: error.to_string(), place, retry: true })
    }

    pub(crate) fn ours(&self, tier: &TierRun, error: &ResticError) -> TierStop {
        if matches!(error, ResticError::Helper(HelperError::Cancelled { .. })) {
            return TierStop::Cancelled;
        }
        let place = tier.tier().word().to_owned();
        TierStop::Trouble(Trouble { what: error.to_string(), place, retry: true })
    }

    fn keep(&self, tier: &TierRun, name: &str, text: &str) {
        let masker = self.deploying.reporter.masker().clone();
        let kept =
            Evidence::new(self.deploying.reporter.folder().root(), tier.tier(), masker).keep(name, text);
        if let Some(file) = kept {
            self.deploying.reporter.log(&format!("kept: {file}"));
        }
    }
}

/// Files of the snapshot that a hook wrote, with their volumes: those a label names, and those whose name says so.
fn dumps(plan: &BackupPlan, nodes: &[Archived]) -> Vec<(String, String)> {
    let files = |volume: &str| {
        let below = format!("{}/", folder_of(volume));
        nodes.iter().filter(move |node| node.kind == NodeKind::File && node.path.starts_with(&below))
    };
    let mut dumps = Vec::new();
    for (volume, backed_up) in plan.volumes.iter().filter(|(_, backed_up)| backed_up.is_dumped) {
        let is_dump = |node: &&Archived| match &backed_up.selection {
            Selection::Paths(paths) => {
                paths.iter().any(|path| node.path == format!("{}/{path}", folder_of(volume)))
            }
            Selection::Whole => false,
        };
        let is_named = |node: &&Archived| DUMP_NAMES.iter().any(|end| node.path.ends_with(end));
        let found = files(volume).filter(|node| is_dump(node) || is_named(node));
        dumps.extend(found.map(|node| (volume.clone(), node.path.clone())));
    }
    dumps
}

fn shown(nodes: &[Archived]) -> String {
    nodes.iter().map(|node| format!("{:>12}  {}\n", node.size, node.path)).collect()
}
