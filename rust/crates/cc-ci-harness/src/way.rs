//! What lies between a check and the app: the proxy, and the relay beside the task. While that is broken, a look that fails
//! says nothing about the app.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use cc_ci_swarm::docker::Docker;
use cc_ci_swarm::relay::Relay;

use crate::door::{Door, Target};
use crate::http::{AskError, Client};

/// A proxy answers for a name that nobody has at once; one that takes so long is no way to anything.
const PATIENCE: Duration = Duration::from_secs(10);

/// A proxy that is updated is away for ten seconds (swarm.md 5.2); one that stays away so long does not come back by itself.
const OUTAGE: Duration = Duration::from_secs(30);

/// The way to one app.
#[derive(Debug, Clone, Copy, Default)]
pub struct Way<'a> {
    /// The proxy, asked for a name that nobody has; `None` without a proxy.
    pub unknown: Option<&'a Client>,
    /// The door that looks go through.
    pub door: Option<&'a Door>,
    /// The relay beside the task, and the engine that runs it.
    pub relay: Option<(&'a Docker, &'a Relay)>,
}

impl Way<'_> {
    /// What is broken between us and the app, in a sentence; asked when a look got no answer at all. The proxy is asked
    /// for a name that nobody has: what it does wrong there is no fault of any app.
    pub async fn fault(&self) -> Option<String> {
        if let Some(unknown) = self.unknown {
            let asked = tokio::time::timeout(PATIENCE, unknown.get("/")).await;
            let fault = match asked {
                Ok(Ok(_)) => None,
                Ok(Err(AskError::Certificate { cause, .. })) => Some(format!(
                    "the proxy's certificate is not accepted ({cause}): renew it, or set proxy.ca to the authority it comes from"
                )),
                Ok(Err(AskError::Unusable { cause, .. })) => {
                    Some(format!("the proxy could not be asked: {cause}"))
                }
                Ok(Err(AskError::NoAnswer { cause, is_unreachable: true, .. })) => {
                    Some(format!("the proxy does not answer ({cause}): start it, or use --via direct"))
                }
                // It took the connection and has nothing to say for names it does not know: so do some proxies.
                Ok(Err(AskError::NoAnswer { is_unreachable: false, .. })) => None,
                Err(_) => Some(format!(
                    "the proxy took a connection and did not answer within {} s: look at its log",
                    PATIENCE.as_secs()
                )),
            };
            if fault.is_some() {
                return fault;
            }
        }
        self.dead_end().await
    }

    /// Who behind the door did not take the last connection though the app is there, in a sentence; asked when a look got an
    /// answer that may be the door's own.
    pub async fn dead_end(&self) -> Option<String> {
        let door = self.door.filter(|door| door.is_dead_end())?;
        match door.target() {
            Target::Tcp(address) => {
                Some(format!("the proxy does not answer at {address}: start it, or use --via direct"))
            }
            Target::Unix(_) => self.beside_the_task().await,
        }
    }

    /// What is wrong with the relay; asked when the task itself got no answer. A relay ends with its task as well, and a task that
    /// ends is the app's own.
    pub async fn beside_the_task(&self) -> Option<String> {
        let (docker, relay) = self.relay?;
        relay.fault(docker).await
    }
}

/// What was broken on the way while something was waited for.
#[derive(Debug, Default)]
pub(crate) struct Outages {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    began: Option<Instant>,
    last: Option<String>,
    has_looked: bool,
}

impl Outages {
    /// Notes what a look saw; true where waiting for the way to mend has no sense any more.
    pub(crate) fn note(&self, fault: Option<&str>) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.has_looked = true;
        let Some(fault) = fault else {
            seen.began = None;
            return false;
        };
        seen.last = Some(fault.to_owned());
        seen.began.get_or_insert_with(Instant::now).elapsed() > OUTAGE
    }

    /// What is to be said instead of a failure once the time is over: time in which the way was broken was not the app's.
    /// A look that hung for all of it saw nothing, so the way is asked now.
    pub(crate) async fn instead(self, way: Way<'_>) -> Option<String> {
        let seen = self.seen.into_inner().unwrap_or_else(PoisonError::into_inner);
        match (seen.last, seen.has_looked) {
            (Some(fault), _) => Some(fault),
            (None, true) => None,
            (None, false) => way.fault().await,
        }
    }
}
