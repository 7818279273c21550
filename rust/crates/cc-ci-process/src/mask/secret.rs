//! A secret value, which cannot be shown by accident.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::environment::CREDENTIALS_DIRECTORY;

/// A value that must not be shown. It cannot be formatted, compared, cloned or serialised; whoever needs the text says so with
/// [`SecretValue::expose`].
///
/// ```compile_fail,E0277
/// println!("{:?}", cc_ci_process::mask::SecretValue::new("hunter2hunter2"));
/// ```
/// ```compile_fail,E0277
/// println!("{}", cc_ci_process::mask::SecretValue::new("hunter2hunter2"));
/// ```
/// ```compile_fail,E0277
/// fn written(value: impl serde::Serialize) {}
/// written(cc_ci_process::mask::SecretValue::new("hunter2hunter2"));
/// ```
pub struct SecretValue(String);

/// Why a secret could not be read. The messages hold names, never values.
#[derive(Debug, Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("reading the secret {path}: {reason}; see that it exists and belongs to this user")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        reason: io::Error,
    },
    /// The program was started without credentials.
    #[error(
        "reading the credential {0}: this program was started without any; give it one with LoadCredential= in its unit"
    )]
    NoCredentials(String),
}

impl SecretValue {
    /// Takes a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Reads a file; the newlines at its end are not part of the value.
    pub fn read(path: &Path) -> Result<Self, SecretError> {
        let text =
            fs::read_to_string(path).map_err(|reason| SecretError::Read { path: path.to_owned(), reason })?;
        Ok(Self(text.trim_end_matches(['\n', '\r']).to_owned()))
    }

    /// Reads the systemd credential `name` of this unit (`systemd.exec(5)`, `LoadCredential=`).
    pub fn credential(name: &str) -> Result<Self, SecretError> {
        let folder = std::env::var_os(CREDENTIALS_DIRECTORY)
            .ok_or_else(|| SecretError::NoCredentials(name.to_owned()))?;
        Self::read(&Path::new(&folder).join(name))
    }

    /// The text itself. To be called only where it is handed to what needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}
