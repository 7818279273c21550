//! Which run folders are kept, by number and age per recipe.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::names::{Recipe, RunId};

/// How many run folders are kept, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Per recipe, the newest so many.
    pub per_recipe: usize,
    /// None that is older.
    pub keep_for: Duration,
}

impl Retention {
    /// A folder is left alone for so long after its run began or ended, whatever else is true of it: one that was made
    /// after the list of runs was read must not look unowned.
    pub const GRACE: Duration = Duration::from_secs(3600);
}

/// A run folder, as far as its keeping is decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderFacts {
    /// The run.
    pub id: RunId,
    /// Its recipe; none where the folder has no result.
    pub recipe: Option<Recipe>,
    /// Whether it passed.
    pub is_green: bool,
    /// When it ended, if it did.
    pub ended: Option<jiff::Timestamp>,
    /// Whether it may still be at work: its lock is held or could not be asked, or its result is not settled.
    pub may_live: bool,
}

impl FolderFacts {
    fn last_seen(&self) -> Option<jiff::Timestamp> {
        let begun = self.id.begun();
        self.ended.max(begun)
    }
}

/// A folder that goes, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trimmed {
    /// The run.
    pub id: RunId,
    /// The reason, as a person reads it.
    pub reason: String,
}

/// Which folders go. The newest green one of a recipe and its newest of any colour stay, whatever their age.
#[must_use]
pub fn trim(folders: &[FolderFacts], retention: &Retention, now: jiff::Timestamp) -> Vec<Trimmed> {
    let mut by_recipe: BTreeMap<Option<&str>, Vec<&FolderFacts>> = BTreeMap::new();
    for folder in folders {
        by_recipe.entry(folder.recipe.as_ref().map(Recipe::as_str)).or_default().push(folder);
    }
    let mut gone = Vec::new();
    for (recipe, mut folders) in by_recipe {
        folders.sort_by(|left, right| right.id.cmp(&left.id));
        let newest_green = folders.iter().find(|folder| folder.is_green).map(|folder| &folder.id);
        for (place, folder) in folders.iter().enumerate() {
            let Some(age) = folder.last_seen().map(|seen| age(seen, now)) else { continue };
            let is_last = recipe.is_some() && place == 0;
            let stays =
                folder.may_live || age < Retention::GRACE || is_last || newest_green == Some(&folder.id);
            if stays {
                continue;
            }
            let reason = if age > retention.keep_for {
                format!("older than {} days", retention.keep_for.as_secs() / 86_400)
            } else if place >= retention.per_recipe {
                format!("{} newer ones of {} are kept", retention.per_recipe, recipe.unwrap_or("no recipe"))
            } else {
                continue;
            };
            gone.push(Trimmed { id: folder.id.clone(), reason });
        }
    }
    gone
}

/// Zero where the clock went back.
fn age(since: jiff::Timestamp, now: jiff::Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}
