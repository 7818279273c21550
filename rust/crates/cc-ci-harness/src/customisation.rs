//! Everything that makes a run differ from a plain deploy, in sentences: printed at the start and kept in the result.

use cc_ci_model::tier::Tier;

use crate::setup::{OVERLAY, Setup};

/// Lists it.
#[must_use]
pub fn of(setup: &Setup) -> Vec<String> {
    let own = &setup.recipe_toml;
    let mut lines = Vec::new();
    if setup.test_data.join(OVERLAY).is_file() {
        lines.push(format!("overlay {OVERLAY}"));
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
