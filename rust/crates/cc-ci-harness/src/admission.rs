//! Whether this host can carry a run to its end at this moment; if not, waiting until it can.

use std::path::Path;
use std::time::Duration;

use cc_ci_model::admission::{DiskFacts, Floors, HostFacts, Needs, shortages};
use cc_ci_model::compose::Compose;
use cc_ci_model::outcome::Trouble;
use cc_ci_model::size::ByteSize;
use cc_ci_process::cancel::Cancellation;
use cc_ci_process::wait::{Look, WaitError, Waiting, wait_for};
use cc_ci_swarm::docker::DockerError;
use cc_ci_swarm::room_left::{disk, proxy_addresses};

use crate::host::{Host, PROXY_NETWORK};
use crate::report::Reporter;
use crate::setup::Setup;

const INTERVAL: Duration = Duration::from_secs(5);

/// Waits until there is room for this app: memory, disk, inodes, addresses. Says what it waits for, and when it goes on.
///
/// # Errors
/// Trouble: there was no room within the host's `limits.admission_wait`, the engine is gone, or the run was cancelled.
pub async fn admit(
    setup: &Setup,
    host: &Host,
    compose: &Compose,
    cancellation: &Cancellation,
    reporter: &Reporter,
) -> Result<(), Trouble> {
    let limits = &setup.settings.limits;
    let floors = Floors { memory: limits.memory_floor, disk: limits.disk_floor };
    let needs = needs(compose, setup.recipe_toml.app.memory);
    let waiting = Waiting { deadline: limits.admission_wait.into(), interval: INTERVAL };
    let told = std::sync::Mutex::new(String::new());
    let look = || async {
        let facts = facts(setup, host).await?;
        let short = shortages(&facts, &needs, &floors).join("; ");
        let mut told = told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if short.is_empty() {
            if !told.is_empty() {
                reporter.note("there is room enough; going on");
            }
            return Ok(Look::There(()));
        }
        if told.is_empty() {
            reporter.note(format!("no room yet — waiting ({short})"));
        }
        told.clone_from(&short);
        reporter.progress(&format!("waiting for room: {short}"));
        Ok(Look::NotYet(short))
    };
    let admitted = wait_for("waiting for room on this host", waiting, None, cancellation, look).await;
    admitted.map_err(|error: WaitError<DockerError>| Trouble {
        what: error.to_string(),
        place: "admission".to_owned(),
        retry: true,
    })
}

/// What there is too little of at this moment for one more stack of this app; `None` where there is room for it.
///
/// # Errors
/// Trouble: the engine cannot be asked.
pub async fn shortage_beside(
    setup: &Setup,
    host: &Host,
    compose: &Compose,
) -> Result<Option<String>, Trouble> {
    let limits = &setup.settings.limits;
    let floors = Floors { memory: limits.memory_floor, disk: limits.disk_floor };
    // It is never updated, so no two copies of its tasks are there at once.
    let needs = Needs { starts_first: false, ..needs(compose, setup.recipe_toml.app.memory) };
    let facts = facts(setup, host).await.map_err(|error| Trouble {
        what: error.to_string(),
        place: "admission".to_owned(),
        retry: true,
    })?;
    let short = shortages(&facts, &needs, &floors).join("; ");
    Ok((!short.is_empty()).then_some(short))
}

async fn facts(setup: &Setup, host: &Host) -> Result<HostFacts, DockerError> {
    let places = [
        ("run folders", setup.paths.runs.as_path()),
        ("Docker's data", Path::new(host.info.data_root.as_str())),
    ];
    // Docker's data may lie where this user may not look; its engine tells when it is full.
    let disks = places.into_iter().filter_map(|(what, path)| {
        let room = disk(path).ok()?;
        Some(DiskFacts {
            what: what.to_owned(),
            free: ByteSize(room.free_bytes),
            inodes_free: (room.inodes > 0).then_some(room.inodes_free),
        })
    });
    Ok(HostFacts {
        memory_free: cc_ci_process::state::free_memory_bytes().map(ByteSize),
        disks: disks.collect(),
        addresses_left: proxy_addresses(&host.docker).await?.map(|addresses| addresses.left()),
    })
}

/// What the app takes: twice its tasks where one is started before the other ends, and an address for each of its services.
fn needs(compose: &Compose, memory: Option<ByteSize>) -> Needs {
    let is_start_first = |service: &cc_ci_model::compose::Service| {
        service.update.as_ref().is_some_and(|update| update.order.as_deref() == Some("start-first"))
    };
    let name_of = |key: &str| compose.networks.get(key)?.name.as_deref();
    let on_proxy = compose
        .services
        .values()
        .filter(|service| service.networks.keys().any(|key| name_of(key) == Some(PROXY_NETWORK)));
    let addresses = on_proxy.map(|service| {
        let replicas = service.replicas.as_ref().map_or(1, |replicas| replicas.value);
        1 + replicas * if is_start_first(service) { 2 } else { 1 }
    });
    Needs {
        memory: memory.unwrap_or(ByteSize(0)),
        starts_first: compose.services.values().any(is_start_first),
        addresses: addresses.sum(),
    }
}
