//! `result.json`: the contract between a run and everybody who reads of it. Versioned; its JSON Schema is generated
//! into `docs/result.schema.json`. Readers accept unknown fields and refuse a newer schema.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::inventory::TeardownEvidence;
use crate::names::{CommitSha, PrNumber, Recipe, RunId};
use crate::outcome::{Status, Trouble, VerdictWord};
use crate::plan::{Decision, PlannedTier};
use crate::request::{Deployer, Receipt};
use crate::tier::Tier;

/// Version of the format written by this program.
pub const SCHEMA: u32 = 1;

/// Everything a run says about itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(title = "cc-ci result")]
pub struct RunResult {
    /// Version of this format.
    pub schema: u32,
    /// The run itself.
    pub run: Run,
    /// What was asked for.
    pub request: Requested,
    /// One word, or null while running and after an interruption.
    pub verdict: Option<VerdictWord>,
    /// What was our fault, if it was.
    pub trouble: Option<Trouble>,
    /// What the compose asks for and may not have, if the run was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    /// Programs and versions the run used.
    pub tools: Tools,
    /// Everything that makes this run differ from a plain deploy: overlays, env, opt-outs.
    pub customisation: Vec<String>,
    /// 0 to 5.
    pub level: u8,
    /// Why not higher.
    pub level_reason: String,
    /// The plan as it was printed before the run.
    pub plan: Vec<PlannedTier>,
    /// Version or branch the upgrade started from.
    pub base: Option<BaseName>,
    /// The steps of an upgrade that climbed through more than one release; empty for any other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ladder: Vec<Step>,
    /// The restore elsewhere, a part of the tier restore; null where the plan is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elsewhere: Option<Elsewhere>,
    /// Planned tiers in the order of the run, then teardown.
    pub tiers: Vec<TierReport>,
    /// Deploys made and deploys the plan expected.
    pub deploys: Deploys,
    /// What was made, removed and left.
    pub teardown: Option<Teardown>,
    /// Images that ran.
    pub images: Vec<Image>,
    /// What the run cost.
    pub footprint: Footprint,
    /// What masking did.
    pub redaction: Redaction,
    /// What was done more than once, and why.
    pub retries: Vec<String>,
    /// What this host could not do, or did otherwise.
    pub limits: Vec<String>,
    /// One command that does the same again.
    pub replay: String,
}

/// Identity and course of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Run {
    /// Key of the run's folder.
    pub id: RunId,
    /// How far it is.
    pub state: RunState,
    /// RFC 3339, UTC.
    pub started: String,
    /// RFC 3339, UTC; null until it ended.
    pub finished: Option<String>,
    /// Name of the machine.
    pub host: String,
    /// Process id of the owner while it runs.
    pub pid: u32,
    /// Who deploys.
    pub deployer: Deployer,
    /// Whether checks go through the proxy or straight to the task.
    pub via: Option<String>,
    /// Domain of the app under test; null until the commit is known.
    pub domain: Option<String>,
    /// Its stack.
    pub stack: Option<String>,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Its owner lives, or died without a word.
    Running,
    /// It ended and proved its teardown.
    Finished,
    /// It died before; set by whoever cleaned up after it.
    Interrupted,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Requested {
    /// The recipe.
    pub recipe: Recipe,
    /// Clone source.
    pub src: Option<String>,
    /// The commit under test; null until the ref was resolved.
    #[serde(rename = "ref")]
    pub reference: Option<CommitSha>,
    /// Pull request, 0 for none.
    pub pr: PrNumber,
    /// Tiers asked for; null for all.
    pub tiers: Option<Vec<Tier>>,
    /// Version asked for as the base.
    pub from: Option<String>,
    /// Who asked.
    #[serde(flatten)]
    pub receipt: Receipt,
}

/// Versions of everything the verdict stands on. Null: not there, or not asked.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Tools {
    /// Version of cc-ci.
    pub cc_ci: String,
    /// Commit of cc-ci.
    pub revision: Option<String>,
    /// abra.
    pub abra: Option<String>,
    /// Docker engine.
    pub docker: Option<String>,
    /// Docker CLI.
    pub docker_cli: Option<String>,
    /// restic.
    pub restic: Option<String>,
    /// git.
    pub git: Option<String>,
    /// Kernel release.
    pub kernel: Option<String>,
    /// Free memory at the start, bytes.
    pub free_memory_bytes: Option<u64>,
}

/// Where the upgrade started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct BaseName {
    /// Release tag, or `main`.
    pub version: String,
    /// Its commit.
    pub commit: CommitSha,
    /// Why this one.
    pub reason: String,
}

/// One step of an upgrade through several releases.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Step {
    /// Release that the step goes to, or the short commit of head.
    pub to: String,
    /// Release that was deployed before it, whether or not that step held.
    pub from: String,
    /// How it ended.
    pub status: Status,
    /// The first thing that did not hold.
    pub reason: String,
    /// Wall time in seconds.
    pub seconds: f64,
}

/// The snapshot in a fresh stack under another name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Elsewhere {
    /// Whether it is in the plan.
    pub decision: Decision,
    /// Why it is in or out, and once it ended, the first thing that did not hold.
    pub reason: String,
    /// How it ended; null where it was not done.
    pub status: Option<Status>,
    /// Domain of the fresh stack; null where none is planned.
    pub domain: Option<String>,
    /// The fresh stack.
    pub stack: Option<String>,
    /// Wall time in seconds.
    pub seconds: f64,
}

/// One tier as it ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TierReport {
    /// The tier.
    pub name: Tier,
    /// How it ended.
    pub status: Status,
    /// Why, where the checks do not say it all.
    pub reason: String,
    /// Wall time in seconds.
    pub seconds: f64,
    /// What was looked at.
    pub checks: Vec<CheckReport>,
}

/// Where a check comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// For every recipe, without any data.
    Generic,
    /// From our copy of the recipe's test data.
    Recipe,
    /// From the recipe's own repository; only for approved recipes.
    RecipeLocal,
}

/// One check as it ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CheckReport {
    /// What was checked, as a sentence or name.
    pub name: String,
    /// Where it comes from.
    pub origin: Origin,
    /// How it ended.
    pub status: Status,
    /// Wall time in seconds.
    pub seconds: f64,
    /// What was seen; on failure the cause.
    pub message: String,
    /// File below the run's folder that holds its output.
    pub log: Option<String>,
}

/// Counted and expected deploys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Deploys {
    /// Deploys counted under the lock.
    pub counted: u32,
    /// Deploys the plan expected.
    pub expected: u32,
}

/// The difference between the world before and after, and what became of the witness.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Teardown {
    /// What was made, removed and left.
    #[serde(flatten)]
    pub evidence: TeardownEvidence,
    /// Whether this host has a witness stack and what became of it.
    pub witness: WitnessState,
}

/// What became of the witness stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WitnessState {
    /// This host has none: nothing is said.
    #[default]
    None,
    /// It stands as it stood.
    Unchanged,
    /// Some of it changed; see `witness_changed`.
    Changed,
}

impl WitnessState {
    /// The word used in files and on terminals.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Unchanged => "unchanged",
            Self::Changed => "changed",
        }
    }
}

/// An image that ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Image {
    /// Service that ran it.
    pub service: String,
    /// `base`, `head`, or `between` for a release on the way from one to the other.
    pub side: String,
    /// Name as the compose file spells it.
    pub name: String,
    /// Digest in the registry, where it has one.
    pub digest: Option<String>,
}

/// What the run cost.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Footprint {
    /// Largest memory of the app's containers together, bytes; null if it could not be read.
    pub peak_memory_bytes: Option<u64>,
    /// The same by tier; tiers in which nothing was seen are not there. Looked at once a second, so what lasts less may be missed.
    #[serde(default)]
    pub tier_memory_bytes: BTreeMap<String, u64>,
    /// Seconds from a deploy to the first good answer, by tier; `elsewhere` for the fresh stack of the restore.
    #[serde(default)]
    pub first_answer_seconds: BTreeMap<String, f64>,
    /// Size of the images, bytes.
    pub image_bytes: Option<u64>,
    /// Wall seconds per chapter of the run.
    pub seconds: BTreeMap<String, f64>,
}

/// What masking did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Redaction {
    /// Occurrences replaced while writing.
    pub masked: u64,
    /// Values found afterwards: 0, or the run is trouble.
    pub leaks: u64,
}

/// Why a result cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No valid JSON of this form.
    #[error("not a result of cc-ci: {0}")]
    Form(#[from] serde_json::Error),
    /// Written by a newer program.
    #[error("result of schema {0}; this program reads up to {SCHEMA}: use a newer cc-ci")]
    Newer(u64),
}

impl RunResult {
    /// Reads a result; unknown fields are accepted.
    ///
    /// # Errors
    /// [`ReadError`]: not of this form, or of a newer schema.
    pub fn read(text: &str) -> Result<Self, ReadError> {
        let value: serde_json::Value = serde_json::from_str(text)?;
        if let Some(schema) = value.get("schema").and_then(serde_json::Value::as_u64)
            && schema > u64::from(SCHEMA)
        {
            return Err(ReadError::Newer(schema));
        }
        Ok(serde_json::from_value(value)?)
    }

    /// The JSON Schema of a result, as published in `docs/result.schema.json`.
    #[must_use]
    pub fn schema_json() -> String {
        let schema = schemars::schema_for!(Self);
        let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
        text.push('\n');
        text
    }

    /// The stub a run writes before it does anything else.
    #[must_use]
    pub fn stub(run: Run, request: Requested, replay: String) -> Self {
        Self {
            schema: SCHEMA,
            run,
            request,
            verdict: None,
            trouble: None,
            refusal: None,
            tools: Tools::default(),
            customisation: Vec::new(),
            level: 0,
            level_reason: "the run has not ended".to_owned(),
            plan: Vec::new(),
            base: None,
            ladder: Vec::new(),
            elsewhere: None,
            tiers: Vec::new(),
            deploys: Deploys::default(),
            teardown: None,
            images: Vec::new(),
            footprint: Footprint::default(),
            redaction: Redaction::default(),
            retries: Vec::new(),
            limits: Vec::new(),
            replay,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stub() -> RunResult {
        let run = Run {
            id: RunId::parse("20260102T030405-1a2b3c").unwrap(),
            state: RunState::Running,
            started: "2026-01-02T03:04:05Z".into(),
            finished: None,
            host: "host".into(),
            pid: 1,
            deployer: Deployer::Native,
            via: None,
            domain: None,
            stack: None,
        };
        let request = Requested {
            recipe: Recipe::parse("custom-html").unwrap(),
            src: None,
            reference: None,
            pr: PrNumber(1),
            tiers: None,
            from: None,
            receipt: Receipt::default(),
        };
        RunResult::stub(run, request, "cc-ci run --recipe custom-html".into())
    }

    #[test]
    fn a_stub_reads_back_and_unknown_fields_are_accepted() {
        let text = serde_json::to_string(&stub()).unwrap();
        assert_eq!(RunResult::read(&text).unwrap(), stub());
        let more = text.replacen('{', "{\"from_the_future\":1,", 1);
        assert_eq!(RunResult::read(&more).unwrap(), stub());
    }

    #[test]
    fn a_newer_schema_is_refused_with_a_sentence() {
        let text = serde_json::to_string(&stub()).unwrap().replacen("\"schema\":1", "\"schema\":2", 1);
        let message = RunResult::read(&text).unwrap_err().to_string();
        assert!(message.contains("use a newer cc-ci"), "{message}");
        assert!(RunResult::read("{\"schema\":").is_err());
    }
}
