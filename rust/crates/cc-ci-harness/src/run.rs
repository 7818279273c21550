//! The story of one run, from the request to the result.

mod data_tiers;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cc_ci_model::convergence::Limits as ConvergenceLimits;
use cc_ci_model::event::Happening;
use cc_ci_model::head_proof::proves_head;
use cc_ci_model::names::{CommitSha, RunDomain, RunId};
use cc_ci_model::outcome::{Conclusion, Ending, Status, TierOutcome, Trouble, Unjudged, Verdict};
use cc_ci_model::plan::Decision;
use cc_ci_model::result::{BaseName, Deploys, RunResult, RunState, TierReport};
use cc_ci_model::settings::DeployerChoice;
use cc_ci_model::tier::Tier;
use cc_ci_process::cancel::{Cancellation, Cause};
use cc_ci_process::mask::Masker;
use cc_ci_swarm::checkout::Checkout;
use cc_ci_swarm::inventory::survey;
use cc_ci_swarm::lock::HeldLock;
use cc_ci_swarm::native::{App, DeployError, Fault, NativeDeployer, Rendered};
use cc_ci_swarm::programs::Programs;
use cc_ci_swarm::record::StackRecord;
use cc_ci_swarm::snapshot;
use cc_ci_swarm::teardown::teardown;
use cc_ci_swarm::zone;
use futures_util::FutureExt;

use crate::admission::admit;
use crate::backup_tier::Stage;
use crate::deploying::Deploying;
use crate::examine::Examiner;
use crate::finish::{Removal, TEARDOWN_BOUND, World, conclude_run, remove};
use crate::folder::RunFolder;
use crate::guards::{self, Guards};
use crate::host::{self, Host};
use crate::lint_tier;
use crate::local_tests::copy_aside;
use crate::prepare::{PrepareError, Prepared, prepare};
use crate::report::{Reporter, Watcher};
use crate::sandbox::{LocalTests, local_tests};
use crate::setup::Setup;
use crate::side::{self, Side};
use crate::standing;
use crate::stub;
use crate::tier_run::{TierRun, TierStop};

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
    let (reporter, _guards) = match begin(&setup, &id, &folder, watcher, masker, cancellation) {
        Ok(begun) => begun,
        Err(what) => {
            return Finished::NoResult(Trouble { what, place: "run folder".to_owned(), retry: false });
        }
    };
    let mut story = Story::new(&setup, &id, reporter.clone(), cancellation);
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
}

struct Story<'a> {
    setup: &'a Setup,
    id: &'a RunId,
    reporter: Reporter,
    cancellation: &'a Cancellation,
    programs: Programs,
    planned: Vec<Tier>,
    outcomes: Vec<(Tier, TierOutcome)>,
    hands: Option<Arc<Hands>>,
}

impl<'a> Story<'a> {
    fn new(setup: &'a Setup, id: &'a RunId, reporter: Reporter, cancellation: &'a Cancellation) -> Self {
        let folder = reporter.folder();
        let programs = Programs::new(&folder.home(), &folder.abra(), cancellation, reporter.masker());
        Self {
            setup,
            id,
            reporter,
            cancellation,
            programs,
            planned: Vec::new(),
            outcomes: Vec::new(),
            hands: None,
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
            let linted = lint_tier::run(&self.reporter, &prepared.checkout, &prepared.head, &app.stack).await;
            self.outcomes.push((Tier::Lint, linted));
        }
        let Some((first_side, rendered)) = judged else { return Ok(()) };
        let first = if first_side == Side::Base { first } else { prepared.head.clone() };
        let host = self.host().await?;
        self.enter(host, &domain, &app).await?;
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
            let word = match tier.decision {
                Decision::Run => "runs",
                Decision::NotApplicable => "not applicable",
                Decision::NotPlanned => "not planned",
            };
            self.reporter.log(&format!("plan: {} {word}: {}", tier.tier, tier.reason));
        }
        for tier in plan.tiers.iter().filter(|tier| tier.decision == Decision::NotApplicable) {
            self.outcomes.push((tier.tier, TierOutcome::NotApplicable));
        }
        self.reporter.event(Happening::Planned { tiers: plan.tiers.clone() });
        let customisation = crate::customisation::of(self.setup);
        for line in &customisation {
            self.reporter.note(format!("customised: {line}"));
        }
        self.reporter.update(|result| {
            result.request.reference = Some(prepared.head.clone());
            result.plan.clone_from(&plan.tiers);
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

    async fn app(
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
    async fn set_tests_aside(&self, checkout: &Checkout, head: &CommitSha) -> Result<(), Stop> {
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

    /// Both sides are read and judged before anything is deployed. `None`: a tier failed by the recipe's fault.
    async fn judge(
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
            match side::take(self.setup, app, Side::Head, &prepared.head).await {
                Ok((rendered, _)) => match side::configs(app, &rendered) {
                    Ok(configs) => head_configs = Some(configs),
                    Err(error) => {
                        return self
                            .recipe_fault(head_tier, "compose of head is sound", error)
                            .map(|()| None);
                    }
                },
                Err(error) => {
                    return self.recipe_fault(head_tier, "compose of head is sound", error).map(|()| None);
                }
            }
            app.env = env;
        }
        let (rendered, _) = match side::take(self.setup, app, first_side, first).await {
            Ok(taken) => taken,
            Err(error) if first_side == Side::Base && error.fault() != Fault::Ours => {
                self.give_up_base(TierRun::begin(Tier::Install, &self.reporter), &error.to_string());
                return self.head_alone(app, prepared).await;
            }
            Err(error) => return self.recipe_fault(Tier::Install, "compose is sound", error).map(|()| None),
        };
        if let Some(head) = head_configs {
            let base = side::configs(app, &rendered)
                .map_err(|error| self.before_deploy(Tier::Install, "configs can be read", error))?;
            if let Some(drift) = side::drift(&base, &head) {
                return self
                    .recipe_fault(
                        Tier::Upgrade,
                        "changed configs have a new version",
                        DeployError::Recipe(drift),
                    )
                    .map(|()| None);
            }
        }
        Ok(Some((first_side, rendered)))
    }

    /// The base cannot be deployed by the recipe's own fault: that is no fault of the commit under test. Install is judged at
    /// head, and the upgrade is nobody's to judge; what was seen of the base stands in its report.
    fn give_up_base(&mut self, base: TierRun, cause: &str) {
        let reason = format!("the base release does not deploy ({cause}); install is judged at head");
        self.reporter.warn(reason.clone());
        let report = base.into_report(Tier::Upgrade, Status::Unverified, reason);
        self.reporter.update(|result| result.tiers.push(report));
        self.outcomes.push((Tier::Upgrade, TierOutcome::Unverified(Unjudged::BaseDoesNotDeploy)));
    }

    /// Head as the first and only side, with a `.env` of its own.
    async fn head_alone(
        &mut self,
        app: &mut App,
        prepared: &Prepared,
    ) -> Result<Option<(Side, Rendered)>, Stop> {
        let head = &prepared.head;
        let taken = async {
            app.checkout.switch(head).await?;
            let (abra, recipe) = (self.reporter.folder().abra(), &self.setup.request.recipe);
            app.env = side::new_env(&abra, &app.checkout, recipe, head.short(), &app.domain)?;
            side::take(self.setup, app, Side::Head, head).await
        };
        match taken.await {
            Ok((rendered, _)) => Ok(Some((Side::Head, rendered))),
            Err(error) => self.recipe_fault(Tier::Install, "compose is sound", error).map(|()| None),
        }
    }

    /// An error before the first deploy: the recipe's is a failed check of its tier, everything else ends the story.
    fn recipe_fault(&mut self, tier: Tier, check: &str, error: DeployError) -> Result<(), Stop> {
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

    fn before_deploy(&mut self, tier: Tier, check: &str, error: DeployError) -> Stop {
        match self.recipe_fault(tier, check, error) {
            Ok(()) => Stop::End(Ending::Completed),
            Err(stop) => stop,
        }
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
    async fn enter(&mut self, host: Host, domain: &RunDomain, app: &App) -> Result<(), Stop> {
        let paths = &self.setup.paths;
        let limit: Duration = self.setup.settings.limits.lock_wait.into();
        let reporter = self.reporter.clone();
        let lock =
            HeldLock::acquire(&paths.locks, domain, self.id, limit, self.cancellation, |news| match news {
                cc_ci_swarm::lock::LockNews::Waiting(_) => reporter.note(format!("{domain}: {news}")),
                cc_ci_swarm::lock::LockNews::Acquired => reporter.log(&format!("{domain}: {news}")),
            });
        let lock = lock.await.map_err(|error| trouble("lock", error, true))?;
        let inventory = survey(&host.docker).await.map_err(|error| trouble("survey", error, true))?;
        let old = inventory.of_stack(&app.stack);
        if !old.is_empty() {
            self.reporter.note(format!("removing what an earlier run left: {}", old.titles().join(", ")));
            let progress = |text: &str| self.reporter.progress(&format!("removing leftovers: {text}"));
            teardown(&host.docker, &app.stack, &lock, TEARDOWN_BOUND, self.cancellation, progress)
                .await
                .map_err(|error| trouble("leftovers", error, true))?;
        }
        let record = StackRecord::new(self.id, domain, jiff::Timestamp::now());
        record.write(&paths.state, &lock).map_err(|error| trouble("record", error, false))?;
        let before = survey(&host.docker).await.map_err(|error| trouble("survey", error, true))?;
        let world = World { before, stack: app.stack.clone() };
        self.hands = Some(Arc::new(Hands { host, lock, record, world }));
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

    async fn on_the_swarm(
        &mut self,
        app: &mut App,
        prepared: &Prepared,
        first: &CommitSha,
        first_side: Side,
        mut rendered: Rendered,
        hands: &Hands,
    ) -> Result<(), Stop> {
        admit(self.setup, &hands.host, &rendered.compose, self.cancellation, &self.reporter).await?;
        let docker = &hands.host.docker;
        let deployer = NativeDeployer::new(
            self.programs.clone(),
            docker,
            &hands.host.cli_version,
            hands.host.has_ipvs(),
        );
        let own = self.setup.settings.limits.for_recipe(&self.setup.recipe_toml.app.timeouts);
        let limits = ConvergenceLimits { time: own.deploy.into(), ..ConvergenceLimits::default() };
        let given = BTreeMap::new();
        let reporter = self.reporter.clone();
        let deploying = Deploying {
            docker,
            deployer: &deployer,
            lock: &hands.lock,
            cancellation: self.cancellation,
            reporter: &reporter,
            limits,
            given_secrets: &given,
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

        // Install: the deploy is counted only while the lock is held.
        let mut tier = TierRun::begin(Tier::Install, &reporter);
        self.count_deploy(&hands.lock);
        let mut stop = self
            .install_side(&mut tier, app, &rendered, (first_side, first), &deploying, &mut examiner)
            .await
            .err();
        if first_side == Side::Base && stop == Some(TierStop::Failed) {
            crate::failure_evidence::keep(docker, &app.stack, Tier::Upgrade, &reporter).await;
            let cause = tier.first_failure().unwrap_or_default();
            self.give_up_base(tier, &cause);
            examiner.detach().await;
            let progress = |text: &str| reporter.progress(&format!("removing the base: {text}"));
            teardown(docker, &app.stack, &hands.lock, TEARDOWN_BOUND, self.cancellation, progress)
                .await
                .map_err(|error| trouble("removal of the base", error, true))?;
            let Some((_, head)) = self.head_alone(app, prepared).await? else { return Ok(()) };
            rendered = head;
            reporter.update(|result| result.deploys.expected += 1);
            tier = TierRun::begin(Tier::Install, &reporter);
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

        if self.goes_on() && prepared.plan.runs(Tier::Upgrade) && !self.is_done(Tier::Upgrade) {
            let mut tier = TierRun::begin(Tier::Upgrade, &reporter);
            let stop = match self.upgrade(&mut tier, app, prepared, &deploying, &mut examiner).await {
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
                docker,
                lock: &hands.lock,
                cancellation: self.cancellation,
                reporter: &reporter,
                app,
                rendered: &rendered,
                helper_image: &self.setup.settings.helper_image,
                limits: deploying.limits,
                examiner: &mut examiner,
            };
            self.back_up_and_restore(stage, prepared, hands).await?;
        }
        if self.goes_on() && prepared.plan.runs(Tier::Custom) {
            let mut tier = TierRun::begin(Tier::Custom, &reporter);
            let checked = examiner.checks(&mut tier).await;
            self.end_tier(tier, checked.err(), app, hands).await?;
        }
        examiner.close().await;
        Ok(())
    }

    async fn install_side(
        &self,
        tier: &mut TierRun,
        app: &App,
        rendered: &Rendered,
        (side, commit): (Side, &CommitSha),
        deploying: &Deploying<'_>,
        examiner: &mut Examiner<'_>,
    ) -> Result<(), TierStop> {
        let deployed = deploying.deploy(tier, app, rendered, side, commit).await?;
        self.say_limits(&deployed.deployed.limits);
        examiner.attach(tier, app, rendered, &deployed.settled).await?;
        examiner.serving(tier).await?;
        examiner.checks(tier).await?;
        examiner.plant(tier, app, rendered).await
    }

    /// Head goes in place over base: converged, proven to be head, on head's images, with the data still there.
    async fn upgrade(
        &self,
        tier: &mut TierRun,
        app: &mut App,
        prepared: &Prepared,
        deploying: &Deploying<'_>,
        examiner: &mut Examiner<'_>,
    ) -> Result<Rendered, TierStop> {
        let since = Instant::now();
        let (head, added) = match side::take(self.setup, app, Side::Head, &prepared.head).await {
            Ok(taken) => taken,
            Err(error) => return Err(deploying.stop(tier, "compose of head is sound", since, error)),
        };
        if !added.is_empty() {
            self.reporter.update(|result| {
                result
                    .customisation
                    .push(format!("new secrets of head were added to the .env: {}", added.join(", ")));
            });
        }
        let docker = deploying.docker;
        let objects = standing::lasting(docker, app).await?;
        let side = deploying.deploy(tier, app, &head, Side::Head, &prepared.head).await?;
        let since = Instant::now();
        let labels = snapshot::service_labels(docker, &app.stack, "app")
            .await
            .map_err(|error| standing::ours(&error))?;
        let label = labels.get(&format!("coop-cloud.{}.chaos-version", app.stack));
        match proves_head(label.map(String::as_str), &prepared.head) {
            Ok(()) => tier.passed("head is what runs", since, side.deployed.chaos_version.clone()),
            Err(error) => return Err(tier.failed("head is what runs", since, error.to_string())),
        }
        self.say_limits(&side.deployed.limits);
        standing::images_are_heads(tier, app, &head, &side.settled)?;
        crate::pinned::tags_follow_digests(docker, tier, &self.reporter.result()).await?;
        standing::kept(docker, tier, app, &objects).await?;
        examiner.attach(tier, app, &head, &side.settled).await?;
        examiner.serving(tier).await?;
        examiner.expect(tier).await?;
        examiner.checks(tier).await?;
        Ok(head)
    }

    /// A tier's end: into the outcomes, and with logs kept where it failed. Trouble, refusal and cancel end the story.
    async fn end_tier(
        &mut self,
        tier: TierRun,
        stop: Option<TierStop>,
        app: &App,
        hands: &Hands,
    ) -> Result<(), Stop> {
        let name = tier.tier();
        let refused = matches!(stop, Some(TierStop::Refused(_)));
        if !refused && (stop.is_some() || tier.has_failed()) {
            crate::failure_evidence::keep(&hands.host.docker, &app.stack, name, &self.reporter).await;
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
    fn goes_on(&self) -> bool {
        self.outcomes.iter().all(|(tier, outcome)| *tier == Tier::Lint || *outcome != TierOutcome::Fail)
    }

    fn is_done(&self, tier: Tier) -> bool {
        self.outcomes.iter().any(|(done, _)| *done == tier)
    }

    fn count_deploy(&self, _lock: &HeldLock) {
        let path = self.reporter.folder().state().join("deploys.jsonl");
        let line = serde_json::json!({ "at": jiff::Timestamp::now().to_string() });
        if let Err(error) = cc_ci_process::atomic::append_line(&path, &line) {
            tracing::error!(code = "count-not-written", "{error}");
        }
        self.reporter.update(|result| result.deploys.counted += 1);
    }

    fn say_limits(&self, limits: &[String]) {
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

    /// Every way out: removal and its proof, where anything can have been made; then the tiers as they stand.
    async fn leave(mut self, ending: &Ending) -> (Vec<(Tier, TierOutcome)>, Removal) {
        let removal = match self.hands.take().and_then(Arc::into_inner) {
            Some(Hands { host, lock, record, world }) => {
                remove(&host.docker, &world, lock, record, &self.setup.paths.state, &self.reporter).await
            }
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

/// Whether a run that ended so is good for its caller.
#[must_use]
pub fn is_good(conclusion: &Conclusion) -> bool {
    *conclusion == Conclusion::Recipe(Verdict::Pass)
}

/// State of a result that a reader may rely on.
#[must_use]
pub fn is_settled(result: &RunResult) -> bool {
    result.run.state != RunState::Running
}
