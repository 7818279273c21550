//! Removing everything of a run's stack, and proving that it is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bollard::query_parameters::{RemoveContainerOptions, RemoveVolumeOptions};
use cc_ci_model::inventory::{Inventory, Kind, Object};
use cc_ci_model::names::StackName;
use cc_ci_model::sweep::newborn;
use cc_ci_process::cancel::Cancellation;
use cc_ci_process::wait::{Look, WaitError, Waiting, wait_for};
use futures_util::future::join_all;
use tokio::sync::Mutex;

use crate::docker::{Attempt, Docker, DockerError};
use crate::inventory::survey;
use crate::lock::{HeldLock, NotCovered};

/// How often everything is listed again; a look costs some 20 ms, and swarm takes 3.5 s to let the tasks go.
const INTERVAL: Duration = Duration::from_millis(150);

/// Why a stack is not proven to be gone.
#[derive(Debug, thiserror::Error)]
pub enum TeardownError {
    /// Something is still there, or could not be looked at, when the bound was reached.
    #[error(
        "tearing down {stack}: after {} s there is still {}{}; the janitor tries again, or run \
         `docker stack rm {stack}` and remove what is named here",
        after.as_secs(),
        listed(.left),
        because(.obstacle)
    )]
    Left {
        /// The stack.
        stack: String,
        /// The bound.
        after: Duration,
        /// Kind and name of what was seen last; empty if not even a list could be had.
        left: Vec<String>,
        /// What the engine said about it last.
        obstacle: Option<String>,
    },
    /// Something of the stack was made by somebody meanwhile, so nothing more was removed.
    #[error("tearing down {stack} was stopped: {} came into being meanwhile, so somebody lives; there is still {}", .born.join(", "), listed(.left))]
    Newborn {
        /// The stack.
        stack: String,
        /// Kind and name of what was made.
        born: Vec<String>,
        /// Kind and name of what was seen last.
        left: Vec<String>,
    },
    /// The lock is of another run.
    #[error(transparent)]
    NotCovered(#[from] NotCovered),
    /// It was cancelled before the proof.
    #[error("tearing down {stack} was ended before the proof: {cause}; there is still {}", listed(.left))]
    Cancelled {
        /// The stack.
        stack: String,
        /// What ended it.
        cause: String,
        /// Kind and name of what was seen last.
        left: Vec<String>,
    },
}

impl TeardownError {
    /// Kind and name of what was left.
    #[must_use]
    pub fn left(&self) -> &[String] {
        match self {
            Self::Left { left, .. } | Self::Cancelled { left, .. } | Self::Newborn { left, .. } => left,
            Self::NotCovered(_) => &[],
        }
    }
}

fn listed(left: &[String]) -> String {
    if left.is_empty() { "something that could not be listed".to_owned() } else { left.join(", ") }
}

fn because(obstacle: &Option<String>) -> String {
    obstacle.as_ref().map(|words| format!(" ({words})")).unwrap_or_default()
}

/// The proof that nothing of a stack is left: made only here, after every list came back empty.
#[derive(Debug, Clone)]
pub struct Removed {
    stack: StackName,
    removed: BTreeMap<Kind, usize>,
    took: Duration,
}

impl Removed {
    /// The stack that is gone.
    #[must_use]
    pub fn stack(&self) -> &StackName {
        &self.stack
    }

    /// How many objects of each kind were there and are gone.
    #[must_use]
    pub fn counts(&self) -> &BTreeMap<Kind, usize> {
        &self.removed
    }

    /// How long it took.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.took
    }
}

/// Removes a stack and everything of it, from its name alone, whatever state it is in; safe to repeat.
///
/// The order, measured as the fastest that leaves nothing: services; then containers by force and with their
/// anonymous volumes, stopped ones too, again and again until swarm lists no task (a task that was just starting
/// could make another container); then networks, volumes, secrets and configs; then all lists once more. A network
/// removed under living tasks would lose its addresses, and nothing that is in use is given up before the bound.
/// Anonymous volumes have no label: they are noted while a container still leads to them.
///
/// `progress` hears a line whenever what is left changes.
///
/// # Errors
/// `bound` passed or `cancellation` came first; the error lists what is left. An engine that restarts meanwhile is
/// waited for.
pub async fn teardown(
    docker: &Docker,
    stack: &StackName,
    lock: &HeldLock,
    bound: Duration,
    cancellation: &Cancellation,
    progress: impl FnMut(&str),
) -> Result<Removed, TeardownError> {
    teardown_of(docker, stack, None, lock, bound, cancellation, progress).await
}

/// The same for a dead run's stack, of which `mark` is what was there: whatever somebody makes of it meanwhile stops the
/// removal, see [`newborn`].
///
/// # Errors
/// As [`teardown`], and [`TeardownError::Newborn`].
pub async fn teardown_marked(
    docker: &Docker,
    stack: &StackName,
    mark: &Inventory,
    lock: &HeldLock,
    bound: Duration,
    cancellation: &Cancellation,
    progress: impl FnMut(&str),
) -> Result<Removed, TeardownError> {
    teardown_of(docker, stack, Some(mark), lock, bound, cancellation, progress).await
}

async fn teardown_of(
    docker: &Docker,
    stack: &StackName,
    mark: Option<&Inventory>,
    lock: &HeldLock,
    bound: Duration,
    cancellation: &Cancellation,
    progress: impl FnMut(&str),
) -> Result<Removed, TeardownError> {
    lock.covers(stack)?;
    let start = Instant::now();
    let work = Mutex::new((Work::new(docker, stack, mark), String::new(), progress));
    let waiting = Waiting { deadline: bound, interval: INTERVAL };
    let sentence = format!("tearing down {stack}");
    let done: Result<(), WaitError<Born>> = wait_for(&sentence, waiting, None, cancellation, || async {
        let (work, told, progress) = &mut *work.lock().await;
        let look = work.step().await?;
        if let Look::NotYet(seen) = &look
            && seen != told
        {
            told.clone_from(seen);
            progress(seen);
        }
        Ok(look)
    })
    .await;
    let (work, ..) = work.into_inner();
    match done {
        Ok(()) => Ok(Removed { stack: stack.clone(), removed: work.counts(), took: start.elapsed() }),
        Err(WaitError::Cancelled { cause, .. }) => Err(TeardownError::Cancelled {
            stack: stack.to_string(),
            cause: cause.to_string(),
            left: work.left,
        }),
        Err(WaitError::Failed { reason, .. }) => {
            Err(TeardownError::Newborn { stack: stack.to_string(), born: reason.0, left: work.left })
        }
        Err(WaitError::TimedOut { .. }) => Err(TeardownError::Left {
            stack: stack.to_string(),
            after: bound,
            left: work.left,
            obstacle: work.obstacle,
        }),
    }
}

/// Kind and name of what came into being during a removal.
#[derive(Debug, thiserror::Error)]
#[error("{} came into being", .0.join(", "))]
struct Born(Vec<String>);

/// What a teardown has learnt so far; everything in it can be learnt again, so it can be repeated from anywhere.
struct Work<'a> {
    docker: &'a Docker,
    stack: &'a StackName,
    /// What was there of a dead run; none where the caller's own stack goes.
    mark: Option<&'a Inventory>,
    /// Everything that was ever seen of the stack.
    seen: BTreeSet<(Kind, String)>,
    /// Anonymous volumes, found through containers that are gone by now.
    anonymous: BTreeSet<String>,
    left: Vec<String>,
    obstacle: Option<String>,
}

impl<'a> Work<'a> {
    fn new(docker: &'a Docker, stack: &'a StackName, mark: Option<&'a Inventory>) -> Self {
        Self {
            docker,
            stack,
            mark,
            seen: BTreeSet::new(),
            anonymous: BTreeSet::new(),
            left: Vec::new(),
            obstacle: None,
        }
    }

    fn counts(&self) -> BTreeMap<Kind, usize> {
        let mut counts = BTreeMap::new();
        for (kind, _) in &self.seen {
            *counts.entry(*kind).or_default() += 1;
        }
        counts
    }

    /// Lists, removes what may go by now, and says whether the list was empty.
    async fn step(&mut self) -> Result<Look<()>, Born> {
        let everything = match survey(self.docker).await {
            Ok(everything) => everything,
            Err(error) => {
                self.obstacle = Some(error.to_string());
                return Ok(Look::NotYet(error.to_string()));
            }
        };
        let ours = self.ours(&everything);
        if ours.is_empty() {
            return Ok(Look::There(()));
        }
        let born = self.mark.map(|mark| newborn(mark, ours.iter().copied())).unwrap_or_default();
        if !born.is_empty() {
            self.left = ours.iter().map(|object| object.title()).collect();
            return Err(Born(born));
        }
        self.left = ours.iter().map(|object| object.title()).collect();
        let of =
            |kinds: &[Kind]| ours.iter().copied().filter(|o| kinds.contains(&o.kind)).collect::<Vec<_>>();
        let services = of(&[Kind::Service]);
        let alive = of(&[Kind::Container, Kind::Task]);
        let mut wanted = services;
        if wanted.is_empty() {
            wanted = of(&[Kind::Container, Kind::Secret, Kind::Config]);
            if alive.is_empty() {
                wanted.extend(of(&[Kind::Network, Kind::Volume]));
            }
        }
        self.remove(wanted).await;
        Ok(Look::NotYet(summary(&ours)))
    }

    fn ours<'o>(&mut self, everything: &'o Inventory) -> Vec<&'o Object> {
        let of_stack = |object: &&Object| object.belongs_to(self.stack);
        for object in everything.objects().iter().filter(of_stack) {
            if object.is_anonymous_volume() {
                self.anonymous.insert(object.name.clone());
            }
        }
        let anonymous = &self.anonymous;
        let ours: Vec<&Object> = everything
            .objects()
            .iter()
            .filter(|object| {
                of_stack(object) || (object.kind == Kind::Volume && anonymous.contains(&object.name))
            })
            .collect();
        self.seen.extend(ours.iter().map(|object| (object.kind, object.id.clone())));
        ours
    }

    async fn remove(&mut self, objects: Vec<&Object>) {
        let docker = self.docker;
        let results = join_all(objects.into_iter().map(|object| remove(docker, object))).await;
        // Something in use is free in a moment; something missing has gone by itself. The next list tells.
        let obstacle = results.into_iter().filter_map(Result::err).find(|error| !error.is_missing());
        // The last one is kept until this round has an answer: the bound may be reached in the middle of it.
        self.obstacle = obstacle.map(|error| error.to_string());
    }
}

fn summary(ours: &[&Object]) -> String {
    let mut counts: BTreeMap<Kind, usize> = BTreeMap::new();
    for object in ours {
        *counts.entry(object.kind).or_default() += 1;
    }
    let parts: Vec<String> =
        counts.iter().map(|(kind, count)| format!("{count} {}{}", kind.word(), plural(*count))).collect();
    format!("{} left", parts.join(", "))
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

async fn remove(docker: &Docker, object: &Object) -> Result<(), DockerError> {
    let api = docker.api();
    let id = object.id.as_str();
    let result = match object.kind {
        Kind::Service => api.delete_service(id).await,
        Kind::Container => {
            let with_anonymous_volumes = RemoveContainerOptions { v: true, force: true, link: false };
            api.remove_container(id, Some(with_anonymous_volumes)).await
        }
        Kind::Network => api.remove_network(id).await,
        Kind::Volume => api.remove_volume(id, None::<RemoveVolumeOptions>).await,
        Kind::Secret => api.delete_secret(id).await,
        Kind::Config => api.delete_config(id).await,
        // Swarm lets its tasks go by itself.
        Kind::Task => Ok(()),
    };
    result.attempt(|| format!("removing {}", object.title()))
}
