//! The generic floor "really serving": asks the app through its door, the task itself, and a name nobody has.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use cc_ci_model::names::Zone;
use cc_ci_model::outcome::Status;
use cc_ci_model::recipe_toml::Health;
use cc_ci_model::result::{CheckReport, Origin};
use cc_ci_model::serving::{Seen, judge};
use cc_ci_process::cancel::Cancellation;
use cc_ci_process::wait::{Look, WaitError, Waiting, wait_for};

use crate::evidence::Evidence;
use crate::http::{Answer, AskError, Client};
use crate::way::{Outages, Way};

/// Name of the check in results.
pub const NAME: &str = "is really serving";
/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(250);

/// The three places that are asked.
#[derive(Debug, Clone, Copy)]
pub struct Eyes<'a> {
    /// The app's address, through the door.
    pub app: &'a Client,
    /// The task itself, through the helper's relay; `None` where the door leads there anyway.
    pub task: Option<&'a Client>,
    /// What lies between; the proxy in it is asked for a name nobody has ([`unknown_host`]).
    pub way: Way<'a>,
}

/// A name of this zone that no app has: its first label is no run's.
#[must_use]
pub fn unknown_host(zone: &Zone) -> String {
    format!("cc-ci-nobody-{:08x}.{zone}", rand::random::<u32>())
}

fn seen(client: &Client, answer: &Answer) -> Seen {
    Seen {
        host: client.host().to_owned(),
        status: answer.status,
        content_type: answer.header("content-type").map(str::to_owned),
        location: answer.header("location").map(str::to_owned),
        body: answer.body.clone(),
    }
}

/// What more waiting does not mend.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error("{0}")]
    Broken(String),
}

/// Waits until the app serves its own answer under its own name, at most `limit`.
pub async fn serving(
    eyes: Eyes<'_>,
    health: &Health,
    limit: Duration,
    cancellation: &Cancellation,
    evidence: &Evidence,
) -> CheckReport {
    let start = Instant::now();
    let sentence = format!("waiting for {}{} to be served by the app", eyes.app.base(), health.path);
    let waiting = Waiting { deadline: limit, interval: INTERVAL };
    let (last, outages) = (Mutex::new(String::new()), Outages::default());
    let looked = || async {
        let (look, fault) = look(eyes, health, &last).await?;
        match (outages.note(fault.as_deref()), fault) {
            (true, Some(fault)) => Err(Lost::Broken(fault)),
            (_, Some(fault)) => Ok(Look::NotYet(fault)),
            (_, None) => Ok(look),
        }
    };
    let seen = wait_for(&sentence, waiting, None, cancellation, looked).await;
    let (status, message) = match seen {
        Ok(message) => (Status::Pass, message),
        Err(error @ WaitError::TimedOut { .. }) => match outages.instead(eyes.way).await {
            Some(fault) => (Status::Unverified, fault),
            None => (Status::Fail, error.to_string()),
        },
        Err(WaitError::Failed { reason: Lost::Broken(fault), .. }) => (Status::Unverified, fault),
        Err(error @ (WaitError::Cancelled { .. } | WaitError::Failed { .. })) => {
            (Status::Unverified, error.to_string())
        }
    };
    let last = last.into_inner().unwrap_or_else(PoisonError::into_inner);
    let log =
        (status != Status::Pass).then(|| evidence.keep(NAME, &format!("{message}\n\n{last}"))).flatten();
    let name = NAME.to_owned();
    CheckReport {
        name,
        origin: Origin::Generic,
        status,
        seconds: start.elapsed().as_secs_f64(),
        message,
        log,
    }
}

/// One look at all places, and what is broken on the way to them. Only what more waiting cannot mend is an error.
async fn look(
    eyes: Eyes<'_>,
    health: &Health,
    last: &Mutex<String>,
) -> Result<(Look<String>, Option<String>), AskError> {
    let path = health.path.as_str();
    let app = match eyes.app.get(path).await {
        Ok(answer) => answer,
        Err(error @ AskError::Unusable { .. }) => return Err(error),
        Err(error) => return Ok((Look::NotYet(error.to_string()), eyes.way.fault().await)),
    };
    *last.lock().unwrap_or_else(PoisonError::into_inner) = app.shown();
    let task = match eyes.task {
        None => None,
        Some(task) => match task.get(path).await {
            Ok(answer) => Some(seen(task, &answer)),
            Err(error @ AskError::Unusable { .. }) => return Err(error),
            Err(error) => {
                let fault = eyes.way.dead_end().await;
                let fault = if fault.is_none() { eyes.way.beside_the_task().await } else { fault };
                return Ok((Look::NotYet(format!("the task itself: {error}")), fault));
            }
        },
    };
    // A proxy that has no answer for an unknown name has none that could be taken for the app's.
    let stranger = match eyes.way.unknown {
        None => None,
        Some(unknown) => unknown.get(path).await.ok().map(|answer| seen(unknown, &answer)),
    };
    let accepted: Vec<u16> = health.status.iter().map(|status| status.get()).collect();
    Ok(match judge(&seen(eyes.app, &app), task.as_ref(), stranger.as_ref(), &accepted) {
        Ok(()) => {
            let proof = if task.is_some() { "the same from the task itself" } else { "by the task itself" };
            (Look::There(format!("{path} answers {}, {proof}", app.status)), None)
        }
        Err(not) => (Look::NotYet(not.to_string()), eyes.way.dead_end().await),
    })
}
