//! Trimming images of old runs when the disk of Docker's data is getting full.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bollard::query_parameters::{
    ListContainersOptions, ListImagesOptions, ListServicesOptions, RemoveImageOptions,
};
use cc_ci_model::names::RunId;
use cc_ci_model::sweep::{Activity, Code, Disk, ImageFacts, ImageFate, Liveness, images as decide};
use cc_ci_process::alive::liveness;
use cc_ci_process::atomic::write_json;
use cc_ci_swarm::docker::Docker;
use cc_ci_swarm::image_lock::rest_images;
use cc_ci_swarm::room_left::disk;
use cc_ci_swarm::traces::{Content, Folder};

use crate::diary::Diary;
use crate::host::Host;
use crate::sweep::Mode;

/// When each image that runs have brought was used last, by name: outlives the folders of those runs.
type LastUsed = BTreeMap<String, jiff::Timestamp>;

const FILE: &str = "images.json";

/// Removes what is decided. A failure here leaves an image more and is a warning.
pub(crate) async fn trim(host: &Host, mode: Mode, docker: &Docker, folders: &[Folder], diary: &mut Diary) {
    if let Err(reason) = try_trim(host, mode, docker, folders, diary).await {
        diary.say(Code::Warn, "images", reason);
    }
}

async fn try_trim(
    host: &Host,
    mode: Mode,
    docker: &Docker,
    folders: &[Folder],
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
    // From here on no run pulls or deploys; one that begins now waits, and one that lives is seen.
    let at_rest = match mode {
        Mode::Real => {
            let Some(at_rest) = rest_images(&host.paths.state).map_err(|error| error.to_string())? else {
                diary.say(Code::KeepImages, "images", "runs are pulling or deploying");
                return Ok(());
            };
            Some(at_rest)
        }
        Mode::DryRun => None,
    };
    let facts = list(docker, &last_used).await.map_err(|error| format!("listing the images: {error}"))?;
    let activity = match living(&host.paths.runs).map_err(|error| format!("listing the runs: {error}"))? {
        0 => Activity::Quiet,
        count => Activity::Runs(count),
    };
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
    drop(at_rest);
    Ok(())
}

/// How many runs live, or may.
fn living(runs: &Path) -> std::io::Result<usize> {
    let mut count = 0;
    for entry in std::fs::read_dir(runs)? {
        let entry = entry?;
        let is_run = RunId::parse(&entry.file_name().to_string_lossy()).is_ok();
        count += usize::from(is_run && liveness(&entry.path()) != Liveness::Dead);
    }
    Ok(count)
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
            let name = familiar(&image.name);
            let by_digest = image.digest.as_deref().map(|digest| format!("{}@{digest}", repository(name)));
            for name in by_digest.into_iter().chain([name.to_owned()]) {
                let latest = last_used.entry(name).or_insert(used);
                *latest = used.max(*latest);
            }
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

/// The name without its tag or digest.
fn repository(name: &str) -> &str {
    let name = name.split('@').next().unwrap_or(name);
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        Some(_) | None => name,
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
            last_used: last_use(&image.repo_tags, &image.repo_digests, last_used),
            id: image.id,
        }
    });
    Ok(facts.collect())
}

/// When a run used an image last; none where it has a name that no run has brought: then it is also somebody else's.
fn last_use(tags: &[String], digests: &[String], last_used: &LastUsed) -> Option<jiff::Timestamp> {
    let names = if tags.is_empty() { digests } else { tags };
    let uses: Option<Vec<jiff::Timestamp>> = names.iter().map(|name| last_used.get(name).copied()).collect();
    uses?.into_iter().max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_that_also_has_a_name_of_somebody_else_is_not_the_runs() {
        let at = |text: &str| text.parse::<jiff::Timestamp>().unwrap();
        let used: LastUsed = [
            ("a:1", "2026-01-01T00:00:00Z"),
            ("a:2", "2026-01-02T00:00:00Z"),
            ("a@sha256:0", "2026-01-03T00:00:00Z"),
        ]
        .map(|(name, time)| (name.to_owned(), at(time)))
        .into();
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<String>>();
        let last = |tags: &[&str], digests: &[&str]| last_use(&names(tags), &names(digests), &used);
        assert_eq!(last(&["a:1", "a:2"], &["a@sha256:9"]), Some(at("2026-01-02T00:00:00Z")));
        assert_eq!(last(&["a:1", "theirs:1"], &[]), None);
        assert_eq!(
            last(&[], &["a@sha256:0"]),
            Some(at("2026-01-03T00:00:00Z")),
            "pulled by its digest alone"
        );
        assert_eq!(last(&[], &[]), None);
        assert_eq!(repository("127.0.0.1:5000/probe:1.0"), "127.0.0.1:5000/probe");
        assert_eq!(repository("127.0.0.1:5000/probe"), "127.0.0.1:5000/probe");
    }

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
