//! The files beside a result: what a check saw, masked and bounded, in `tiers/<tier>/` of the run's folder.

use std::path::{Path, PathBuf};

use cc_ci_model::tier::Tier;
use cc_ci_process::mask::Masker;

/// Bytes of one file; beginnings tell more than ends here, the ends of program output are kept by their runner.
const LONGEST: usize = 256 * 1024;

/// Where one tier's evidence goes.
#[derive(Clone)]
pub struct Evidence {
    run_folder: PathBuf,
    tier: Tier,
    masker: Masker,
}

impl Evidence {
    /// Evidence of one tier of the run in `run_folder`.
    #[must_use]
    pub fn new(run_folder: &Path, tier: Tier, masker: Masker) -> Self {
        Self { run_folder: run_folder.to_owned(), tier, masker }
    }

    /// The mask over everything that is kept.
    #[must_use]
    pub fn masker(&self) -> &Masker {
        &self.masker
    }

    /// A free file name for a check: its path below the run's folder and the whole path. The folder is made.
    pub fn place(&self, name: &str) -> Option<(String, PathBuf)> {
        let folder = format!("tiers/{}", self.tier);
        std::fs::create_dir_all(self.run_folder.join(&folder)).ok()?;
        let slug: String =
            name.chars().take(60).map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        (1..1000).find_map(|number| {
            let below = format!(
                "{folder}/{slug}{}.txt",
                if number == 1 { String::new() } else { format!("-{number}") }
            );
            let whole = self.run_folder.join(&below);
            (!whole.exists()).then_some((below, whole))
        })
    }

    /// Keeps a text and returns its path below the run's folder. A result without its evidence is still a result,
    /// so a disk that refuses is logged and no error.
    #[must_use]
    pub fn keep(&self, name: &str, text: &str) -> Option<String> {
        let mut masked = self.masker.mask(text);
        let mut end = masked.len().min(LONGEST);
        while !masked.is_char_boundary(end) {
            end -= 1;
        }
        masked.truncate(end);
        let (below, whole) = self.place(name)?;
        match std::fs::write(&whole, masked) {
            Ok(()) => Some(below),
            Err(error) => {
                tracing::warn!(file = %whole.display(), %error, "evidence was not kept");
                None
            }
        }
    }
}
