//! What is seen of a stack's services over time: the facts the judge asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bollard::models::{
    ContainerSummary, EndpointPortConfigPublishModeEnum, EndpointSpec, Service, ServiceSpec,
    ServiceUpdateStatusStateEnum, Task, TaskSpec, TaskSpecRestartPolicyConditionEnum,
    TaskState as SwarmState,
};
use bollard::query_parameters::{
    ListContainersOptions, ListNetworksOptions, ListServicesOptions, ListTasksOptions,
};
use cc_ci_model::convergence::{
    Change, Mode, RestartCondition, Sent, ServiceFacts, TaskFacts, TaskState, UpdateState, UpdateStatus,
};
use cc_ci_model::inventory::STACK_LABEL;
use cc_ci_model::names::StackName;

use super::SettledService;
use super::events::Events;
use super::kernel;
use crate::docker::{Attempt, Docker, DockerError};
use crate::spec::template_of;

/// From when on it is looked up why a task gets no address.
const NEW_FOR_LONG: Duration = Duration::from_secs(3);

/// Exit status of a process that was killed (128 + `SIGKILL`).
const KILLED: i64 = 137;
/// What stands in the error of a task that the engine itself killed.
const UNHEALTHY: &str = "unhealthy container";

/// A service before the deploy.
struct Former {
    template: String,
    update: Option<String>,
}

pub(super) struct Observer<'a> {
    docker: &'a Docker,
    stack: StackName,
    former: BTreeMap<String, Former>,
    known_tasks: BTreeSet<String>,
    /// Services whose tasks have to be replaced; once known, it stays so, also after a rollback.
    replaced: BTreeSet<String>,
    /// When each task was first seen in the state it is in.
    since: BTreeMap<String, (TaskState, Instant)>,
    /// Every task seen since the deploy, by service; swarm forgets all but the last few.
    tasks: BTreeMap<String, BTreeMap<String, Seen>>,
    images: BTreeMap<String, String>,
    losses: u64,
    /// How many processes the kernel had killed for want of memory when the watch began.
    kills_before: Option<u64>,
}

struct Seen {
    facts: TaskFacts,
    container: Option<String>,
}

impl<'a> Observer<'a> {
    pub(super) async fn begin(docker: &'a Docker, stack: &StackName) -> Result<Self, DockerError> {
        let services = services_of(docker, stack).await?;
        let tasks = tasks_of(docker, stack, &services).await?;
        let mut observer = Self {
            docker,
            stack: stack.clone(),
            former: BTreeMap::new(),
            known_tasks: tasks.iter().filter_map(|task| task.id.clone()).collect(),
            replaced: BTreeSet::new(),
            since: BTreeMap::new(),
            tasks: BTreeMap::new(),
            images: BTreeMap::new(),
            losses: 0,
            kills_before: kernel::kills_for_memory(),
        };
        for service in services {
            let spec = service.spec.clone().unwrap_or_default();
            let template = template_of(&spec.task_template.unwrap_or_default());
            let update = service.update_status.and_then(|status| status.started_at);
            observer.former.insert(spec.name.unwrap_or_default(), Former { template, update });
        }
        for task in &tasks {
            observer.age(task);
        }
        Ok(observer)
    }

    /// Looks once: facts of every service of the stack, and of every service that was sent.
    pub(super) async fn look(
        &mut self,
        events: &Events,
        sent: &BTreeMap<String, Sent>,
    ) -> Result<Vec<ServiceFacts>, DockerError> {
        if events.losses() != self.losses {
            // Right after a restart the lists are stale for a second or two, and an update in progress is stamped
            // as completed. So everything that was seen is forgotten, and all ages begin anew.
            self.losses = events.losses();
            self.since.clear();
            self.tasks.clear();
        }
        let services = services_of(self.docker, &self.stack).await?;
        let tasks = tasks_of(self.docker, &self.stack, &services).await?;
        let containers = containers_of(self.docker, &self.stack).await?;
        let mut facts = Vec::new();
        for service in &services {
            facts.push(self.facts_of(service, &tasks, &containers, events, sent).await?);
        }
        for (name, sent) in sent {
            if !facts.iter().any(|service| service.name == *name) {
                facts.push(missing(name, sent));
            }
        }
        Ok(facts)
    }

    /// What settled, from the last look.
    pub(super) fn settled(&self) -> BTreeMap<String, SettledService> {
        let settled = |(name, tasks): (&String, &BTreeMap<String, Seen>)| {
            let runs = |seen: &&Seen| {
                seen.facts.is_current && seen.facts.is_wanted && seen.facts.state == TaskState::Running
            };
            let failed = |seen: &&Seen| !seen.facts.is_known_before && is_failure(seen.facts.state);
            let service = SettledService {
                containers: tasks.values().filter(runs).filter_map(|seen| seen.container.clone()).collect(),
                restarts: tasks.values().filter(failed).count(),
                is_out_of_memory: tasks.values().any(|seen| seen.facts.is_out_of_memory),
                image: self.images.get(name).cloned().unwrap_or_default(),
            };
            (name.clone(), service)
        };
        self.tasks.iter().map(settled).collect()
    }

    /// Services that got new tasks since the watch began.
    pub(super) fn changed(&self) -> usize {
        let is_new = |name: &&String| !self.former.contains_key(*name) || self.replaced.contains(*name);
        self.tasks.keys().filter(is_new).count()
    }

    /// The container of a service that failed last, else any of it.
    pub(super) fn last_container(&self, service: &str) -> Option<String> {
        let tasks = self.tasks.get(service)?;
        let failed = tasks
            .values()
            .filter(|seen| seen.container.is_some() && is_failure(seen.facts.state))
            .min_by_key(|seen| seen.facts.in_state);
        failed.or_else(|| tasks.values().find(|seen| seen.container.is_some()))?.container.clone()
    }

    async fn facts_of(
        &mut self,
        service: &Service,
        tasks: &[Task],
        containers: &[ContainerSummary],
        events: &Events,
        sent: &BTreeMap<String, Sent>,
    ) -> Result<ServiceFacts, DockerError> {
        let spec = service.spec.clone().unwrap_or_default();
        let name = spec.name.clone().unwrap_or_default();
        let template = spec.task_template.clone().unwrap_or_default();
        let current = template_of(&template);
        let change = self.change(&name, service, &current, events);
        let image = template.container_spec.clone().and_then(|container| container.image).unwrap_or_default();
        let iteration = iteration_of(service);
        self.images.insert(name.clone(), image.clone());
        for task in tasks.iter().filter(|task| task.service_id == service.id) {
            let seen = self.seen(task, &name, (&current, iteration), containers, events);
            self.tasks.entry(name.clone()).or_default().insert(seen.facts.id.clone(), seen);
        }
        let listed: BTreeSet<&str> = tasks.iter().filter_map(|task| task.id.as_deref()).collect();
        let now = Instant::now();
        let own = self.tasks.entry(name.clone()).or_default();
        for seen in own.values_mut().filter(|seen| !listed.contains(seen.facts.id.as_str())) {
            let since = self.since.get(&seen.facts.id);
            forget_gently(&mut seen.facts, since, now);
        }
        let tasks: Vec<TaskFacts> = own.values().map(|seen| seen.facts.clone()).collect();
        let is_stuck = |task: &TaskFacts| task.state == TaskState::New && task.in_state > NEW_FOR_LONG;
        let networks = if tasks.iter().any(is_stuck) { self.networks_of(&spec).await? } else { Vec::new() };
        Ok(ServiceFacts {
            is_present: true,
            mode: mode_of(&spec),
            restart: restart_of(&spec),
            sent: sent.get(&name).cloned(),
            labels: spec.labels.unwrap_or_default().into_iter().collect(),
            image,
            change,
            update: update_of(service),
            update_before: self.former.get(&name).and_then(|former| former.update.clone()),
            tasks,
            networks,
            host_ports: host_ports(spec.endpoint_spec.as_ref()),
            name,
        })
    }

    fn change(&mut self, name: &str, service: &Service, current: &str, events: &Events) -> Change {
        let Some(former) = self.former.get(name) else { return Change::First };
        let is_updating_seen = service.id.as_deref().is_some_and(|id| events.is_updating_seen(id));
        if former.template != current || is_updating_seen {
            self.replaced.insert(name.to_owned());
        }
        if self.replaced.contains(name) { Change::Tasks } else { Change::Nothing }
    }

    fn seen(
        &mut self,
        task: &Task,
        service: &str,
        (current, iteration): (&str, Option<u64>),
        containers: &[ContainerSummary],
        events: &Events,
    ) -> Seen {
        let id = task.id.clone().unwrap_or_default();
        let own = template_of(&task.spec.clone().unwrap_or_default());
        // Each update of a job runs it anew; what an earlier execution came to says nothing about this one.
        let is_present_execution = iteration.is_none() || execution_of(task) == iteration;
        let status = task.status.clone().unwrap_or_default();
        let container = status.container_status.clone().unwrap_or_default();
        let container_id = container.container_id.filter(|id| !id.is_empty());
        let of_task = containers.iter().find(|container| container.id == container_id);
        let facts = TaskFacts {
            slot: task.slot.and_then(|slot| u64::try_from(slot).ok()).unwrap_or_default(),
            is_current: own == current && is_present_execution,
            is_former: self.former.get(service).is_some_and(|former| former.template == own),
            is_known_before: self.known_tasks.contains(&id),
            state: state_of(status.state),
            is_wanted: matches!(
                task.desired_state,
                Some(SwarmState::RUNNING | SwarmState::READY | SwarmState::ACCEPTED | SwarmState::COMPLETE)
            ),
            error: status.err.unwrap_or_default(),
            exit_code: container.exit_code,
            in_state: self.age(task),
            is_healthy: of_task.and_then(health_of),
            has_memory_limit: task.spec.as_ref().is_some_and(has_memory_limit),
            is_out_of_memory: container_id.as_deref().is_some_and(|id| events.is_out_of_memory(id))
                || self.is_killed_for_memory(task, container.exit_code),
            id,
        };
        Seen { facts, container: container_id }
    }

    /// The engine hears nothing where the host's own memory ends, for it listens to limits; and not always of a limit, whose
    /// control group may be gone before it is read. Then the kernel's count tells, of a container that was killed.
    fn is_killed_for_memory(&self, task: &Task, exit_code: Option<i64>) -> bool {
        let error = task.status.as_ref().and_then(|status| status.err.as_ref());
        exit_code == Some(KILLED)
            && !error.is_some_and(|error| error.contains(UNHEALTHY))
            && kernel::kills_for_memory().zip(self.kills_before).is_some_and(|(now, before)| now > before)
    }

    /// For how long the task has been seen in the state it is in.
    fn age(&mut self, task: &Task) -> Duration {
        let state = state_of(task.status.as_ref().and_then(|status| status.state));
        let now = Instant::now();
        let entry = self.since.entry(task.id.clone().unwrap_or_default()).or_insert((state, now));
        if entry.0 != state {
            *entry = (state, now);
        }
        entry.1.elapsed()
    }

    /// Names of the service's networks that got no subnet; of all, if each has one.
    async fn networks_of(&self, spec: &ServiceSpec) -> Result<Vec<String>, DockerError> {
        let attached = spec.task_template.as_ref().and_then(|template| template.networks.clone());
        let targets: BTreeSet<String> =
            attached.unwrap_or_default().into_iter().filter_map(|network| network.target).collect();
        let all = self.docker.api().list_networks(None::<ListNetworksOptions>).await;
        let all = all.attempt(|| format!("listing the networks of {}", self.stack))?;
        let named = |is_wanted: &dyn Fn(&bollard::models::Network) -> bool| -> Vec<String> {
            all.iter()
                .filter(|network| network.id.as_ref().is_some_and(|id| targets.contains(id)))
                .filter(|network| is_wanted(network))
                .filter_map(|network| network.name.clone())
                .collect()
        };
        let has_subnet = |network: &bollard::models::Network| {
            let config = network.ipam.as_ref().and_then(|ipam| ipam.config.as_ref());
            config.is_some_and(|config| !config.is_empty())
        };
        let without = named(&|network| !has_subnet(network));
        Ok(if without.is_empty() { named(&|_| true) } else { without })
    }
}

/// A task that swarm no longer lists: a failed one still counts as failed, any other is over.
fn forget_gently(facts: &mut TaskFacts, since: Option<&(TaskState, Instant)>, now: Instant) {
    facts.is_wanted = false;
    if let Some((_, since)) = since {
        facts.in_state = now.saturating_duration_since(*since);
    }
    if !is_failure(facts.state) {
        facts.state = TaskState::Gone;
    }
}

fn is_failure(state: TaskState) -> bool {
    matches!(state, TaskState::Failed | TaskState::Rejected)
}

fn missing(name: &str, sent: &Sent) -> ServiceFacts {
    ServiceFacts {
        name: name.to_owned(),
        is_present: false,
        mode: Mode::Replicated(1),
        restart: RestartCondition::Any,
        sent: Some(sent.clone()),
        labels: BTreeMap::new(),
        image: String::new(),
        change: Change::First,
        update: None,
        update_before: None,
        tasks: Vec::new(),
        networks: Vec::new(),
        host_ports: Vec::new(),
    }
}

fn has_memory_limit(template: &TaskSpec) -> bool {
    let limits = template.resources.as_ref().and_then(|resources| resources.limits.as_ref());
    limits.and_then(|limits| limits.memory_bytes).is_some_and(|bytes| bytes > 0)
}

/// Ports that its tasks take on the node itself; those of swarm's load balancer are refused when the service is made.
fn host_ports(endpoint: Option<&EndpointSpec>) -> Vec<u16> {
    let ports = endpoint.and_then(|endpoint| endpoint.ports.as_ref()).into_iter().flatten();
    let of_host = ports.filter(|port| port.publish_mode == Some(EndpointPortConfigPublishModeEnum::HOST));
    of_host.filter_map(|port| port.published_port.and_then(|port| u16::try_from(port).ok())).collect()
}

fn mode_of(spec: &ServiceSpec) -> Mode {
    let Some(mode) = &spec.mode else { return Mode::Replicated(1) };
    if let Some(job) = &mode.replicated_job {
        let completions = job.total_completions.or(job.max_concurrent);
        return Mode::Job(Some(completions.and_then(|count| u64::try_from(count).ok()).unwrap_or(1)));
    }
    if mode.global_job.is_some() {
        return Mode::Job(None);
    }
    match &mode.replicated {
        Some(replicated) => {
            Mode::Replicated(replicated.replicas.and_then(|count| u64::try_from(count).ok()).unwrap_or(1))
        }
        None => Mode::Global,
    }
}

/// Which execution of a job is the present one; `None` for what is no job.
fn iteration_of(service: &Service) -> Option<u64> {
    service.job_status.as_ref()?.job_iteration.as_ref()?.index
}

fn execution_of(task: &Task) -> Option<u64> {
    task.job_iteration.as_ref()?.index
}

fn restart_of(spec: &ServiceSpec) -> RestartCondition {
    let policy = spec.task_template.as_ref().and_then(|template| template.restart_policy.as_ref());
    match policy.and_then(|policy| policy.condition) {
        Some(TaskSpecRestartPolicyConditionEnum::NONE) => RestartCondition::None,
        Some(TaskSpecRestartPolicyConditionEnum::ON_FAILURE) => RestartCondition::OnFailure,
        Some(TaskSpecRestartPolicyConditionEnum::ANY | TaskSpecRestartPolicyConditionEnum::EMPTY) | None => {
            RestartCondition::Any
        }
    }
}

fn update_of(service: &Service) -> Option<UpdateStatus> {
    let status = service.update_status.as_ref()?;
    let state = match status.state? {
        ServiceUpdateStatusStateEnum::EMPTY => return None,
        ServiceUpdateStatusStateEnum::UPDATING => UpdateState::Updating,
        ServiceUpdateStatusStateEnum::PAUSED => UpdateState::Paused,
        ServiceUpdateStatusStateEnum::COMPLETED => UpdateState::Completed,
        ServiceUpdateStatusStateEnum::ROLLBACK_STARTED => UpdateState::RollbackStarted,
        ServiceUpdateStatusStateEnum::ROLLBACK_PAUSED => UpdateState::RollbackPaused,
        ServiceUpdateStatusStateEnum::ROLLBACK_COMPLETED => UpdateState::RollbackCompleted,
    };
    let started = status.started_at.clone().unwrap_or_default();
    Some(UpdateStatus { state, started, message: status.message.clone().unwrap_or_default() })
}

fn state_of(state: Option<SwarmState>) -> TaskState {
    match state {
        None | Some(SwarmState::NEW) => TaskState::New,
        Some(SwarmState::ALLOCATED | SwarmState::PENDING) => TaskState::Pending,
        Some(SwarmState::ASSIGNED | SwarmState::ACCEPTED | SwarmState::PREPARING) => TaskState::Preparing,
        Some(SwarmState::READY) => TaskState::Ready,
        Some(SwarmState::STARTING) => TaskState::Starting,
        Some(SwarmState::RUNNING) => TaskState::Running,
        Some(SwarmState::COMPLETE) => TaskState::Complete,
        Some(SwarmState::SHUTDOWN) => TaskState::Shutdown,
        Some(SwarmState::FAILED) => TaskState::Failed,
        Some(SwarmState::REJECTED) => TaskState::Rejected,
        Some(SwarmState::REMOVE | SwarmState::ORPHANED) => TaskState::Gone,
    }
}

/// Health as the list shows it, e.g. `Up 3 seconds (unhealthy)`; a field of its own exists from API 1.52 on.
fn health_of(container: &ContainerSummary) -> Option<bool> {
    let status = container.status.as_deref()?;
    if status.contains("(unhealthy)") {
        Some(false)
    } else if status.contains("(healthy)") {
        Some(true)
    } else {
        None
    }
}

async fn services_of(docker: &Docker, stack: &StackName) -> Result<Vec<Service>, DockerError> {
    let options = ListServicesOptions { filters: Some(by_label(stack)), status: None };
    docker.api().list_services(Some(options)).await.attempt(|| format!("listing the services of {stack}"))
}

async fn tasks_of(
    docker: &Docker,
    stack: &StackName,
    services: &[Service],
) -> Result<Vec<Task>, DockerError> {
    let ids: Vec<String> = services.iter().filter_map(|service| service.id.clone()).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let filters = [("service".to_owned(), ids)].into_iter().collect();
    let options = ListTasksOptions { filters: Some(filters) };
    docker.api().list_tasks(Some(options)).await.attempt(|| format!("listing the tasks of {stack}"))
}

async fn containers_of(docker: &Docker, stack: &StackName) -> Result<Vec<ContainerSummary>, DockerError> {
    let options = ListContainersOptions {
        all: true,
        filters: Some(by_label(stack)),
        ..ListContainersOptions::default()
    };
    docker.api().list_containers(Some(options)).await.attempt(|| format!("listing the containers of {stack}"))
}

fn by_label(stack: &StackName) -> std::collections::HashMap<String, Vec<String>> {
    [("label".to_owned(), vec![format!("{STACK_LABEL}={stack}")])].into_iter().collect()
}
