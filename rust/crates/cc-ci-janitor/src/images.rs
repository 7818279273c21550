//! Trimming images of old runs when the disk of Docker's data is getting full.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bollard::query_parameters::{
    ListContainersOptions, ListImagesOptions, ListServicesOptions, RemoveImageOptions,
};
use cc_ci_model::sweep::{Activity, Code, Disk, ImageFacts, ImageFate, images as decide};
use cc_ci_process::atomic::write_json;
use cc_ci_swarm::docker::Docker;
use cc_ci_swarm::room_left::disk;
use cc_ci_swarm::traces::{Content, Folder};

use crate::diary::Diary;
use crate::host::Host;
use crate::sweep::Mode;

/// When each image that runs have brought was used last, by name: outlives the folders of those runs.
type LastUsed = BTreeMap<String, jiff::Timestamp>;

const FILE: &str = "images.json";

/// Removes what is decided. A failure here leaves an image more and is a warning.
pub(crate) async fn trim(
    host: &Host,
    mode: Mode,
    docker: &Docker,
    folders: &[Folder],
    live_runs: usize,
    diary: &mut Diary,
) {
    if let Err(reason) = try_trim(host, mode, docker, folders, live_runs, diary).await {
        diary.say(Code::Warn, "images", reason);
    }
}

async fn try_trim(
    host: &Host,
    mode: Mode,
    docker: &Docker,
    folders: &[Folder],
    live_runs: usize,
    diary: &mut Diary,
) -> Result<(), String> {
    let last_used = remember(&host.paths.state, mode, folders)?;
    let info = docker.info().await.map_err(|error| error.to_string())?;
    // Docker's data may lie where only root may look; then it most likely shares the disk of the state.
    let room = disk(Path::new(&info.data_root)).or_else(|_| disk(&host.paths.state));
    let room = room.map_err(|error| format!("asking the disk of {}: {error}", info.data_root))?;
    let room = Disk { total: room.total_bytes, free: room.free_bytes };
    let threshold = host.settings.keep.images_below_percent;
    if room.used_percent() <= threshold {
        return Ok(());
    }
    let facts = list(docker, &last_used).await.map_err(|error| format!("listing the images: {error}"))?;
    let activity = if live_runs == 0 { Activity::Quiet } else { Activity::Runs(live_runs) };
    match decide(&facts, room, threshold, activity) {
        ImageFate::RoomEnough => {}
        ImageFate::Keep(reason) => diary.say(Code::KeepImages, "images", reason),
        ImageFate::Remove(ids) => {
            for id in ids {
                let reason = format!(
                    "the disk is {} % full, above {threshold} %, and no run has used it for longest",
                    room.used_percent()
                );
                diary.say(Code::RemoveImage, id.as_str(), reason);
                if mode == Mode::Real {
                    remove(docker, &id).await?;
                }
            }
        }
    }
    Ok(())
}

async fn remove(docker: &Docker, id: &str) -> Result<(), String> {
    // By force only in that all its names go; an image that a container uses is refused all the same.
    let options = RemoveImageOptions { force: true, ..RemoveImageOptions::default() };
    match docker.api().remove_image(id, Some(options), None).await {
        Ok(_) | Err(bollard::errors::Error::DockerResponseServerError { status_code: 404 | 409, .. }) => {
            Ok(())
        }
        Err(error) => Err(format!("removing image {id}: {error}")),
    }
}

/// What the folders say about the use of images, added to what is remembered.
fn remember(state: &Path, mode: Mode, folders: &[Folder]) -> Result<LastUsed, String> {
    let path = state.join(FILE);
    let written: BTreeMap<String, String> = match std::fs::read(&path) {
        Ok(bytes) => {
            serde_json::from_slice(&bytes).map_err(|error| format!("{}: {error}", path.display()))?
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
        Err(error) => return Err(format!("reading {}: {error}", path.display())),
    };
    let parsed = written.into_iter().filter_map(|(name, at)| Some((name, at.parse().ok()?)));
    let mut last_used: LastUsed = parsed.collect();
    let before = last_used.clone();
    for folder in folders {
        let Content::Result(result) = &folder.content else { continue };
        let used = result.run.finished.as_deref().unwrap_or(&result.run.started).parse::<jiff::Timestamp>();
        let Ok(used) = used else { continue };
        for image in &result.images {
            let latest = last_used.entry(familiar(&image.name).to_owned()).or_insert(used);
            *latest = used.max(*latest);
        }
    }
    if mode == Mode::Real && last_used != before {
        let text: BTreeMap<&String, String> =
            last_used.iter().map(|(name, at)| (name, at.to_string())).collect();
        write_json(&path, &text).map_err(|error| error.to_string())?;
    }
    Ok(last_used)
}

/// The name as the engine lists it: without the registry that is understood, and without a digest behind a tag.
fn familiar(name: &str) -> &str {
    let name =
        name.strip_prefix("docker.io/library/").or_else(|| name.strip_prefix("docker.io/")).unwrap_or(name);
    match name.split_once('@') {
        Some((tagged, _)) if tagged.rsplit('/').next().is_some_and(|last| last.contains(':')) => tagged,
        _ => name,
    }
}

async fn list(docker: &Docker, last_used: &LastUsed) -> Result<Vec<ImageFacts>, bollard::errors::Error> {
    let api = docker.api();
    let all = ListContainersOptions { all: true, ..ListContainersOptions::default() };
    let containers = api.list_containers(Some(all)).await?;
    let services = api.list_services(None::<ListServicesOptions>).await?;
    let images = api.list_images(None::<ListImagesOptions>).await?;
    let ids: BTreeSet<String> = containers.into_iter().filter_map(|container| container.image_id).collect();
    let names: BTreeSet<String> = services
        .into_iter()
        .filter_map(|service| service.spec?.task_template?.container_spec?.image)
        .map(|image| familiar(&image).to_owned())
        .collect();
    let facts = images.into_iter().map(|image| {
        let own: Vec<&String> = image.repo_tags.iter().chain(&image.repo_digests).collect();
        ImageFacts {
            bytes: u64::try_from(image.size).unwrap_or_default(),
            is_in_use: ids.contains(&image.id) || own.iter().any(|name| names.contains(name.as_str())),
            last_used: own.iter().filter_map(|name| last_used.get(name.as_str())).max().copied(),
            id: image.id,
        }
    });
    Ok(facts.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_as_the_engine_lists_them() {
        for (name, expected) in [
            ("docker.io/library/nginx:1.25", "nginx:1.25"),
            ("docker.io/grafana/grafana:9", "grafana/grafana:9"),
            ("nginx:1.25@sha256:00", "nginx:1.25"),
            ("127.0.0.1:5000/nginx@sha256:00", "127.0.0.1:5000/nginx@sha256:00"),
        ] {
            assert_eq!(familiar(name), expected);
        }
    }
}
