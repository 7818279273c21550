//! One tier while it runs: its checks are collected, and its end is decided by them.

use std::time::Instant;

use cc_ci_model::convergence::Limits;
use cc_ci_model::outcome::{Status, TierOutcome, Trouble, Unjudged};
use cc_ci_model::plausible::{Settling, too_fast};
use cc_ci_model::result::{CheckReport, Origin, TierReport};
use cc_ci_model::tier::Tier;

use crate::mutation;
use crate::report::Reporter;

/// Why a tier stopped before its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TierStop {
    /// Its operation failed by the recipe's fault; the failed check is recorded already.
    Failed,
    /// Something of ours failed.
    Trouble(Trouble),
    /// The compose reaches for the host.
    Refused(String),
    /// The run was cancelled.
    Cancelled,
}

impl From<Trouble> for TierStop {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

/// A tier that runs.
pub struct TierRun {
    tier: Tier,
    started: Instant,
    checks: Vec<CheckReport>,
    unproven: Option<String>,
    remark: Option<String>,
    settling: Option<Settling>,
    /// When its deploy began, and what it is called in the footprint, until the app answers.
    deploy: Option<(Instant, &'static str)>,
    /// Nobody hears of its checks until the tier they belong to takes them over.
    is_aside: bool,
    leaves_out_generic: bool,
    step: Option<Step>,
    /// The first failure of a step, with the step's name.
    failed_step: Option<String>,
    reporter: Reporter,
}

/// A part of a tier that is judged by itself: its checks carry its name.
struct Step {
    name: String,
    started: Instant,
    /// Number of checks before it.
    begins: usize,
}

impl TierRun {
    /// Begins a tier.
    #[must_use]
    pub fn begin(tier: Tier, reporter: &Reporter) -> Self {
        reporter.tier_started(tier);
        Self::new(tier, reporter, false)
    }

    fn new(tier: Tier, reporter: &Reporter, is_aside: bool) -> Self {
        Self {
            tier,
            started: Instant::now(),
            checks: Vec::new(),
            unproven: None,
            remark: None,
            settling: None,
            deploy: None,
            is_aside,
            leaves_out_generic: false,
            step: None,
            failed_step: None,
            reporter: reporter.clone(),
        }
    }

    /// A page beside this tier, for checks of which it is not known yet whether they count: [`TierRun::adopt`] or drop it.
    #[must_use]
    pub fn aside(&self) -> Self {
        let leaves_out_generic = self.leaves_out_generic;
        Self { leaves_out_generic, deploy: self.deploy, ..Self::new(self.tier, &self.reporter, true) }
    }

    /// Takes over the checks of a page beside it.
    pub fn adopt(&mut self, aside: Self) {
        for check in aside.checks {
            self.record(check);
        }
        self.unproven = self.unproven.take().or(aside.unproven);
        self.remark = self.remark.take().or(aside.remark);
    }

    /// Whether no check ended otherwise.
    #[must_use]
    pub fn has_only(&self, status: Status) -> bool {
        self.checks.iter().all(|check| check.status == status)
    }

    /// The same with its generic checks left out: its operations are done and judged, and what only looks is not.
    #[must_use]
    pub fn without_generic(mut self) -> Self {
        self.leaves_out_generic = true;
        self
    }

    /// Whether its generic checks are left out.
    #[must_use]
    pub fn leaves_out_generic(&self) -> bool {
        self.leaves_out_generic
    }

    /// The tier.
    #[must_use]
    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// Records a check and says how it ended.
    pub fn record(&mut self, check: CheckReport) {
        let name = match &self.step {
            Some(step) => format!("{}: {}", step.name, check.name),
            None => check.name,
        };
        let check = mutation::as_it_counts(CheckReport { name, ..check });
        if let Some(step) = self.step.as_ref().filter(|_| check.status == Status::Fail) {
            let said = || format!("{}: {}", step.name, check.message);
            self.failed_step.get_or_insert_with(said);
        }
        if !self.is_aside {
            self.reporter.check(self.tier, &check);
        }
        self.checks.push(check);
    }

    /// Records a generic check that held.
    pub fn passed(&mut self, name: &str, since: Instant, message: impl Into<String>) {
        self.record(generic(name, Status::Pass, since, message.into()));
    }

    /// Records a generic check that did not hold, and stops the tier.
    pub fn failed(&mut self, name: &str, since: Instant, message: impl Into<String>) -> TierStop {
        self.record(generic(name, Status::Fail, since, message.into()));
        TierStop::Failed
    }

    /// Says that everything worked and there was no data to look for: the tier ends unverified, unless it fails.
    pub fn unproven(&mut self, why: impl Into<String>) {
        self.unproven = Some(why.into());
    }

    /// Says what was not looked at in a tier that may pass all the same; it becomes its reason.
    pub fn remark(&mut self, what: impl Into<String>) {
        self.remark = Some(what.into());
    }

    /// Notes how the tier's deploy settled.
    pub fn settled(&mut self, settling: Settling) {
        self.settling = Some(settling);
    }

    /// Notes that a deploy began; `name` is what it is called in the footprint.
    pub fn deploys(&mut self, since: Instant, name: &'static str) {
        self.deploy = Some((since, name));
    }

    /// Notes that the app gave a good answer, the first since its deploy.
    pub fn answered(&mut self) {
        let Some((since, name)) = self.deploy.take() else { return };
        let seconds = rounded(since.elapsed().as_secs_f64());
        self.reporter.update(|result| {
            result.footprint.first_answer_seconds.insert(name.to_owned(), seconds);
        });
    }

    /// Begins a step: until its end, checks carry its name, and earlier failures are none of its own.
    pub fn begin_step(&mut self, name: String) {
        self.reporter.note(format!("step {name}"));
        self.step = Some(Step { name, started: Instant::now(), begins: self.checks.len() });
    }

    /// Ends a step. Returns how it went, what failed first in it, and its seconds.
    pub fn end_step(&mut self) -> (Status, String, f64) {
        let Some(step) = self.step.take() else { return (Status::Unverified, String::new(), 0.0) };
        let checks = self.checks.get(step.begins..).unwrap_or_default();
        let failed = checks.iter().find(|check| check.status == Status::Fail);
        let passed = checks.iter().any(|check| check.status == Status::Pass);
        let (status, reason) = match failed {
            Some(failed) => (Status::Fail, failed.message.clone()),
            None if passed && checks.iter().all(|check| check.status != Status::Unverified) => {
                (Status::Pass, String::new())
            }
            None => (Status::Unverified, "it was not judged to its end".to_owned()),
        };
        (status, reason, rounded(step.started.elapsed().as_secs_f64()))
    }

    /// Whether a check failed so far, within the present step where there is one.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        let begins = self.step.as_ref().map_or(0, |step| step.begins);
        self.checks.iter().skip(begins).any(|check| check.status == Status::Fail)
    }

    /// What the first failed check says.
    #[must_use]
    pub fn first_failure(&self) -> Option<String> {
        self.checks.iter().find(|check| check.status == Status::Fail).map(|check| check.message.clone())
    }

    /// Its checks under another tier's name, for a report that says why that one was not judged.
    #[must_use]
    pub fn into_report(self, name: Tier, status: Status, reason: String) -> TierReport {
        let seconds = rounded(self.started.elapsed().as_secs_f64());
        TierReport { name, status, reason, seconds, checks: self.checks }
    }

    /// Ends the tier: pass only if nothing failed and at least one check really passed.
    pub fn end(self, stop: Option<&TierStop>) -> TierOutcome {
        let passed = self.checks.iter().filter(|check| check.status == Status::Pass).count();
        let failed: Vec<&CheckReport> =
            self.checks.iter().filter(|check| check.status == Status::Fail).collect();
        let unsure = self.checks.iter().find(|check| check.status == Status::Unverified);
        let (outcome, reason) = match stop {
            Some(TierStop::Trouble(trouble)) => {
                (TierOutcome::Unverified(Unjudged::CouldNotRun), trouble.what.clone())
            }
            Some(TierStop::Refused(reason)) => {
                (TierOutcome::Unverified(Unjudged::CouldNotRun), reason.clone())
            }
            Some(TierStop::Cancelled) => {
                (TierOutcome::Unverified(Unjudged::NotReached), "the run was stopped".to_owned())
            }
            Some(TierStop::Failed) | None => match failed.first() {
                Some(first) => (TierOutcome::Fail, self.failed_step.unwrap_or_else(|| first.message.clone())),
                None if unsure.is_some() => {
                    let check = unsure.map(|check| format!("{}: {}", check.name, check.message));
                    (TierOutcome::Unverified(Unjudged::CouldNotRun), check.unwrap_or_default())
                }
                None if passed == 0 => {
                    (TierOutcome::Unverified(Unjudged::NoCheckRan), "no check ran".to_owned())
                }
                // Its operations went well, and nobody looked at what came of them.
                None if self.leaves_out_generic && !self.checks.iter().any(is_own) => (
                    TierOutcome::Unverified(Unjudged::NothingToLookFor),
                    "its generic checks were left out, and the recipe has none of its own for it".to_owned(),
                ),
                None => {
                    let stability = Limits::default().stability;
                    let too_fast = too_fast(self.tier, self.started.elapsed(), self.settling, stability);
                    match (self.unproven, too_fast) {
                        (Some(why), _) => (TierOutcome::Unverified(Unjudged::NothingToLookFor), why),
                        (None, Some(why)) => (TierOutcome::Unverified(Unjudged::TooFast), why),
                        (None, None) => (TierOutcome::Pass, self.remark.unwrap_or_default()),
                    }
                }
            },
        };
        self.reporter.tier_ended(TierReport {
            name: self.tier,
            status: outcome.status(),
            reason,
            seconds: rounded(self.started.elapsed().as_secs_f64()),
            checks: self.checks,
        });
        outcome
    }
}

/// Whether a check that held is the recipe's.
fn is_own(check: &CheckReport) -> bool {
    check.origin != Origin::Generic && check.status == Status::Pass
}

fn generic(name: &str, status: Status, since: Instant, message: String) -> CheckReport {
    CheckReport {
        name: name.to_owned(),
        origin: Origin::Generic,
        status,
        seconds: rounded(since.elapsed().as_secs_f64()),
        message,
        log: None,
    }
}

/// Seconds to three digits after the point: what a person can read and a chart can use.
#[must_use]
pub fn rounded(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}
