//! Keeping the state small: settled intents, claims of runs and cancel files that nobody will ask for again.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;

use crate::service::{Bridge, BridgeError};

/// How often it is looked for.
const EVERY: Duration = Duration::from_secs(3600);
/// A build that waits longer than this for a runner may find its claim gone; nobody waits so long.
const CLAIM_KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 3600);

impl Bridge {
    /// Lets go of what is long settled, once an hour.
    pub(crate) fn tidy(&mut self) -> Result<(), BridgeError> {
        if self.last_tidied.is_some_and(|at| at.elapsed() < EVERY) {
            return Ok(());
        }
        let Some(seen_until) = self.marks.seen_until(&self.settings.organisations) else { return Ok(()) };
        let up_to = self.store.trim(seen_until, Timestamp::now())?;
        for folder in ["claims", "cancel"] {
            remove_old(&self.paths.state.join(folder), up_to);
        }
        self.last_tidied = Some(Instant::now());
        Ok(())
    }
}

/// Removes the files `<comment>.<attempt>` of comments up to this one that are old enough. One that cannot be removed
/// is looked at again an hour later.
fn remove_old(folder: &Path, up_to: u64) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let comment = name.split_once('.').and_then(|(comment, _)| comment.parse::<u64>().ok());
        let age = entry.metadata().and_then(|data| data.modified()).ok();
        let age = age.and_then(|at| SystemTime::now().duration_since(at).ok());
        if comment.is_some_and(|comment| comment <= up_to) && age.is_some_and(|age| age > CLAIM_KEPT_FOR) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn only_old_claims_of_comments_that_were_let_go_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let long_ago = SystemTime::now() - CLAIM_KEPT_FOR - Duration::from_secs(60);
        for (name, is_old) in [("5.1", true), ("5.2", false), ("9.1", true), ("note", true)] {
            let file = File::create(folder.path().join(name)).unwrap();
            if is_old {
                file.set_modified(long_ago).unwrap();
            }
        }
        remove_old(folder.path(), 8);
        let mut left: Vec<String> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        left.sort();
        assert_eq!(left, ["5.2", "9.1", "note"]);
    }
}
