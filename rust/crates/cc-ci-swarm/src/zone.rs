//! Who owns a zone: one host id per state folder, written to the swarm's node by whoever is first.
//!
//! A free lock means "dead" only where all locks are: two hosts, or two state folders, that shared a swarm and a zone
//! would take each other's living runs for leftovers. So the first use of a zone on a swarm leaves its host id there as
//! a label of the node, and everybody with another id stops.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use cc_ci_model::names::Zone;

use crate::docker::{Docker, DockerError};

/// File with the host's id below the state folder.
const FILE: &str = "host-id";

/// Why a zone cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ZoneError {
    /// The id cannot be read or made.
    #[error("{attempt} the host id {path}: {cause}; check the rights of the state folder")]
    File {
        /// What was attempted.
        attempt: &'static str,
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        cause: io::Error,
    },
    /// The file holds something else.
    #[error("the host id in {path} is {content:?}, which is none; remove the file if no run is under way")]
    Content {
        /// The file.
        path: PathBuf,
        /// What it says, shortened.
        content: String,
    },
    /// Another host, or another state folder, owns it.
    #[error(
        "the zone {zone} belongs to host id {owner} on this swarm, and this state folder has {own}: give each host a zone \
         of its own, or, if the other is gone for good, run `docker node update --label-rm cc-ci.zone.{zone} {node}`"
    )]
    Foreign {
        /// The zone.
        zone: String,
        /// The id on the node.
        owner: String,
        /// This host's.
        own: String,
        /// The node.
        node: String,
    },
    /// The engine is no manager of a swarm.
    #[error("this engine is no manager of a swarm: run `docker swarm init --advertise-addr 127.0.0.1` first")]
    NoSwarm,
    /// The engine did not answer.
    #[error(transparent)]
    Engine(#[from] DockerError),
}

/// The random id of one state folder: 16 hex digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostId(String);

impl HostId {
    /// The id of this state folder, made on first use. Two processes that make it at once agree on one.
    ///
    /// # Errors
    /// It cannot be read or made, or is no id.
    pub fn of(state: &Path) -> Result<Self, ZoneError> {
        if let Some(id) = Self::read(state)? {
            return Ok(id);
        }
        let path = state.join(FILE);
        let failed = |attempt| {
            let path = path.clone();
            move |cause| ZoneError::File { attempt, path, cause }
        };
        let id = format!("{:016x}\n", rand::random::<u64>());
        let mut made = tempfile::Builder::new()
            .prefix(".host-id.")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .tempfile_in(state)
            .map_err(failed("making"))?;
        made.write_all(id.as_bytes()).and_then(|()| made.as_file().sync_all()).map_err(failed("writing"))?;
        match made.persist_noclobber(&path) {
            Ok(_) => {}
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed("making")(error.error)),
        }
        let text = std::fs::read_to_string(&path).map_err(failed("reading"))?;
        Self::parse(&path, &text)
    }

    /// The id of this state folder, if it has one; asking makes none.
    ///
    /// # Errors
    /// It cannot be read, or is no id.
    pub fn read(state: &Path) -> Result<Option<Self>, ZoneError> {
        let path = state.join(FILE);
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(&path, &text).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(ZoneError::File { attempt: "reading", path, cause }),
        }
    }

    fn parse(path: &Path, text: &str) -> Result<Self, ZoneError> {
        let id = text.trim();
        let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if id.len() == 16 && id.bytes().all(is_hex) {
            return Ok(Self(id.to_owned()));
        }
        let content = id.chars().take(40).collect();
        Err(ZoneError::Content { path: path.to_owned(), content })
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for HostId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

fn label(zone: &Zone) -> String {
    format!("cc-ci.zone.{zone}")
}

/// Makes sure that this state folder owns the zone on this swarm; the first to ask owns it from there on.
///
/// # Errors
/// Another one owns it, or nobody can say.
pub async fn claim(docker: &Docker, zone: &Zone, state: &Path) -> Result<HostId, ZoneError> {
    let own = HostId::of(state)?;
    let node = node_of(docker).await?;
    let owner = docker.claim_node_label(&node, &label(zone), own.as_str()).await?;
    if owner == own.0 {
        return Ok(own);
    }
    Err(foreign(zone, owner, Some(own), node))
}

/// The same without claiming, and without making an id: a zone that nobody owns yet is fine, and so is a state folder
/// that was never used.
///
/// # Errors
/// Another one owns it, or nobody can say.
pub async fn look(docker: &Docker, zone: &Zone, state: &Path) -> Result<Option<HostId>, ZoneError> {
    let own = HostId::read(state)?;
    let node = node_of(docker).await?;
    match docker.node_labels(&node).await?.remove(&label(zone)) {
        Some(owner) if own.as_ref().is_none_or(|own| own.0 != owner) => Err(foreign(zone, owner, own, node)),
        Some(_) | None => Ok(own),
    }
}

/// Takes the label away again, where it is this state folder's; for a host that is gone afterwards, like a demo's.
///
/// # Errors
/// Another one owns the zone, or nobody can say.
pub async fn release(docker: &Docker, zone: &Zone, state: &Path) -> Result<(), ZoneError> {
    look(docker, zone, state).await?;
    let node = node_of(docker).await?;
    Ok(docker.set_node_label(&node, &label(zone), None).await?)
}

fn foreign(zone: &Zone, owner: String, own: Option<HostId>, node: String) -> ZoneError {
    let own = own.map_or_else(|| "none yet".to_owned(), |own| own.0);
    ZoneError::Foreign { zone: zone.to_string(), owner, own, node }
}

async fn node_of(docker: &Docker) -> Result<String, ZoneError> {
    docker.info().await?.swarm_node.ok_or(ZoneError::NoSwarm)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_folder_has_one_id_for_good_also_when_several_make_it_at_once() {
        let state = tempfile::tempdir().unwrap();
        let ids: Vec<HostId> = std::thread::scope(|scope| {
            let makers: Vec<_> = (0..8).map(|_| scope.spawn(|| HostId::of(state.path()).unwrap())).collect();
            makers.into_iter().map(|maker| maker.join().unwrap()).collect()
        });
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        assert_eq!(HostId::of(state.path()).unwrap(), ids[0]);
        assert_eq!(std::fs::read_dir(state.path()).unwrap().count(), 1, "no neighbour stays");
        let other = tempfile::tempdir().unwrap();
        assert_ne!(HostId::of(other.path()).unwrap(), ids[0]);
    }

    #[test]
    fn a_broken_id_is_an_error_and_not_a_new_id() {
        let state = tempfile::tempdir().unwrap();
        for broken in ["", "0123456789abcde", "0123456789ABCDEF"] {
            std::fs::write(state.path().join(FILE), broken).unwrap();
            assert!(matches!(HostId::of(state.path()), Err(ZoneError::Content { .. })), "{broken}");
        }
    }
}
