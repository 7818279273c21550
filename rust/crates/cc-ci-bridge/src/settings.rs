//! The bridge's settings: which forge, which Drone, whose comments count. Strict, and without any secret.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cc_ci_model::duration::HumanDuration;
use cc_ci_model::names::Recipe;
use cc_ci_model::settings_file::read_strict;
use cc_ci_process::mask::SecretValue;
use serde::Deserialize;

/// The whole of `bridge.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Address of Gitea.
    pub gitea: String,
    /// Address of Drone.
    pub drone: String,
    /// The organisations whose repositories are recipes.
    pub organisations: Vec<String>,
    /// The repository with `.drone.yml`, `<owner>/<name>`.
    pub pipeline: String,
    /// Its branch.
    #[serde(default = "main_branch")]
    pub branch: String,
    /// The recipes that are tested; all of the organisations' repositories if empty.
    #[serde(default)]
    pub recipes: Vec<Recipe>,
    /// Numbers of people who may trigger without being members.
    #[serde(default)]
    pub allowed: Vec<u64>,
    /// How often the forge is asked for changes.
    #[serde(default = "poll")]
    pub poll: HumanDuration,
    /// Where `/hook`, `/healthz` and `/metrics` answer; nowhere if missing.
    pub listen: Option<SocketAddr>,
    /// Address of this server's pages, for links.
    pub pages: Option<String>,
    /// Where cc-ci itself can be had by Nix, for the line that repeats a run.
    #[serde(default = "flake")]
    pub flake: String,
    /// File with the bot's token at Gitea; the credential `gitea-token` if missing.
    pub gitea_token_file: Option<PathBuf>,
    /// File with the token at Drone; the credential `drone-token` if missing.
    pub drone_token_file: Option<PathBuf>,
    /// File with the secret of webhooks; the credential `webhook-secret` if missing, and no webhook without either.
    pub webhook_secret_file: Option<PathBuf>,
}

fn main_branch() -> String {
    "main".to_owned()
}

fn poll() -> HumanDuration {
    HumanDuration::seconds(15)
}

fn flake() -> String {
    format!("git+{}", env!("CARGO_PKG_REPOSITORY"))
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("reading the bridge's settings {path}: {reason}; name the file with --config")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        reason: std::io::Error,
    },
    /// A key or a value is wrong.
    #[error(transparent)]
    Form(#[from] cc_ci_model::settings_file::SettingsError),
    /// A value that the types allow and the bridge does not.
    #[error("{path}: {what}")]
    Value {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        what: String,
    },
}

impl Settings {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// It cannot be read, has an unknown key, or a value that makes no sense.
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        let text = std::fs::read_to_string(path)
            .map_err(|reason| SettingsError::Read { path: path.to_owned(), reason })?;
        let settings: Self = read_strict(&path.to_string_lossy(), &text)?;
        settings.check().map_err(|what| SettingsError::Value { path: path.to_owned(), what })?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), String> {
        for (key, address) in [("gitea", &self.gitea), ("drone", &self.drone)] {
            if !address.starts_with("http://") && !address.starts_with("https://") {
                return Err(format!("{key} = \"{address}\" is no address: begin with https://"));
            }
        }
        if self.organisations.is_empty() {
            return Err("organisations is empty: name the organisation of the recipes".to_owned());
        }
        let is_name = |name: &str| !name.is_empty() && !name.contains(['/', '?', '#', ' ']);
        if let Some(bad) = self.organisations.iter().find(|name| !is_name(name)) {
            return Err(format!("organisations: \"{bad}\" is no name of an organisation"));
        }
        if self.pipeline.split('/').count() != 2 || !self.pipeline.split('/').all(is_name) {
            return Err(format!("pipeline = \"{}\" is no repository: write <owner>/<name>", self.pipeline));
        }
        let poll = Duration::from(self.poll);
        if !(Duration::from_secs(1)..=Duration::from_secs(30)).contains(&poll) {
            return Err("poll: people wait for an answer, so it is between 1s and 30s".to_owned());
        }
        Ok(())
    }

    /// Whether a repository is tested here.
    #[must_use]
    pub fn is_enrolled(&self, repository: &str) -> bool {
        let Some((owner, name)) = repository.split_once('/') else { return false };
        self.organisations.iter().any(|organisation| organisation == owner)
            && Recipe::parse(name).is_ok()
            && (self.recipes.is_empty() || self.recipes.iter().any(|recipe| recipe.as_str() == name))
    }
}

/// Reads a secret from its file, or else the unit's credential.
///
/// # Errors
/// Neither can be read.
pub fn secret(
    file: Option<&Path>,
    credential: &str,
) -> Result<SecretValue, cc_ci_process::mask::SecretError> {
    match file {
        Some(file) => SecretValue::read(file),
        None => SecretValue::credential(credential),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "gitea = \"https://git.example.org\"\ndrone = \"https://drone.example.org\"\n\
        organisations = [\"recipes\"]\npipeline = \"cc/ci\"\n";

    fn read(text: &str) -> Result<Settings, SettingsError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Settings::read(file.path())
    }

    #[test]
    fn a_key_nobody_knows_or_a_value_without_sense_is_an_error_with_a_remedy() {
        assert!(read(WHOLE).unwrap().is_enrolled("recipes/custom-html"));
        for (more, words) in [
            ("pol = \"15s\"\n", "did you mean `poll`"),
            ("poll = \"5m\"\n", "between 1s and 30s"),
            ("listen = \"here\"\n", "listen"),
        ] {
            let message = read(&format!("{WHOLE}{more}")).unwrap_err().to_string();
            assert!(message.contains(words), "{message}");
        }
        for (from, to, words) in [
            ("https://git.", "git.", "begin with https://"),
            ("cc/ci", "ci", "<owner>/<name>"),
            ("[\"recipes\"]", "[]", "name the organisation"),
        ] {
            let message = read(&WHOLE.replace(from, to)).unwrap_err().to_string();
            assert!(message.contains(words), "{message}");
        }
    }

    #[test]
    fn only_listed_recipes_are_enrolled_where_there_is_a_list() {
        let settings = read(&format!("{WHOLE}recipes = [\"gitea\"]\n")).unwrap();
        assert!(settings.is_enrolled("recipes/gitea") && !settings.is_enrolled("recipes/drone"));
        assert!(!settings.is_enrolled("other/gitea") && !settings.is_enrolled("gitea"));
    }
}
