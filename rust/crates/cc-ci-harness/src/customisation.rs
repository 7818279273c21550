//! Everything that makes a run differ from a plain deploy, in sentences: printed at the start and kept in the result.

use cc_ci_model::plan::Plan;
use cc_ci_model::previous::stale;
use cc_ci_model::tier::Tier;

use crate::setup::{OVERLAY, Setup};

/// Lists it, the loudest first.
#[must_use]
pub fn of(setup: &Setup, plan: &Plan) -> Vec<String> {
    let own = &setup.recipe_toml;
    let mut lines = setup.opt_outs.lines();
    if setup.test_data.join(OVERLAY).is_file() {
        lines.push(format!("overlay {OVERLAY}"));
    }
    if let Some(previous) = &setup.previous {
        let way = plan.base.iter().chain(&plan.rungs);
        let files: Vec<&str> = previous.compose_files().collect();
        if way.into_iter().any(|release| release.name == previous.version) {
            lines.push(format!("previous/ mends release {}: {}", previous.version, files.join(", ")));
        }
        lines.extend(stale(&previous.version, plan));
    }
    for key in own.app.env.keys() {
        lines.push(format!("env {key} for base and head"));
    }
    for key in own.upgrade.env.keys() {
        lines.push(format!("env {key} for head only"));
    }
    for (tier, reason) in own.not_applicable.declared() {
        lines.push(format!("{tier} declared as not applicable: {reason}"));
    }
    if let Some(reason) = &own.not_applicable.elsewhere {
        lines.push(format!("restore elsewhere declared as not applicable: {reason}"));
    }
    if !own.seed.is_empty() {
        lines.push(counted(own.seed.len(), "seed"));
    }
    for tier in Tier::PLANNABLE {
        let checks = own.checks(tier).count();
        if checks > 0 {
            lines.push(format!("{} in {tier}", counted(checks, "check")));
        }
    }
    if setup.settings.runs_tests_of(&setup.request.recipe) {
        lines.push("the recipe's own tests are approved on this host".to_owned());
    }
    lines
}

fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
