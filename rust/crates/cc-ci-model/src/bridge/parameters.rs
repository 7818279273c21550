//! What a build is handed: a fixed set of names with values of ours, and the receipt as the run reads it again.
//!
//! Whoever can set another name could set `PATH` or `LD_PRELOAD` of the step, so nothing else is ever sent.

use crate::bridge::command::{Command, Scope};
use crate::names::{CommitSha, GitSource, PrNumber, Recipe};
use crate::request::Receipt;

/// The names a build may be handed, and no others.
pub const NAMES: [&str; 12] = [
    "RECIPE",
    "SRC",
    "REF",
    "PR",
    "STAGES",
    "VERSION",
    "CCCI_MODE",
    "CCCI_COMMENT",
    "CCCI_ATTEMPT",
    "CCCI_BY",
    "CCCI_RIGHT",
    "CCCI_AT",
];

/// By which right somebody may start a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// A member of the organisation.
    Member,
    /// On the host's list, by number.
    Listed,
    /// May write to the repository.
    Writer,
}

impl Right {
    /// The word sent along.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Listed => "listed",
            Self::Writer => "writer",
        }
    }

    /// The word in a sentence.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Member => "member of the organisation",
            Self::Listed => "on this server's list",
            Self::Writer => "may write to the repository",
        }
    }
}

/// Everything one build is handed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildParameters {
    /// The recipe.
    pub recipe: Recipe,
    /// Where it is cloned from: always the base repository, which has a fork's commits, too.
    pub source: GitSource,
    /// The commit.
    pub commit: CommitSha,
    /// The pull request.
    pub pr: PrNumber,
    /// A run or a plan; the others start no build.
    pub command: Command,
    /// The comment.
    pub comment: u64,
    /// 1 or 2.
    pub attempt: u32,
    /// Login of who asked.
    pub by: String,
    /// By which right.
    pub right: Right,
    /// When it was asked, RFC 3339.
    pub at: String,
}

impl BuildParameters {
    /// The names and values, for Drone. Empty ones are left out.
    #[must_use]
    pub fn pairs(&self) -> Vec<(&'static str, String)> {
        let (mut stages, mut version) = (String::new(), String::new());
        match &self.command {
            Command::Run(Scope::Only(tiers)) => {
                stages = tiers.iter().map(|tier| tier.word()).collect::<Vec<_>>().join(",");
            }
            Command::Run(Scope::From(from)) => version.clone_from(from),
            Command::Run(Scope::Whole) | Command::Plan | Command::Cancel | Command::Help => {}
        }
        let mode = if self.command == Command::Plan { "plan" } else { "run" };
        let values = [
            self.recipe.to_string(),
            self.source.to_string(),
            self.commit.to_string(),
            self.pr.to_string(),
            stages,
            version,
            mode.to_owned(),
            self.comment.to_string(),
            self.attempt.to_string(),
            self.by.clone(),
            self.right.word().to_owned(),
            self.at.clone(),
        ];
        NAMES.into_iter().zip(values).filter(|(_, value)| !value.is_empty()).collect()
    }
}

/// A part of a receipt that is not valid: exit 64, nothing is run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}={value} is not valid: {allowed}")]
pub struct BadReceipt {
    name: &'static str,
    value: String,
    allowed: &'static str,
}

/// Reads a receipt from a build's parameters; `text` gives the value of a name. A run by hand has none of it.
///
/// # Errors
/// [`BadReceipt`] names the first value that nobody of ours has sent.
pub fn receipt(text: impl Fn(&str) -> Option<String>) -> Result<Receipt, BadReceipt> {
    let given = |name: &'static str| text(name).filter(|value| !value.is_empty());
    let bad = |name, value: &str, allowed| BadReceipt { name, value: crate::names::quoted(value), allowed };
    let number = |name: &'static str| {
        let parse = |value: String| {
            value
                .parse::<u64>()
                .ok()
                .filter(|n| *n > 0)
                .ok_or_else(|| bad(name, &value, "give a number from 1"))
        };
        given(name).map(parse).transpose()
    };
    let by = given("CCCI_BY");
    if let Some(by) = by.as_deref().filter(|by| !is_login(by)) {
        return Err(bad("CCCI_BY", by, "a login has letters, digits, dots, dashes and underscores"));
    }
    let right = given("CCCI_RIGHT");
    let is_right =
        |word: &str| [Right::Member, Right::Listed, Right::Writer].iter().any(|right| right.word() == word);
    if let Some(right) = right.as_deref().filter(|right| !is_right(right)) {
        return Err(bad("CCCI_RIGHT", right, "member, listed or writer"));
    }
    let at = given("CCCI_AT");
    if let Some(at) = at.as_deref().filter(|at| at.parse::<jiff::Timestamp>().is_err()) {
        return Err(bad("CCCI_AT", at, "give a time such as 2026-01-02T03:04:05Z"));
    }
    let attempt = number("CCCI_ATTEMPT")?;
    let attempt = match attempt {
        Some(attempt @ 1..=9) => Some(u32::try_from(attempt).expect("at most 9")),
        Some(other) => return Err(bad("CCCI_ATTEMPT", &other.to_string(), "give 1 or 2")),
        None => None,
    };
    Ok(Receipt {
        by,
        right,
        comment: number("CCCI_COMMENT")?,
        attempt,
        at,
        build: number("DRONE_BUILD_NUMBER")?,
    })
}

/// Whether a text may be a login at the forge (Gitea: `models/user`, letters, digits, `.`, `-`, `_`).
#[must_use]
pub fn is_login(text: &str) -> bool {
    (1..=100).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use crate::upgrade_ladder::UpgradeFrom;

    use super::*;
    use crate::request::RequestText;
    use crate::tier::Tier;

    fn parameters(command: Command) -> BuildParameters {
        BuildParameters {
            recipe: Recipe::parse("custom-html").unwrap(),
            source: GitSource::parse("https://git.example.org/recipes/custom-html.git").unwrap(),
            commit: CommitSha::parse(&"a".repeat(40)).unwrap(),
            pr: PrNumber(7),
            command,
            comment: 42,
            attempt: 1,
            by: "maria".to_owned(),
            right: Right::Member,
            at: "2026-01-02T03:04:05Z".to_owned(),
        }
    }

    #[test]
    fn build_parameters_cannot_reach_path_home_or_preload() {
        for name in [
            "PATH",
            "HOME",
            "LD_PRELOAD",
            "USER",
            "DOCKER_HOST",
            "CCCI_SETTINGS",
            "branch",
            "commit",
            "message",
        ] {
            assert!(!NAMES.contains(&name), "{name}");
        }
        for bad in ["a b", "$(id)", "x\ny", "", "ü", &"a".repeat(101)] {
            assert!(!is_login(bad), "{bad:?}");
        }
        for (name, value) in [
            ("CCCI_BY", "a;b"),
            ("CCCI_RIGHT", "root"),
            ("CCCI_COMMENT", "../x"),
            ("CCCI_COMMENT", "0"),
            ("CCCI_ATTEMPT", "10"),
            ("CCCI_AT", "yesterday"),
        ] {
            let text = |asked: &str| (asked == name).then(|| value.to_owned());
            assert!(receipt(text).is_err(), "{name}={value}");
        }
    }

    #[test]
    fn what_is_sent_is_what_the_run_reads() {
        let tiers = vec![Tier::Install, Tier::Upgrade];
        for (command, stages, version) in [
            (Command::Run(Scope::Whole), None, None),
            (Command::Run(Scope::Only(tiers.clone())), Some(tiers), None),
            (Command::Run(Scope::From("1.0.0+2".to_owned())), None, UpgradeFrom::parse("1.0.0+2")),
            (Command::Run(Scope::From("all".to_owned())), None, Some(UpgradeFrom::All)),
        ] {
            let sent = parameters(command);
            let pairs = sent.pairs();
            assert!(pairs.iter().all(|(name, _)| NAMES.contains(name)));
            let text =
                |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone());
            let receipt = receipt(text).unwrap();
            assert_eq!(
                (receipt.comment, receipt.attempt, receipt.by.as_deref()),
                (Some(42), Some(1), Some("maria"))
            );
            let request = RequestText {
                recipe: text("RECIPE"),
                source: text("SRC"),
                reference: text("REF"),
                pr: text("PR"),
                tiers: text("STAGES"),
                from: text("VERSION"),
            };
            let request = request.parse(receipt).unwrap();
            assert_eq!(
                (request.recipe, request.pr, request.tiers, request.from),
                (sent.recipe, sent.pr, stages, version)
            );
        }
    }
}
