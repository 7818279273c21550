//! `events.jsonl`: what happens in a run while it happens, one JSON object per line.

use serde::{Deserialize, Serialize};

use crate::outcome::{Status, VerdictWord};
use crate::plan::PlannedTier;
use crate::tier::Tier;

/// One line of `events.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// RFC 3339, UTC.
    pub at: String,
    /// What happened.
    #[serde(flatten)]
    pub what: Happening,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Happening {
    /// The plan is known.
    Planned {
        /// All tiers, in or out.
        tiers: Vec<PlannedTier>,
    },
    /// A chapter of the run begins or goes on: a sentence for people.
    Note {
        /// The sentence.
        text: String,
    },
    /// A tier begins.
    TierStarted {
        /// Which.
        tier: Tier,
    },
    /// A check ended.
    Check {
        /// Its tier.
        tier: Tier,
        /// Its name.
        name: String,
        /// How it ended.
        status: Status,
        /// What was seen.
        message: String,
    },
    /// A tier ended.
    TierEnded {
        /// Which.
        tier: Tier,
        /// How.
        status: Status,
        /// Why.
        reason: String,
        /// Wall seconds.
        seconds: f64,
    },
    /// The run ended; the last line of a finished run.
    Finished {
        /// One word.
        verdict: VerdictWord,
        /// 0 to 5.
        level: u8,
    },
}
