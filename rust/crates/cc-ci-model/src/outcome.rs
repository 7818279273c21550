//! What a run comes to: the status of each tier, the recipe's verdict, our own trouble, and the one table that decides.

use serde::{Deserialize, Serialize};

use crate::tier::Tier;

/// Status of a tier or a check as people and programs read it. `unverified` is where everything starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It ran and everything held.
    Pass,
    /// It ran and something did not hold.
    Fail,
    /// Declared or structurally without meaning for this recipe.
    NotApplicable,
    /// It should have run and nobody can say how it would have ended.
    Unverified,
}

impl Status {
    /// The word used in files and on terminals.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::NotApplicable => "not_applicable",
            Self::Unverified => "unverified",
        }
    }
}

/// Why a tier could not be judged. Which of these spoil the run is decided by [`conclude`] alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unjudged {
    /// The base release does not deploy and nothing mends it; install was judged at head.
    BaseDoesNotDeploy,
    /// It was over sooner than is plausible.
    TooFast,
    /// Everything worked, and there was no data to look for: no volume that may hold a marker, and no seed of the recipe.
    NothingToLookFor,
    /// It was planned, and no check ran in it.
    NoCheckRan,
    /// A dependency or something of ours kept it from running.
    CouldNotRun,
    /// The run ended before its turn came.
    NotReached,
}

/// How one planned tier ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TierOutcome {
    /// Every check passed and at least one ran.
    Pass,
    /// A check or the operation failed, its own limit passed, or the recipe's content is at fault.
    Fail,
    /// Without meaning here, with the reason beside it.
    NotApplicable,
    /// Nobody can say.
    Unverified(Unjudged),
}

impl TierOutcome {
    /// The status shown for it.
    #[must_use]
    pub fn status(&self) -> Status {
        match self {
            Self::Pass => Status::Pass,
            Self::Fail => Status::Fail,
            Self::NotApplicable => Status::NotApplicable,
            Self::Unverified(_) => Status::Unverified,
        }
    }
}

/// The recipe's verdict. Nothing converts [`Trouble`] into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The recipe does what it should.
    Pass,
    /// The recipe is at fault.
    Fail,
}

/// Our own fault or that of the world around the recipe: engine, disk, registry, forge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Trouble {
    /// What went wrong, in one sentence that ends with what to do.
    pub what: String,
    /// Where: a tier or a chapter of the run.
    #[serde(rename = "where")]
    pub place: String,
    /// Whether the same run may succeed without a change.
    pub retry: bool,
}

/// How the run left its tiers behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// It went through its plan, or stopped where a tier failed.
    Completed,
    /// Something of ours failed on the way.
    Trouble(Trouble),
    /// The compose gate or a missing permission forbade it.
    Refused(String),
    /// TERM, INT or a cancel file.
    Cancelled,
    /// The run's deadline passed.
    Deadline,
}

/// What teardown and the counters found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Aftermath {
    /// Objects of the run's own stacks that are still there.
    pub left: Vec<String>,
    /// Objects the recipe made outside its stack.
    pub left_by_recipe: Vec<String>,
    /// Objects of the witness stack that changed.
    pub witness_changed: Vec<String>,
    /// Values of secrets found in the run's folder after masking.
    pub leaks: u64,
    /// Deploys counted and deploys the plan expected.
    pub deploys: (u32, u32),
}

/// What everybody acts upon: the word of the verdict, the trouble behind it, the exit status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conclusion {
    /// The recipe was judged.
    Recipe(Verdict),
    /// It was not, by our fault.
    Trouble(Trouble),
    /// It was not, because it may not.
    Refused(String),
    /// It was not, because somebody stopped it.
    Cancelled,
    /// It was not, because time ran out.
    Deadline(Trouble),
}

/// `verdict` of a result: one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VerdictWord {
    /// The recipe does what it should.
    Pass,
    /// The recipe is at fault.
    Fail,
    /// Something of ours is at fault; says nothing about the recipe.
    Trouble,
    /// Nothing was run: the gate or a missing permission.
    Refused,
    /// Stopped by a person or by a newer request.
    Cancelled,
}

impl VerdictWord {
    /// The word itself.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Trouble => "trouble",
            Self::Refused => "refused",
            Self::Cancelled => "cancelled",
        }
    }
}

impl Conclusion {
    /// The word stored as `verdict`.
    #[must_use]
    pub fn word(&self) -> VerdictWord {
        match self {
            Self::Recipe(Verdict::Pass) => VerdictWord::Pass,
            Self::Recipe(Verdict::Fail) => VerdictWord::Fail,
            Self::Trouble(_) | Self::Deadline(_) => VerdictWord::Trouble,
            Self::Refused(_) => VerdictWord::Refused,
            Self::Cancelled => VerdictWord::Cancelled,
        }
    }

    /// The trouble to store, if it is ours.
    #[must_use]
    pub fn trouble(&self) -> Option<&Trouble> {
        match self {
            Self::Trouble(trouble) | Self::Deadline(trouble) => Some(trouble),
            Self::Recipe(_) | Self::Refused(_) | Self::Cancelled => None,
        }
    }

    /// What the compose asks for and may not have, if it is refused.
    #[must_use]
    pub fn refusal(&self) -> Option<&str> {
        match self {
            Self::Refused(reason) => Some(reason),
            Self::Recipe(_) | Self::Trouble(_) | Self::Deadline(_) | Self::Cancelled => None,
        }
    }

    /// Exit status of the program: 0, 1, 2, 3, 142 or 143 (architecture, section 3).
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Recipe(Verdict::Pass) => 0,
            Self::Recipe(Verdict::Fail) => 1,
            Self::Trouble(_) => 2,
            Self::Refused(_) => 3,
            Self::Deadline(_) => 142,
            Self::Cancelled => 143,
        }
    }
}

/// The table of verdicts: one function, one test per row.
///
/// Order of precedence: refused; stopped from outside; our trouble; the recipe. What is ours never turns a pull
/// request red: a run in which a tier failed *and* the engine died is trouble, because nobody can tell the two apart.
/// `lint` stands in no row: it lowers the level and never changes the verdict.
#[must_use]
pub fn conclude(tiers: &[(Tier, TierOutcome)], ending: &Ending, after: &Aftermath) -> Conclusion {
    let trouble = |what: String, place: &str, retry: bool| Trouble { what, place: place.to_owned(), retry };
    match ending {
        // A refusal may come after a deploy: what it left is told first.
        Ending::Refused(reason) if after.left.is_empty() && after.leaks == 0 => {
            return Conclusion::Refused(reason.clone());
        }
        Ending::Cancelled => return Conclusion::Cancelled,
        Ending::Deadline => {
            let what = "the run reached its deadline and was torn down; look at the tier it stopped in, or raise limits.run in the host's settings";
            return Conclusion::Deadline(trouble(what.to_owned(), "run", true));
        }
        Ending::Trouble(trouble) => return Conclusion::Trouble(trouble.clone()),
        Ending::Completed | Ending::Refused(_) => {}
    }
    if !after.left.is_empty() {
        let what =
            format!("left on the swarm after teardown: {}; the next sweep removes it", after.left.join(", "));
        return Conclusion::Trouble(trouble(what, "teardown", false));
    }
    if after.leaks > 0 {
        let what = format!(
            "{} unmasked secret values stand in the run's folder; withdraw it and rotate them",
            after.leaks
        );
        return Conclusion::Trouble(trouble(what, "redaction", false));
    }
    let (counted, expected) = after.deploys;
    let judged = |(tier, _): &&(Tier, TierOutcome)| *tier != Tier::Lint;
    let failed = tiers.iter().filter(judged).any(|(_, outcome)| *outcome == TierOutcome::Fail);
    // A run that stopped at a failed tier has made fewer deploys than planned; more than planned is never fine.
    if counted > expected || (counted < expected && !failed) {
        let what = format!(
            "{counted} deploys were counted and {expected} were planned: the run did not do what it says"
        );
        return Conclusion::Trouble(trouble(what, "deploys", false));
    }
    if failed || !after.left_by_recipe.is_empty() || !after.witness_changed.is_empty() {
        return Conclusion::Recipe(Verdict::Fail);
    }
    for (tier, outcome) in tiers.iter().filter(judged) {
        if let TierOutcome::Unverified(cause) = outcome {
            let what = match cause {
                Unjudged::BaseDoesNotDeploy | Unjudged::TooFast | Unjudged::NothingToLookFor => continue,
                Unjudged::NoCheckRan => format!("{tier} was planned and no check ran in it"),
                Unjudged::CouldNotRun => format!("{tier} was planned and could not run"),
                Unjudged::NotReached => format!("{tier} was planned and its turn never came"),
            };
            return Conclusion::Trouble(trouble(what, tier.word(), true));
        }
    }
    Conclusion::Recipe(Verdict::Pass)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clean() -> Aftermath {
        Aftermath { deploys: (1, 1), ..Aftermath::default() }
    }

    fn with(outcome: TierOutcome) -> Vec<(Tier, TierOutcome)> {
        vec![(Tier::Install, TierOutcome::Pass), (Tier::Upgrade, outcome)]
    }

    fn our_trouble() -> Trouble {
        Trouble { what: "docker does not answer".into(), place: "upgrade".into(), retry: true }
    }

    fn exit(tiers: &[(Tier, TierOutcome)], ending: &Ending, after: &Aftermath) -> u8 {
        conclude(tiers, ending, after).exit_code()
    }

    #[test]
    fn every_planned_tier_passed_is_pass() {
        assert_eq!(exit(&with(TierOutcome::Pass), &Ending::Completed, &clean()), 0);
    }

    #[test]
    fn a_failed_tier_is_fail() {
        assert_eq!(exit(&with(TierOutcome::Fail), &Ending::Completed, &clean()), 1);
    }

    #[test]
    fn a_tier_without_meaning_has_no_effect() {
        assert_eq!(exit(&with(TierOutcome::NotApplicable), &Ending::Completed, &clean()), 0);
    }

    #[test]
    fn base_that_does_not_deploy_is_shown_never_dropped() {
        let tiers = with(TierOutcome::Unverified(Unjudged::BaseDoesNotDeploy));
        assert_eq!(exit(&tiers, &Ending::Completed, &Aftermath { deploys: (2, 2), ..clean() }), 0);
        assert_eq!(tiers[1].1.status(), Status::Unverified);
    }

    #[test]
    fn run_faster_than_plausible_is_suspicious() {
        let tiers = with(TierOutcome::Unverified(Unjudged::TooFast));
        assert_eq!(exit(&tiers, &Ending::Completed, &clean()), 0);
        assert_eq!(tiers[1].1.status(), Status::Unverified);
    }

    #[test]
    fn tier_with_no_executed_test_is_never_a_pass() {
        for cause in [Unjudged::NoCheckRan, Unjudged::CouldNotRun, Unjudged::NotReached] {
            assert_eq!(exit(&with(TierOutcome::Unverified(cause)), &Ending::Completed, &clean()), 2);
        }
    }

    #[test]
    fn trouble_never_turns_a_pull_request_red() {
        let ending = Ending::Trouble(our_trouble());
        assert_eq!(exit(&with(TierOutcome::Fail), &ending, &clean()), 2);
        assert_eq!(conclude(&with(TierOutcome::Pass), &ending, &clean()).trouble(), Some(&our_trouble()));
    }

    #[test]
    fn residue_after_teardown_turns_the_run_red() {
        let after = Aftermath { left: vec!["volume x".into()], ..clean() };
        let conclusion = conclude(&with(TierOutcome::Pass), &Ending::Completed, &after);
        assert_eq!(conclusion.exit_code(), 2);
        assert!(conclusion.trouble().unwrap().what.contains("volume x"));
    }

    #[test]
    fn a_leak_is_our_trouble() {
        assert_eq!(exit(&with(TierOutcome::Pass), &Ending::Completed, &Aftermath { leaks: 1, ..clean() }), 2);
    }

    #[test]
    fn what_the_recipe_left_outside_its_stack_is_its_fault() {
        let after = Aftermath { left_by_recipe: vec!["network x".into()], ..clean() };
        assert_eq!(exit(&with(TierOutcome::Pass), &Ending::Completed, &after), 1);
    }

    #[test]
    fn a_changed_witness_is_the_recipes_fault() {
        let after = Aftermath { witness_changed: vec!["service cc-ci-witness_app".into()], ..clean() };
        assert_eq!(exit(&with(TierOutcome::Pass), &Ending::Completed, &after), 1);
    }

    #[test]
    fn refusal_cancel_and_deadline_have_exits_of_their_own() {
        let tiers = with(TierOutcome::Fail);
        assert_eq!(exit(&tiers, &Ending::Refused("host bind".into()), &clean()), 3);
        assert_eq!(exit(&tiers, &Ending::Cancelled, &clean()), 143);
        assert_eq!(exit(&tiers, &Ending::Deadline, &clean()), 142);
    }

    #[test]
    fn in_place_upgrade_adds_nothing_to_the_deploy_count() {
        let passed = with(TierOutcome::Pass);
        assert_eq!(exit(&passed, &Ending::Completed, &Aftermath { deploys: (2, 1), ..clean() }), 2);
        assert_eq!(exit(&passed, &Ending::Completed, &Aftermath { deploys: (0, 1), ..clean() }), 2);
        assert_eq!(
            exit(&with(TierOutcome::Fail), &Ending::Completed, &Aftermath { deploys: (0, 1), ..clean() }),
            1
        );
    }

    #[test]
    fn lint_never_changes_the_verdict() {
        for outcome in [TierOutcome::Fail, TierOutcome::Unverified(Unjudged::CouldNotRun)] {
            let mut tiers = with(TierOutcome::Pass);
            tiers.push((Tier::Lint, outcome));
            assert_eq!(exit(&tiers, &Ending::Completed, &clean()), 0);
        }
    }
}
