//! The record of what a run may create: durable before the first object, readable after any crash.
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use cc_ci_process::cancel::Cancellation;
use cc_ci_swarm::lock::HeldLock;
use cc_ci_swarm::record::{RecordError, StackRecord};

mod support;
use support::{domain, run_id, zone};

async fn written(state: &std::path::Path) -> StackRecord {
    let (domain, run) = (domain("record"), run_id());
    let lock = HeldLock::acquire(
        state,
        &domain,
        &run,
        std::time::Duration::from_secs(5),
        &Cancellation::new(),
        |_| {},
    )
    .await
    .unwrap();
    let mut record = StackRecord::new(&run, &domain, jiff::Timestamp::UNIX_EPOCH);
    record.write(state, &lock).unwrap();
    record.extra_stacks.push(support::domain("dependency").stack());
    record.write(state, &lock).unwrap();
    record
}

#[tokio::test]
async fn a_record_reads_back_with_every_stack_it_names() {
    let state = tempfile::tempdir().unwrap();
    let record = written(state.path()).await;
    assert_eq!(StackRecord::read(state.path(), &record.stack, &zone()).unwrap(), Some(record.clone()));
    assert_eq!(record.stacks().count(), 2);
    // What a killed writer leaves, and what is not ours, is no record.
    std::fs::write(state.path().join("stacks/.x.json.1.new"), "{").unwrap();
    std::fs::write(state.path().join("stacks/traefik_ccci_test.json"), "{}").unwrap();
    let listed: Vec<StackRecord> =
        StackRecord::list(state.path(), &zone()).unwrap().into_iter().map(Result::unwrap).collect();
    assert_eq!(listed, [record]);
}

#[tokio::test]
async fn what_cannot_be_read_is_an_error_and_not_an_absence() {
    let state = tempfile::tempdir().unwrap();
    let record = written(state.path()).await;
    let file = state.path().join(format!("stacks/{}.json", record.stack));
    let text = std::fs::read_to_string(&file).unwrap();
    for broken in
        ["", "{", &text.replace("\"schema\": 1", "\"schema\": 2"), &text.replace("ccci_test", "other")]
    {
        std::fs::write(&file, broken).unwrap();
        let error = StackRecord::read(state.path(), &record.stack, &zone()).unwrap_err();
        assert!(matches!(error, RecordError::Content { .. }), "{error}");
        assert!(StackRecord::list(state.path(), &zone()).unwrap()[0].is_err());
    }
    std::fs::remove_file(&file).unwrap();
    assert_eq!(StackRecord::read(state.path(), &record.stack, &zone()).unwrap(), None);
    let missing = state.path().join("missing");
    assert!(StackRecord::list(&missing, &zone()).unwrap().is_empty());
}

#[tokio::test]
async fn a_lock_covers_its_own_stack_and_those_its_record_names_and_no_other() {
    let state = tempfile::tempdir().unwrap();
    let (own, other, second) = (domain("own"), domain("another"), domain("dependency"));
    let never = Cancellation::new();
    let limit = std::time::Duration::from_secs(5);
    let lock = HeldLock::acquire(state.path(), &own, &run_id(), limit, &never, |_| {}).await.unwrap();
    assert!(lock.covers(&own.stack()).is_ok());
    let mut record = StackRecord::new(&run_id(), &own, jiff::Timestamp::UNIX_EPOCH);
    record.extra_stacks.push(second.stack());
    assert!(lock.covers(&second.stack()).is_err(), "named in memory is not yet written down");
    record.write(state.path(), &lock).unwrap();
    assert!(lock.covers(&second.stack()).is_ok());
    let refused = lock.covers(&other.stack()).unwrap_err().to_string();
    assert!(refused.contains(own.as_str()) && refused.contains(other.stack().as_str()), "{refused}");
    // Nor is the record of one run written under the lock of another.
    let foreign = StackRecord::new(&run_id(), &other, jiff::Timestamp::UNIX_EPOCH);
    assert!(matches!(foreign.write(state.path(), &lock), Err(RecordError::NotCovered(_))));
    assert_eq!(StackRecord::read(state.path(), &other.stack(), &zone()).unwrap(), None);
}
