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

/// A tier that runs.
pub struct TierRun {
    tier: Tier,
    started: Instant,
    checks: Vec<CheckReport>,
    unproven: Option<String>,
    remark: Option<String>,
    settling: Option<Settling>,
    /// Nobody hears of its checks until the tier they belong to takes them over.
    is_aside: bool,
    reporter: Reporter,
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
            is_aside,
            reporter: reporter.clone(),
        }
    }

    /// A page beside this tier, for checks of which it is not known yet whether they count: [`TierRun::adopt`] or drop it.
    #[must_use]
    pub fn aside(&self) -> Self {
        Self::new(self.tier, &self.reporter, true)
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

    /// The tier.
    #[must_use]
    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// Records a check and says how it ended.
    pub fn record(&mut self, check: CheckReport) {
        let check = mutation::as_it_counts(check);
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

    /// Whether a check failed so far.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.checks.iter().any(|check| check.status == Status::Fail)
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
                Some(first) => (TierOutcome::Fail, first.message.clone()),
                None if unsure.is_some() => {
                    let check = unsure.map(|check| format!("{}: {}", check.name, check.message));
                    (TierOutcome::Unverified(Unjudged::CouldNotRun), check.unwrap_or_default())
                }
                None if passed == 0 => {
                    (TierOutcome::Unverified(Unjudged::NoCheckRan), "no check ran".to_owned())
                }
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
