//! One deploying run per comment and attempt: who is asked by a comment claims it first, and whoever comes second leaves.
//!
//! Drone has no idempotent create, so a bridge that is killed at the wrong moment asks twice. The claim is a file,
//! `<state>/claims/<comment>.<attempt>`, made exclusively before anything else and never removed by a run: also after a
//! run that was killed, the same attempt is not run again (the bridge asks for another attempt, under its own number).

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::PathBuf;

use cc_ci_model::request::Receipt;
use cc_ci_process::state::StatePaths;

/// What a claim came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// This process runs it, or nobody's comment asked for it.
    Ours,
    /// Another one has it; its words about itself.
    Duplicate(String),
}

/// Why a claim could not be made: without it nobody knows whether another one runs.
#[derive(Debug, thiserror::Error)]
#[error(
    "claiming comment and attempt by {path}: {reason}; look at the free space and the rights of its folder"
)]
pub struct ClaimError {
    /// The file.
    pub path: PathBuf,
    /// What the kernel said.
    pub reason: io::Error,
}

/// Claims what the receipt names. A run by hand has no receipt and needs no claim.
///
/// # Errors
/// The file can be neither made nor found.
pub fn take(paths: &StatePaths, receipt: &Receipt) -> Result<Claim, ClaimError> {
    let (Some(comment), Some(attempt)) = (receipt.comment, receipt.attempt) else { return Ok(Claim::Ours) };
    let folder = paths.state.join("claims");
    let path = folder.join(format!("{comment}.{attempt}"));
    let failed = |reason| ClaimError { path: path.clone(), reason };
    std::fs::create_dir_all(&folder).map_err(failed)?;
    match OpenOptions::new().write(true).create_new(true).open(&path) {
        Ok(mut file) => {
            let build = receipt.build.map_or_else(|| "no build".to_owned(), |build| format!("build {build}"));
            let words = format!("{build}, process {}, {}\n", std::process::id(), jiff::Timestamp::now());
            // The file's being there is the claim; what stands in it is for people.
            let _ = file.write_all(words.as_bytes());
            Ok(Claim::Ours)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Ok(Claim::Duplicate(std::fs::read_to_string(&path).unwrap_or_default().trim().to_owned()))
        }
        Err(error) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(folder: &std::path::Path) -> StatePaths {
        StatePaths { state: folder.to_owned(), runs: folder.join("runs"), locks: folder.join("locks") }
    }

    #[test]
    fn one_comment_starts_at_most_one_run() {
        let folder = tempfile::tempdir().unwrap();
        let paths = paths(folder.path());
        let receipt = Receipt { comment: Some(42), attempt: Some(1), build: Some(7), ..Receipt::default() };
        let claims: Vec<Claim> = std::thread::scope(|scope| {
            let claimants: Vec<_> = (0..8).map(|_| scope.spawn(|| take(&paths, &receipt).unwrap())).collect();
            claimants.into_iter().map(|claimant| claimant.join().unwrap()).collect()
        });
        assert_eq!(claims.iter().filter(|claim| **claim == Claim::Ours).count(), 1);
        let second = Receipt { attempt: Some(2), ..receipt };
        assert_eq!(take(&paths, &second).unwrap(), Claim::Ours, "another attempt is another run");
        assert_eq!(take(&paths, &Receipt::default()).unwrap(), Claim::Ours, "by hand");
        assert_eq!(take(&paths, &Receipt::default()).unwrap(), Claim::Ours, "by hand, again");
    }
}
