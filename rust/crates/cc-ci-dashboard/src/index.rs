//! The index: every run in memory, so that no page costs more with more runs.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use cc_ci_model::dashboard::{Entry, Face};
use cc_ci_model::names::{Recipe, RunId};
use cc_ci_model::result::RunState;
use cc_ci_model::tier::Tier;
use tokio::sync::watch;

use crate::folder::{self, FolderError, Roots, Stamp};

/// Runs of one recipe that the overview and a recipe's page look at.
pub const NEWEST: usize = 100;

/// All runs of this host that may be shown.
#[derive(Debug)]
pub struct Index {
    /// Where runs are read from.
    pub roots: Roots,
    enrolled_from: Option<PathBuf>,
    private: HashSet<Recipe>,
    shelf: RwLock<Shelf>,
    changes: watch::Sender<()>,
}

/// What the index knows at one moment.
#[derive(Debug, Default)]
pub struct Shelf {
    runs: BTreeMap<RunId, (Entry, Stamp)>,
    by_recipe: BTreeMap<Recipe, BTreeSet<RunId>>,
    unfinished: BTreeSet<RunId>,
    totals: Totals,
    generation: u64,
    /// Recipes that have test data.
    pub enrolled: Vec<Recipe>,
    /// When all folders were looked at last.
    pub looked: Option<jiff::Timestamp>,
    /// Why a folder of runs could not be looked at.
    pub fault: Option<String>,
}

/// Sums over all runs, kept with each that comes and goes: asking for them costs the same with any number of runs.
#[derive(Debug, Default)]
pub struct Totals {
    /// Runs by what they look like.
    pub faces: BTreeMap<Face, u64>,
    /// Milliseconds and number of tiers.
    pub tiers: BTreeMap<Tier, (u64, u64)>,
}

impl Totals {
    fn count(&mut self, entry: &Entry, is_new: bool) {
        let change = |number: &mut u64, by: u64| {
            *number = if is_new { number.saturating_add(by) } else { number.saturating_sub(by) };
        };
        change(self.faces.entry(entry.face()).or_default(), 1);
        for line in entry.summary.iter().flat_map(|summary| &summary.tiers) {
            // A foreign file may say anything; a day is more than any tier takes.
            let seconds = if line.seconds.is_finite() { line.seconds.clamp(0.0, 86_400.0) } else { 0.0 };
            let time = std::time::Duration::from_secs_f64(seconds).as_millis();
            let sum = self.tiers.entry(line.tier).or_default();
            change(&mut sum.0, u64::try_from(time).unwrap_or(0));
            change(&mut sum.1, 1);
        }
    }
}

impl Index {
    /// An index of nothing yet.
    #[must_use]
    pub fn new(
        roots: Roots,
        enrolled_from: Option<PathBuf>,
        private: impl IntoIterator<Item = Recipe>,
    ) -> Self {
        let private = private.into_iter().collect();
        Self { roots, enrolled_from, private, shelf: RwLock::default(), changes: watch::Sender::new(()) }
    }

    /// Says to whoever waits that files of an unfinished run have changed.
    pub(crate) fn tell(&self) {
        self.changes.send_replace(());
    }

    /// Changes whenever files of an unfinished run do.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Looks at every folder; reads those whose result has changed.
    pub fn scan(&self) {
        let ids = self.roots.ids();
        let known: HashSet<&RunId> = ids.iter().map(|(id, _)| id).collect();
        let gone: Vec<RunId> = self.look().runs.keys().filter(|id| !known.contains(id)).cloned().collect();
        self.renew_all(&ids);
        let enrolled = self.enrolled();
        let fault = self.roots.0.first().and_then(|root| {
            let error = std::fs::read_dir(root).err()?;
            Some(format!("looking into {}: {error}; give this program the right to read it", root.display()))
        });
        let mut shelf = self.write();
        for id in &gone {
            shelf.remove(id);
        }
        shelf.generation += u64::from(shelf.enrolled != enrolled || shelf.fault != fault);
        shelf.enrolled = enrolled;
        shelf.looked = Some(jiff::Timestamp::now());
        shelf.fault = fault;
    }

    /// Looks at many runs, with a thread for each core: at start all of them are read.
    fn renew_all(&self, ids: &[(RunId, usize)]) {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let part = ids.len().div_ceil(threads).max(1);
        std::thread::scope(|scope| {
            for ids in ids.chunks(part) {
                scope.spawn(move || ids.iter().for_each(|(id, _)| self.renew(id)));
            }
        });
    }

    /// Looks at one run again.
    pub fn renew(&self, id: &RunId) {
        let opened = match self.roots.open(id) {
            Ok(opened) => opened,
            Err(FolderError::Missing) => return self.write().remove(id),
            // A link or a file that is named like a run is none.
            Err(_) => return,
        };
        let stamp = folder::stamp(&opened);
        if self.look().runs.get(id).is_some_and(|(_, known)| *known == stamp) {
            return;
        }
        let entry = folder::entry(&opened, id);
        let is_private = entry.summary.as_ref().is_ok_and(|summary| self.private.contains(&summary.recipe));
        let mut shelf = self.write();
        shelf.remove(id);
        if !is_private {
            shelf.add(entry, stamp);
        }
    }

    /// Whether a recipe may be shown.
    pub fn shows(&self, recipe: &Recipe) -> bool {
        !self.private.contains(recipe)
    }

    /// What is known; nothing changes while the guard lives.
    pub fn look(&self) -> RwLockReadGuard<'_, Shelf> {
        self.shelf.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Shelf> {
        self.shelf.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn enrolled(&self) -> Vec<Recipe> {
        let Some(names) = self.enrolled_from.as_ref().and_then(|path| std::fs::read_dir(path).ok()) else {
            return Vec::new();
        };
        let recipes = names.flatten().filter(|entry| entry.path().join("recipe.toml").is_file());
        let recipes = recipes.filter_map(|entry| Recipe::parse(entry.file_name().to_str()?).ok());
        recipes.filter(|recipe| !self.private.contains(recipe)).collect()
    }
}

impl Shelf {
    fn add(&mut self, entry: Entry, stamp: Stamp) {
        self.generation += 1;
        self.totals.count(&entry, true);
        if let Ok(summary) = &entry.summary {
            self.by_recipe.entry(summary.recipe.clone()).or_default().insert(entry.id.clone());
        }
        let is_over = entry.summary.as_ref().is_ok_and(|summary| summary.state != RunState::Running);
        if !is_over {
            self.unfinished.insert(entry.id.clone());
        }
        self.runs.insert(entry.id.clone(), (entry, stamp));
    }

    fn remove(&mut self, id: &RunId) {
        let Some((entry, _)) = self.runs.remove(id) else { return };
        self.generation += 1;
        self.totals.count(&entry, false);
        self.unfinished.remove(id);
        if let Ok(summary) = &entry.summary
            && let Some(ids) = self.by_recipe.get_mut(&summary.recipe)
        {
            ids.remove(id);
            if ids.is_empty() {
                self.by_recipe.remove(&summary.recipe);
            }
        }
    }

    /// One run.
    #[must_use]
    pub fn run(&self, id: &RunId) -> Option<&Entry> {
        self.runs.get(id).map(|(entry, _)| entry)
    }

    /// All runs, newest first.
    pub fn newest(&self) -> impl Iterator<Item = &Entry> {
        self.runs.values().rev().map(|(entry, _)| entry)
    }

    /// Runs of a recipe, newest first; none if nothing is known of it.
    pub fn of_recipe(&self, recipe: &Recipe) -> impl Iterator<Item = &Entry> {
        let ids = self.by_recipe.get(recipe).into_iter().flat_map(|ids| ids.iter().rev());
        ids.filter_map(|id| self.run(id))
    }

    /// The newest runs of every recipe.
    pub fn of_all_recipes(&self) -> impl Iterator<Item = &Entry> {
        self.by_recipe.keys().flat_map(|recipe| self.of_recipe(recipe).take(NEWEST))
    }

    /// Whether anything is known of a recipe.
    #[must_use]
    pub fn knows(&self, recipe: &Recipe) -> bool {
        self.by_recipe.contains_key(recipe) || self.enrolled.contains(recipe)
    }

    /// Runs that are under way, or whose result cannot be read yet; newest first.
    pub fn unfinished(&self) -> impl Iterator<Item = &Entry> {
        self.unfinished.iter().rev().filter_map(|id| self.run(id))
    }

    /// Another number after each change: what was made at the same one says the same.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Sums over all runs.
    #[must_use]
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// How many runs are known.
    #[must_use]
    pub fn count(&self) -> usize {
        self.runs.len()
    }
}
