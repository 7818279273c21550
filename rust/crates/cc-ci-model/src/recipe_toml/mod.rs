//! `recipes/<recipe>/recipe.toml`: what a recipe says about itself as data.

mod check;
mod keys;
mod ready;
mod seed;
mod values;

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::duration::HumanDuration;
use crate::names::{Recipe, ServiceName};
use crate::serves::{Serves, asks_over_http};
use crate::settings_file::{self, SettingsError};
use crate::size::ByteSize;
use crate::tier::Tier;

pub use check::{BrowserLook, Check, ExecLook, HttpLook, Look, Method, TcpLook};
pub use keys::{key_table, recipe_key_table};
pub use ready::{HttpReady, Ready, ReadyLook};
pub use seed::{Seed, SeedStep};
pub use values::{
    EnvName, HeaderName, HeaderValue, HttpStatus, MARKER, Placeholders, Reason, Title, UrlPath, VersionText,
};

/// The whole of a `recipe.toml`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecipeToml {
    /// Version of this file's form; 1 is the only one.
    pub schema: SchemaVersion,
    /// The app as a whole.
    #[serde(default)]
    pub app: App,
    /// The move to the commit under test.
    #[serde(default)]
    pub upgrade: Upgrade,
    /// Tiers that make no sense for this recipe, each with its reason.
    #[serde(default)]
    pub not_applicable: NotApplicable,
    /// What has to be there before the checks of install, upgrade, restore and custom begin.
    #[serde(default)]
    pub ready: Vec<Ready>,
    /// Checks of this recipe, on top of the generic ones.
    #[serde(default)]
    pub check: Vec<Check>,
    /// Data that has to survive upgrade, backup and restore.
    #[serde(default)]
    pub seed: Vec<Seed>,
    /// Other recipes that this one is tested together with.
    #[serde(default)]
    pub needs: Vec<Need>,
}

/// The `schema` key: 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "u32")]
pub struct SchemaVersion(());

impl TryFrom<u32> for SchemaVersion {
    type Error = String;
    fn try_from(version: u32) -> Result<Self, String> {
        if version == 1 {
            Ok(Self(()))
        } else {
            Err(format!("schema {version} is not known here; this program reads schema 1"))
        }
    }
}

/// `[app]`: how the app answers and what it needs.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct App {
    /// What the app offers to the outside. Without it: http where the proxy's labels give a route or this file says how a page
    /// is reached, else tcp where a TCP port is published, else none.
    pub serves: Option<Serves>,
    /// Where and how the app shows that it is healthy.
    pub health: Health,
    /// Time limits of this recipe, in place of the host's.
    pub timeouts: Timeouts,
    /// Lines for the app's `.env`, at base and head alike.
    pub env: BTreeMap<EnvName, String>,
    /// Memory the app needs to be deployed.
    pub memory: Option<ByteSize>,
    /// Web-facing service, where the recipe's proxy labels do not tell it.
    pub service: Option<ServiceName>,
    /// Port the web-facing service listens on, where the recipe's proxy labels do not tell it.
    pub port: Option<NonZeroU16>,
}

/// `app.health`: what is asked to see whether the app is serving.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Health {
    /// Path that is asked.
    pub path: UrlPath,
    /// Statuses that count as serving.
    pub status: Vec<HttpStatus>,
}

impl Default for Health {
    fn default() -> Self {
        Self { path: UrlPath::root(), status: [200, 301, 302].map(HttpStatus::known).to_vec() }
    }
}

/// `app.timeouts`: limits of this recipe. What is missing comes from the host's settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// Time for all services to converge (the host's default: 600s).
    pub deploy: Option<HumanDuration>,
    /// Time until the app answers after that (the host's default: 300s).
    pub http: Option<HumanDuration>,
}

/// `[upgrade]`: what differs between the two sides of the upgrade.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Upgrade {
    /// Lines for the app's `.env` that only the commit under test gets; the base never sees them.
    pub env: BTreeMap<EnvName, String>,
    /// Version to start from, in place of the newest older release.
    pub base: Option<VersionText>,
}

/// `[not_applicable]`: tier = reason, and `elsewhere` for a part of the restore. Install and lint always apply, so they are no
/// keys here.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NotApplicable {
    /// Why there is nothing to upgrade.
    pub upgrade: Option<Reason>,
    /// Why there is nothing to back up.
    pub backup: Option<Reason>,
    /// Why there is nothing to restore.
    pub restore: Option<Reason>,
    /// Why the snapshot is not restored once more into a fresh stack under another name.
    pub elsewhere: Option<Reason>,
    /// Why there is nothing to check beyond the generic floor.
    pub custom: Option<Reason>,
}

impl NotApplicable {
    /// The declared reason for leaving a tier out, if there is one.
    #[must_use]
    pub fn reason(&self, tier: Tier) -> Option<&Reason> {
        match tier {
            Tier::Upgrade => self.upgrade.as_ref(),
            Tier::Backup => self.backup.as_ref(),
            Tier::Restore => self.restore.as_ref(),
            Tier::Custom => self.custom.as_ref(),
            Tier::Install | Tier::Lint | Tier::Teardown => None,
        }
    }

    /// All declared tiers with their reasons, for the plan.
    #[must_use]
    pub fn declared(&self) -> Vec<(Tier, String)> {
        let reasons = Tier::PLANNABLE.into_iter().map(|tier| (tier, self.reason(tier)));
        reasons.filter_map(|(tier, reason)| Some((tier, reason?.to_string()))).collect()
    }
}

/// `[[needs]]`: a recipe that is deployed or attached before this one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Need {
    /// The recipe that is needed, e.g. `keycloak`.
    pub recipe: Recipe,
    /// Lines for the app's `.env`; `{{domain}}` stands for the domain of the needed app.
    #[serde(default)]
    pub env: BTreeMap<EnvName, String>,
}

impl RecipeToml {
    /// What holds for a recipe without a file of its own: nothing but the defaults.
    #[must_use]
    pub fn absent() -> Self {
        Self {
            schema: SchemaVersion(()),
            app: App::default(),
            upgrade: Upgrade::default(),
            not_applicable: NotApplicable::default(),
            ready: Vec::new(),
            check: Vec::new(),
            seed: Vec::new(),
            needs: Vec::new(),
        }
    }

    /// Reads a `recipe.toml`. `file_name` is only for messages.
    ///
    /// # Errors
    /// The first mistake, with file, line, key and the nearest valid key.
    pub fn parse(file_name: &str, text: &str) -> Result<Self, SettingsError> {
        let parsed: Self = settings_file::read_strict(file_name, text)?;
        let twice = |key: &str, name: &str| {
            let what =
                format!("{} is there twice; give each {key} a name of its own", crate::names::quoted(name));
            settings_file::mismatch(file_name, text, key, name, what)
        };
        for (index, check) in parsed.check.iter().enumerate() {
            if parsed.check[..index]
                .iter()
                .any(|other| (other.tier, &other.name) == (check.tier, &check.name))
            {
                return Err(twice("check", check.name.as_str()));
            }
            if parsed.not_applicable.reason(check.tier).is_some() {
                let what = format!("the tier has a check and is declared as not applicable ({})", check.name);
                let key = format!("not_applicable.{}", check.tier);
                return Err(settings_file::mismatch(file_name, text, &key, "not_applicable", what));
            }
        }
        for (index, ready) in parsed.ready.iter().enumerate() {
            if parsed.ready[..index].iter().any(|other| other.name == ready.name) {
                return Err(twice("ready", ready.name.as_str()));
            }
        }
        if let Some(serves @ (Serves::Tcp | Serves::None)) = parsed.app.serves
            && let Some(asking) = asks_over_http(&parsed)
        {
            let what = format!("the app has no HTTP page (\"{}\"), and {asking} asks for one", serves.word());
            return Err(settings_file::mismatch(file_name, text, "app.serves", "serves", what));
        }
        for (index, seed) in parsed.seed.iter().enumerate() {
            if parsed.seed[..index].iter().any(|other| other.name == seed.name) {
                return Err(twice("seed", seed.name.as_str()));
            }
        }
        Ok(parsed)
    }

    /// The checks of one tier, in the order of the file.
    pub fn checks(&self, tier: Tier) -> impl Iterator<Item = &Check> {
        self.check.iter().filter(move |check| check.tier == tier)
    }
}

#[cfg(test)]
mod tests;
