//! `[[seed]]`: data that is planted once and looked for after upgrade, backup and restore.

use schemars::JsonSchema;
use serde::Deserialize;

use super::check::{ExecLook, HttpLook};
use super::keys::schema_of_table;
use super::values::{MARKER, Title};

/// Data with a fresh random value in it. A seed that does not plant the value and look for it could not fail, so
/// such a seed does not exist.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "SeedTable")]
pub struct Seed {
    /// Its name in the result.
    pub name: Title,
    /// How the data gets into the app.
    pub plant: SeedStep,
    /// How it is looked for.
    pub expect: SeedStep,
}
schema_of_table!(Seed, SeedTable);

/// `[[seed]]` as it stands in the file.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SeedTable {
    /// Name in the result.
    name: Title,
    /// How the data gets into the app; `{{marker}}` stands for a fresh random value.
    plant: SeedStep,
    /// How it is looked for; one of the expected texts or JSON values contains `{{marker}}`.
    expect: SeedStep,
}

impl TryFrom<SeedTable> for Seed {
    type Error = String;
    fn try_from(table: SeedTable) -> Result<Self, String> {
        let SeedTable { name, plant, expect } = table;
        if !plant.sends_marker() {
            return Err(format!(
                "seed \"{name}\": plant puts no {MARKER} anywhere, so nothing could be looked for"
            ));
        }
        if !expect.demands_marker() {
            return Err(format!(
                "seed \"{name}\": expect looks for no {MARKER} in contains or json, so it could not fail"
            ));
        }
        Ok(Self { name, plant, expect })
    }
}

/// One step of a seed: a command in a container or an HTTP request.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "SeedStepTable")]
pub enum SeedStep {
    /// A command in a container.
    Exec(ExecLook),
    /// An HTTP request through the door.
    Http(HttpLook),
}
schema_of_table!(SeedStep, SeedStepTable);

/// A step as it stands in the file: exactly one of exec and http.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SeedStepTable {
    /// By a command in a container.
    exec: Option<ExecLook>,
    /// By an HTTP request.
    http: Option<HttpLook>,
}

impl TryFrom<SeedStepTable> for SeedStep {
    type Error = &'static str;
    fn try_from(table: SeedStepTable) -> Result<Self, Self::Error> {
        match (table.exec, table.http) {
            (Some(look), None) => Ok(Self::Exec(look)),
            (None, Some(look)) => Ok(Self::Http(look)),
            _ => Err("a step of a seed is exactly one of exec and http"),
        }
    }
}

impl SeedStep {
    fn sends_marker(&self) -> bool {
        let has = |text: &str| text.contains(MARKER);
        match self {
            Self::Exec(look) => {
                look.command.iter().any(|word| has(word)) || look.stdin.as_deref().is_some_and(has)
            }
            Self::Http(look) => {
                has(look.path.as_str())
                    || look.body.as_deref().is_some_and(has)
                    || look.headers.values().any(|value| has(value.as_str()))
            }
        }
    }

    fn demands_marker(&self) -> bool {
        let has = |text: &String| text.contains(MARKER);
        match self {
            Self::Exec(look) => look.contains.iter().any(has),
            Self::Http(look) => {
                look.contains.iter().any(has)
                    || look
                        .json
                        .values()
                        .any(|value| value.as_str().is_some_and(|text| text.contains(MARKER)))
            }
        }
    }
}
