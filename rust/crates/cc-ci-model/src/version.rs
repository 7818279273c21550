//! Versions of a recipe, their order, and the base an upgrade starts from.

use std::cmp::Ordering;

use crate::names::CommitSha;

/// `<recipe semver>+<app version>`, e.g. `2.0.1+1.0.6`. The left part orders; the right one, often no semver,
/// only breaks ties (abra.md 3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipeVersion {
    text: String,
    left: semver::Version,
    right: String,
}

impl RecipeVersion {
    /// Parses a release tag. `None` for a tag that is no version: reported by whoever lists tags, never an error.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (left, right) = text.split_once('+')?;
        let left = semver::Version::parse(left).ok()?;
        (!right.is_empty()).then(|| Self { text: text.to_owned(), left, right: right.to_owned() })
    }

    /// The version as the tag spells it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl std::fmt::Display for RecipeVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl Ord for RecipeVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        self.left
            .cmp(&other.left)
            .then_with(|| natural(&self.right, &other.right))
            .then_with(|| self.text.cmp(&other.text))
    }
}

impl PartialOrd for RecipeVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Compares text with its runs of digits taken as numbers: `1.9` before `1.10`.
fn natural(left: &str, right: &str) -> Ordering {
    let pieces = |text: &str| {
        let mut pieces: Vec<(bool, String)> = Vec::new();
        for character in text.chars() {
            let digit = character.is_ascii_digit();
            match pieces.last_mut() {
                Some((is_digit, piece)) if *is_digit == digit => piece.push(character),
                _ => pieces.push((digit, character.to_string())),
            }
        }
        pieces
    };
    let (left, right) = (pieces(left), pieces(right));
    for ((left_digit, left), (right_digit, right)) in left.iter().zip(&right) {
        let order = if *left_digit && *right_digit {
            let (left, right) = (left.trim_start_matches('0'), right.trim_start_matches('0'));
            left.len().cmp(&right.len()).then_with(|| left.cmp(right))
        } else {
            left.cmp(right)
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    left.len().cmp(&right.len())
}

/// A release tag of the recipe's repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The version the tag names.
    pub version: RecipeVersion,
    /// The commit the tag points to.
    pub commit: CommitSha,
    /// Whether head descends from that commit.
    pub is_ancestor_of_head: bool,
    /// Whether that commit descends from head, so that an upgrade from it would go backwards.
    pub contains_head: bool,
    /// Whether the tag is annotated; a lightweight one deploys all the same and is a lint finding.
    pub is_annotated: bool,
}

/// The tip of the source's default branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tip {
    /// Its commit.
    pub commit: CommitSha,
    /// Whether it is head or descends from head: then it is not older, and an upgrade from it would go backwards.
    pub contains_head: bool,
}

/// Where an upgrade starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// What to call it: the version of the tag, or `main` for the tip of the default branch.
    pub name: String,
    /// The commit deployed first.
    pub commit: CommitSha,
    /// Why this one, for the plan.
    pub reason: String,
}

/// Why there is no base to upgrade from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoBase {
    /// Structural: nothing older than head exists. The tier is not applicable.
    #[error(
        "no release is older than {head}, and the default branch holds {head} already: there is nothing to upgrade from"
    )]
    NothingOlder {
        /// First eight digits of head.
        head: String,
    },
    /// The version asked for is not a tag of the repository. A bad argument or a bad recipe.toml.
    #[error("version {wanted} is not a release tag of the recipe; its releases are: {known}")]
    UnknownVersion {
        /// What was asked for, quoted.
        wanted: String,
        /// The newest releases, or "none".
        known: String,
    },
    /// The version asked for is head itself.
    #[error("version {wanted} is the commit under test itself: an upgrade from it to itself proves nothing")]
    IsHead {
        /// What was asked for, quoted.
        wanted: String,
    },
    /// The version asked for was made after head.
    #[error(
        "version {wanted} descends from the commit under test: that would be a downgrade, ask for an older release"
    )]
    Newer {
        /// What was asked for, quoted.
        wanted: String,
    },
}

/// Chooses the base: the version asked for; else the newest release that head descends from and is not head; else
/// the tip of the default branch, if head is not in it yet (features.md 4.3, without warm canonicals).
///
/// # Errors
/// [`NoBase`] says why there is none.
pub fn choose_base(
    head: &CommitSha,
    releases: &[Release],
    default_branch: Option<&Tip>,
    asked: Option<&str>,
) -> Result<Base, NoBase> {
    let mut newest_first: Vec<&Release> = releases.iter().collect();
    newest_first.sort_by(|left, right| right.version.cmp(&left.version));
    if let Some(wanted) = asked {
        let Some(release) = newest_first.iter().find(|release| release.version.as_str() == wanted) else {
            let known: Vec<&str> =
                newest_first.iter().take(5).map(|release| release.version.as_str()).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(NoBase::UnknownVersion { wanted: crate::names::quoted(wanted), known });
        };
        if release.commit == *head {
            return Err(NoBase::IsHead { wanted: crate::names::quoted(wanted) });
        }
        if release.contains_head {
            return Err(NoBase::Newer { wanted: crate::names::quoted(wanted) });
        }
        return Ok(Base {
            name: wanted.to_owned(),
            commit: release.commit.clone(),
            reason: "asked for".to_owned(),
        });
    }
    if let Some(release) =
        newest_first.iter().find(|release| release.is_ancestor_of_head && release.commit != *head)
    {
        return Ok(Base {
            name: release.version.to_string(),
            commit: release.commit.clone(),
            reason: "newest release that head descends from".to_owned(),
        });
    }
    match default_branch {
        Some(tip) if !tip.contains_head => Ok(Base {
            name: "main".to_owned(),
            commit: tip.commit.clone(),
            reason: "no older release: tip of the default branch".to_owned(),
        }),
        _ => Err(NoBase::NothingOlder { head: head.short().to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sha(digit: char) -> CommitSha {
        CommitSha::parse(&digit.to_string().repeat(40)).unwrap()
    }

    fn release(version: &str, commit: char, is_ancestor_of_head: bool) -> Release {
        let version = RecipeVersion::parse(version).unwrap();
        let contains_head = false;
        Release { version, commit: sha(commit), is_ancestor_of_head, contains_head, is_annotated: true }
    }

    #[test]
    fn versions_order_by_recipe_then_app() {
        let mut versions: Vec<_> =
            ["2.0.0+1.9", "10.0.0+1.0", "2.0.0+1.10", "1.0.0+v3", "3.5.3+1.24.2-rootless"]
                .iter()
                .map(|text| RecipeVersion::parse(text).unwrap())
                .collect();
        versions.sort();
        let texts: Vec<_> = versions.iter().map(RecipeVersion::as_str).collect();
        assert_eq!(texts, ["1.0.0+v3", "2.0.0+1.9", "2.0.0+1.10", "3.5.3+1.24.2-rootless", "10.0.0+1.0"]);
        for bad in ["", "1.0.0", "v1.0.0+2", "1.0+2", "1.0.0+"] {
            assert_eq!(RecipeVersion::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn upgrade_base_is_strictly_older_than_head() {
        let releases =
            [release("1.0.0+1", 'a', true), release("1.1.0+1", 'b', true), release("2.0.0+1", 'c', false)];
        assert_eq!(choose_base(&sha('d'), &releases, None, None).unwrap().name, "1.1.0+1");
        assert_eq!(
            choose_base(&sha('b'), &releases, None, None).unwrap().name,
            "1.0.0+1",
            "head is a release itself"
        );
        let tip = |contains_head| Tip { commit: sha('e'), contains_head };
        assert_eq!(choose_base(&sha('d'), &[], Some(&tip(false)), None).unwrap().name, "main");
        let newer = choose_base(&sha('d'), &[], Some(&tip(true)), None);
        assert!(matches!(newer, Err(NoBase::NothingOlder { .. })), "from there it would be a downgrade");
        assert!(matches!(choose_base(&sha('d'), &[], None, None), Err(NoBase::NothingOlder { .. })));
    }

    #[test]
    fn a_version_asked_for_must_be_another_release() {
        let releases = [release("1.0.0+1", 'a', true), release("2.0.0+1", 'c', false)];
        assert_eq!(choose_base(&sha('d'), &releases, None, Some("2.0.0+1")).unwrap().commit, sha('c'));
        assert!(matches!(
            choose_base(&sha('a'), &releases, None, Some("1.0.0+1")),
            Err(NoBase::IsHead { .. })
        ));
        let newer = [Release { contains_head: true, ..release("3.0.0+1", 'e', false) }];
        let asked = choose_base(&sha('d'), &newer, None, Some("3.0.0+1"));
        assert!(matches!(asked, Err(NoBase::Newer { .. })), "that would be a downgrade");
        let message = choose_base(&sha('d'), &releases, None, Some("9\n")).unwrap_err().to_string();
        assert_eq!(
            message,
            "version \"9\\n\" is not a release tag of the recipe; its releases are: 2.0.0+1, 1.0.0+1"
        );
    }
}
