//! The judge against every sequence that was measured on a real swarm, and those that were foreseen.

use super::*;

const LIMITS: Limits = Limits {
    time: Duration::from_secs(60),
    stability: Duration::from_secs(8),
    loop_failures: 3,
    loop_window: Duration::from_secs(60),
};

pub(super) fn task(id: &str, state: TaskState, seconds: f32) -> TaskFacts {
    TaskFacts {
        id: id.to_owned(),
        slot: 1,
        is_current: true,
        is_former: false,
        is_known_before: false,
        state,
        is_wanted: !state.is_over(),
        error: String::new(),
        exit_code: None,
        in_state: Duration::from_secs_f32(seconds),
        is_healthy: None,
        is_out_of_memory: false,
        has_memory_limit: false,
    }
}

pub(super) fn failed(id: &str, error: &str, seconds: f32) -> TaskFacts {
    TaskFacts { error: error.to_owned(), ..task(id, TaskState::Failed, seconds) }
}

pub(super) fn old(id: &str, state: TaskState) -> TaskFacts {
    TaskFacts { is_current: false, is_former: true, is_known_before: true, ..task(id, state, 30.0) }
}

pub(super) fn service(change: Change, tasks: Vec<TaskFacts>) -> ServiceFacts {
    let labels = BTreeMap::from([("chaos-version".to_owned(), "head".to_owned())]);
    ServiceFacts {
        name: "app".to_owned(),
        is_present: true,
        mode: Mode::Replicated(1),
        restart: RestartCondition::Any,
        sent: Some(Sent { labels: labels.clone(), image: Some("nginx:2".to_owned()) }),
        labels,
        image: "nginx:2".to_owned(),
        change,
        update: None,
        update_before: None,
        tasks,
        networks: vec![],
        host_ports: vec![],
    }
}

pub(super) fn updated(state: UpdateState, tasks: Vec<TaskFacts>) -> ServiceFacts {
    let update = UpdateStatus { state, started: "2".to_owned(), message: "task t2".to_owned() };
    ServiceFacts { update: Some(update), ..service(Change::Tasks, tasks) }
}

/// The spec swarm went back to: labels and image are the former ones.
pub(super) fn rolled_back(state: UpdateState, tasks: Vec<TaskFacts>) -> ServiceFacts {
    ServiceFacts {
        labels: BTreeMap::from([("chaos-version".to_owned(), "base".to_owned())]),
        image: "nginx:1".to_owned(),
        ..updated(state, tasks)
    }
}

pub(super) fn at(seconds: f32, services: Vec<ServiceFacts>) -> Judgement {
    let elapsed = Duration::from_secs_f32(seconds);
    judge(&Facts { services, elapsed, is_engine_restarted: false }, &LIMITS)
}

pub(super) fn reason(judgement: Judgement) -> String {
    match judgement {
        Judgement::NotYet(reason) => reason,
        other => panic!("expected a wait, got {other:?}"),
    }
}

pub(super) fn failure(judgement: Judgement) -> Failure {
    match judgement {
        Judgement::Failed(failure) => failure,
        other => panic!("expected a failure, got {other:?}"),
    }
}

use TaskState::{Complete, New, Pending, Preparing, Rejected, Running, Shutdown, Starting};
use UpdateState::{Completed, Paused, RollbackCompleted, RollbackPaused, RollbackStarted, Updating};

#[test]
fn first_deployment_converges_without_any_update_status() {
    assert_eq!(reason(at(0.1, vec![service(Change::First, vec![])])), "app: 0 of 1 running");
    for state in [New, Pending, Preparing, Starting] {
        let told = reason(at(0.5, vec![service(Change::First, vec![task("t1", state, 0.2)])]));
        assert_eq!(told, format!("app: 0 of 1 running, one is {}", state.word()));
    }
    let running = |seconds| vec![service(Change::First, vec![task("t1", Running, seconds)])];
    assert_eq!(reason(at(3.0, running(2.0))), "app: 1 of 1 running, watching for 8 s");
    assert_eq!(at(9.0, running(8.0)), Judgement::Converged);
}

#[test]
fn stop_first_update_of_a_healthy_service_converges() {
    let sequence = [
        (0.0, updated(Updating, vec![old("t1", Running)])),
        (1.2, updated(Updating, vec![old("t1", Shutdown)])),
        (1.5, updated(Updating, vec![old("t1", Shutdown), task("t2", Starting, 0.3)])),
        (2.2, updated(Updating, vec![old("t1", Shutdown), task("t2", Running, 0.1)])),
        (7.2, updated(Completed, vec![old("t1", Shutdown), task("t2", Running, 5.0)])),
    ];
    for (seconds, facts) in sequence {
        reason(at(seconds, vec![facts]));
    }
    let end = updated(Completed, vec![old("t1", Shutdown), task("t2", Running, 8.1)]);
    assert_eq!(at(10.3, vec![end]), Judgement::Converged);
}

#[test]
fn start_first_update_waits_for_the_old_task_to_end() {
    let both = updated(Completed, vec![old("t1", Running), task("t2", Running, 20.0)]);
    assert_eq!(reason(at(20.0, vec![both])), "app: an old task is running");
    let mut stopping = old("t1", Running);
    stopping.is_wanted = false;
    let told_to_stop = updated(Completed, vec![stopping, task("t2", Running, 20.0)]);
    assert_eq!(reason(at(20.0, vec![told_to_stop])), "app: an old task is running");
    let alone = updated(Completed, vec![old("t1", Shutdown), task("t2", Running, 20.0)]);
    assert_eq!(at(20.0, vec![alone]), Judgement::Converged);
}

#[test]
fn rollback_completed_is_not_convergence() {
    for state in [RollbackStarted, RollbackPaused, RollbackCompleted] {
        let mut attempt = failed("t2", "task: non-zero exit (3)", 1.0);
        attempt.is_current = false;
        let mut former = old("t1", Running);
        former.is_current = true;
        let told = failure(at(7.7, vec![rolled_back(state, vec![former, attempt])]));
        assert_eq!(
            told.to_string(),
            format!(
                "service app: the update failed and was rolled back ({state}): task t2: task: non-zero exit (3)"
            )
        );
        assert!(!told.is_trouble());
    }
}

#[test]
fn rollback_is_reported_before_the_labels_it_explains() {
    let mut former = task("t3", Running, 30.0);
    former.is_former = true;
    let told = failure(at(40.0, vec![rolled_back(RollbackCompleted, vec![former])]));
    assert!(matches!(told, Failure::RolledBack { state: RollbackCompleted, .. }), "{told}");
}

#[test]
fn rollback_in_one_instant_while_no_task_runs_is_a_rollback() {
    let told = failure(at(1.8, vec![rolled_back(RollbackCompleted, vec![old("t1", Shutdown)])]));
    assert!(matches!(told, Failure::RolledBack { .. }), "{told}");
}

#[test]
fn rollback_whose_target_dies_too_is_a_rollback_not_a_loop() {
    let dying = |id: &str| TaskFacts { is_former: true, ..failed(id, "task: non-zero exit (1)", 1.0) };
    let tasks = vec![dying("t3"), dying("t4"), dying("t5"), dying("t6")];
    let told = failure(at(4.2, vec![rolled_back(RollbackPaused, tasks)]));
    assert!(matches!(told, Failure::RolledBack { state: RollbackPaused, .. }), "{told}");
}

#[test]
fn paused_update_fails_although_a_replacement_is_prepared() {
    let tasks = vec![failed("t2", "task: non-zero exit (3)", 0.2), task("t3", Preparing, 0.1)];
    let told = failure(at(1.9, vec![updated(Paused, tasks)]));
    assert_eq!(
        told.to_string(),
        "service app: the update failed and is paused: task t2: task: non-zero exit (3)"
    );
}

#[test]
fn completed_update_whose_tasks_all_failed_is_a_restart_loop() {
    let crash = |id: &str, seconds| failed(id, "task: non-zero exit (3)", seconds);
    let once = updated(Completed, vec![crash("t2", 1.0), task("t3", Pending, 0.5)]);
    assert_eq!(reason(at(6.9, vec![once])), "app: 0 of 1 running, one is pending");
    let thrice = updated(
        Completed,
        vec![crash("t2", 12.0), crash("t3", 6.0), crash("t4", 1.0), task("t5", Pending, 0.5)],
    );
    assert_eq!(
        failure(at(18.0, vec![thrice])).to_string(),
        "service app: restart loop, 3 tasks failed within 60 s: task: non-zero exit (3)"
    );
}

#[test]
fn completed_alone_is_no_verdict() {
    let late_crash = updated(Completed, vec![failed("t2", "boom", 0.1), task("t3", Running, 0.0)]);
    assert_eq!(reason(at(9.0, vec![late_crash])), "app: 1 of 1 running, watching for 8 s");
    reason(at(7.2, vec![updated(Completed, vec![old("t1", Shutdown)])]));
}

#[test]
fn crash_loop_is_failed_early() {
    let crash = |id: &str, seconds| failed(id, "task: non-zero exit (1)", seconds);
    let looping = service(Change::First, vec![crash("t1", 11.0), crash("t2", 5.5), crash("t3", 0.0)]);
    assert!(matches!(failure(at(12.0, vec![looping])), Failure::RestartLoop { failures: 3, .. }));
}

#[test]
fn single_restart_during_a_slow_start_is_not_a_loop() {
    let tasks = vec![failed("t1", "task: non-zero exit (1)", 20.0), task("t2", Running, 10.0)];
    assert_eq!(at(30.0, vec![service(Change::First, tasks)]), Judgement::Converged);
}

#[test]
fn failures_outside_the_window_are_no_loop() {
    let tasks = vec![
        failed("t1", "x", 59.0),
        failed("t2", "x", 61.0),
        failed("t3", "x", 99.0),
        task("t4", Starting, 30.0),
    ];
    let mut limits = LIMITS;
    limits.time = Duration::from_secs(600);
    let facts = Facts {
        services: vec![service(Change::First, tasks)],
        elapsed: Duration::from_secs(120),
        is_engine_restarted: false,
    };
    assert_eq!(reason(judge(&facts, &limits)), "app: 0 of 1 running, one is starting");
}

#[test]
fn an_app_may_fail_while_the_database_it_waits_for_still_starts() {
    let crashes = || (0..4).map(|n| failed(&format!("t{n}"), "no database", 1.0)).collect::<Vec<_>>();
    let mut database = service(Change::First, vec![task("d1", Starting, 4.0)]);
    database.name = "db".to_owned();
    let mut tasks = crashes();
    tasks.push(task("t9", Pending, 0.1));
    let app = service(Change::First, tasks);
    reason(at(20.0, vec![app.clone(), database.clone()]));
    database.tasks = vec![task("d1", Running, 4.0)];
    assert!(matches!(failure(at(20.0, vec![app, database])), Failure::RestartLoop { .. }));
}

#[test]
fn slow_start_inside_its_limit_is_waited_for_and_one_second_past_it_is_a_time_limit() {
    let starting = || vec![service(Change::First, vec![task("t1", Starting, 50.0)])];
    reason(at(60.0, starting()));
    assert_eq!(
        failure(at(61.0, starting())).to_string(),
        "time limit of 60 s reached; last seen: app: 0 of 1 running, one is starting"
    );
}

#[test]
fn image_that_does_not_exist_is_named_even_when_swarm_already_rolled_back() {
    let rejected = || TaskFacts {
        error: "No such image: nginx:none".to_owned(),
        is_current: false,
        ..task("t2", Rejected, 0.1)
    };
    let expected = "service app: there is no image nginx:none; check that the recipe names one that exists";
    for facts in [
        service(Change::First, vec![rejected()]),
        rolled_back(RollbackStarted, vec![old("t1", Running), rejected()]),
        updated(Paused, vec![old("t1", Shutdown), rejected()]),
    ] {
        assert_eq!(failure(at(0.3, vec![facts])).to_string(), expected);
    }
}

#[test]
fn rejected_twice_is_final_and_once_is_not() {
    let error = "invalid mount config for type \"bind\": bind source path does not exist: /nowhere";
    let rejected = |id: &str| TaskFacts { error: error.to_owned(), ..task(id, Rejected, 0.1) };
    reason(at(0.3, vec![service(Change::First, vec![rejected("t1"), task("t2", Pending, 0.1)])]));
    assert_eq!(
        failure(at(6.0, vec![service(Change::First, vec![rejected("t1"), rejected("t2")])])).to_string(),
        format!("service app: its task was rejected: {error}")
    );
}

/// The label is the base's again, which says nothing about the deployer: the update state goes before it.
#[test]
fn rollback_is_reported_as_rollback_not_as_wrong_commit() {
    for state in [RollbackStarted, RollbackPaused, RollbackCompleted] {
        let back = rolled_back(state, vec![old("t1", Running), failed("t2", "task: non-zero exit (3)", 1.0)]);
        assert_ne!(
            Some(&back.labels),
            back.sent.as_ref().map(|sent| &sent.labels),
            "the label is another one"
        );
        let told = failure(at(20.0, vec![back]));
        assert!(matches!(told, Failure::RolledBack { .. }), "{told}");
        let text = told.to_string();
        for words in ["service app", &state.to_string(), "non-zero exit (3)"] {
            assert!(text.contains(words), "{words} is missing in {text}");
        }
    }
}

#[test]
fn memory_limit_is_named_as_the_cause_of_the_rollback() {
    let mut killed = failed("t2", "task: non-zero exit (137)", 1.0);
    // The limit is that of the spec it was made for; the service is back at one that has none.
    (killed.is_out_of_memory, killed.has_memory_limit) = (true, true);
    killed.is_current = false;
    let back = rolled_back(RollbackStarted, vec![old("t1", Running), killed.clone()]);
    let told = failure(at(1.9, vec![back]));
    assert!(
        matches!(&told, Failure::OutOfMemory { then, .. } if then.contains("rollback_started")),
        "{told}"
    );

    killed.is_current = true;
    let recovered = service(Change::First, vec![killed, task("t3", Running, 9.0)]);
    reason(at(10.0, vec![recovered]));
}

#[test]
fn killed_task_with_a_memory_limit_is_told_when_its_cause_is_known() {
    let killed = |seconds: f32| {
        let mut task = failed("t2", "task: non-zero exit (137)", seconds);
        (task.exit_code, task.has_memory_limit, task.is_current) = (Some(137), true, false);
        task
    };
    let back = |task: TaskFacts| rolled_back(RollbackStarted, vec![old("t1", Running), task]);
    let told = reason(at(1.9, vec![back(killed(0.2))]));
    assert!(told.contains("why is not known yet"), "{told}");
    let mut known = killed(0.3);
    known.is_out_of_memory = true;
    let told = failure(at(2.0, vec![back(known)]));
    assert!(matches!(told, Failure::OutOfMemory { .. }), "{told}");
    // No word came: then it was something else.
    let told = failure(at(4.0, vec![back(killed(2.0))]));
    assert!(matches!(told, Failure::RolledBack { .. }), "{told}");
}

#[test]
fn never_healthy_task_counts_as_a_failure() {
    let unhealthy = |id: &str| failed(id, "task: non-zero exit (137): dockerexec: unhealthy container", 1.0);
    let tasks = vec![unhealthy("t1"), unhealthy("t2"), unhealthy("t3")];
    let told = failure(at(30.0, vec![service(Change::First, tasks)]));
    assert!(told.to_string().contains("unhealthy container"), "{told}");
}

#[test]
fn running_but_unhealthy_is_not_converged() {
    let mut sick = task("t1", Running, 20.0);
    sick.is_healthy = Some(false);
    assert_eq!(reason(at(20.0, vec![service(Change::First, vec![sick])])), "app: unhealthy");
}

#[test]
fn task_without_address_is_an_allocation_failure_and_trouble() {
    let mut facts = service(Change::First, vec![task("t1", New, 5.0)]);
    facts.networks = vec!["app_internal".to_owned()];
    reason(at(5.0, vec![facts.clone()]));
    facts.tasks = vec![task("t1", New, 7.0)];
    let told = failure(at(7.0, vec![facts]));
    assert!(told.is_trouble());
    assert!(told.to_string().contains("no address on network app_internal"), "{told}");
}

#[test]
fn port_that_the_old_task_still_holds_is_waited_for() {
    let error = "no suitable node (host-mode port already in use on 1 node)";
    let pending = |seconds| TaskFacts { error: error.to_owned(), ..task("t2", Pending, seconds) };
    reason(at(20.0, vec![service(Change::First, vec![pending(20.0)])]));
    let told = failure(at(31.0, vec![service(Change::First, vec![pending(31.0)])]));
    assert!(told.is_trouble() && told.to_string().contains(error), "{told}");
    let unfulfilled = "no suitable node (scheduling constraints not satisfied on 1 node)";
    let pending = TaskFacts { error: unfulfilled.to_owned(), ..task("t2", Pending, 31.0) };
    let told = failure(at(31.0, vec![service(Change::First, vec![pending])]));
    assert!(!told.is_trouble() && told.to_string().contains(unfulfilled), "{told}");
}

#[test]
fn state_from_before_the_roll_is_not_its_outcome() {
    for state in [Completed, RollbackCompleted, Paused] {
        let mut facts = updated(state, vec![old("t1", Running)]);
        facts.update_before = Some("2".to_owned());
        assert_eq!(reason(at(0.0, vec![facts.clone()])), "app: an old task is running");
        facts.tasks = vec![old("t1", Shutdown), task("t2", Running, 9.0)];
        assert_eq!(at(12.0, vec![facts]), Judgement::Converged);
    }
}

#[test]
fn label_only_update_needs_no_status() {
    let mut same = task("t1", Running, 8.0);
    same.is_known_before = true;
    same.is_former = true;
    assert_eq!(at(0.5, vec![service(Change::Nothing, vec![same])]), Judgement::Converged);
}

#[test]
fn failure_from_before_the_deploy_is_not_counted() {
    let mut past = failed("t0", "task: non-zero exit (1)", 1.0);
    past.is_known_before = true;
    let tasks = vec![past.clone(), past.clone(), past, task("t1", Running, 9.0)];
    assert_eq!(at(9.0, vec![service(Change::Nothing, tasks)]), Judgement::Converged);
}

#[test]
fn update_that_is_seen_nowhere_is_not_yet_an_outcome() {
    assert_eq!(
        reason(at(2.0, vec![service(Change::Tasks, vec![old("t1", Running)])])),
        "app: an old task is running"
    );
}

#[test]
fn second_update_during_the_first_leaves_tasks_of_the_middle_spec_to_be_awaited() {
    let mut middle = old("t2", Running);
    middle.is_former = false;
    middle.is_known_before = false;
    let tasks = vec![old("t1", Shutdown), middle, task("t3", Running, 20.0)];
    assert_eq!(reason(at(20.0, vec![updated(Completed, tasks)])), "app: an old task is running");
}

#[test]
fn service_without_replicas_converges_when_the_old_tasks_are_gone() {
    let mut none = service(Change::Tasks, vec![old("t1", Running)]);
    none.mode = Mode::Replicated(0);
    assert_eq!(reason(at(1.0, vec![none.clone()])), "app: an old task is running");
    none.tasks = vec![];
    reason(at(1.0, vec![none.clone()]));
    assert_eq!(at(8.0, vec![none]), Judgement::Converged);
}

#[test]
fn global_service_waits_for_its_task_and_needs_none_where_no_node_fits() {
    let global = |tasks| vec![ServiceFacts { mode: Mode::Global, ..service(Change::First, tasks) }];
    assert_eq!(reason(at(0.1, global(vec![]))), "app: 0 of 1 running");
    reason(at(3.0, global(vec![task("t1", Starting, 1.0)])));
    assert_eq!(at(9.0, global(vec![task("t1", Running, 8.0)])), Judgement::Converged);
    assert_eq!(at(9.0, global(vec![])), Judgement::Converged);
}

#[test]
fn all_replicas_are_needed_and_no_more() {
    let mut two = service(Change::First, vec![task("t1", Running, 9.0)]);
    two.mode = Mode::Replicated(2);
    assert_eq!(reason(at(9.0, vec![two.clone()])), "app: 1 of 2 running");
    two.tasks = vec![task("t1", Running, 9.0), task("t2", Running, 9.0)];
    assert_eq!(at(9.0, vec![two.clone()]), Judgement::Converged);
    two.tasks.push(task("t3", Running, 9.0));
    assert_eq!(reason(at(9.0, vec![two])), "app: 3 of 2 running");
}

#[test]
fn restart_policy_that_gave_up_is_told_instead_of_waited_for() {
    let mut dead = service(Change::First, vec![failed("t1", "task: non-zero exit (2)", 1.0)]);
    dead.restart = RestartCondition::None;
    reason(at(2.0, vec![dead.clone()]));
    dead.tasks = vec![failed("t1", "task: non-zero exit (2)", 4.0)];
    assert_eq!(
        failure(at(5.0, vec![dead])).to_string(),
        "service app: it stopped and its restart policy starts no other task: task: non-zero exit (2)"
    );
}

#[test]
fn helper_that_ends_well_and_is_not_restarted_has_settled() {
    let mut helper = service(Change::First, vec![task("t1", Complete, 3.0)]);
    helper.restart = RestartCondition::OnFailure;
    assert_eq!(at(9.0, vec![helper.clone()]), Judgement::Converged);
    helper.restart = RestartCondition::Any;
    reason(at(9.0, vec![helper]));
}

#[test]
fn other_commit_than_the_one_sent_is_still_old() {
    let mut facts = service(Change::Tasks, vec![task("t1", Running, 20.0)]);
    facts.labels.insert("chaos-version".to_owned(), "base".to_owned());
    reason(at(1.0, vec![facts.clone()]));
    assert_eq!(
        failure(at(20.0, vec![facts])).to_string(),
        "service app still is the old one: label chaos-version is base, deployed was head"
    );
    let mut image = service(Change::Tasks, vec![task("t1", Running, 20.0)]);
    image.image = "nginx:2@sha256:0a".to_owned();
    assert_eq!(at(20.0, vec![image.clone()]), Judgement::Converged);
    image.image = "nginx:1".to_owned();
    assert!(matches!(failure(at(20.0, vec![image])), Failure::StillOld { .. }));
}

#[test]
fn service_that_never_appears_is_missing() {
    let mut facts = service(Change::First, vec![]);
    facts.is_present = false;
    reason(at(1.0, vec![facts.clone()]));
    assert!(matches!(failure(at(6.0, vec![facts])), Failure::Missing { .. }));
}

#[test]
fn failure_after_an_engine_restart_is_trouble_and_convergence_counts() {
    let lost = |tasks| Facts {
        services: vec![updated(Completed, tasks)],
        elapsed: Duration::from_secs(20),
        is_engine_restarted: true,
    };
    let told = failure(judge(
        &lost((0..3).map(|n| failed(&n.to_string(), "No such container", 1.0)).collect()),
        &LIMITS,
    ));
    assert!(told.is_trouble(), "{told}");
    assert_eq!(told.service(), Some("app"));
    assert_eq!(judge(&lost(vec![task("t9", Running, 8.0)]), &LIMITS), Judgement::Converged);
    assert!(matches!(judge(&lost(vec![task("t9", Running, 1.0)]), &LIMITS), Judgement::NotYet(_)));
}

#[test]
fn the_failure_nearest_to_the_cause_is_told() {
    let mut app = service(Change::First, (0..3).map(|n| failed(&n.to_string(), "no db", 1.0)).collect());
    app.name = "app".to_owned();
    let mut database = service(
        Change::First,
        vec![TaskFacts { error: "No such image: db:none".to_owned(), ..task("d1", Rejected, 1.0) }],
    );
    database.name = "db".to_owned();
    assert_eq!(failure(at(9.0, vec![app, database])).service(), Some("db"));
}

#[test]
fn backup_waits_for_one_running_task_per_service() {
    // No deploy in between: what is asked is whether the stack stands, with no task of the former spec left.
    let stands = |tasks| vec![service(Change::Nothing, tasks)];
    let mut leftover = old("t1", Running);
    leftover.is_wanted = false;
    assert_eq!(
        reason(at(9.0, stands(vec![leftover, task("t2", Running, 9.0)]))),
        "app: an old task is running"
    );
    reason(at(9.0, stands(vec![task("t2", Running, 9.0), task("t3", Running, 9.0)])));
    reason(at(9.0, stands(vec![task("t2", Starting, 9.0)])));
    assert_eq!(at(9.0, stands(vec![task("t2", Running, 9.0)])), Judgement::Converged);
}

fn job(completions: Option<u64>, tasks: Vec<TaskFacts>) -> Vec<ServiceFacts> {
    let mode = Mode::Job(completions);
    vec![ServiceFacts { mode, ..service(Change::First, tasks) }]
}

#[test]
fn a_job_has_settled_when_it_ended_well_and_not_while_it_runs() {
    assert_eq!(reason(at(0.1, job(Some(1), vec![]))), "app: 0 of 1 completed");
    let running = job(Some(1), vec![task("t1", Running, 50.0)]);
    assert_eq!(reason(at(50.0, running)), "app: 0 of 1 completed, one is running");
    assert_eq!(at(1.0, job(Some(1), vec![task("t1", Complete, 0.1)])), Judgement::Converged);
    let second = TaskFacts { slot: 2, ..task("t2", Running, 1.0) };
    let half = job(Some(2), vec![task("t1", Complete, 1.0), second.clone()]);
    assert_eq!(reason(at(1.0, half)), "app: 1 of 2 completed, one is running");
    let both = job(Some(2), vec![task("t1", Complete, 1.0), TaskFacts { state: Complete, ..second }]);
    assert_eq!(at(1.0, both), Judgement::Converged);
    assert_eq!(at(1.0, job(Some(0), vec![])), Judgement::Converged);
}

#[test]
fn a_global_job_ends_well_on_each_node_that_takes_it() {
    reason(at(0.1, job(None, vec![])));
    reason(at(9.0, job(None, vec![task("t1", Starting, 1.0)])));
    assert_eq!(at(1.0, job(None, vec![task("t1", Complete, 1.0)])), Judgement::Converged);
    assert_eq!(at(9.0, job(None, vec![])), Judgement::Converged);
}

#[test]
fn an_execution_of_a_job_from_before_the_deploy_proves_nothing() {
    let earlier = TaskFacts { is_current: false, is_known_before: true, ..task("t1", Complete, 30.0) };
    assert_eq!(reason(at(1.0, job(Some(1), vec![earlier]))), "app: 0 of 1 completed");
}

#[test]
fn a_job_that_fails_is_told_with_its_error() {
    let once = |seconds| {
        let tasks = vec![failed("t1", "task: non-zero exit (3)", seconds)];
        let mut job = job(Some(1), tasks);
        job[0].restart = RestartCondition::None;
        job
    };
    reason(at(1.0, once(1.0)));
    let told = failure(at(5.0, once(4.0)));
    assert!(matches!(&told, Failure::GaveUp { last_error, .. } if last_error.contains("(3)")), "{told}");
    let again: Vec<TaskFacts> = (0..3).map(|n| failed(&n.to_string(), "non-zero exit (3)", 1.0)).collect();
    assert!(matches!(failure(at(9.0, job(Some(1), again))), Failure::RestartLoop { .. }));
}

#[test]
fn what_failed_first_and_ended_well_then_has_not_given_up() {
    let tasks = vec![failed("t1", "no database yet", 20.0), task("t2", Complete, 15.0)];
    assert_eq!(at(30.0, job(Some(1), tasks.clone())), Judgement::Converged);
    let mut helper = service(Change::First, tasks);
    helper.restart = RestartCondition::OnFailure;
    assert_eq!(at(30.0, vec![helper]), Judgement::Converged);
}

#[test]
fn a_one_shot_helper_is_waited_for_and_a_server_that_is_started_once_is_not_for_ever() {
    let mut once = service(Change::First, vec![task("t1", Running, 29.0)]);
    once.restart = RestartCondition::None;
    assert_eq!(reason(at(29.0, vec![once.clone()])), "app: it is started once, waiting 30 s for its end");
    once.tasks = vec![task("t1", Complete, 0.1)];
    assert_eq!(at(29.0, vec![once.clone()]), Judgement::Converged);
    once.tasks = vec![task("t1", Running, 30.0)];
    assert_eq!(at(30.0, vec![once.clone()]), Judgement::Converged);
    once.tasks = vec![TaskFacts { is_healthy: Some(true), ..task("t1", Running, 8.0) }];
    assert_eq!(at(9.0, vec![once]), Judgement::Converged);
}

#[test]
fn what_gave_up_before_the_watch_began_is_told_too() {
    let known = TaskFacts { is_known_before: true, ..failed("t1", "non-zero exit (1)", 4.0) };
    let mut once = service(Change::Nothing, vec![known.clone()]);
    once.restart = RestartCondition::None;
    assert!(matches!(failure(at(4.0, vec![once])), Failure::GaveUp { .. }));
    // One that is started again is not judged by what failed before the watch.
    let running = service(Change::Nothing, vec![known, task("t2", Running, 9.0)]);
    assert_eq!(at(9.0, vec![running]), Judgement::Converged);
}
