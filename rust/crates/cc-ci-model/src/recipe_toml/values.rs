//! The values a recipe.toml is made of: paths, statuses, header and variable names, and text with placeholders.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::{NameError, string_name};

/// Path and query of an address on the app: starts with `/`, no blank, no control character, at most 1000 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlPath(String);

impl UrlPath {
    /// The start page.
    #[must_use]
    pub fn root() -> Self {
        Self("/".to_owned())
    }

    /// Parses a path. `//host` and `/\host` are refused: clients take them for another machine's address.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let fine = text.starts_with('/')
            && !text.starts_with("//")
            && !text.contains('\\')
            && !text.contains('#')
            && text.len() <= 1000
            && !text.chars().any(|c| c.is_control() || c.is_whitespace());
        if fine {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::new("path", text, "a path on the app that starts with one /, e.g. /healthz"))
        }
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
string_name!(UrlPath, "path on the app, e.g. /healthz");

/// Name of an environment variable.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EnvName(String);

impl EnvName {
    /// Parses a name: letters, digits and `_`, not starting with a digit.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let fine = (1..=200).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && !text.starts_with(|c: char| c.is_ascii_digit());
        if fine {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::new("environment variable", text, "letters, digits and _, e.g. LOG_LEVEL"))
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
string_name!(EnvName, "name of an environment variable");

/// Name of a header that a check sends. `Host` and what frames the request belong to the client.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HeaderName(String);

impl HeaderName {
    /// Parses a header name: letters, digits and hyphens.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let own = ["host", "connection", "content-length", "transfer-encoding", "upgrade", "te", "trailer"];
        let fine = (1..=100).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !own.contains(&text.to_ascii_lowercase().as_str());
        if fine {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::new(
                "header name",
                text,
                "letters, digits and hyphens; Host and framing headers are set by the client",
            ))
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
string_name!(HeaderName, "name of a request header");

/// Value of a header that a check sends: printable ASCII, so that no second header hides in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderValue(String);

impl HeaderValue {
    /// Parses a header value.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.len() <= 4000 && text.bytes().all(|b| (0x20..0x7f).contains(&b)) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::new("header value", text, "printable ASCII, at most 4000 characters"))
        }
    }

    /// The value as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
string_name!(HeaderValue, "value of a request header");

/// A version of the recipe as its release tags are named, e.g. `1.2.0+4.5.6`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionText(String);

impl VersionText {
    /// Parses a version: what a tag of that name may hold.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let fine = (1..=100).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'+' | b'-' | b'_'))
            && !text.contains("..");
        if fine {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::new("version", text, "the name of a release tag, e.g. 1.2.0+4.5.6"))
        }
    }

    /// The version as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
string_name!(VersionText, "name of a release tag");

macro_rules! one_line {
    ($type:ident, $what:literal, $longest:literal) => {
        impl $type {
            /// Parses one line of text that is not blank.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                let fine =
                    !text.trim().is_empty() && text.len() <= $longest && !text.chars().any(char::is_control);
                if fine {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(NameError::new($what, text, "one line of text that is not blank"))
                }
            }

            /// The line as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        string_name!($type, "one line of text");
    };
}

/// What a check or a seed is called in the result: one line, at most 120 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Title(String);
one_line!(Title, "name", 120);

/// Why a tier does not apply: one line, at most 300 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason(String);
one_line!(Reason, "reason", 300);

/// An HTTP status, 100 to 599.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(try_from = "u16")]
#[schemars(inline)]
pub struct HttpStatus(u16);

impl HttpStatus {
    pub(crate) fn known(status: u16) -> Self {
        Self(status)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for HttpStatus {
    type Error = String;
    fn try_from(status: u16) -> Result<Self, String> {
        if (100..=599).contains(&status) {
            Ok(Self(status))
        } else {
            Err(format!("{status} is not an HTTP status: 100 to 599"))
        }
    }
}

/// What stands for a seed's fresh random value in commands, bodies and expectations.
pub const MARKER: &str = "{{marker}}";

/// Values for the placeholders `{{marker}}` and `{{domain}}`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Placeholders<'a> {
    /// A fresh random value of this run; only seeds have one.
    pub marker: Option<&'a str>,
    /// The domain of the app under test.
    pub domain: Option<&'a str>,
}

impl Placeholders<'_> {
    /// The text with its placeholders filled in. Values are not looked at again, so a value cannot name a placeholder.
    #[must_use]
    pub fn fill(&self, text: &str) -> String {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find("{{") {
            filled.push_str(&rest[..start]);
            let inside = &rest[start + 2..];
            let value = inside.find("}}").and_then(|end| match &inside[..end] {
                "marker" => self.marker.map(|value| (value, end)),
                "domain" => self.domain.map(|value| (value, end)),
                _ => None,
            });
            match value {
                Some((value, end)) => {
                    filled.push_str(value);
                    rest = &inside[end + 2..];
                }
                None => {
                    filled.push_str("{{");
                    rest = inside;
                }
            }
        }
        filled.push_str(rest);
        filled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_on_the_app() {
        for good in ["/", "/healthz", "/a/b?c=d&e=%20"] {
            assert!(UrlPath::parse(good).is_ok(), "{good}");
        }
        for bad in
            ["", "healthz", "//other.example/", "/\\other", "/a b", "/a\r\nX: y", "https://x/", "/#top"]
        {
            assert!(UrlPath::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn headers_cannot_carry_another_host_or_a_second_header() {
        assert!(HeaderName::parse("Accept").is_ok());
        for bad in ["Host", "hOsT", "Transfer-Encoding", "a b", "a:", ""] {
            assert!(HeaderName::parse(bad).is_err(), "{bad}");
        }
        assert!(HeaderValue::parse("a\r\nHost: b").is_err());
    }

    #[test]
    fn a_value_cannot_bring_a_placeholder_of_its_own() {
        let values = Placeholders { marker: Some("{{domain}}"), domain: Some("x.example") };
        assert_eq!(values.fill("{{marker}} {{domain}} {{other}} {{"), "{{domain}} x.example {{other}} {{");
    }
}
