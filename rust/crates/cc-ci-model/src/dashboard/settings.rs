//! The dashboard's settings: how it is called, what it shows and what it hides. Strict, and without any secret.

use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::duration::HumanDuration;
use crate::names::Recipe;
use crate::settings_file::{self, SettingsError};

/// The whole of `dashboard.toml`. Every key has a default.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DashboardSettings {
    /// Name at the top of every page.
    pub title: String,
    /// Where to listen if no socket is inherited; loopback only unless it says otherwise.
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// How often all folders are looked at again, for the case that an event was missed.
    pub rescan: HumanDuration,
    /// Folder with the per-recipe test data: recipes that never ran are shown too.
    pub recipes: Option<PathBuf>,
    /// Recipes whose pages, badges and files answer as if they did not exist.
    pub private: Vec<Recipe>,
}

impl Default for DashboardSettings {
    fn default() -> Self {
        Self {
            title: "cc-ci".to_owned(),
            listen: SocketAddr::from(([127, 0, 0, 1], 8380)),
            rescan: HumanDuration::seconds(30),
            recipes: None,
            private: Vec::new(),
        }
    }
}

impl DashboardSettings {
    /// Reads a `dashboard.toml`. `file_name` is only for messages.
    ///
    /// # Errors
    /// The first mistake, with file, line, key and the nearest valid key.
    pub fn parse(file_name: &str, text: &str) -> Result<Self, SettingsError> {
        settings_file::read_strict(file_name, text)
    }
}
