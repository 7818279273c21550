//! What many runs come to: one row per recipe for the overview, and the history of one recipe.

use std::collections::BTreeMap;

use crate::dashboard::{Entry, Face, Summary};
use crate::names::Recipe;

/// How many runs the strip of a row shows.
const STRIP: usize = 12;

/// One recipe on the overview.
#[derive(Debug, Clone)]
pub struct RecipeRow<'a> {
    /// The recipe.
    pub recipe: Recipe,
    /// Its latest run with a verdict about the recipe; where it has none, its latest run.
    pub latest: Option<(&'a Entry, &'a Summary)>,
    /// The newest runs, newest first.
    pub strip: Vec<&'a Entry>,
}

impl RecipeRow<'_> {
    /// What its latest run looks like.
    #[must_use]
    pub fn face(&self) -> Face {
        self.latest.map_or(Face::NoRun, |(_, summary)| summary.face())
    }

    /// Level of the latest run; none before it has a verdict.
    #[must_use]
    pub fn level(&self) -> Option<u8> {
        self.latest.filter(|(_, summary)| summary.verdict.is_some()).map(|(_, summary)| summary.level)
    }
}

/// In which order recipes stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    /// By name.
    #[default]
    Name,
    /// Highest level first.
    Level,
    /// Newest run first.
    Age,
}

impl Sort {
    /// The order of that word; by name for every other word.
    #[must_use]
    pub fn of(word: &str) -> Self {
        match word {
            "level" => Self::Level,
            "age" => Self::Age,
            _ => Self::Name,
        }
    }
}

/// All recipes, those of `enrolled` that never ran too. `entries` may be in any order.
#[must_use]
pub fn overview<'a>(entries: impl IntoIterator<Item = &'a Entry>, enrolled: &[Recipe]) -> Vec<RecipeRow<'a>> {
    let mut by_recipe: BTreeMap<&Recipe, Vec<(&Entry, &Summary)>> = BTreeMap::new();
    for recipe in enrolled {
        by_recipe.entry(recipe).or_default();
    }
    for entry in entries {
        if let Ok(summary) = &entry.summary {
            by_recipe.entry(&summary.recipe).or_default().push((entry, summary));
        }
    }
    let row = |(recipe, mut runs): (&Recipe, Vec<(&'a Entry, &'a Summary)>)| {
        runs.sort_by(|a, b| b.0.id.cmp(&a.0.id));
        let tells = |(_, summary): &&(&Entry, &Summary)| matches!(summary.face(), Face::Pass | Face::Fail);
        RecipeRow {
            recipe: recipe.clone(),
            // Trouble is ours: it does not hide what is known of the recipe.
            latest: runs.iter().find(tells).or(runs.first()).copied(),
            strip: runs.iter().take(STRIP).map(|(entry, _)| *entry).collect(),
        }
    };
    by_recipe.into_iter().map(row).collect()
}

/// What the runs of one recipe say together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// Commits that were judged more than once.
    pub repeated: usize,
    /// Commits among them that were red once and green once: the tests or the recipe are not steady.
    pub unsteady: usize,
}

/// A run that came to another level than the one before it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change<'a> {
    /// The run.
    pub entry: &'a Entry,
    /// What is known of it.
    pub run: &'a Summary,
    /// The level before.
    pub from: u8,
}

/// Where the level of one recipe changed, newest first; `runs` come newest first. Only runs that judged the recipe count.
#[must_use]
pub fn changes<'a>(runs: impl IntoIterator<Item = (&'a Entry, &'a Summary)>) -> Vec<Change<'a>> {
    let judged = |(_, run): &(&Entry, &Summary)| matches!(run.face(), Face::Pass | Face::Fail);
    let runs: Vec<_> = runs.into_iter().filter(judged).collect();
    let pairs = runs.iter().zip(runs.iter().skip(1));
    pairs
        .filter(|((_, run), (_, before))| run.level != before.level)
        .map(|((entry, run), (_, before))| Change { entry, run, from: before.level })
        .collect()
}

/// Looks for commits of one recipe that were red and green.
#[must_use]
pub fn history<'a>(runs: impl IntoIterator<Item = &'a Summary>) -> History {
    let mut by_commit: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for run in runs {
        let Some(commit) = &run.commit else { continue };
        let counts = by_commit.entry(commit).or_default();
        match run.face() {
            Face::Pass => counts.0 += 1,
            Face::Fail => counts.1 += 1,
            Face::Trouble
            | Face::Refused
            | Face::Cancelled
            | Face::Unverified
            | Face::NotApplicable
            | Face::Running
            | Face::Interrupted
            | Face::Unreadable
            | Face::NoRun => {}
        }
    }
    History {
        repeated: by_commit.values().filter(|(green, red)| green + red > 1).count(),
        unsteady: by_commit.values().filter(|(green, red)| *green > 0 && *red > 0).count(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{PrNumber, RunId};
    use crate::outcome::VerdictWord;
    use crate::result::RunState;

    fn entry(id: &str, recipe: &str, verdict: Option<VerdictWord>) -> Entry {
        let summary = Summary {
            recipe: Recipe::parse(recipe).unwrap(),
            state: RunState::Finished,
            verdict,
            level: 3,
            level_reason: "no backup".into(),
            commit: Some("abc".into()),
            pr: PrNumber(0),
            base: None,
            started: None,
            finished: None,
            tiers: Vec::new(),
            peak_memory_bytes: None,
            is_leaking: false,
        };
        Entry { id: RunId::parse(id).unwrap(), summary: Ok(summary) }
    }

    #[test]
    fn infrastructure_error_never_lowers_a_level() {
        let mut runs = [
            entry("20260101T000000-000001", "a", Some(VerdictWord::Pass)),
            entry("20260102T000000-000002", "a", Some(VerdictWord::Trouble)),
            entry("20260103T000000-000003", "b", Some(VerdictWord::Trouble)),
        ];
        for run in &mut runs[1..] {
            run.summary.as_mut().unwrap().level = 0;
        }
        let never = Recipe::parse("never-ran").unwrap();
        let rows = overview(&runs, std::slice::from_ref(&never));
        let faces: Vec<_> =
            rows.iter().map(|row| (row.recipe.as_str(), row.face(), row.strip.len())).collect();
        assert_eq!(rows[0].level(), Some(3), "its last level stays");
        assert_eq!(faces, [("a", Face::Pass, 2), ("b", Face::Trouble, 1), ("never-ran", Face::NoRun, 0)]);
    }

    #[test]
    fn a_change_of_level_names_the_run_that_brought_it_and_trouble_brings_none() {
        let with = |id: &str, verdict, level| {
            let mut run = entry(id, "a", Some(verdict));
            run.summary.as_mut().unwrap().level = level;
            run
        };
        let newest_first = [
            with("20260105T000000-000005", VerdictWord::Pass, 5),
            with("20260104T000000-000004", VerdictWord::Trouble, 0),
            with("20260103T000000-000003", VerdictWord::Fail, 1),
            with("20260102T000000-000002", VerdictWord::Pass, 5),
            with("20260101T000000-000001", VerdictWord::Pass, 5),
        ];
        let runs = newest_first.iter().map(|entry| (entry, entry.summary.as_ref().unwrap()));
        let found: Vec<_> = changes(runs)
            .iter()
            .map(|change| (change.entry.id.to_string(), change.from, change.run.level))
            .collect();
        assert_eq!(found, [("20260105T000000-000005".into(), 1, 5), ("20260103T000000-000003".into(), 5, 1)]);
    }

    #[test]
    fn a_commit_that_was_red_and_green_is_unsteady() {
        let runs = [Some(VerdictWord::Fail), Some(VerdictWord::Pass), Some(VerdictWord::Trouble)]
            .map(|verdict| entry("20260101T000000-000001", "a", verdict));
        let summaries = runs.iter().filter_map(|run| run.summary.as_ref().ok());
        assert_eq!(history(summaries), History { repeated: 1, unsteady: 1 });
    }
}
