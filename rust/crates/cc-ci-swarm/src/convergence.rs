//! Waiting until what was deployed runs: events as wake-up, the task list as truth, `cc_ci_model` as judge.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use cc_ci_model::convergence::{Facts, Failure, Judgement, Limits, Sent, is_up, judge, matures_in};
use cc_ci_model::names::StackName;
use cc_ci_process::cancel::Cancellation;
use cc_ci_process::wait::{Look, WaitError, Waiting, wait_for};
use tokio::sync::{Mutex, watch};

use crate::docker::{Docker, DockerError};

mod events;
mod kernel;
mod observer;

use events::Events;
use observer::Observer;

/// The longest time between two looks: events wake sooner, but a rejected task makes none.
const INTERVAL: Duration = Duration::from_secs(1);
/// What is left for the last look after the judge's own time limit.
const LAST_LOOK: Duration = Duration::from_secs(10);
/// How many lines of a failed container are shown.
const LOG_LINES: usize = 20;

/// Why a deployment is not known to run.
#[derive(Debug, thiserror::Error)]
pub enum Unsettled {
    /// It was judged; [`Failure::is_trouble`] tells whether the recipe or the host is to blame.
    #[error("{failure}")]
    Failed {
        /// The judgement.
        failure: Failure,
        /// Last lines of the container that failed last.
        log: Vec<String>,
    },
    /// The run was cancelled.
    #[error("waiting for {stack} to settle: ended because {cause}")]
    Cancelled {
        /// The stack.
        stack: String,
        /// Why.
        cause: String,
    },
    /// The engine could not be asked until the time was over: trouble.
    #[error("waiting for {stack} to settle: {last}")]
    Engine {
        /// The stack.
        stack: String,
        /// What was seen last.
        last: String,
    },
}

/// A stack that runs as deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// By full name of the service.
    pub services: BTreeMap<String, SettledService>,
    /// From the return of the deploy to the judgement.
    pub took: Duration,
    /// How many services got new tasks by the deploy: those that are new, and those whose tasks had to be replaced.
    pub changed: usize,
    /// Whether the engine was lost meanwhile.
    pub is_engine_restarted: bool,
}

/// The containers that run, by full name of the service.
pub type Running = BTreeMap<String, Vec<String>>;

impl Settled {
    /// The containers that run.
    #[must_use]
    pub fn running(&self) -> Running {
        running(&self.services)
    }
}

fn running(services: &BTreeMap<String, SettledService>) -> Running {
    services.iter().map(|(name, service)| (name.clone(), service.containers.clone())).collect()
}

/// One service of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SettledService {
    /// Containers that run the present spec.
    pub containers: Vec<String>,
    /// Tasks that failed before it settled.
    pub restarts: usize,
    /// Whether the kernel killed something in it for want of memory.
    pub is_out_of_memory: bool,
    /// Its image as the spec names it.
    pub image: String,
}

/// What was there before a deploy; begun before it, so that afterwards new can be told from old.
///
/// Swarm clears and writes the update status in its own time, keeps ended tasks as history, and the client library
/// drops the previous spec. So specs, update statuses and task ids are remembered here first, and the events of the deploy
/// itself are heard as well. Without a deploy in between it tells whether the stack stands: each service with exactly
/// its replicas of one spec, as backup and restore need it.
pub struct Converging<'a> {
    docker: &'a Docker,
    stack: StackName,
    events: Events,
    observer: Observer<'a>,
}

impl<'a> Converging<'a> {
    /// Remembers what is there. Call it before the deploy.
    ///
    /// # Errors
    /// The engine cannot be reached.
    pub async fn begin(docker: &'a Docker, stack: &StackName) -> Result<Self, DockerError> {
        let events = Events::of(docker, stack);
        let observer = Observer::begin(docker, stack).await?;
        Ok(Self { docker, stack: stack.clone(), events, observer })
    }

    /// Waits until the stack runs as sent. Call it when the deploy has returned.
    ///
    /// `sent` names each deployed service by its full name; services of the stack beyond those are judged as well, but
    /// for their labels. `progress` hears a line whenever what is waited for changes.
    ///
    /// # Errors
    /// It will not settle, the time is over, the run was cancelled, or the engine stayed away.
    pub async fn wait(
        self,
        sent: &BTreeMap<String, Sent>,
        limits: &Limits,
        cancellation: &Cancellation,
        progress: impl FnMut(&str),
    ) -> Result<Settled, Unsettled> {
        self.wait_and_tell(sent, limits, cancellation, progress, &watch::Sender::new(None)).await
    }

    /// As [`Converging::wait`], and tells as soon as everything is up what runs: the stability window is time to look at it.
    ///
    /// # Errors
    /// As [`Converging::wait`].
    pub async fn wait_and_tell(
        self,
        sent: &BTreeMap<String, Sent>,
        limits: &Limits,
        cancellation: &Cancellation,
        progress: impl FnMut(&str),
        up: &watch::Sender<Option<Running>>,
    ) -> Result<Settled, Unsettled> {
        let Self { docker, stack, events, observer } = self;
        let start = Instant::now();
        let sentence = format!("waiting for {stack} to settle");
        let waiting = Waiting { deadline: limits.time + LAST_LOOK, interval: INTERVAL };
        let state = Mutex::new((observer, String::new(), progress));
        let waited: Result<Judgement, WaitError<DockerError>> =
            wait_for(&sentence, waiting, Some(events.wake()), cancellation, || async {
                let (observer, told, progress) = &mut *state.lock().await;
                let (judgement, young) = match observer.look(&events, sent).await {
                    Ok(services) => {
                        let is_engine_restarted = events.is_engine_lost();
                        let facts = Facts { services, elapsed: start.elapsed(), is_engine_restarted };
                        if up.borrow().is_none() && is_up(&facts) {
                            up.send_replace(Some(running(&observer.settled())));
                        }
                        (judge(&facts, limits), matures_in(&facts, limits))
                    }
                    Err(error) => (Judgement::NotYet(error.to_string()), Duration::ZERO),
                };
                let Judgement::NotYet(reason) = judgement else { return Ok(Look::There(judgement)) };
                if reason != *told {
                    progress(&reason);
                    told.clone_from(&reason);
                }
                Ok(if young.is_zero() { Look::NotYet(reason) } else { Look::NotBefore(reason, young) })
            })
            .await;
        let (observer, ..) = state.into_inner();
        match waited {
            Ok(Judgement::Converged) => Ok(Settled {
                services: observer.settled(),
                changed: observer.changed(),
                took: start.elapsed(),
                is_engine_restarted: events.is_engine_lost(),
            }),
            Ok(Judgement::Failed(failure)) => {
                let container = failure.service().and_then(|service| observer.last_container(service));
                let log = match container {
                    Some(container) => docker.log_tail(&container, LOG_LINES).await.unwrap_or_default(),
                    None => Vec::new(),
                };
                Err(Unsettled::Failed { failure, log })
            }
            Ok(Judgement::NotYet(last)) | Err(WaitError::TimedOut { last, .. }) => {
                Err(Unsettled::Engine { stack: stack.to_string(), last })
            }
            Err(WaitError::Cancelled { cause, .. }) => {
                Err(Unsettled::Cancelled { stack: stack.to_string(), cause: cause.to_string() })
            }
            Err(WaitError::Failed { reason, .. }) => {
                Err(Unsettled::Engine { stack: stack.to_string(), last: reason.to_string() })
            }
        }
    }
}
