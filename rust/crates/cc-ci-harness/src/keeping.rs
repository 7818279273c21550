//! Leaving the stack of a red run standing, under its lock, until somebody lets it go.

use std::convert::Infallible;
use std::time::Duration;

use cc_ci_model::duration::print;
use cc_ci_model::names::RunId;
use cc_ci_model::outcome::Status;
use cc_ci_process::atomic::write_json;
use cc_ci_process::cancel::Cancellation;
use cc_ci_process::wait::{Look, WaitError, Waiting, wait_for};
use cc_ci_swarm::lock::HeldLock;

use crate::report::Reporter;
use crate::setup::Setup;

/// How soon a release is seen.
const INTERVAL: Duration = Duration::from_millis(500);

/// Waits until the stack may go: it is released, the run is cancelled, the host drains, or `limits.keep` has passed. The
/// verdict does not change any more, and the lock is held all the while, so nobody takes the stack for a leftover.
pub(crate) async fn keep(
    setup: &Setup,
    id: &RunId,
    lock: &HeldLock,
    cancellation: &Cancellation,
    reporter: &Reporter,
) {
    let limit: Duration = setup.settings.limits.keep.into();
    let folder = reporter.folder();
    let note = serde_json::json!({ "since": jiff::Timestamp::now().to_string(), "limit": print(limit) });
    if let Err(error) = write_json(&folder.kept(), &note) {
        // Only `cc-ci release` would ask for it.
        reporter.warn(error.to_string());
    }
    if let Err(error) = lock.note_kept(id) {
        reporter.warn(error.to_string());
    }
    let (stack, env) = (lock.stack(), folder.abra().join("servers/default"));
    reporter.note(format!("kept for you to look at, {} at most: {stack}", print(limit)));
    reporter.note(format!("  docker stack ps --no-trunc {stack}; its .env is in {}", env.display()));
    let elsewhere = reporter.result().elsewhere.filter(|one| one.status == Some(Status::Fail));
    if let Some(fresh) = elsewhere.and_then(|one| one.stack) {
        reporter.note(format!("  the fresh stack that the snapshot was restored into stays too: {fresh}"));
    }
    reporter.note(format!("  cc-ci release {id} removes it"));
    reporter.progress("waiting for the release of the kept stack");
    let waiting = Waiting { deadline: limit, interval: INTERVAL };
    let sentence = "waiting for the release of the kept stack";
    let released = wait_for(sentence, waiting, None, cancellation, || {
        let look = if folder.release().exists() {
            Look::There("it was released")
        } else if setup.paths.drain().exists() {
            Look::There("this host lets its runs end")
        } else {
            Look::NotYet("it is not released".to_owned())
        };
        std::future::ready(Ok::<_, Infallible>(look))
    });
    let why = match released.await {
        Ok(why) => why.to_owned(),
        Err(WaitError::Cancelled { cause, .. }) => cause.to_string(),
        Err(error @ (WaitError::TimedOut { .. } | WaitError::Failed { .. })) => error.to_string(),
    };
    reporter.note(format!("the kept stack goes: {why}"));
}
