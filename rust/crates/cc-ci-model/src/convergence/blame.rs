//! Whose fault a failed task is: the recipe's, unless the engine's words or the kernel say that the host is to blame.

use super::failure::Failure;
use super::host_fault::{HostFault, OUT_OF_MEMORY, host_fault, is_port, placement_fault};
use super::{ServiceFacts, TaskFacts, TaskState, failures, words};

/// One service, and those beside it in the stack.
pub(super) struct Blame<'a> {
    service: &'a ServiceFacts,
    stack: &'a [ServiceFacts],
}

impl<'a> Blame<'a> {
    pub(super) fn new(service: &'a ServiceFacts, stack: &'a [ServiceFacts]) -> Self {
        Self { service, stack }
    }

    pub(super) fn service(&self) -> &'a ServiceFacts {
        self.service
    }

    /// The fault of the host by which a task failed; `None` where it is the recipe's.
    pub(super) fn host_fault(&self, task: &TaskFacts) -> Option<HostFault> {
        let fault =
            host_fault(&task.error).filter(|fault| !(is_port(*fault) && self.takes_its_own_port(task)));
        let killed = task.is_out_of_memory && !task.has_memory_limit;
        fault.or_else(|| killed.then_some(OUT_OF_MEMORY))
    }

    /// The failure that is told where the task that failed first did so by the host's fault.
    pub(super) fn of_the_first(&self) -> Option<Failure> {
        self.told(failures(self.service).max_by_key(|task| task.in_state)?)
    }

    /// The same of the task that failed last.
    pub(super) fn of_the_latest(&self) -> Option<Failure> {
        self.told(failures(self.service).min_by_key(|task| task.in_state)?)
    }

    /// The same of the last task that failed by the host's fault, whatever failed after it.
    pub(super) fn of_the_latest_host_fault(&self) -> Option<Failure> {
        let hosts = failures(self.service).filter(|task| self.host_fault(task).is_some());
        self.told(hosts.min_by_key(|task| task.in_state)?)
    }

    /// A task that no node takes; `None` where it only waits for an old one that ends and gives its port back.
    pub(super) fn unplaceable(&self, task: &TaskFacts) -> Option<Failure> {
        let fault = placement_fault(&task.error);
        let is_port = fault.is_some_and(is_port);
        let ends = |old: &TaskFacts| !old.is_wanted && old.id != task.id && !old.state.is_over();
        if is_port && !self.service.host_ports.is_empty() && self.service.tasks.iter().any(ends) {
            return None;
        }
        let fault = fault.filter(|_| !(is_port && self.takes_its_own_port(task)));
        let service = self.service.name.clone();
        Some(match fault {
            Some(fault) => Failure::Host { service, fault, error: task.error.clone() },
            None => Failure::Unplaceable { service, error: task.error.clone() },
        })
    }

    fn told(&self, task: &TaskFacts) -> Option<Failure> {
        let fault = self.host_fault(task)?;
        Some(Failure::Host { service: self.service.name.clone(), fault, error: words(task) })
    }

    /// Whether the port is held by the stack itself: two services that publish the same one, or an update that starts the new
    /// task beside the old. No host can run that.
    fn takes_its_own_port(&self, task: &TaskFacts) -> bool {
        let shares = |other: &ServiceFacts| {
            other.name != self.service.name
                && other.host_ports.iter().any(|port| self.service.host_ports.contains(port))
        };
        let lives = |other: &TaskFacts| {
            let has_it = matches!(other.state, TaskState::Starting | TaskState::Running);
            other.id != task.id && other.is_wanted && has_it
        };
        !self.service.host_ports.is_empty()
            && (self.stack.iter().any(shares) || self.service.tasks.iter().any(lives))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, failed, failure, old, reason, rolled_back, service, task, updated};
    use super::super::{Change, Failure, ServiceFacts, TaskFacts, TaskState, UpdateState};

    const FULL: &str = "mkdir /var/lib/docker/overlay2/0a1b-init: no space left on device";
    const TAKEN: &str = "Bind for 0.0.0.0:64738 failed: port is already allocated";
    const EXIT: &str = "task: non-zero exit (1)";

    fn hosts(failure: &Failure) -> bool {
        matches!(failure, Failure::Host { .. }) && failure.is_trouble()
    }

    fn times(count: usize, error: &str) -> Vec<TaskFacts> {
        (0..count).map(|index| failed(&format!("t{index}"), error, 1.0 + index as f32)).collect()
    }

    #[test]
    fn a_restart_loop_on_a_full_disk_is_trouble_and_one_of_the_recipe_is_not() {
        let told = failure(at(20.0, vec![service(Change::First, times(3, FULL))]));
        assert!(hosts(&told), "{told}");
        assert!(told.to_string().contains("disk is full") && told.to_string().contains(FULL), "{told}");
        let told = failure(at(20.0, vec![service(Change::First, times(3, EXIT))]));
        assert!(matches!(told, Failure::RestartLoop { failures: 3, .. }) && !told.is_trouble(), "{told}");
        // Two failures of the host beside three of the recipe's own: the three suffice.
        let mut mixed = times(3, EXIT);
        mixed.extend([failed("h1", FULL, 0.2), failed("h2", FULL, 0.3)]);
        let told = failure(at(20.0, vec![service(Change::First, mixed)]));
        assert!(matches!(told, Failure::RestartLoop { failures: 3, .. }), "{told}");
    }

    #[test]
    fn a_rollback_and_a_pause_by_a_fault_of_the_host_are_trouble() {
        let attempted = |error: &str| TaskFacts { is_current: false, ..failed("t2", error, 1.0) };
        for (error, is_hosts) in [(FULL, true), (EXIT, false)] {
            let back = rolled_back(
                UpdateState::RollbackCompleted,
                vec![old("t1", TaskState::Running), attempted(error)],
            );
            assert_eq!(hosts(&failure(at(9.0, vec![back]))), is_hosts, "{error}");
            let paused = updated(UpdateState::Paused, vec![failed("t2", error, 1.0)]);
            assert_eq!(hosts(&failure(at(9.0, vec![paused]))), is_hosts, "{error}");
        }
    }

    #[test]
    fn rejected_and_given_up_tasks_are_put_to_the_host_where_its_fault_stopped_them() {
        let rejected = |id: &str, error: &str| TaskFacts {
            state: TaskState::Rejected,
            is_wanted: false,
            ..failed(id, error, 1.0)
        };
        let told =
            failure(at(6.0, vec![service(Change::First, vec![rejected("a", FULL), rejected("b", FULL)])]));
        assert!(hosts(&told), "{told}");
        let no_mount = "invalid mount config for type \"bind\"";
        let both = vec![rejected("a", no_mount), rejected("b", no_mount), rejected("c", FULL)];
        let told = failure(at(6.0, vec![service(Change::First, both)]));
        assert!(matches!(told, Failure::TaskRejected { .. }), "{told}");
        let silent = failure(at(20.0, vec![service(Change::First, vec![failed("a", FULL, 4.0)])]));
        assert!(hosts(&silent), "{silent}");
    }

    #[test]
    fn a_time_limit_that_a_fault_of_the_host_used_up_is_trouble() {
        let tasks = vec![failed("t1", FULL, 2.0), task("t2", TaskState::Preparing, 1.0)];
        let told = failure(at(61.0, vec![service(Change::First, tasks)]));
        assert!(hosts(&told), "{told}");
        let tasks = vec![failed("t1", EXIT, 2.0), task("t2", TaskState::Preparing, 1.0)];
        let told = failure(at(61.0, vec![service(Change::First, tasks)]));
        assert!(matches!(told, Failure::TimeLimit { .. }), "{told}");
    }

    #[test]
    fn port_that_somebody_else_holds_is_trouble_and_one_the_stack_takes_twice_is_the_recipes() {
        let with = |name: &str, ports: Vec<u16>, tasks: Vec<TaskFacts>| {
            let name = name.to_owned();
            ServiceFacts { name, host_ports: ports, sent: None, ..service(Change::First, tasks) }
        };
        let told = failure(at(20.0, vec![with("voice", vec![64738], times(3, TAKEN))]));
        assert!(hosts(&told), "{told}");
        assert!(told.to_string().contains("held by somebody else"), "{told}");
        let other = with("web", vec![64738], vec![task("w", TaskState::Running, 9.0)]);
        let told = failure(at(20.0, vec![with("voice", vec![64738], times(3, TAKEN)), other]));
        assert!(matches!(told, Failure::RestartLoop { .. }), "{told}");
    }

    #[test]
    fn new_task_beside_the_old_one_on_the_same_port_is_the_recipes_and_one_that_waits_for_its_end_is_no_failure()
     {
        let error = "no suitable node (host-mode port already in use on 1 node)";
        let pending = TaskFacts { error: error.to_owned(), ..task("t2", TaskState::Pending, 31.0) };
        let with = |old: TaskFacts| {
            let service = updated(UpdateState::Updating, vec![old, pending.clone()]);
            ServiceFacts { host_ports: vec![64738], ..service }
        };
        let told = failure(at(31.0, vec![with(old("t1", TaskState::Running))]));
        assert!(matches!(told, Failure::Unplaceable { .. }) && !told.is_trouble(), "{told}");
        let ending = TaskFacts { is_wanted: false, ..old("t1", TaskState::Running) };
        reason(at(31.0, vec![with(ending)]));
    }

    #[test]
    fn container_killed_without_a_limit_of_its_own_is_the_hosts_want_of_memory() {
        let mut tasks = times(3, "task: non-zero exit (137)");
        tasks.iter_mut().for_each(|task| task.is_out_of_memory = true);
        let told = failure(at(20.0, vec![service(Change::First, tasks.clone())]));
        assert!(hosts(&told) && told.to_string().contains("ran out of memory"), "{told}");
        tasks.iter_mut().for_each(|task| task.has_memory_limit = true);
        let told = failure(at(20.0, vec![service(Change::First, tasks)]));
        assert!(matches!(told, Failure::OutOfMemory { .. }) && !told.is_trouble(), "{told}");
    }
}
