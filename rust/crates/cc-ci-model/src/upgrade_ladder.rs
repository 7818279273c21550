//! Where an upgrade is asked to start, and the releases that it climbs through on its way to head.

use std::fmt;

use crate::names::CommitSha;
use crate::version::{Base, NoBase, Release, Tip, choose_base};

/// What `--from` and `VERSION` ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpgradeFrom {
    /// One release.
    Version(String),
    /// Every release, one after the other.
    All,
}

/// The word for every release; no tag is called so, as a version has a `+` in it.
const ALL: &str = "all";

impl UpgradeFrom {
    /// Reads a version or `all`; `None` for a text with characters that no tag has.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_fine = (1..=100).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'+' | b'-' | b'_'));
        is_fine.then(|| if text == ALL { Self::All } else { Self::Version(text.to_owned()) })
    }
}

impl fmt::Display for UpgradeFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Version(version) => version,
            Self::All => ALL,
        })
    }
}

/// Chooses the way to head: the release that is installed, then those that are upgraded to before head. The second list is
/// empty but for [`UpgradeFrom::All`], which takes every release that head descends from, oldest first, at most `longest` of
/// the newest. Releases on one commit are one.
///
/// # Errors
/// [`NoBase`] says why there is nothing to start from.
pub fn way_to_head(
    head: &CommitSha,
    releases: &[Release],
    default_branch: Option<&Tip>,
    asked: Option<&UpgradeFrom>,
    longest: usize,
) -> Result<(Base, Vec<Base>), NoBase> {
    let version = match asked {
        Some(UpgradeFrom::All) => {
            let mut rungs = rungs(head, releases, longest).into_iter();
            if let Some(first) = rungs.next() {
                return Ok((first, rungs.collect()));
            }
            None
        }
        Some(UpgradeFrom::Version(version)) => Some(version.as_str()),
        None => None,
    };
    choose_base(head, releases, default_branch, version).map(|base| (base, Vec::new()))
}

fn rungs(head: &CommitSha, releases: &[Release], longest: usize) -> Vec<Base> {
    let older = |release: &&Release| release.is_ancestor_of_head && release.commit != *head;
    let mut rungs: Vec<&Release> = releases.iter().filter(older).collect();
    rungs.sort_by(|left, right| left.version.cmp(&right.version));
    // The newest name of a commit stays.
    let mut distinct: Vec<&Release> = Vec::new();
    for release in rungs {
        distinct.retain(|known| known.commit != release.commit);
        distinct.push(release);
    }
    let all = distinct.len();
    let kept = distinct.split_off(all.saturating_sub(longest.max(1)));
    let reason = if kept.len() < all {
        format!("oldest of the newest {} of {all} releases (limits.ladder)", kept.len())
    } else {
        format!("oldest of {all} releases")
    };
    let reason = |index: usize| if index == 0 { reason.clone() } else { "next release".to_owned() };
    let base = |(index, release): (usize, &Release)| Base {
        name: release.version.to_string(),
        commit: release.commit.clone(),
        reason: reason(index),
    };
    kept.into_iter().enumerate().map(base).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::RecipeVersion;

    fn sha(digit: char) -> CommitSha {
        CommitSha::parse(&digit.to_string().repeat(40)).unwrap()
    }

    fn release(version: &str, commit: char, is_ancestor_of_head: bool) -> Release {
        let version = RecipeVersion::parse(version).unwrap();
        let contains_head = false;
        Release { version, commit: sha(commit), is_ancestor_of_head, contains_head, is_annotated: true }
    }

    fn way(releases: &[Release], longest: usize) -> Vec<String> {
        let (first, rungs) =
            way_to_head(&sha('f'), releases, None, Some(&UpgradeFrom::All), longest).unwrap();
        std::iter::once(first).chain(rungs).map(|rung| rung.name).collect()
    }

    #[test]
    fn the_ladder_climbs_from_the_oldest_release_that_head_descends_from_in_the_order_of_versions() {
        let releases = [
            release("0.10.0+1", 'c', true),
            release("0.9.0+1", 'b', true),
            release("2.0.0+1", 'd', false),
            release("0.1.0+1", 'a', true),
        ];
        assert_eq!(way(&releases, 10), ["0.1.0+1", "0.9.0+1", "0.10.0+1"]);
    }

    #[test]
    fn a_long_ladder_begins_at_the_newest_releases_and_says_so() {
        let releases: Vec<Release> = "abcde"
            .chars()
            .enumerate()
            .map(|(n, commit)| release(&format!("0.{n}.0+1"), commit, true))
            .collect();
        assert_eq!(way(&releases, 2), ["0.3.0+1", "0.4.0+1"]);
        let (first, _) = way_to_head(&sha('f'), &releases, None, Some(&UpgradeFrom::All), 2).unwrap();
        assert_eq!(first.reason, "oldest of the newest 2 of 5 releases (limits.ladder)");
        assert_eq!(way(&releases, 0), ["0.4.0+1"], "an upgrade needs one at least");
    }

    #[test]
    fn head_itself_and_a_second_name_of_one_commit_are_no_rungs() {
        let releases =
            [release("0.1.0+1", 'a', true), release("0.1.1+1", 'a', true), release("0.2.0+1", 'f', true)];
        assert_eq!(way(&releases, 10), ["0.1.1+1"]);
    }

    #[test]
    fn without_a_release_the_ladder_is_an_ordinary_upgrade() {
        let tip = Tip { commit: sha('e'), contains_head: false };
        let (base, rungs) = way_to_head(&sha('f'), &[], Some(&tip), Some(&UpgradeFrom::All), 10).unwrap();
        assert_eq!((base.name.as_str(), rungs.len()), ("main", 0));
        let none = way_to_head(&sha('f'), &[], None, Some(&UpgradeFrom::All), 10);
        assert!(matches!(none, Err(NoBase::NothingOlder { .. })));
    }

    #[test]
    fn from_is_a_version_or_all_and_prints_as_it_was_given() {
        for text in ["all", "1.0.0+2.3", "3.5.3+1.24.2-rootless"] {
            assert_eq!(UpgradeFrom::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(UpgradeFrom::parse("all"), Some(UpgradeFrom::All));
        for bad in ["", "1 2", "$(id)", "x\n", &"1".repeat(101)] {
            assert_eq!(UpgradeFrom::parse(bad), None, "{bad}");
        }
    }
}
