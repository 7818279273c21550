//! The judge of deployments: whether what was deployed really runs, will never run, or is not known yet.
//!
//! What the states mean was measured: each update call clears the update status; `updating` appears only if a
//! task has to be replaced; a first deployment never has a status; `completed` comes also when every task failed
//! (failure action `continue`), when a task dies after the monitor window, and at a restart of the engine. So the
//! status can say no, and only the tasks themselves, watched for a while, can say yes.

use std::collections::BTreeMap;
use std::time::Duration;

mod blame;
mod ending;
mod failure;
mod host_fault;
#[cfg(test)]
mod tests;

use ending::{ONE_SHOT, count, ended_well, gave_up, is_one_shot, job_waits_for};
pub use failure::Failure;
pub use host_fault::{HostFault, host_fault, placement_fault};

use blame::Blame;

/// How long a task may be `new`: longer means that it gets no address, which swarm reports nowhere.
const ALLOCATION: Duration = Duration::from_secs(6);
/// How long no node may be able to take a task; a port held by the old task becomes free before that.
const PLACEMENT: Duration = Duration::from_secs(30);
/// How long after a container was killed the engine may take to say that it went over its memory limit.
const WORD_ON_MEMORY: Duration = Duration::from_millis(1500);
/// Exit status of a container that was killed: 128 and the number of the signal.
const KILLED: i64 = 137;
/// How long after the deploy a service may be missing or be the old one; the answer of the API is immediate.
const SPEC_VISIBLE: Duration = Duration::from_secs(5);
/// How long a service without any live task is watched before it is said that its restart policy gave up.
const SILENCE: Duration = Duration::from_secs(3);
/// A service that fails while others still start may be waiting for them: it may fail so many times as often.
const PATIENCE_WHILE_OTHERS_START: usize = 3;

/// State of a task, in the order swarm goes through them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TaskState {
    /// Made, no address yet.
    New,
    /// Has addresses, no node, or waits for a node that can take it.
    Pending,
    /// On its node: image and container are made.
    Preparing,
    /// The container is made and not started.
    Ready,
    /// Started, its health check has not passed yet.
    Starting,
    /// Runs, and is healthy if it has a health check.
    Running,
    /// Ended with status 0.
    Complete,
    /// Ended because it was told to.
    Shutdown,
    /// Ended by itself with an error, or was never healthy.
    Failed,
    /// Refused by the node.
    Rejected,
    /// Removed or lost with its node.
    Gone,
}

impl TaskState {
    fn is_over(self) -> bool {
        self >= Self::Complete
    }

    fn word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Pending => "pending",
            Self::Preparing => "preparing",
            Self::Ready => "ready",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Complete => "complete",
            Self::Shutdown => "shut down",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
            Self::Gone => "gone",
        }
    }
}

/// Swarm's own word on an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateState {
    /// Tasks are being replaced.
    Updating,
    /// All tasks were replaced; says nothing about their health.
    Completed,
    /// Stopped after a failure.
    Paused,
    /// On its way back to the former spec.
    RollbackStarted,
    /// The way back failed as well.
    RollbackPaused,
    /// The former spec runs again.
    RollbackCompleted,
}

impl std::fmt::Display for UpdateState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Updating => "updating",
            Self::Completed => "completed",
            Self::Paused => "paused",
            Self::RollbackStarted => "rollback_started",
            Self::RollbackPaused => "rollback_paused",
            Self::RollbackCompleted => "rollback_completed",
        })
    }
}

/// `UpdateStatus` of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateStatus {
    /// The state.
    pub state: UpdateState,
    /// When that update began, in the engine's words; the same from `updating` to the end of a rollback.
    pub started: String,
    /// Swarm's message; names the task that failed.
    pub message: String,
}

/// What the deploy changed about a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The service was not there before: there is no update and no status.
    First,
    /// Its tasks have to be replaced: the task template differs, or an `updating` event was seen.
    Tasks,
    /// Only labels or nothing at all: no task is replaced and no status ever appears.
    Nothing,
}

/// How many tasks a service is to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// So many, 0 included.
    Replicated(u64),
    /// One per node that can take it.
    Global,
    /// Runs to an end by itself: so many tasks have to end with status 0; `None` for one per node that can take it.
    Job(Option<u64>),
}

/// When swarm starts another task for one that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartCondition {
    /// Always.
    Any,
    /// After an error only.
    OnFailure,
    /// Never.
    None,
}

/// What was handed to the swarm for one service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sent {
    /// Labels the service must carry, e.g. the commit label; others may be there as well.
    pub labels: BTreeMap<String, String>,
    /// The image, compared without its digest; `None` if it is not to be compared.
    pub image: Option<String>,
}

/// One task as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskFacts {
    /// Swarm's id.
    pub id: String,
    /// Which of the replicas it is; 0 in global mode.
    pub slot: u64,
    /// Whether its own spec is the service's present task template, and of a job its present execution.
    pub is_current: bool,
    /// Whether its own spec is the task template from before the deploy.
    pub is_former: bool,
    /// Whether the task was there before the deploy began.
    pub is_known_before: bool,
    /// Its state.
    pub state: TaskState,
    /// Whether swarm wants it to run.
    pub is_wanted: bool,
    /// The engine's error, empty if there is none.
    pub error: String,
    /// Exit status of its container.
    pub exit_code: Option<i64>,
    /// For how long it has been seen in this state, by the watcher's own clock.
    pub in_state: Duration,
    /// Health of its container where there is a health check.
    pub is_healthy: Option<bool>,
    /// Whether the kernel killed something in it for want of memory.
    pub is_out_of_memory: bool,
    /// Whether its own spec limits its memory: that of the service may be another one again by now.
    pub has_memory_limit: bool,
}

/// One service as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceFacts {
    /// Full name, `<stack>_<service>`.
    pub name: String,
    /// Whether the swarm has it.
    pub is_present: bool,
    /// How many tasks it is to have.
    pub mode: Mode,
    /// When ended tasks are replaced.
    pub restart: RestartCondition,
    /// What was sent; `None` for a service that is not the deploy's.
    pub sent: Option<Sent>,
    /// Labels of its spec.
    pub labels: BTreeMap<String, String>,
    /// Image of its task template.
    pub image: String,
    /// What the deploy changed.
    pub change: Change,
    /// Its update status.
    pub update: Option<UpdateStatus>,
    /// Begin of the update whose status stood there before the deploy.
    pub update_before: Option<String>,
    /// Its tasks, also those that swarm no longer lists.
    pub tasks: Vec<TaskFacts>,
    /// Names of its networks that got no subnet; if all have one, names of all.
    pub networks: Vec<String>,
    /// Ports of the host that it takes for itself, without swarm's load balancing.
    pub host_ports: Vec<u16>,
}

/// All that is known at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Every service of the stack, and every service that was sent.
    pub services: Vec<ServiceFacts>,
    /// Time since the deploy returned.
    pub elapsed: Duration,
    /// Whether the engine was lost meanwhile; ages in [`TaskFacts::in_state`] then begin anew.
    pub is_engine_restarted: bool,
}

/// Bounds of the judgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// All the time there is; a recipe's own limit.
    pub time: Duration,
    /// For how long all tasks must have run; longer than swarm's own monitor (5 s), after which it stops looking.
    pub stability: Duration,
    /// So many failed tasks of one service within [`Limits::loop_window`] are a restart loop.
    pub loop_failures: usize,
    /// The window for it.
    pub loop_window: Duration,
}

impl Default for Limits {
    /// 300 s; 8 s, since a crash at 7 s was seen to pass swarm's monitor; five failures in 180 s: with the default
    /// delay of 5 s that is half a minute for an app that crashes at once, and patience for one that
    /// fails a few times until its database listens.
    fn default() -> Self {
        Self {
            time: Duration::from_secs(300),
            stability: Duration::from_secs(8),
            loop_failures: 5,
            loop_window: Duration::from_secs(180),
        }
    }
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// Not decided; the sentence says what is being waited for.
    NotYet(String),
    /// What was deployed runs and has run for the stability window; nothing of the old is left.
    Converged,
    /// It will not settle.
    Failed(Failure),
}

/// Judges a deployment.
#[must_use]
pub fn judge(facts: &Facts, limits: &Limits) -> Judgement {
    let waiting: Vec<Option<String>> =
        facts.services.iter().map(|service| waits_for(service, facts.elapsed, limits)).collect();
    let failure = facts
        .services
        .iter()
        .enumerate()
        .filter_map(|(index, service)| {
            let others_start =
                facts.services.iter().enumerate().any(|(other, facts)| other != index && is_starting(facts));
            failure_of(&Blame::new(service, &facts.services), facts.elapsed, limits, others_start)
        })
        .min_by_key(Failure::distance_from_cause);
    let failure = failure.or_else(|| {
        let last = waiting.iter().flatten().next()?;
        let hosts = || facts.services.iter().find_map(|one| Blame::new(one, &facts.services).of_the_latest());
        let over = || Failure::TimeLimit { limit: limits.time, last: last.clone() };
        (facts.elapsed > limits.time).then(|| hosts().unwrap_or_else(over))
    });
    match failure {
        Some(failure) if facts.is_engine_restarted => {
            Judgement::Failed(Failure::EngineRestarted { then: Box::new(failure) })
        }
        Some(failure) => Judgement::Failed(failure),
        None => match waiting.into_iter().flatten().next() {
            Some(reason) => Judgement::NotYet(reason),
            None => Judgement::Converged,
        },
    }
}

/// The status of the update that this deploy began; a status from before it is not its outcome.
fn own_update(service: &ServiceFacts) -> Option<&UpdateStatus> {
    service.update.as_ref().filter(|update| service.update_before.as_deref() != Some(&update.started))
}

/// Failed tasks that the deploy is answerable for: made after it began, and not those of the spec it went back to.
fn failures(service: &ServiceFacts) -> impl Iterator<Item = &TaskFacts> {
    service.tasks.iter().filter(|task| {
        matches!(task.state, TaskState::Failed | TaskState::Rejected)
            && !task.is_known_before
            && (!task.is_former || service.change == Change::Nothing)
    })
}

fn is_starting(service: &ServiceFacts) -> bool {
    failures(service).next().is_none()
        && service.tasks.iter().any(|task| task.is_wanted && task.state < TaskState::Running)
}

fn words(task: &TaskFacts) -> String {
    match (task.error.as_str(), task.exit_code) {
        ("", Some(code)) => format!("exit status {code}"),
        ("", None) => format!("task {}", task.state.word()),
        (error, _) => error.to_owned(),
    }
}

fn failure_of(blame: &Blame<'_>, elapsed: Duration, limits: &Limits, others_start: bool) -> Option<Failure> {
    let service = blame.service();
    let name = || service.name.clone();
    if !service.is_present {
        return (service.sent.is_some() && elapsed > SPEC_VISIBLE)
            .then(|| Failure::Missing { service: name() });
    }
    if let Some(image) = failures(service).find_map(|task| missing_image(&task.error)) {
        return Some(Failure::ImageMissing { service: name(), image });
    }
    if let Some(failure) = stuck_task(blame) {
        return Some(failure);
    }
    if word_on_memory_may_come(service) {
        return None;
    }
    let is_over_its_limit = |task: &TaskFacts| task.is_out_of_memory && task.has_memory_limit;
    let out_of_memory = failures(service).any(is_over_its_limit);
    let told = |failure: Failure| {
        if out_of_memory {
            Failure::OutOfMemory { service: name(), then: failure.to_string() }
        } else {
            failure
        }
    };
    let cause = failures(service).min_by_key(|task| task.in_state).map(words).unwrap_or_default();
    if let Some(UpdateStatus { state, message, .. }) = own_update(service) {
        let message = message.clone();
        // Swarm pauses or goes back at the first failed task, so that one's error is the cause.
        let hosts = || blame.of_the_first();
        match state {
            UpdateState::Updating | UpdateState::Completed => {}
            UpdateState::Paused => {
                let recipes = || told(Failure::Paused { service: name(), message, cause });
                return Some(hosts().unwrap_or_else(recipes));
            }
            UpdateState::RollbackStarted | UpdateState::RollbackPaused | UpdateState::RollbackCompleted => {
                let recipes = || told(Failure::RolledBack { service: name(), state: *state, message, cause });
                return Some(hosts().unwrap_or_else(recipes));
            }
        }
    }
    let rejected = |task: &&TaskFacts| task.state == TaskState::Rejected;
    let (recipes, hosts): (Vec<&TaskFacts>, Vec<&TaskFacts>) =
        failures(service).filter(rejected).partition(|task| blame.host_fault(task).is_none());
    if let [_, .., last] = recipes.as_slice() {
        return Some(Failure::TaskRejected { service: name(), error: words(last) });
    }
    if hosts.len() > 1
        && let Some(failure) = blame.of_the_latest()
    {
        return Some(failure);
    }
    if let Some(failure) = restarts(blame, limits, others_start, &cause) {
        return Some(if failure.is_trouble() { failure } else { told(failure) });
    }
    if elapsed > SPEC_VISIBLE { differs(service) } else { None }
}

/// A task that will never start, although swarm reports no error: no address, or no node.
fn stuck_task(blame: &Blame<'_>) -> Option<Failure> {
    let service = blame.service();
    let wanted = || service.tasks.iter().filter(|task| task.is_wanted);
    if wanted().any(|task| task.state == TaskState::New && task.in_state > ALLOCATION) {
        let network = if service.networks.is_empty() {
            "its networks".to_owned()
        } else {
            format!("network {}", service.networks.join(", "))
        };
        return Some(Failure::AllocationFailure { service: service.name.clone(), network });
    }
    let task = wanted().find(|task| {
        task.state == TaskState::Pending && !task.error.is_empty() && task.in_state > PLACEMENT
    })?;
    blame.unplaceable(task)
}

fn restarts(blame: &Blame<'_>, limits: &Limits, others_start: bool, cause: &str) -> Option<Failure> {
    let service = blame.service();
    let recent = || failures(service).filter(|task| task.in_state <= limits.loop_window);
    let patience = if others_start { PATIENCE_WHILE_OTHERS_START } else { 1 };
    let many = limits.loop_failures.saturating_mul(patience);
    let recipes = recent().filter(|task| blame.host_fault(task).is_none()).count();
    if recipes >= many {
        return Some(Failure::RestartLoop {
            service: service.name.clone(),
            failures: recipes,
            within: limits.loop_window,
            last_error: cause.to_owned(),
        });
    }
    if recent().count() >= many
        && let Some(failure) = blame.of_the_latest_host_fault()
    {
        return Some(failure);
    }
    let gave_up = gave_up(service)?;
    Some(blame.of_the_latest().unwrap_or(gave_up))
}

/// What the service says of itself and what was sent, where they differ.
fn differs(service: &ServiceFacts) -> Option<Failure> {
    let sent = service.sent.as_ref()?;
    let still_old = |what: String, sent: &str, found: &str| Failure::StillOld {
        service: service.name.clone(),
        what,
        sent: sent.to_owned(),
        found: if found.is_empty() { "absent".to_owned() } else { found.to_owned() },
    };
    for (key, value) in &sent.labels {
        let found = service.labels.get(key);
        if found != Some(value) {
            return Some(still_old(format!("label {key}"), value, found.map_or("", String::as_str)));
        }
    }
    let image = sent.image.as_ref()?;
    (without_digest(image) != without_digest(&service.image))
        .then(|| still_old("its image".to_owned(), image, &service.image))
}

fn without_digest(image: &str) -> &str {
    image.split('@').next().unwrap_or(image)
}

fn missing_image(error: &str) -> Option<String> {
    error.split_once("No such image: ").map(|(_, image)| image.trim().to_owned())
}

/// What a service still waits for; `None` if it has settled.
/// Whether the first task that failed was killed just now, under a memory limit: why is said by the engine in an event of
/// its own, which may come after the end of the task.
fn word_on_memory_may_come(service: &ServiceFacts) -> bool {
    failures(service).max_by_key(|task| task.in_state).is_some_and(|task| {
        let is_told = task.is_out_of_memory || task.error.contains("unhealthy");
        task.exit_code == Some(KILLED) && task.has_memory_limit && !is_told && task.in_state < WORD_ON_MEMORY
    })
}

fn waits_for(service: &ServiceFacts, elapsed: Duration, limits: &Limits) -> Option<String> {
    let name = &service.name;
    if word_on_memory_may_come(service) {
        return Some(format!("{name}: a task was killed, and why is not known yet"));
    }
    if let Some(update) = own_update(service)
        && update.state != UpdateState::Completed
        && service.is_present
        && differs(service).is_none()
    {
        return Some(format!("{name}: {}", update.state));
    }
    let up = match stands(service, elapsed) {
        Standing::No(reason) => return Some(reason),
        Standing::Uncounted => return None,
        Standing::Up(up) => up,
    };
    if elapsed < limits.stability && up == 0 && service.change == Change::Tasks {
        return Some(format!("{name}: no sign of an update yet"));
    }
    if running(service).any(|task| is_one_shot(service, task) && task.in_state < ONE_SHOT) {
        return Some(format!("{name}: it is started once, waiting {} s for its end", ONE_SHOT.as_secs()));
    }
    (!matures_in_of(service, limits).is_zero())
        .then(|| format!("{name}: {up} of {up} running, watching for {} s", limits.stability.as_secs_f32()))
}

/// Whether a service has the tasks it is to have at this moment, however young they are.
enum Standing {
    /// What is missing.
    No(String),
    /// Nothing is asked of it: it runs to an end by itself, or is gone and was not sent.
    Uncounted,
    /// So many tasks.
    Up(usize),
}

fn stands(service: &ServiceFacts, elapsed: Duration) -> Standing {
    let name = &service.name;
    if !service.is_present {
        return match service.sent {
            Some(_) => Standing::No(format!("{name} to appear")),
            None => Standing::Uncounted,
        };
    }
    if let Some(failure) = differs(service) {
        return Standing::No(failure.to_string());
    }
    if let Some(old) = service.tasks.iter().find(|task| !task.is_current && is_live(task)) {
        return Standing::No(format!("{name}: an old task is {}", old.state.word()));
    }
    let running: Vec<&TaskFacts> = running(service).collect();
    let up = running.len() + ended_well(service);
    let wanted = match service.mode {
        Mode::Replicated(replicas) => count(replicas),
        // A global service without any task has no node that may take it.
        Mode::Global if elapsed > SPEC_VISIBLE => {
            service.tasks.iter().filter(|task| task.is_wanted && !task.state.is_over()).count()
        }
        Mode::Global => service.tasks.iter().filter(|task| task.is_wanted).count().max(1),
        Mode::Job(completions) => {
            return job_waits_for(service, completions, elapsed).map_or(Standing::Uncounted, Standing::No);
        }
    };
    if up != wanted {
        return Standing::No(
            match service.tasks.iter().find(|task| task.is_wanted && task.state != TaskState::Running) {
                Some(task) => format!("{name}: {up} of {wanted} running, one is {}", told_state(task)),
                None => format!("{name}: {up} of {wanted} running"),
            },
        );
    }
    if running.iter().any(|task| task.is_healthy == Some(false)) {
        return Standing::No(format!("{name}: unhealthy"));
    }
    Standing::Up(up)
}

fn running(service: &ServiceFacts) -> impl Iterator<Item = &TaskFacts> {
    let tasks = service.tasks.iter();
    tasks.filter(|task| task.is_current && task.is_wanted && task.state == TaskState::Running)
}

/// Whether everything runs that was deployed and nothing of the old does. No verdict: what runs may be about to crash, and
/// swarm may still be watching it. Good for looking at it while the stability window passes.
#[must_use]
pub fn is_up(facts: &Facts) -> bool {
    facts.services.iter().all(|service| !matches!(stands(service, facts.elapsed), Standing::No(_)))
}

/// How long until the youngest task has stood for the stability window: if nothing happens before, a look says nothing new
/// until then.
#[must_use]
pub fn matures_in(facts: &Facts, limits: &Limits) -> Duration {
    facts.services.iter().map(|service| matures_in_of(service, limits)).max().unwrap_or_default()
}

fn matures_in_of(service: &ServiceFacts, limits: &Limits) -> Duration {
    let window = |task: &TaskFacts| if is_one_shot(service, task) { ONE_SHOT } else { limits.stability };
    let watched = running(service).map(|task| window(task).saturating_sub(task.in_state));
    let failed = failures(service).map(|task| limits.stability.saturating_sub(task.in_state));
    watched.chain(failed).max().unwrap_or_default()
}

fn told_state(task: &TaskFacts) -> String {
    if task.error.is_empty() {
        task.state.word().to_owned()
    } else {
        format!("{}: {}", task.state.word(), task.error)
    }
}

/// Whether a task runs or may come to run; one that is told to shut down lives until its container is gone.
fn is_live(task: &TaskFacts) -> bool {
    !task.state.is_over() && (task.is_wanted || task.state >= TaskState::Preparing)
}
