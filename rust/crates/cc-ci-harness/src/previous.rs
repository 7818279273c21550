//! `previous/` of a recipe's test data: what mends one old release that no longer deploys, and no other commit.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use cc_ci_model::version::RecipeVersion;
use cc_ci_swarm::checkout::CheckoutError;
use cc_ci_swarm::native::{App, DeployError};

/// The folder in the test data.
pub const FOLDER: &str = "previous";
/// The file in it that names the one release it is for.
pub const MARKER: &str = "VERSION";

/// A repair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Previous {
    /// The release it is for, as its tag spells it.
    pub version: String,
    /// Files that are laid over that release, by name.
    files: BTreeMap<String, Vec<u8>>,
}

/// Why the folder cannot be used. Ours to mend: the run is trouble.
#[derive(Debug, thiserror::Error)]
pub enum PreviousError {
    /// It could not be read.
    #[error("reading {path}: {error}")]
    Read {
        /// File or folder.
        path: PathBuf,
        /// What the kernel said.
        error: std::io::Error,
    },
    /// Nothing says which release it is for.
    #[error("{0} has no file {MARKER}: write the release's tag into it, such as 1.2.0+3.4.5")]
    NoVersion(PathBuf),
    /// What it says is no release's tag.
    #[error("{path} says {found}, which is no version: write the release's tag, such as 1.2.0+3.4.5")]
    Version {
        /// The file.
        path: PathBuf,
        /// Its content, quoted.
        found: String,
    },
    /// A folder, a link or a device.
    #[error("{0} is no plain file: only those are laid over a release")]
    NoFile(PathBuf),
    /// There is nothing to lay over it.
    #[error("{0} holds no compose*.yml: nothing of it would reach the deploy; add one or remove the folder")]
    NoCompose(PathBuf),
}

impl Previous {
    /// Reads the folder of a recipe's test data; `None` where there is none.
    ///
    /// # Errors
    /// [`PreviousError`] says what to mend.
    pub fn read(test_data: &Path) -> Result<Option<Self>, PreviousError> {
        let folder = test_data.join(FOLDER);
        let failed = |path: &Path, error| PreviousError::Read { path: path.to_owned(), error };
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(&folder, error)),
        };
        let mut files = BTreeMap::new();
        for entry in entries {
            let entry = entry.map_err(|error| failed(&folder, error))?;
            let path = entry.path();
            if !entry.file_type().map_err(|error| failed(&path, error))?.is_file() {
                return Err(PreviousError::NoFile(path));
            }
            let content = std::fs::read(&path).map_err(|error| failed(&path, error))?;
            files.insert(entry.file_name().to_string_lossy().into_owned(), content);
        }
        let marker = files.remove(MARKER).ok_or_else(|| PreviousError::NoVersion(folder.clone()))?;
        let marker = String::from_utf8_lossy(&marker).trim().to_owned();
        if RecipeVersion::parse(&marker).is_none() {
            let found = cc_ci_model::names::quoted(&marker);
            return Err(PreviousError::Version { path: folder.join(MARKER), found });
        }
        let this = Self { version: marker, files };
        if this.compose_files().next().is_none() {
            return Err(PreviousError::NoCompose(folder));
        }
        Ok(Some(this))
    }

    /// Its compose files, which go into `COMPOSE_FILE` behind the release's own.
    pub fn compose_files(&self) -> impl Iterator<Item = &str> {
        let is_compose =
            |name: &&str| name.starts_with("compose") && (name.ends_with(".yml") || name.ends_with(".yaml"));
        self.files.keys().map(String::as_str).filter(is_compose)
    }

    /// Takes its entries out of `COMPOSE_FILE`; its files go with every move of the checkout.
    ///
    /// # Errors
    /// The `.env` cannot be written.
    pub fn take_away(&self, app: &mut App) -> Result<(), DeployError> {
        for name in self.compose_files() {
            if app.env.compose_files().iter().any(|file| file == name) {
                app.env.remove_compose_file(name)?;
            }
        }
        Ok(())
    }

    /// Lays its files beside the release's. None replaces a file of the release: what the release's configs hold would
    /// change under the same name, and head could not go over it.
    ///
    /// # Errors
    /// [`DeployError::Overlay`] where the release has a file of that name.
    pub fn lay(&self, app: &mut App) -> Result<(), DeployError> {
        for (name, content) in &self.files {
            let target = app.checkout.folder().join(name);
            let written = std::fs::File::create_new(&target).and_then(|mut file| file.write_all(content));
            written.map_err(|error| match error.kind() {
                ErrorKind::AlreadyExists => DeployError::Overlay(format!(
                    "{FOLDER}/{name} would replace a file of release {}: give it another name",
                    self.version
                )),
                _ => CheckoutError::File { what: format!("laying {FOLDER}/{name} over the release"), error }
                    .into(),
            })?;
        }
        for name in self.compose_files() {
            app.env.add_compose_file(name)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(files: &[(&str, &str)]) -> Result<Option<Previous>, PreviousError> {
        let data = tempfile::tempdir().unwrap();
        let folder = data.path().join(FOLDER);
        std::fs::create_dir(&folder).unwrap();
        for (name, text) in files {
            std::fs::write(folder.join(name), text).unwrap();
        }
        Previous::read(data.path())
    }

    #[test]
    fn a_repair_names_its_release_and_its_compose_files() {
        let files = [("VERSION", "1.0.0+2\n"), ("compose.previous.yml", "x"), ("fixed.sh", "y")];
        let previous = read(&files).unwrap().unwrap();
        assert_eq!(previous.version, "1.0.0+2");
        assert_eq!(previous.compose_files().collect::<Vec<_>>(), ["compose.previous.yml"]);
        assert_eq!(Previous::read(tempfile::tempdir().unwrap().path()).unwrap(), None);
    }

    #[test]
    fn a_repair_that_cannot_be_used_says_what_to_mend() {
        let message = |files: &[(&str, &str)]| read(files).unwrap_err().to_string();
        assert!(message(&[("compose.previous.yml", "x")]).contains("no file VERSION"));
        assert!(message(&[("VERSION", "newest"), ("compose.yml", "x")]).contains("\"newest\""));
        assert!(message(&[("VERSION", "1.0.0+2")]).contains("no compose*.yml"));
        let data = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(data.path().join("previous/below")).unwrap();
        assert!(Previous::read(data.path()).unwrap_err().to_string().contains("no plain file"));
    }
}
