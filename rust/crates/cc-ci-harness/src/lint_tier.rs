//! The lint tier: the commit's own files judged by rules, without the overlay of this host and without Docker.

use std::path::Path;
use std::time::Instant;

use cc_ci_model::lint::{Lint, LintInput, LintOutcome, Row, Severity, State, lint};
use cc_ci_model::names::{CommitSha, StackName};
use cc_ci_model::outcome::{Status, TierOutcome};
use cc_ci_model::result::{CheckReport, Origin};
use cc_ci_model::serves::Serves;
use cc_ci_model::tier::Tier;
use cc_ci_swarm::checkout::{Checkout, CheckoutError};
use cc_ci_swarm::recipe_files;

use crate::evidence::Evidence;
use crate::report::Reporter;
use crate::tier_run::{TierRun, rounded};

/// Reads the commit and the release before it from clones of their own below `scratch`, and lints.
///
/// # Errors
/// Git or the disk fails, which says nothing about the recipe.
pub async fn lint_commit(
    checkout: &Checkout,
    head: &CommitSha,
    stack: &StackName,
    serves: Option<Serves>,
    scratch: &Path,
) -> Result<Lint, CheckoutError> {
    let releases = checkout.releases(head).await?;
    let mut files = recipe_files::at_commit(checkout, head, &scratch.join("lint-head")).await?;
    files.tags = Some(recipe_files::tags(&releases));
    let base = match recipe_files::release_before(head, &releases) {
        Some(base) => {
            Some(recipe_files::at_commit(checkout, &base.commit, &scratch.join("lint-base")).await?)
        }
        None => None,
    };
    Ok(lint(LintInput { head: &files, base: base.as_ref(), stack, serves }))
}

/// Runs the tier. Whatever comes out of it, the verdict stays as it is: only the level asks for lint.
pub async fn run(
    reporter: &Reporter,
    checkout: &Checkout,
    head: &CommitSha,
    stack: &StackName,
    serves: Option<Serves>,
) -> TierOutcome {
    let mut tier = TierRun::begin(Tier::Lint, reporter);
    let since = Instant::now();
    match lint_commit(checkout, head, stack, serves, &reporter.folder().state()).await {
        Ok(lint) => {
            let evidence = Evidence::new(reporter.folder().root(), Tier::Lint, reporter.masker().clone());
            let rows = serde_json::to_string_pretty(&lint).unwrap_or_default();
            record(&mut tier, &lint, since, evidence.keep("lint", &rows));
        }
        Err(error) => tier.record(check(
            "the recipe can be linted",
            Status::Unverified,
            since,
            format!("could not lint: {error}"),
            None,
        )),
    }
    tier.end(None)
}

/// One check per rule that does not hold, and one for all that do.
fn record(tier: &mut TierRun, lint: &Lint, since: Instant, log: Option<String>) {
    for row in lint.violated() {
        let status = match row.rule.severity {
            Severity::Error => Status::Fail,
            Severity::Warn => Status::Pass,
        };
        tier.record(check(&title(row), status, since, said(row), log.clone()));
    }
    if let LintOutcome::Refused(findings) = lint.outcome() {
        let what = findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        tier.record(check("the compose gate lets it through", Status::Fail, since, what, log.clone()));
    }
    let count = |wanted: &dyn Fn(&Row) -> bool| lint.rows.iter().filter(|row| wanted(row)).count();
    let satisfied = count(&|row| row.state == State::Satisfied);
    let skipped = count(&|row| matches!(row.state, State::Skipped(_)));
    let message = format!("{satisfied} of {}, {skipped} skipped", lint.rows.len());
    tier.record(check("rules that hold", Status::Pass, since, message, log));
}

fn title(row: &Row) -> String {
    format!("{} {}", row.rule.reference, row.rule.what)
}

/// The findings in one message, a warning named as such.
fn said(row: &Row) -> String {
    let findings: Vec<String> = row.findings.iter().map(ToString::to_string).collect();
    let findings = findings.join("; ");
    match row.rule.severity {
        Severity::Error => format!("{findings}; {}", row.rule.fix),
        Severity::Warn => format!("warning: {findings}"),
    }
}

fn check(name: &str, status: Status, since: Instant, message: String, log: Option<String>) -> CheckReport {
    CheckReport {
        name: name.to_owned(),
        origin: Origin::Generic,
        status,
        seconds: rounded(since.elapsed().as_secs_f64()),
        message,
        log,
    }
}
