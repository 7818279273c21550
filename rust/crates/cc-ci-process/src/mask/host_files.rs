//! The secrets of the host itself: files whose values are masked before a run says its first word.

use std::io;
use std::path::{Path, PathBuf};

use super::{MaskError, Masker, SHORTEST, SecretValue};

/// Bigger files are no secrets (bytes).
const LONGEST: u64 = 1 << 20;

/// Why the host's secrets cannot be masked: then nothing may be said.
#[derive(Debug, thiserror::Error)]
pub enum HostSecretError {
    /// A file or folder cannot be read.
    #[error(
        "masking the host's secrets: reading {path}: {cause}; mend secret_files in the settings, or its rights"
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        cause: io::Error,
    },
    /// What is in it cannot be masked.
    #[error("masking the host's secrets in {path}: {cause}")]
    Unmaskable {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: MaskError,
    },
}

/// Masks what is in these files, and in all files directly in these folders; returns how many files there were. Of lines
/// such as `KEY=value` the value is masked alone, too.
///
/// # Errors
/// A file is missing, cannot be read, is no text, is bigger than 1 MiB, or shorter than [`SHORTEST`] characters:
/// nothing stays unmasked in silence. Empty files hold no secret.
pub fn mask_files(masker: &Masker, paths: &[PathBuf]) -> Result<usize, HostSecretError> {
    let mut count = 0;
    for path in paths {
        let failed = |cause| HostSecretError::Unreadable { path: path.clone(), cause };
        if !path.is_dir() {
            mask_file(masker, path)?;
            count += 1;
            continue;
        }
        for entry in std::fs::read_dir(path).map_err(failed)? {
            let file = entry.map_err(failed)?.path();
            // Folders of credentials hold links to files, and hidden folders that those lead into.
            if file.is_file() {
                mask_file(masker, &file)?;
                count += 1;
            }
        }
    }
    Ok(count)
}

fn mask_file(masker: &Masker, path: &Path) -> Result<(), HostSecretError> {
    let failed = |cause| HostSecretError::Unreadable { path: path.to_owned(), cause };
    if std::fs::metadata(path).map_err(failed)?.len() > LONGEST {
        return Err(failed(io::Error::other("it is bigger than 1 MiB, so it is no secret")));
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    if text.trim().is_empty() {
        return Ok(());
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let values = text.lines().filter_map(value_of).filter(|value| value.chars().count() >= SHORTEST);
    for value in values {
        let added = masker.add(&name, &SecretValue::new(value));
        added.map_err(|cause| HostSecretError::Unmaskable { path: path.to_owned(), cause })?;
    }
    let added = masker.add(&name, &SecretValue::new(text));
    added.map_err(|cause| HostSecretError::Unmaskable { path: path.to_owned(), cause })
}

/// The value of a line such as `KEY=value`, without quotes around it.
fn value_of(line: &str) -> Option<&str> {
    let (key, value) = line.trim().split_once('=')?;
    let key = key.strip_prefix("export ").unwrap_or(key).trim();
    let is_key = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let value = value.trim().trim_matches(['"', '\'']);
    is_key.then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(files: &[(&str, &str)]) -> (Masker, Result<usize, HostSecretError>) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let masker = Masker::new();
        let done = mask_files(&masker, &[folder.path().to_owned()]);
        (masker, done)
    }

    #[test]
    fn values_of_the_hosts_secret_files_are_masked_whole_and_alone() {
        let (masker, done) = masked(&[
            ("token", "correct-horse-battery\n"),
            ("drone.env", "# of the runner\nDRONE_SECRET=\"hunter2-hunter2\"\nexport A=1\n"),
            ("empty", "\n"),
        ]);
        assert_eq!(done.unwrap(), 3);
        assert_eq!(masker.mask("a correct-horse-battery b hunter2-hunter2"), "a [masked] b [masked]");
    }

    #[test]
    fn a_secret_that_cannot_be_masked_is_refused_by_its_file_and_never_shown() {
        let error = masked(&[("pin", "1234567")]).1.unwrap_err().to_string();
        assert!(
            error.contains("/pin: ") && error.contains("7 characters") && !error.contains("1234567"),
            "{error}"
        );
        let missing = mask_files(&Masker::new(), &[PathBuf::from("/nonexistent/token")]).unwrap_err();
        assert!(missing.to_string().contains("reading /nonexistent/token"), "{missing}");
    }
}
