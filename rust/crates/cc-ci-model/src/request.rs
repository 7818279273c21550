//! What somebody asked for, as types: made from a command line or from a build's parameters.

use serde::{Deserialize, Serialize};

use crate::names::{GitSource, NameError, PrNumber, Recipe, quoted};
use crate::tier::{Tier, UnknownTier, parse_list};
use crate::upgrade_ladder::UpgradeFrom;

/// Which deployer carries a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Deployer {
    /// The steps of abra done on the swarm from the recipe's own files.
    Native,
    /// The CLI that operators use.
    Abra,
}

/// What a ref is: a full commit, or a name that git resolves in the cloned repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitRef(String);

impl GitRef {
    /// Parses a commit, branch or tag name; nothing that git could take for an option or an expression is one.
    ///
    /// # Errors
    /// [`NameError`] names the value.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let fine = (1..=200).contains(&text.len())
            && !text.starts_with('-')
            && !text.contains("..")
            && !text.contains("@{")
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'/' | b'-' | b'+'));
        if fine {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::new("ref", text, "a commit id, a branch or a tag"))
        }
    }

    /// The name as git takes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A request as it was made, before the repository was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The recipe.
    pub recipe: Recipe,
    /// Where to clone it from.
    pub source: Option<GitSource>,
    /// The commit under test; without it, the tip of the source's default branch.
    pub reference: Option<GitRef>,
    /// The pull request, 0 for none.
    pub pr: PrNumber,
    /// The tiers asked for; without it, all.
    pub tiers: Option<Vec<Tier>>,
    /// Where the upgrade starts.
    pub from: Option<UpgradeFrom>,
    /// Who asked, by which right and where: kept as a receipt.
    pub receipt: Receipt,
}

/// Who asked for a run. Empty for a run by hand.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Receipt {
    /// Login of the person, for display.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The right it was granted by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub right: Option<String>,
    /// Id of the comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<u64>,
    /// 1, or 2 for the one repetition after trouble.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// When it was asked, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// Number of Drone's build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<u64>,
}

/// A parameter that is not valid: exit 64, nothing is run, no run folder is made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// A name in it.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A tier in it.
    #[error(transparent)]
    Tier(#[from] UnknownTier),
    /// Nothing said which recipe.
    #[error("no recipe given: say --recipe NAME or set RECIPE")]
    NoRecipe,
    /// A version with characters no tag has.
    #[error("version {0} is not valid: give a release tag such as 1.2.0+3.4.5, or all")]
    Version(String),
    /// A start for an upgrade that the same request leaves out.
    #[error(
        "--from {0} says where the upgrade starts, and the tiers asked for leave the upgrade out: add it, or drop --from"
    )]
    FromWithoutUpgrade(String),
}

/// The texts a request is made of, from options or from a build's parameters. Empty texts count as absent, since
/// Drone hands parameters that were never set as empty variables.
#[derive(Debug, Clone, Default)]
pub struct RequestText {
    /// `--recipe`, `RECIPE`.
    pub recipe: Option<String>,
    /// `--src`, `SRC`.
    pub source: Option<String>,
    /// `--ref`, `REF`.
    pub reference: Option<String>,
    /// `--pr`, `PR`.
    pub pr: Option<String>,
    /// `--tiers`, `STAGES`.
    pub tiers: Option<String>,
    /// `--from`, `VERSION`.
    pub from: Option<String>,
}

impl RequestText {
    /// Parses at the border; inside there are types only.
    ///
    /// # Errors
    /// [`RequestError`] names the first text that is not valid.
    pub fn parse(self, receipt: Receipt) -> Result<Request, RequestError> {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let recipe = given(self.recipe).ok_or(RequestError::NoRecipe)?;
        let from =
            |text: String| UpgradeFrom::parse(&text).ok_or_else(|| RequestError::Version(quoted(&text)));
        let from = given(self.from).map(from).transpose()?;
        let tiers = given(self.tiers).map(|text| parse_list(&text)).transpose()?;
        if let (Some(from), Some(tiers)) = (&from, &tiers)
            && !tiers.contains(&Tier::Upgrade)
        {
            return Err(RequestError::FromWithoutUpgrade(from.to_string()));
        }
        Ok(Request {
            recipe: Recipe::parse(&recipe)?,
            source: given(self.source).map(|text| GitSource::parse(&text)).transpose()?,
            reference: given(self.reference).map(|text| GitRef::parse(&text)).transpose()?,
            pr: given(self.pr).map_or(Ok(PrNumber(0)), |text| PrNumber::parse(&text))?,
            tiers,
            from,
            receipt,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(recipe: &str) -> RequestText {
        RequestText { recipe: Some(recipe.into()), ..RequestText::default() }
    }

    #[test]
    fn empty_parameters_count_as_absent() {
        let mut request = text("custom-html");
        request.reference = Some(String::new());
        request.pr = Some(String::new());
        request.tiers = Some(String::new());
        let request = request.parse(Receipt::default()).unwrap();
        assert_eq!((request.pr, request.reference, request.tiers), (PrNumber(0), None, None));
    }

    #[test]
    fn build_parameters_never_pass_through_a_shell() {
        for bad in ["x; id", "$(id)", "`id`", "../x", "-rf", ""] {
            assert!(text(bad).parse(Receipt::default()).is_err(), "{bad}");
        }
        for bad in ["--upload-pack=x", "a..b", "HEAD@{1}", "a b", "x;y", "^main", ":/fix"] {
            let request = RequestText { reference: Some(bad.into()), ..text("a") };
            assert!(request.parse(Receipt::default()).is_err(), "{bad}");
        }
        let contradiction =
            RequestText { from: Some("all".into()), tiers: Some("install,backup".into()), ..text("a") };
        let refused = contradiction.parse(Receipt::default());
        assert_eq!(refused, Err(RequestError::FromWithoutUpgrade("all".to_owned())));
        for bad in ["$(id)", "1 2", "x\n"] {
            let request = RequestText { from: Some(bad.into()), ..text("a") };
            assert!(request.parse(Receipt::default()).is_err(), "{bad}");
        }
    }
}
