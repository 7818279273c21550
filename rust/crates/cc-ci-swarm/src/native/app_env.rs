//! The app's `.env`: made from the recipe's sample, kept through the upgrade, removed last.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cc_ci_model::env_file::EnvFile;
use cc_ci_model::names::{Recipe, RunDomain, StackName};
use cc_ci_process::atomic;

/// What could not be done with an app's `.env`.
#[derive(Debug, thiserror::Error)]
pub enum AppEnvError {
    /// The recipe brings no sample (lint rule R008).
    #[error("the recipe has no .env.sample: add one, with TYPE, DOMAIN and LETS_ENCRYPT_ENV")]
    NoSample,
    /// The file could not be written.
    #[error(transparent)]
    Write(#[from] atomic::AtomicError),
    /// The folder could not be made.
    #[error("making {0}: {1}")]
    Folder(String, std::io::Error),
}

/// The `.env` of the app under test and where it lies: `<ABRA_DIR>/servers/default/<domain>.env`.
#[derive(Debug, Clone)]
pub struct AppEnv {
    path: PathBuf,
    file: EnvFile,
}

impl AppEnv {
    /// Makes the `.env` from the sample, as `abra app new` does: the domain filled in, the version recorded.
    /// `LETS_ENCRYPT_ENV` is emptied always, so that no test app can ever ask an authority for a certificate.
    ///
    /// # Errors
    /// [`AppEnvError`] where there is no sample or the file cannot be written.
    pub fn create(
        abra_dir: &Path,
        sample: Option<&str>,
        recipe: &Recipe,
        version: &str,
        domain: &RunDomain,
    ) -> Result<Self, AppEnvError> {
        let mut file = EnvFile::parse(sample.ok_or(AppEnvError::NoSample)?);
        file.set("TYPE", &format!("{recipe}:{version}"));
        file.set("DOMAIN", domain.as_str());
        file.set("LETS_ENCRYPT_ENV", "");
        let folder = abra_dir.join("servers/default");
        std::fs::create_dir_all(&folder)
            .map_err(|error| AppEnvError::Folder(folder.display().to_string(), error))?;
        let this = Self { path: folder.join(format!("{domain}.env")), file };
        this.write()?;
        Ok(this)
    }

    /// The `.env` of the same app under another domain, beside this one: the same lines with the other name wherever this one
    /// stands.
    ///
    /// # Errors
    /// [`AppEnvError::Write`].
    pub fn renamed(&self, from: &RunDomain, to: &RunDomain) -> Result<Self, AppEnvError> {
        let text = self.file.to_string().replace(from.as_str(), to.as_str());
        let path = self.path.with_file_name(format!("{to}.env"));
        let this = Self { path, file: EnvFile::parse(&text) };
        this.write()?;
        Ok(this)
    }

    /// Where the file lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file as lines.
    #[must_use]
    pub fn file(&self) -> &EnvFile {
        &self.file
    }

    /// Sets keys and writes the file. The certificate resolver stays empty whatever is asked for.
    ///
    /// # Errors
    /// [`AppEnvError::Write`].
    pub fn set<'a>(
        &mut self,
        values: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<(), AppEnvError> {
        for (key, value) in values {
            if value == self.file.get(key).unwrap_or_default() && self.file.entry(key).is_some() {
                continue;
            }
            // An optional secret that is switched on keeps the rules in its comment.
            self.file.uncomment(key);
            self.file.set(key, value);
        }
        self.file.set("LETS_ENCRYPT_ENV", "");
        self.write()
    }

    /// Adds a compose file at the end of `COMPOSE_FILE`.
    ///
    /// # Errors
    /// [`AppEnvError::Write`].
    pub fn add_compose_file(&mut self, name: &str) -> Result<(), AppEnvError> {
        let mut files = self.compose_files();
        if !files.iter().any(|file| file == name) {
            files.push(name.to_owned());
        }
        self.set([("COMPOSE_FILE", files.join(":").as_str())])
    }

    /// Removes a compose file from `COMPOSE_FILE`.
    ///
    /// # Errors
    /// [`AppEnvError::Write`].
    pub fn remove_compose_file(&mut self, name: &str) -> Result<(), AppEnvError> {
        let files: Vec<String> = self.compose_files().into_iter().filter(|file| file != name).collect();
        self.set([("COMPOSE_FILE", files.join(":").as_str())])
    }

    /// The files of `COMPOSE_FILE` in order; `compose.yml` where it is absent or empty.
    #[must_use]
    pub fn compose_files(&self) -> Vec<String> {
        let value = self.file.get("COMPOSE_FILE").unwrap_or_default();
        let files: Vec<String> =
            value.split(':').filter(|file| !file.is_empty()).map(str::to_owned).collect();
        if files.is_empty() { vec!["compose.yml".to_owned()] } else { files }
    }

    /// Secrets that head's sample declares and the `.env` lacks are added, as a release note would ask an operator to do;
    /// every other new key stays absent, as it does for an operator who only deploys. Returns the keys that were added.
    ///
    /// # Errors
    /// [`AppEnvError::Write`].
    pub fn add_new_secrets(&mut self, sample: &str) -> Result<Vec<String>, AppEnvError> {
        let sample = EnvFile::parse(sample);
        let mut text = self.file.to_string();
        let mut added = Vec::new();
        for entry in sample.entries() {
            let is_secret = entry.key.starts_with("SECRET_") && entry.key.ends_with("_VERSION");
            if is_secret && self.file.entry(&entry.key).is_none() && !added.contains(&entry.key) {
                let value = sample.get(&entry.key).unwrap_or_default();
                text.push_str(&format!("{}={value} # {}\n", entry.key, entry.comment));
                added.push(entry.key.clone());
            }
        }
        self.file = EnvFile::parse(&text);
        self.write()?;
        Ok(added)
    }

    /// The environment that interpolates the compose files: the `.env`, the exports of `abra.sh`, the stack's name.
    #[must_use]
    pub fn interpolation(&self, abra_sh: Option<&str>, stack: &StackName) -> BTreeMap<String, String> {
        let mut values = self.file.values();
        values.extend(cc_ci_model::abra_sh::exports(abra_sh.unwrap_or_default()));
        values.insert("STACK_NAME".to_owned(), stack.to_string());
        values
    }

    fn write(&self) -> Result<(), AppEnvError> {
        Ok(atomic::write_atomic_private(&self.path, self.file.to_string().as_bytes())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cc_ci_model::names::{CommitSha, PrNumber, Zone};

    fn zone() -> Zone {
        Zone::parse("ci.test").unwrap()
    }

    fn app(sample: &str) -> (tempfile::TempDir, AppEnv) {
        let folder = tempfile::tempdir().unwrap();
        let recipe = Recipe::parse("custom-html").unwrap();
        let sha = CommitSha::parse(&"a".repeat(40)).unwrap();
        let domain = RunDomain::of(&recipe, PrNumber(1), &sha, &zone());
        let env = AppEnv::create(folder.path(), Some(sample), &recipe, "1.0.0+1", &domain).unwrap();
        (folder, env)
    }

    #[test]
    fn certificate_resolver_is_empty_in_every_app_env() {
        for sample in [
            "LETS_ENCRYPT_ENV=production",
            "#LETS_ENCRYPT_ENV=staging",
            "",
            "export LETS_ENCRYPT_ENV='x' # y",
        ] {
            let (_folder, mut env) = app(sample);
            env.set([("LETS_ENCRYPT_ENV", "production"), ("A", "1")]).unwrap();
            let written = EnvFile::parse(&std::fs::read_to_string(env.path()).unwrap());
            assert_eq!(written.get("LETS_ENCRYPT_ENV").as_deref(), Some(""), "{sample}");
            assert_eq!(written.entries().filter(|entry| entry.key == "LETS_ENCRYPT_ENV").count(), 1);
        }
    }

    #[test]
    fn overlays_come_and_go_in_compose_file() {
        let (_folder, mut env) =
            app("COMPOSE_FILE=\"compose.yml\"\nCOMPOSE_FILE=\"$COMPOSE_FILE:compose.db.yml\"");
        env.add_compose_file("compose.ccci.yml").unwrap();
        env.add_compose_file("compose.ccci.yml").unwrap();
        assert_eq!(env.compose_files(), ["compose.yml", "compose.db.yml", "compose.ccci.yml"]);
        env.remove_compose_file("compose.db.yml").unwrap();
        assert_eq!(env.compose_files(), ["compose.yml", "compose.ccci.yml"]);
        let (_folder, env) = app("");
        assert_eq!(env.compose_files(), ["compose.yml"]);
    }

    #[test]
    fn new_secrets_of_head_are_added_with_their_rules_and_nothing_else_is() {
        let (_folder, mut env) = app("SECRET_A_VERSION=v1 # length=8");
        let added = env
            .add_new_secrets("SECRET_A_VERSION=v2\nSECRET_B_VERSION=v1 # length=64 charset=hex\nNEW_KEY=1\n#SECRET_C_VERSION=v1\n")
            .unwrap();
        assert_eq!(added, ["SECRET_B_VERSION"]);
        assert_eq!(env.file().get("SECRET_A_VERSION").as_deref(), Some("v1"));
        assert_eq!(env.file().entry("SECRET_B_VERSION").unwrap().comment, "length=64 charset=hex");
        assert_eq!(env.file().get("NEW_KEY"), None);
    }

    #[test]
    fn app_under_another_name_has_the_same_settings() {
        let (_folder, mut env) = app("DOMAIN=x\nKEY=1\nSECRET_A_VERSION=v1 # length=8");
        let first = RunDomain::parse_in(env.file().get("DOMAIN").as_deref().unwrap_or_default(), &zone());
        let first = first.unwrap();
        env.set([("LINK", format!("https://{first}/page").as_str())]).unwrap();
        let other = first.second(&Recipe::parse("custom-html").unwrap(), "restore", &zone());
        let second = env.renamed(&first, &other).unwrap();
        assert_eq!(second.file().get("DOMAIN").as_deref(), Some(other.as_str()));
        assert_eq!(second.file().get("LINK"), Some(format!("https://{other}/page")));
        for key in ["KEY", "TYPE", "LETS_ENCRYPT_ENV", "SECRET_A_VERSION"] {
            assert_eq!(second.file().get(key), env.file().get(key), "{key}");
        }
        assert!(env.path().exists() && second.path().exists() && env.path() != second.path());
    }

    #[test]
    fn a_recipe_without_a_sample_is_told_so() {
        let recipe = Recipe::parse("x").unwrap();
        let sha = CommitSha::parse(&"a".repeat(40)).unwrap();
        let domain = RunDomain::of(&recipe, PrNumber(0), &sha, &Zone::parse("ci.test").unwrap());
        let error = AppEnv::create(Path::new("/nonexistent"), None, &recipe, "1", &domain).unwrap_err();
        assert!(error.to_string().contains(".env.sample"));
    }
}
