//! What an upgrade must leave standing, judged by what the engine says: the images of head, no service that head
//! dropped, the same volumes, secrets and address as before.

use std::collections::BTreeMap;
use std::time::Instant;

use cc_ci_model::inventory::{Kind, Object};
use cc_ci_model::outcome::Trouble;
use cc_ci_swarm::convergence::Settled;
use cc_ci_swarm::docker::{Docker, DockerError};
use cc_ci_swarm::inventory::survey;
use cc_ci_swarm::lock::HeldLock;
use cc_ci_swarm::native::{App, Rendered};
use cc_ci_swarm::snapshot;
use cc_ci_swarm::volume_removals::VolumeRemovals;

use crate::tier_run::{TierRun, TierStop};

/// What an upgrade has to keep: ids by kind and name, and an ear for volumes that go meanwhile.
pub struct Lasting {
    ids: Ids,
    removals: VolumeRemovals,
}

type Ids = BTreeMap<(Kind, String), String>;

pub(crate) fn ours(error: &DockerError) -> TierStop {
    TierStop::Trouble(Trouble { what: error.to_string(), place: "engine".to_owned(), retry: true })
}

/// The volumes and secrets of a stack as they are.
///
/// # Errors
/// Trouble: the engine cannot be asked.
pub async fn lasting(docker: &Docker, app: &App) -> Result<Lasting, TierStop> {
    let removals = VolumeRemovals::watch(docker, &app.stack);
    Ok(Lasting { ids: ids(docker, app).await?, removals })
}

async fn ids(docker: &Docker, app: &App) -> Result<Ids, TierStop> {
    let inventory = survey(docker).await.map_err(|error| ours(&error))?;
    let own = inventory.of_stack(&app.stack);
    let kept = own.objects().iter().filter(|object| {
        matches!(object.kind, Kind::Secret) || (object.kind == Kind::Volume && !object.is_anonymous_volume())
    });
    // The id of a volume is its name: two of one name are told apart by the removal between them.
    let identity = |object: &Object| format!("{} {}", object.id, object.fingerprint);
    Ok(kept.map(|object| ((object.kind, object.name.clone()), identity(object))).collect())
}

/// Volumes and secrets from before the upgrade are there, and are the same.
///
/// # Errors
/// The tier fails where one was replaced or is gone.
pub async fn kept(docker: &Docker, tier: &mut TierRun, app: &App, before: &Lasting) -> Result<(), TierStop> {
    let since = Instant::now();
    let after = ids(docker, app).await?;
    let removed = before.removals.so_far();
    let lost: Vec<String> = before
        .ids
        .iter()
        .filter(|((kind, name), id)| {
            let is_new = *kind == Kind::Volume && removed.contains(name);
            is_new || after.get(&(*kind, name.clone())) != Some(id)
        })
        .map(|((kind, name), _)| format!("{} {name}", kind.word()))
        .collect();
    if !lost.is_empty() {
        let message = format!("the upgrade replaced or removed {}", lost.join(", "));
        return Err(tier.failed("volumes and secrets are kept", since, message));
    }
    let remark = match before.removals.is_engine_lost() {
        true => "; the engine was lost meanwhile, so only their presence is known",
        false => "",
    };
    let message = format!("{} objects{remark}", before.ids.len());
    tier.passed("volumes and secrets are kept", since, message);
    Ok(())
}

/// Every service runs the image that the compose of what was upgraded to names.
///
/// # Errors
/// The tier fails, naming service and both images.
pub fn images_are_those_of(
    tier: &mut TierRun,
    app: &App,
    what: &str,
    rendered: &Rendered,
    settled: &Settled,
) -> Result<(), TierStop> {
    let since = Instant::now();
    let check = format!("images are those of {what}");
    let images = rendered.compose.images();
    for (service, wanted, at) in &images {
        let name = format!("{}_{service}", app.stack);
        let running = settled.services.get(&name).map(|service| service.image.as_str()).unwrap_or_default();
        // The engine may append the digest it resolved.
        let same = running == wanted || running.split('@').next() == Some(wanted.as_str());
        if !same {
            let message = format!("service {service} runs {running:?}, {what} names {wanted} ({at})");
            return Err(tier.failed(&check, since, message));
        }
    }
    tier.passed(&check, since, format!("{} services", images.len()));
    Ok(())
}

/// Services that head no longer names are removed, as an operator would; a deploy alone leaves them running.
///
/// # Errors
/// Trouble: the engine cannot be asked.
pub async fn remove_dropped(
    docker: &Docker,
    lock: &HeldLock,
    tier: &mut TierRun,
    app: &App,
    head: &Rendered,
) -> Result<(), TierStop> {
    let since = Instant::now();
    let running = snapshot::services(docker, &app.stack).await.map_err(|error| ours(&error))?;
    let prefix = app.stack.prefix();
    let dropped: Vec<&String> = running
        .keys()
        .filter(|name| name.strip_prefix(&prefix).is_some_and(|key| !head.compose.services.contains_key(key)))
        .collect();
    if dropped.is_empty() {
        return Ok(());
    }
    for name in &dropped {
        snapshot::remove_service(docker, &app.stack, name, lock).await.map_err(|error| ours(&error))?;
    }
    let names: Vec<&str> = dropped.iter().map(|name| name.as_str()).collect();
    tier.passed("services dropped by head are removed", since, names.join(", "));
    Ok(())
}
