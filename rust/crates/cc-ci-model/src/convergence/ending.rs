//! Tasks that run to an end by themselves: jobs, one-shot helpers, and what gave up.

use super::{
    Change, Duration, Failure, Mode, RestartCondition, SILENCE, SPEC_VISIBLE, ServiceFacts, TaskFacts,
    TaskState, told_state, words,
};

/// A task that is never started again and has no health check is as a rule a one-shot helper: so long its end is waited for,
/// before one that still runs is taken for a server.
pub(super) const ONE_SHOT: Duration = Duration::from_secs(30);

/// A service none of whose tasks is left, and not because they ended well.
pub(super) fn gave_up(service: &ServiceFacts) -> Option<Failure> {
    // Also one that failed between two looks of ours, before this watch began: nothing else will ever come.
    let failed = |task: &&TaskFacts| {
        matches!(task.state, TaskState::Failed | TaskState::Rejected)
            && (task.is_current || !task.is_known_before)
            && (!task.is_former || service.change == Change::Nothing)
    };
    let last = service.tasks.iter().filter(failed).min_by_key(|task| task.in_state)?;
    let is_silent =
        last.in_state > SILENCE && !service.tasks.iter().any(|task| task.is_wanted && !task.state.is_over());
    let has_ended_well = match service.mode {
        Mode::Replicated(wanted) | Mode::Job(Some(wanted)) => ended_well(service) >= count(wanted),
        Mode::Global | Mode::Job(None) => ended_well(service) > 0,
    };
    (is_silent && !has_ended_well)
        .then(|| Failure::GaveUp { service: service.name.clone(), last_error: words(last) })
}

pub(super) fn count(replicas: u64) -> usize {
    usize::try_from(replicas).unwrap_or(usize::MAX)
}

/// Whether a running task may be a helper that is about to end: started once by this deploy, and without a health check.
pub(super) fn is_one_shot(service: &ServiceFacts, task: &TaskFacts) -> bool {
    service.restart == RestartCondition::None && task.is_healthy.is_none() && !task.is_known_before
}

/// What a job still waits for: that it runs proves nothing, that it ended with status 0 does.
pub(super) fn job_waits_for(
    service: &ServiceFacts,
    completions: Option<u64>,
    elapsed: Duration,
) -> Option<String> {
    let name = &service.name;
    let done = ended_well(service);
    let under_way =
        service.tasks.iter().find(|task| task.is_current && task.is_wanted && !task.state.is_over());
    let wanted = match completions {
        Some(wanted) => count(wanted),
        // Without any task there is no node that may take it.
        None if elapsed > SPEC_VISIBLE => done + usize::from(under_way.is_some()),
        None => done.max(1) + usize::from(under_way.is_some() && done > 0),
    };
    match under_way {
        Some(task) => Some(format!("{name}: {done} of {wanted} completed, one is {}", told_state(task))),
        None => (done < wanted).then(|| format!("{name}: {done} of {wanted} completed")),
    }
}

/// Tasks that ended with status 0 and are not to be started again, as jobs and one-shot helpers of recipes do.
pub(super) fn ended_well(service: &ServiceFacts) -> usize {
    let complete = service.tasks.iter().filter(|task| task.is_current && task.state == TaskState::Complete);
    match (service.mode, service.restart) {
        // One per node, and all of them with slot 0.
        (Mode::Job(None), _) => return complete.count(),
        // Swarm starts no task of a job again that ended with 0, whatever its policy.
        (Mode::Job(Some(_)), _) | (_, RestartCondition::OnFailure | RestartCondition::None) => {}
        (Mode::Replicated(_) | Mode::Global, RestartCondition::Any) => return 0,
    }
    let mut slots: Vec<u64> = complete
        .map(|task| task.slot)
        .filter(|slot| {
            !service.tasks.iter().any(|task| task.slot == *slot && task.is_wanted && !task.state.is_over())
        })
        .collect();
    slots.sort_unstable();
    slots.dedup();
    slots.len()
}
