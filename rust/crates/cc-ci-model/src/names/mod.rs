//! Names of things: strings from outside become these types at the border, and a value that exists is valid.

mod commit;
mod domain;
mod recipe;
mod run_id;

pub use commit::{CommitSha, GitSource, PrNumber};
pub use domain::{RunDomain, StackName, Zone};
pub use recipe::{Recipe, ServiceName};
pub use run_id::RunId;

/// Why a string is not the name it was given as. The message names the value (shortened, control
/// characters escaped) and says what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {value} is not valid: {allowed}")]
pub struct NameError {
    /// What was being named, e.g. `recipe name`.
    pub what: &'static str,
    /// The refused value, quoted, escaped and cut to 60 characters.
    pub value: String,
    /// What would be accepted.
    pub allowed: &'static str,
}

impl NameError {
    pub(crate) fn new(what: &'static str, value: &str, allowed: &'static str) -> Self {
        Self { what, value: quoted(value), allowed }
    }
}

/// Quotes a foreign string for a message: control characters escaped, cut to 60 characters.
#[must_use]
pub fn quoted(value: &str) -> String {
    let mut shown: String = value.chars().take(60).flat_map(char::escape_debug).collect();
    if value.chars().nth(60).is_some() {
        shown.push('…');
    }
    format!("\"{shown}\"")
}

/// Implements `FromStr`, `Display`, `Serialize` and `Deserialize` for a newtype over `String` with a `parse` function.
macro_rules! string_name {
    ($type:ty, $doc:literal) => {
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl std::str::FromStr for $type {
            type Err = $crate::names::NameError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::parse(text)
            }
        }
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "description": $doc })
            }
        }
    };
}
pub(crate) use string_name;
