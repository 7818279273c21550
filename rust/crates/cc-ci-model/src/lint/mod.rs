//! What can be said about a recipe from its files alone: rules R001 to R015, and the static twins of failures seen in runs.
//!
//! The numbers R… are those of `abra recipe lint`; C… are ours. Nothing is read here but the values handed in.

pub mod blast_radius;
mod facts;
mod findings;
mod images;
mod metadata;
mod recipe_files;
mod services;
mod shared_names;
mod table;
mod twins;
mod upgrades;

use serde::Serialize;

use crate::names::StackName;
use crate::serves::Serves;

pub use findings::{Finding, LintOutcome, Place, Row, State};
pub use recipe_files::{OWN_OVERLAY, RecipeFiles, Tag};
pub use shared_names::{Part, SharedName, owners, shared_names};
pub use table::{RULES, Rule, Severity};

pub(crate) use facts::{default_files, environment};
pub(crate) use metadata::bullet_of as bullet;

use facts::Facts;

/// What is linted.
#[derive(Debug, Clone, Copy)]
pub struct LintInput<'a> {
    /// The recipe at the commit under test.
    pub head: &'a RecipeFiles,
    /// The release before it, where there is one: some rules compare the two.
    pub base: Option<&'a RecipeFiles>,
    /// The stack whose names are made, for limits on their length.
    pub stack: &'a StackName,
    /// What our data about the recipe says it offers (`app.serves`), where it says so.
    pub serves: Option<Serves>,
}

/// The whole answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lint {
    /// One row per rule, in the order of the table.
    pub rows: Vec<Row>,
    /// What the compose gate refuses.
    pub refusals: Vec<Finding>,
}

impl Lint {
    /// The rows of rules that do not hold.
    pub fn violated(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.state == State::Violated)
    }

    /// What the answer comes down to: a refusal first, then errors; warnings alone are clean.
    #[must_use]
    pub fn outcome(&self) -> LintOutcome {
        if !self.refusals.is_empty() {
            return LintOutcome::Refused(self.refusals.clone());
        }
        if self.violated().any(|row| row.rule.severity == Severity::Error) {
            return LintOutcome::Errors;
        }
        LintOutcome::Clean
    }
}

/// Lints a recipe.
#[must_use]
pub fn lint(input: LintInput<'_>) -> Lint {
    let facts = Facts::gather(input);
    let rows = RULES.iter().map(|rule| Row::of(rule, (rule.check)(&facts))).collect();
    Lint { rows, refusals: facts.refusals() }
}

#[cfg(test)]
mod tests;
