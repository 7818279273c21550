//! Whether a snapshot holds what it should: exit status 0 of a backup says nothing about that.

use super::{BackupPlan, Selection, folder_of};

/// What a node of a snapshot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// A link, a socket and the like.
    Other,
}

/// One node of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archived {
    /// Where it lay.
    pub path: String,
    /// What it is.
    pub kind: NodeKind,
    /// Bytes of a file.
    pub size: u64,
}

/// A file of known size that has to be in the snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedMarker {
    /// Whole name of the volume.
    pub volume: String,
    /// File in its top folder.
    pub file: String,
    /// Its size in bytes.
    pub size: u64,
}

/// Something that a snapshot lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The sentence for the result.
    pub message: String,
    /// Whether a hook should have written it, so that a container that was replaced meanwhile may be the cause.
    pub is_dump: bool,
}

/// What the snapshot lacks of what the plan and the markers promise.
#[must_use]
pub fn faults(plan: &BackupPlan, markers: &[ExpectedMarker], nodes: &[Archived]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (volume, backed_up) in &plan.volumes {
        let folder = folder_of(volume);
        let is_dump = backed_up.is_dumped;
        let Selection::Paths(paths) = &backed_up.selection else {
            if !nodes.iter().any(|node| node.path == folder) {
                let message = format!("volume {volume} is not in the snapshot");
                faults.push(Fault { message, is_dump: false });
            }
            continue;
        };
        for path in paths {
            if let Some(what) = fault_of(&format!("{folder}/{path}"), nodes) {
                let message = format!("{path} of volume {volume}, which its label names, {what}");
                faults.push(Fault { message, is_dump });
            }
        }
    }
    for ExpectedMarker { volume, file, size } in markers {
        let path = format!("{}/{file}", folder_of(volume));
        if !nodes.iter().any(|node| node.path == path && node.size == *size) {
            let message =
                format!("{file}, planted in volume {volume} before the backup, is not in the snapshot");
            faults.push(Fault { message, is_dump: false });
        }
    }
    if faults.is_empty() && !nodes.iter().any(|node| node.kind == NodeKind::File && node.size > 0) {
        let message = "the snapshot holds not one byte of data".to_owned();
        faults.push(Fault { message, is_dump: plan.volumes.values().any(|volume| volume.is_dumped) });
    }
    faults
}

fn fault_of(path: &str, nodes: &[Archived]) -> Option<&'static str> {
    let Some(node) = nodes.iter().find(|node| node.path == path) else {
        return Some("is not in the snapshot");
    };
    let below = format!("{path}/");
    match node.kind {
        NodeKind::File if node.size == 0 => Some("is empty in the snapshot"),
        NodeKind::Folder if !nodes.iter().any(|node| node.path.starts_with(&below) && node.size > 0) => {
            Some("is a folder without any data in the snapshot")
        }
        NodeKind::File | NodeKind::Folder | NodeKind::Other => None,
    }
}
