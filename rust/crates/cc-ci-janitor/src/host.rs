//! The host a sweep works on: its folders, its settings, its engine's address.

use std::path::PathBuf;

use anyhow::{Context, Result};
use cc_ci_model::settings::Settings;
use cc_ci_process::environment;
use cc_ci_process::state::StatePaths;

/// Where host settings lie unless `CCCI_SETTINGS` says otherwise.
const SETTINGS: &str = "/etc/cc-ci/settings.toml";

/// One host.
#[derive(Debug, Clone)]
pub struct Host {
    /// Its folders.
    pub paths: StatePaths,
    /// Its settings.
    pub settings: Settings,
    /// Where its engine listens; none: as `DOCKER_HOST` says.
    pub docker_host: Option<String>,
}

impl Host {
    /// The host as the environment describes it, the same way as for a run.
    ///
    /// # Errors
    /// The settings cannot be read.
    pub fn from_environment() -> Result<Self> {
        let paths = StatePaths::from_environment();
        let named =
            std::env::var_os(environment::CCCI_SETTINGS).filter(|path| !path.is_empty()).map(PathBuf::from);
        let path = named.clone().unwrap_or_else(|| PathBuf::from(SETTINGS));
        let settings = match std::fs::read_to_string(&path) {
            Ok(text) => Settings::parse(&path.to_string_lossy(), &text)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => {
                Settings::default()
            }
            Err(error) => {
                return Err(error).with_context(|| format!("reading the host's settings {}", path.display()));
            }
        };
        Ok(Self { paths, settings, docker_host: None })
    }
}
