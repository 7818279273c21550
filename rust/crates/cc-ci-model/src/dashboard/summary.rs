//! What the index keeps of a run: little enough that ten thousand of them fit into memory.

use crate::dashboard::Face;
use crate::names::{PrNumber, Recipe, RunId};
use crate::outcome::{Status, VerdictWord};
use crate::result::{ReadError, RunResult, RunState};
use crate::tier::Tier;

/// Characters of a level's reason that are kept; the whole one stands on the run's page.
const LONGEST_REASON: usize = 160;

/// One tier of a summary.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TierLine {
    /// Which.
    pub tier: Tier,
    /// How it ended.
    pub status: Status,
    /// Wall seconds.
    pub seconds: f64,
}

/// A run whose result was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// The recipe.
    pub recipe: Recipe,
    /// How far it is.
    pub state: RunState,
    /// One word, if it has one.
    pub verdict: Option<VerdictWord>,
    /// 0 to 5.
    pub level: u8,
    /// Why not higher.
    pub level_reason: String,
    /// The first characters of the commit under test.
    pub commit: Option<String>,
    /// Pull request, 0 for none.
    pub pr: PrNumber,
    /// Release that the upgrade started from.
    pub base: Option<String>,
    /// When it started; from the run's id where the text says nothing.
    pub started: Option<jiff::Timestamp>,
    /// When it ended.
    pub finished: Option<jiff::Timestamp>,
    /// Its tiers, in the order of the run.
    pub tiers: Vec<TierLine>,
    /// Largest memory of the app, bytes.
    pub peak_memory_bytes: Option<u64>,
    /// Whether unmasked secrets were found: nothing of the run's output is shown then.
    pub is_leaking: bool,
}

/// Why a run has no summary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreadable {
    /// There is no `result.json`.
    NoResult,
    /// Larger than anything cc-ci writes.
    TooLarge,
    /// Not a plain file, or not readable for this program.
    NotAFile(String),
    /// Written by a newer cc-ci.
    Newer(u64),
    /// Cut off, or nothing of cc-ci's.
    Corrupt,
    /// It names another run than its folder.
    OtherRun,
}

impl Unreadable {
    /// A sentence for people. It repeats nothing of the file.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::NoResult => {
                "the folder has no result.json: the run died before it wrote one, or is about to".to_owned()
            }
            Self::TooLarge => "result.json is larger than anything cc-ci writes".to_owned(),
            Self::NotAFile(why) => format!("result.json cannot be read: {why}"),
            Self::Newer(schema) => {
                format!("result.json has schema {schema}: a newer cc-ci wrote it, use a newer dashboard")
            }
            Self::Corrupt => "result.json is cut off or was not written by cc-ci".to_owned(),
            Self::OtherRun => "result.json names another run than its folder".to_owned(),
        }
    }
}

/// One run folder as the index knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The folder's name.
    pub id: RunId,
    /// What was read of it.
    pub summary: Result<Summary, Unreadable>,
}

impl Entry {
    /// Reads the text of `result.json` of the folder `id`.
    #[must_use]
    pub fn read(id: RunId, text: &str) -> Self {
        let summary = match RunResult::read(text) {
            Ok(result) if result.run.id == id => Ok(Summary::of(&result)),
            Ok(_) => Err(Unreadable::OtherRun),
            Err(ReadError::Newer(schema)) => Err(Unreadable::Newer(schema)),
            Err(ReadError::Form(_)) => Err(Unreadable::Corrupt),
        };
        Self { id, summary }
    }

    /// What it looks like.
    #[must_use]
    pub fn face(&self) -> Face {
        match &self.summary {
            Ok(summary) => Face::of_run(summary.state, summary.verdict),
            Err(_) => Face::Unreadable,
        }
    }
}

impl Summary {
    /// What is kept of a result.
    #[must_use]
    pub fn of(result: &RunResult) -> Self {
        let line = |tier: &crate::result::TierReport| TierLine {
            tier: tier.name,
            status: tier.status,
            seconds: tier.seconds,
        };
        Self {
            recipe: result.request.recipe.clone(),
            state: result.run.state,
            verdict: result.verdict,
            level: result.level.min(5),
            level_reason: result.level_reason.chars().take(LONGEST_REASON).collect(),
            commit: result.request.reference.as_ref().map(|sha| sha.to_string().chars().take(10).collect()),
            pr: result.request.pr,
            base: result.base.as_ref().map(|base| base.version.chars().take(60).collect()),
            started: result.run.started.parse().ok().or_else(|| result.run.id.begun()),
            finished: result.run.finished.as_ref().and_then(|text| text.parse().ok()),
            // No run has more tiers than there are; a foreign file may.
            tiers: result.tiers.iter().take(Tier::PLANNABLE.len() + 1).map(line).collect(),
            peak_memory_bytes: result.footprint.peak_memory_bytes,
            is_leaking: result.redaction.leaks > 0,
        }
    }

    /// What it looks like.
    #[must_use]
    pub fn face(&self) -> Face {
        Face::of_run(self.state, self.verdict)
    }
}
