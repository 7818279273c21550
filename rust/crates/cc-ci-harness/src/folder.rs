//! The folder of one run: where each of its files lies. Everything is keyed by the run, never by a domain or recipe.

use std::path::{Path, PathBuf};

use cc_ci_model::names::RunId;
use cc_ci_model::tier::Tier;

/// The folder of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFolder {
    root: PathBuf,
}

impl RunFolder {
    /// The folder of a run below the folder of all runs.
    #[must_use]
    pub fn of(runs: &Path, id: &RunId) -> Self {
        Self { root: runs.join(id.as_str()) }
    }

    /// Makes the folder and those below it that a run writes to.
    ///
    /// # Errors
    /// What the kernel said: no space, no right, or a run of that id exists.
    pub fn create(&self) -> std::io::Result<()> {
        if let Some(parent) = self.root.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::create_dir(&self.root)?;
        for folder in [self.abra(), self.state(), self.home(), self.root.join("tiers")] {
            std::fs::create_dir_all(folder)?;
        }
        Ok(())
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `result.json`.
    #[must_use]
    pub fn result(&self) -> PathBuf {
        self.root.join("result.json")
    }

    /// `events.jsonl`.
    #[must_use]
    pub fn events(&self) -> PathBuf {
        self.root.join("events.jsonl")
    }

    /// `log.txt`.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.root.join("log.txt")
    }

    /// Folder for the outputs of a tier's checks.
    #[must_use]
    pub fn tier(&self, tier: Tier) -> PathBuf {
        self.root.join("tiers").join(tier.word())
    }

    /// The run's own `ABRA_DIR`.
    #[must_use]
    pub fn abra(&self) -> PathBuf {
        self.root.join("abra")
    }

    /// The checkout of the recipe, where abra expects it.
    #[must_use]
    pub fn recipe(&self, recipe: &cc_ci_model::names::Recipe) -> PathBuf {
        self.abra().join("recipes").join(recipe.as_str())
    }

    /// Counters and overlays.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.root.join("state")
    }

    /// Tests of the recipe's own repository, copied aside.
    #[must_use]
    pub fn local_tests(&self) -> PathBuf {
        self.home().join("local-tests")
    }

    /// The file that cancels the run when it appears.
    #[must_use]
    pub fn cancel(&self) -> PathBuf {
        self.state().join("cancel")
    }

    /// The file that lets a kept stack go when it appears.
    #[must_use]
    pub fn release(&self) -> PathBuf {
        self.state().join("release")
    }

    /// The file that says that the run is over and keeps its stack.
    #[must_use]
    pub fn kept(&self) -> PathBuf {
        self.state().join("kept")
    }

    /// `HOME` of every program the run starts.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.root.join("home")
    }

    /// Removes what only the run itself needed: checkout, home, `ABRA_DIR`. Called after the proof of removal.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn remove_working_files(&self) -> std::io::Result<()> {
        for folder in [self.abra(), self.home()] {
            match std::fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_run_state_path_carries_the_run_id() {
        let runs = Path::new("/runs");
        let one = RunFolder::of(runs, &RunId::parse("20260102T030405-1a2b3c").unwrap());
        let two = RunFolder::of(runs, &RunId::parse("20260102T030405-1a2b3d").unwrap());
        let recipe = cc_ci_model::names::Recipe::parse("x").unwrap();
        let paths = |folder: &RunFolder| {
            [
                folder.result(),
                folder.events(),
                folder.log(),
                folder.tier(Tier::Install),
                folder.abra(),
                folder.recipe(&recipe),
                folder.state(),
                folder.cancel(),
                folder.release(),
                folder.kept(),
                folder.home(),
            ]
        };
        for (left, right) in paths(&one).iter().zip(paths(&two).iter()) {
            assert!(left.starts_with("/runs/20260102T030405-1a2b3c"));
            assert_ne!(left, right);
        }
    }
}
