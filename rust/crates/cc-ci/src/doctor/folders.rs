//! Lines about room and rights: memory, disks and inodes; the folders of state, runs and locks.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use cc_ci_model::doctor::{self, FolderFacts, Line, Shared};
use cc_ci_model::size::ByteSize;
use cc_ci_swarm::room_left::disk;
use nix::unistd::{AccessFlags, Gid, Group, access};

use super::Host;

/// Memory, and the disks that a run writes to.
pub(super) fn room(host: &Host<'_>, data_root: Option<&str>) -> Vec<Line> {
    let limits = &host.settings.limits;
    let free = cc_ci_process::state::free_memory_bytes().map(ByteSize);
    let mut lines = vec![doctor::memory(free, limits.memory_floor)];
    let mut of = |what: &str, path: &Path| match disk(nearest(path)) {
        Ok(room) => {
            let inodes = (room.inodes > 0).then_some(room.inodes_free);
            lines.extend(doctor::disk(what, ByteSize(room.free_bytes), inodes, limits.disk_floor));
        }
        Err(error) => lines.push(Line::warn(
            format!("disk of {what}"),
            format!("asking about {}: {error}", path.display()),
            "look as root: df",
        )),
    };
    of("run folders", &host.paths.runs);
    match data_root {
        Some(path) => of("Docker's data", Path::new(path)),
        None => lines.push(super::no_engine("disk of Docker's data")),
    }
    lines
}

/// Whether this user may use the folders, and whether others may ask for locks.
pub(super) fn rights(host: &Host<'_>) -> Vec<Line> {
    let paths = host.paths;
    let folders = [
        ("state folder", &paths.state, Shared::Own),
        ("run folders", &paths.runs, Shared::Own),
        ("lock folder", &paths.locks, Shared::Group),
    ];
    let lines = folders
        .map(|(what, path, shared)| doctor::folder(what, &path.display().to_string(), &facts(path), shared));
    lines.to_vec()
}

fn facts(path: &Path) -> FolderFacts {
    match std::fs::metadata(path) {
        Ok(found) if !found.is_dir() => FolderFacts::Unusable("this is no folder".to_owned()),
        Ok(found) => {
            let gid = Gid::from_raw(found.gid());
            let group = Group::from_gid(gid).ok().flatten().map(|group| group.name);
            FolderFacts::There {
                mode: found.mode() & 0o7777,
                group: group.unwrap_or_else(|| gid.to_string()),
                is_writable: is_writable(path),
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            FolderFacts::Missing { can_be_made: is_writable(nearest(path)) }
        }
        Err(error) => FolderFacts::Unusable(error.to_string()),
    }
}

fn is_writable(folder: &Path) -> bool {
    access(folder, AccessFlags::W_OK | AccessFlags::X_OK).is_ok() && folder.is_dir()
}

/// The path itself, or the nearest folder above it that is there.
fn nearest(path: &Path) -> &Path {
    path.ancestors().find(|above| above.exists()).unwrap_or(path)
}
