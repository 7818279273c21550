//! The tiers of a run: what they are called and in which order they run.

use serde::{Deserialize, Serialize};

/// One part of a run that is judged by itself. The order of the variants is the order of the run.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// The recipe's files are judged without deploying anything.
    Lint,
    /// The base release (or head, where there is no base) is deployed and really serves.
    Install,
    /// The pull request's commit is deployed in place and the data is still there.
    Upgrade,
    /// A snapshot is taken and holds the data.
    Backup,
    /// The snapshot brings the data back.
    Restore,
    /// The recipe's own behaviour.
    Custom,
    /// Everything is removed and proven to be gone; reported like a tier and never planned.
    Teardown,
}

impl Tier {
    /// The tiers a person may ask for, in the order of the run.
    pub const PLANNABLE: [Self; 6] =
        [Self::Lint, Self::Install, Self::Upgrade, Self::Backup, Self::Restore, Self::Custom];

    /// The word used on the command line, in files and in messages.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Lint => "lint",
            Self::Install => "install",
            Self::Upgrade => "upgrade",
            Self::Backup => "backup",
            Self::Restore => "restore",
            Self::Custom => "custom",
            Self::Teardown => "teardown",
        }
    }
}

impl std::fmt::Display for Tier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

/// A word that is no tier one may ask for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown tier {0}: ask for some of lint, install, upgrade, backup, restore, custom, separated by commas"
)]
pub struct UnknownTier(pub String);

impl std::str::FromStr for Tier {
    type Err = UnknownTier;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::PLANNABLE
            .into_iter()
            .find(|tier| tier.word() == text)
            .ok_or_else(|| UnknownTier(crate::names::quoted(text)))
    }
}

/// Parses `install,upgrade`: each tier once, in the order of the run, at least one.
///
/// # Errors
/// [`UnknownTier`] for a word that is no tier, and for an empty list.
pub fn parse_list(text: &str) -> Result<Vec<Tier>, UnknownTier> {
    let mut tiers = text.split(',').map(|word| word.trim().parse()).collect::<Result<Vec<Tier>, _>>()?;
    tiers.sort_unstable();
    tiers.dedup();
    Ok(tiers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_are_listed_once_in_the_order_of_the_run() {
        assert_eq!(parse_list("upgrade, install,upgrade"), Ok(vec![Tier::Install, Tier::Upgrade]));
    }

    #[test]
    fn unknown_and_unplannable_tiers_are_named() {
        for bad in ["", "instal", "install,", "teardown", "INSTALL", "a\nb"] {
            let message = parse_list(bad).unwrap_err().to_string();
            assert!(message.contains("unknown tier \""), "{message}");
            assert!(!message.contains('\n'));
        }
    }
}
