//! What a run tests: a source, a commit and the pull request it belongs to.

use super::{NameError, string_name};

/// Full SHA-1 of a git commit: 40 lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CommitSha(String);

impl CommitSha {
    /// Parses a full commit id; upper-case digits are folded.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(NameError::new("commit", text, "40 hex digits"))
        }
    }

    /// All 40 digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first eight digits, as abra writes them into `chaos-version`.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..8]
    }
}
string_name!(CommitSha, "full git commit id, 40 hex digits");

/// Number of a pull request; 0 stands for "none", as a run by hand has it.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Default,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct PrNumber(pub u32);

impl PrNumber {
    /// Parses digits only: no sign, no blank, at most nine digits.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let error = || NameError::new("pull request number", text, "1 to 9 digits");
        if text.is_empty() || text.len() > 9 || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(error());
        }
        text.parse().map(Self).map_err(|_| error())
    }
}

impl std::str::FromStr for PrNumber {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl std::fmt::Display for PrNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Where a recipe is cloned from: an http(s) or file address, or a path on this machine.
///
/// Anything that git would treat as an option or as a remote helper (`ext::sh -c …` runs a program,
/// see gitremote-helpers(7)) is refused, and so are control characters and credentials in the address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GitSource(String);

impl GitSource {
    /// Parses a clone source.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let allowed =
            "an http(s):// or file:// address without credentials, or an absolute or ./relative path";
        let error = || NameError::new("clone source", text, allowed);
        if text.is_empty() || text.len() > 1000 || text.chars().any(char::is_control) || text.contains("::") {
            return Err(error());
        }
        let web = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let fine = match web {
            Some(rest) => {
                let host = rest.split('/').next().unwrap_or_default();
                !host.is_empty() && !host.contains('@') && !host.starts_with('-') && !text.contains(' ')
            }
            None => {
                text.starts_with("file:///")
                    || text.starts_with('/')
                    || text == "."
                    || text.starts_with("./")
                    || text.starts_with("../")
            }
        };
        if fine { Ok(Self(text.to_owned())) } else { Err(error()) }
    }

    /// The source as git takes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
string_name!(GitSource, "where the recipe was cloned from");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_are_forty_hex_digits() {
        let sha = CommitSha::parse("7AE7B0F7aa11223344556677889900aabbccddee").unwrap();
        assert_eq!(sha.short(), "7ae7b0f7");
        for bad in ["", "main", "7ae7b0f7", "-7ae7b0f7aa11223344556677889900aabbccdde", "zz"] {
            assert!(CommitSha::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn pull_request_numbers_are_digits_only() {
        assert_eq!(PrNumber::parse("12"), Ok(PrNumber(12)));
        for bad in ["", "-1", "+1", " 1", "1e3", "0x1", "99999999999"] {
            assert!(PrNumber::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sources_that_git_would_execute_or_that_carry_credentials_are_refused() {
        for good in ["https://git.example.org/r/x.git", "file:///srv/x", "/srv/x", "./x", "../x", "."] {
            assert!(GitSource::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "ext::sh -c id",
            "--upload-pack=id",
            "https://user:pass@host/x",
            "https://",
            "host:x",
            "a\nb",
            "x",
        ] {
            assert!(GitSource::parse(bad).is_err(), "{bad}");
        }
    }
}
