//! The story of one run, from the request to the result.

mod climb;
mod data_tiers;
mod elsewhere;
mod on_the_swarm;
mod shared_names;
mod sides;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use cc_ci_model::event::Happening;
use cc_ci_model::lint::SharedName;
use cc_ci_model::names::{CommitSha, RunDomain, RunId};
use cc_ci_model::outcome::{Conclusion, Ending, Status, TierOutcome, Trouble, Unjudged};
use cc_ci_model::plan::Decision;
use cc_ci_model::result::{BaseName, Deploys, Elsewhere, RunResult, TierReport};
use cc_ci_model::settings::DeployerChoice;
use cc_ci_model::tier::Tier;
use cc_ci_process::cancel::{Cancellation, Cause};
use cc_ci_process::deadline::Deadline;
use cc_ci_process::mask::Masker;
use cc_ci_swarm::inventory::survey;
use cc_ci_swarm::lock::HeldLock;
use cc_ci_swarm::native::{App, Rendered};
use cc_ci_swarm::programs::Programs;
use cc_ci_swarm::reap::{Ground, Reaped, own_leftovers};
use cc_ci_swarm::record::StackRecord;
use cc_ci_swarm::teardown::Removed;
use cc_ci_swarm::zone;
use futures_util::FutureExt;

use crate::finish::{Made, Removal, World, conclude_run, remove};
use crate::folder::RunFolder;
use crate::guards::{self, Guards};
use crate::host::{self, Host};
use crate::keeping::keep;
use crate::lint_tier;
use crate::prepare::{PrepareError, Prepared, prepare};
use crate::report::{Reporter, Watcher};
use crate::setup::{Setup, WhenRed};
use crate::side::Side;
use crate::stub;

/// How a run ended, for the caller.
#[derive(Debug)]
pub enum Finished {
    /// There is a result.
    Result(Box<RunResult>, Conclusion),
    /// The request named something that is not there: exit 64, no run folder is left.
    BadArgument(String),
    /// Not even a result could be written.
    NoResult(Trouble),
}

/// Runs a recipe once. Whatever happens after the first chapters, the run ends in its teardown and its result.
pub async fn run(
    setup: Setup,
    watcher: Arc<dyn Watcher>,
    masker: &Masker,
    cancellation: &Cancellation,
) -> Finished {
    let id = stub::new_id();
    let folder = RunFolder::of(&setup.paths.runs, &id);
    let (reporter, guards) = match begin(&setup, &id, &folder, watcher, masker, cancellation) {
        Ok(begun) => begun,
        Err(what) => {
            return Finished::NoResult(Trouble { what, place: "run folder".to_owned(), retry: false });
        }
    };
    let mut story = Story::new(&setup, &id, reporter.clone(), cancellation, &guards.deadline);
    // A defect of ours ends the story, never the removal.
    let told = AssertUnwindSafe(story.tell()).catch_unwind().await;
    let ending = match told.unwrap_or_else(|_| Err(defect())) {
        Ok(()) => Ending::Completed,
        Err(Stop::BadArgument(what)) => {
            // Nothing was touched, so nothing is kept: a typo is no run.
            if let Err(error) = std::fs::remove_dir_all(folder.root()) {
                tracing::warn!(code = "stub-kept", "removing {}: {error}", folder.root().display());
            }
            return Finished::BadArgument(what);
        }
        Err(Stop::End(ending)) => ending,
    };
    let ending = why_cancelled(cancellation).filter(|_| ending != Ending::Completed).unwrap_or(ending);
    if story.is_to_be_kept(&ending) {
        // The work is done; how long a person looks has a limit of its own.
        let _standing = guards.deadline.stand();
        story.keep().await;
    }
    let (tiers, removal) = story.leave(&ending).await;
    let conclusion = conclude_run(&reporter, &tiers, &ending, removal);
    let result = reporter.result();
    match &ending {
        Ending::Refused(reason) => reporter.warn(reason.clone()),
        Ending::Trouble(trouble) => reporter.warn(format!("trouble in {}: {}", trouble.place, trouble.what)),
        Ending::Completed | Ending::Cancelled | Ending::Deadline => {}
    }
    // The bridge may be on another machine: it reads the result from this line.
    if let Ok(line) = serde_json::to_string(&result) {
        reporter.append_result_line(&line);
    }
    Finished::Result(Box::new(result), conclusion)
}

fn begin(
    setup: &Setup,
    id: &RunId,
    folder: &RunFolder,
    watcher: Arc<dyn Watcher>,
    masker: &Masker,
    cancellation: &Cancellation,
) -> Result<(Reporter, Guards), String> {
    setup.paths.create().map_err(|error| error.to_string())?;
    folder.create().map_err(|error| {
        format!(
            "making the run's folder {}: {error}; set CCCI_STATE_DIR to a folder you may write to",
            folder.root().display()
        )
    })?;
    let guards = guards::arm(setup, folder, cancellation).map_err(|error| error.to_string())?;
    let stub = stub::result(setup, id);
    let reporter = Reporter::begin(folder.clone(), masker.clone(), watcher, stub);
    Ok((reporter.map_err(|error| error.to_string())?, guards))
}

fn why_cancelled(cancellation: &Cancellation) -> Option<Ending> {
    match cancellation.cause()? {
        Cause::Deadline(_) => Some(Ending::Deadline),
        Cause::BudgetExceeded(_) => None,
        _ => Some(Ending::Cancelled),
    }
}

/// Why the story ends before its last chapter.
enum Stop {
    BadArgument(String),
    End(Ending),
}

impl From<Trouble> for Stop {
    fn from(trouble: Trouble) -> Self {
        Self::End(Ending::Trouble(trouble))
    }
}

fn trouble(place: &str, error: impl std::fmt::Display, retry: bool) -> Stop {
    Stop::End(Ending::Trouble(Trouble { what: error.to_string(), place: place.to_owned(), retry }))
}

fn defect() -> Stop {
    let what = "cc-ci itself failed in mid-run; the message is on standard error: please report it";
    trouble("cc-ci", what, false)
}

/// What a run has in its hands once it may touch the swarm.
struct Hands {
    host: Host,
    lock: HeldLock,
    record: StackRecord,
    world: World,
    /// Domain of the fresh stack that the snapshot is restored into, where the plan has one.
    elsewhere: Option<RunDomain>,
}

struct Story<'a> {
    setup: &'a Setup,
    id: &'a RunId,
    reporter: Reporter,
    cancellation: &'a Cancellation,
    deadline: &'a Deadline,
    programs: Programs,
    planned: Vec<Tier>,
    outcomes: Vec<(Tier, TierOutcome)>,
    hands: Option<Arc<Hands>>,
    /// What head does on the proxy's network under names that others may have.
    shared_names: Vec<SharedName>,
    /// Stacks that were made and removed before the end.
    removed: Vec<Removed>,
}

impl<'a> Story<'a> {
    fn new(
        setup: &'a Setup,
        id: &'a RunId,
        reporter: Reporter,
        cancellation: &'a Cancellation,
        deadline: &'a Deadline,
    ) -> Self {
        let folder = reporter.folder();
        let programs = Programs::new(&folder.home(), &folder.abra(), cancellation, reporter.masker());
        Self {
            setup,
            id,
            reporter,
            cancellation,
            deadline,
            programs,
            planned: Vec::new(),
            outcomes: Vec::new(),
            hands: None,
            shared_names: Vec::new(),
            removed: Vec::new(),
        }
    }

    /// The chapters in their order.
    async fn tell(&mut self) -> Result<(), Stop> {
        crate::drain::check(&self.setup.paths)?;
        self.check_abilities()?;
        let prepared = self.prepare().await?;
        self.announce(&prepared);
        let domain = self.domain(&prepared.head);
        let first = prepared.plan.base.as_ref().map_or(prepared.head.clone(), |base| base.commit.clone());
        let mut app = self.app(prepared.checkout.clone(), &domain, &first, &prepared).await?;
        let judged = self.judge(&mut app, &prepared, &first).await?;
        if prepared.plan.runs(Tier::Lint) {
            let (checkout, serves) = (&prepared.checkout, self.setup.recipe_toml.app.serves);
            let linted = lint_tier::run(&self.reporter, checkout, &prepared.head, &app.stack, serves).await;
            self.outcomes.push((Tier::Lint, linted));
        }
        let Some((first_side, rendered)) = judged else { return Ok(()) };
        let first = if first_side == Side::Base { first } else { prepared.head.clone() };
        let host = self.host().await?;
        let elsewhere = self.second_domain(&prepared, &domain);
        self.enter(host, &domain, elsewhere, &app).await?;
        self.install(&mut app, &prepared, &first, first_side, rendered).await
    }

    /// What this program cannot do yet is said before anything begins, not left out.
    fn check_abilities(&self) -> Result<(), Stop> {
        if self.setup.deployer == DeployerChoice::Abra {
            return Err(trouble(
                "deployer",
                "this version of cc-ci deploys natively only: use --deployer native",
                false,
            ));
        }
        if let Some(need) = self.setup.recipe_toml.needs.first() {
            let what = format!(
                "recipe.toml asks for the recipe {} beside the app, which this version of cc-ci cannot deploy",
                need.recipe
            );
            return Err(trouble("needs", what, false));
        }
        Ok(())
    }

    async fn prepare(&mut self) -> Result<Prepared, Stop> {
        let folder = self.reporter.folder().clone();
        self.reporter.progress("cloning the recipe");
        let recipe = folder.recipe(&self.setup.request.recipe);
        if let Some(parent) = recipe.parent() {
            std::fs::create_dir_all(parent).map_err(|error| trouble("checkout", error, false))?;
        }
        let config = folder.state().join("gitconfig");
        prepare(self.setup, &self.programs, &recipe, &config).await.map_err(|error| match error {
            PrepareError::BadArgument(what) => Stop::BadArgument(what),
            PrepareError::Trouble(trouble) => trouble.into(),
        })
    }

    /// Plan and customisation are printed and stored before anything is touched.
    fn announce(&mut self, prepared: &Prepared) {
        let plan = &prepared.plan;
        self.planned = plan.running().collect();
        let recipe = &self.setup.request.recipe;
        let from = plan.base.as_ref().map_or(String::new(), |base| format!(" from {}", base.name));
        self.reporter.note(format!("run {}: {recipe} at {}{from}", self.id, prepared.head.short()));
        for tier in &plan.tiers {
            let word = tier.decision.word();
            self.reporter.log(&format!("plan: {} {word}: {}", tier.tier, tier.reason));
            if tier.tier == Tier::Restore {
                let part = &plan.elsewhere;
                self.reporter.log(&format!("plan: elsewhere {}: {}", part.decision.word(), part.reason));
            }
        }
        for tier in plan.tiers.iter().filter(|tier| tier.decision == Decision::NotApplicable) {
            self.outcomes.push((tier.tier, TierOutcome::NotApplicable));
        }
        self.reporter.event(Happening::Planned { tiers: plan.tiers.clone() });
        let customisation = crate::customisation::of(self.setup, plan);
        for line in &customisation {
            match line.starts_with("!!") || line.contains(" is stale: ") {
                true => self.reporter.warn(line.clone()),
                false => self.reporter.note(format!("customised: {line}")),
            }
        }
        self.reporter.update(|result| {
            result.request.reference = Some(prepared.head.clone());
            result.plan.clone_from(&plan.tiers);
            result.elsewhere = Some(Elsewhere {
                decision: plan.elsewhere.decision.clone(),
                reason: plan.elsewhere.reason.clone(),
                status: (plan.elsewhere.decision == Decision::NotApplicable).then_some(Status::NotApplicable),
                domain: None,
                stack: None,
                seconds: 0.0,
            });
            let without_meaning = plan.tiers.iter().filter(|tier| tier.decision == Decision::NotApplicable);
            result.tiers = without_meaning
                .map(|tier| untouched(tier.tier, Status::NotApplicable, tier.reason.clone()))
                .collect();
            result.deploys = Deploys { counted: 0, expected: plan.expected_deploys };
            result.customisation = customisation;
            result.base = plan.base.as_ref().map(|base| BaseName {
                version: base.name.clone(),
                commit: base.commit.clone(),
                reason: base.reason.clone(),
            });
            result.replay = stub::replay(self.setup, Some(&prepared.head));
        });
    }

    fn domain(&self, head: &CommitSha) -> RunDomain {
        let request = &self.setup.request;
        let domain = RunDomain::of(&request.recipe, request.pr, head, &self.setup.settings.zone);
        self.reporter.update(|result| {
            result.run.domain = Some(domain.to_string());
            result.run.stack = Some(domain.stack().to_string());
        });
        domain
    }

    /// Where the snapshot is restored once more: a name of the run's own scheme, so that whoever cleans up knows it.
    fn second_domain(&self, prepared: &Prepared, first: &RunDomain) -> Option<RunDomain> {
        if prepared.plan.elsewhere.decision != Decision::Run {
            return None;
        }
        let domain =
            first.second(&self.setup.request.recipe, Tier::Restore.word(), &self.setup.settings.zone);
        self.reporter.update(|result| {
            if let Some(elsewhere) = &mut result.elsewhere {
                elsewhere.domain = Some(domain.to_string());
                elsewhere.stack = Some(domain.stack().to_string());
            }
        });
        Some(domain)
    }

    async fn host(&mut self) -> Result<Host, Stop> {
        let host = host::inspect(&self.programs, &self.setup.settings.helper_image).await?;
        zone::claim(&host.docker, &self.setup.settings.zone, &self.setup.paths.state)
            .await
            .map_err(|error| trouble("zone", error, false))?;
        let tools = stub::tools(&self.programs, &host).await;
        self.reporter.update(|result| result.tools = tools);
        if let cc_ci_swarm::docker::Ipvs::Absent(reason) = &host.ipvs {
            self.reporter.log(&format!("host: no IPVS: {reason}"));
        }
        Ok(host)
    }

    /// The lock, own leftovers, the record, the count, the survey: in this order.
    async fn enter(
        &mut self,
        host: Host,
        domain: &RunDomain,
        elsewhere: Option<RunDomain>,
        app: &App,
    ) -> Result<(), Stop> {
        let paths = &self.setup.paths;
        let limit: Duration = self.setup.settings.limits.lock_wait.into();
        let reporter = self.reporter.clone();
        // A wait for somebody else's run is none of this run's time; it has a bound of its own.
        let standing = self.deadline.stand();
        let lock =
            HeldLock::acquire(&paths.locks, domain, self.id, limit, self.cancellation, |news| match news {
                cc_ci_swarm::lock::LockNews::Waiting(_) => reporter.note(format!("{domain}: {news}")),
                cc_ci_swarm::lock::LockNews::Acquired => reporter.log(&format!("{domain}: {news}")),
            });
        let lock = lock.await.map_err(|error| trouble("lock", error, true))?;
        drop(standing);
        self.reporter.progress("looking for leftovers of an earlier run");
        let zone = &self.setup.settings.zone;
        let ground = Ground { docker: &host.docker, zone, state: &paths.state, runs: &paths.runs };
        let old = own_leftovers(&ground, &lock, self.setup.teardown_bound(), self.cancellation)
            .await
            .map_err(|error| trouble("leftovers", error, true))?;
        if old != Reaped::default() {
            self.reporter.note(format!("removed what an earlier run left: {}", old.words()));
        }
        let mut record = StackRecord::new(self.id, domain, jiff::Timestamp::now());
        record.extra_stacks.extend(elsewhere.as_ref().map(RunDomain::stack));
        record.write(&paths.state, &lock).map_err(|error| trouble("record", error, false))?;
        let before = survey(&host.docker).await.map_err(|error| trouble("survey", error, true))?;
        let world = World { before, stack: app.stack.clone(), further: record.extra_stacks.clone() };
        self.hands = Some(Arc::new(Hands { host, lock, record, world, elsewhere }));
        Ok(())
    }

    /// Install, then every tier that stands on it.
    async fn install(
        &mut self,
        app: &mut App,
        prepared: &Prepared,
        first: &CommitSha,
        first_side: Side,
        rendered: Rendered,
    ) -> Result<(), Stop> {
        let Some(hands) = self.hands.clone() else { return Ok(()) };
        self.on_the_swarm(app, prepared, first, first_side, rendered, &hands).await
    }

    /// Whether somebody wants to look at this stack: the recipe failed by itself, and it was asked for.
    fn is_to_be_kept(&self, ending: &Ending) -> bool {
        let is_red =
            self.outcomes.iter().any(|(tier, outcome)| *tier != Tier::Lint && *outcome == TierOutcome::Fail);
        self.setup.when_red == WhenRed::Keep && is_red && *ending == Ending::Completed
    }

    async fn keep(&self) {
        if let Some(hands) = &self.hands {
            keep(self.setup, self.id, &hands.lock, self.cancellation, &self.reporter).await;
        }
    }

    /// Every way out: removal and its proof, where anything can have been made; then the tiers as they stand.
    async fn leave(mut self, ending: &Ending) -> (Vec<(Tier, TierOutcome)>, Removal) {
        let removal = match self.hands.take().map(Arc::try_unwrap) {
            Some(Ok(Hands { host, lock, record, world, .. })) => {
                let (state, bound) = (&self.setup.paths.state, self.setup.teardown_bound());
                let made = Made { lock, record, gone: std::mem::take(&mut self.removed) };
                remove(&host.docker, &world, made, state, bound, &self.reporter).await
            }
            // A defect of ours: nothing can be removed, so nothing is clean, and the next sweep has the record.
            Some(Err(hands)) => Removal {
                left: vec![format!("the stack {}, which cc-ci itself still has in hand", hands.world.stack)],
                ..Removal::default()
            },
            None => {
                if let Err(error) = self.reporter.folder().remove_working_files() {
                    self.reporter.warn(format!("removing the run's working files: {error}"));
                }
                Removal::default()
            }
        };
        self.report_missing(ending);
        (self.outcomes, removal)
    }

    /// Tiers whose turn never came. After a failed tier that is no riddle: they are not counted against anybody.
    fn report_missing(&mut self, ending: &Ending) {
        let mut judged = self.outcomes.iter().filter(|(tier, _)| *tier != Tier::Lint);
        let failed = judged.find(|(_, outcome)| *outcome == TierOutcome::Fail).map(|(tier, _)| *tier);
        let missing: Vec<Tier> = self
            .planned
            .iter()
            .copied()
            .filter(|tier| self.outcomes.iter().all(|(done, _)| done != tier))
            .collect();
        for tier in missing {
            let reason = match (failed, ending) {
                (Some(failed), _) => format!("not reached, since {failed} failed"),
                (None, Ending::Refused(_)) => "not run: refused".to_owned(),
                (None, _) => "not reached".to_owned(),
            };
            let outcome = TierOutcome::Unverified(Unjudged::NotReached);
            self.reporter.update(|result| {
                let report = untouched(tier, outcome.status(), reason);
                let before_teardown = result.tiers.iter().position(|report| report.name == Tier::Teardown);
                result.tiers.insert(before_teardown.unwrap_or(result.tiers.len()), report);
            });
            self.outcomes.push((tier, outcome));
        }
    }
}

/// The report of a tier in which nothing was done.
fn untouched(name: Tier, status: Status, reason: String) -> TierReport {
    TierReport { name, status, reason, seconds: 0.0, checks: Vec::new() }
}
