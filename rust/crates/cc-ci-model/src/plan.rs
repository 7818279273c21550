//! What a run is going to do, and why each tier is in or out: decided before anything is touched.

use serde::{Deserialize, Serialize};

use crate::elsewhere::{ElsewhereFacts, plan_elsewhere};
use crate::names::CommitSha;
use crate::tier::Tier;
use crate::version::{Base, NoBase};

/// Why a tier runs or does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// It runs.
    Run,
    /// It has no meaning here; counts as neither good nor bad.
    NotApplicable,
    /// It does not run and that keeps the level down.
    NotPlanned,
}

impl Decision {
    /// What is said of it in a log.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Run => "runs",
            Self::NotApplicable => "not applicable",
            Self::NotPlanned => "not planned",
        }
    }
}

/// One tier of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PlannedTier {
    /// The tier.
    pub tier: Tier,
    /// In or out.
    pub decision: Decision,
    /// Why, in words for a person.
    pub reason: String,
}

/// A part of a tier that is planned by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedPart {
    /// In or out.
    pub decision: Decision,
    /// Why, in words for a person.
    pub reason: String,
}

/// The whole plan of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The commit under test.
    pub head: CommitSha,
    /// Where the upgrade starts; `None`: install is judged at head.
    pub base: Option<Base>,
    /// Releases between base and head that the upgrade climbs through, oldest first; none but for `--from all`.
    pub rungs: Vec<Base>,
    /// All plannable tiers in the order of the run.
    pub tiers: Vec<PlannedTier>,
    /// Whether the restore is done once more in a fresh stack under another name.
    pub elsewhere: PlannedPart,
    /// Deploys that are counted: 1, as the upgrade to head happens in place, one for each rung of a ladder, and one for the
    /// restore elsewhere.
    pub expected_deploys: u32,
}

/// What the plan is made from.
#[derive(Debug, Clone)]
pub struct PlanFacts<'a> {
    /// The commit under test.
    pub head: &'a CommitSha,
    /// The base, or why there is none.
    pub base: &'a Result<Base, NoBase>,
    /// Releases between base and head that the upgrade climbs through.
    pub rungs: &'a [Base],
    /// The tiers asked for; `None` for all.
    pub asked: Option<&'a [Tier]>,
    /// Tiers the recipe's settings declare as not applicable, with their reasons.
    pub declared: &'a [(Tier, String)],
    /// What is known about the restore elsewhere.
    pub elsewhere: ElsewhereFacts<'a>,
    /// The tiers this build of the program can run.
    pub available: &'a [Tier],
    /// Number of checks and programs the recipe's settings bring for the custom tier.
    pub custom_checks: usize,
}

/// Decides tier by tier. Teardown is in every run and never planned.
#[must_use]
pub fn plan(facts: &PlanFacts<'_>) -> Plan {
    let base = facts.base.as_ref().ok().cloned();
    let wants = |tier: Tier| {
        // A restore stands on a backup: who asks for the one gets the other.
        let is_asked = |asked: &[Tier]| {
            asked.contains(&tier) || (tier == Tier::Backup && asked.contains(&Tier::Restore))
        };
        facts.asked.is_none_or(is_asked)
    };
    let tiers = Tier::PLANNABLE.into_iter().map(|tier| {
        let (decision, reason) = decide(tier, facts, wants(tier));
        PlannedTier { tier, decision, reason }
    });
    let tiers: Vec<PlannedTier> = tiers.collect();
    let upgrades =
        tiers.iter().any(|planned| planned.tier == Tier::Upgrade && planned.decision == Decision::Run);
    let rungs = if upgrades { facts.rungs.to_vec() } else { Vec::new() };
    let restore = tiers.iter().find(|planned| planned.tier == Tier::Restore);
    let restore = restore.map_or(Decision::NotPlanned, |planned| planned.decision.clone());
    let elsewhere = plan_elsewhere(&restore, facts.elsewhere);
    let rungs_deployed = u32::try_from(rungs.len()).unwrap_or(u32::MAX - 2);
    let expected_deploys = 1 + rungs_deployed + u32::from(elsewhere.decision == Decision::Run);
    let base = base.filter(|_| upgrades);
    Plan { head: facts.head.clone(), base, rungs, tiers, elsewhere, expected_deploys }
}

fn decide(tier: Tier, facts: &PlanFacts<'_>, wanted: bool) -> (Decision, String) {
    let of = |tier: Tier| facts.declared.iter().find(|(name, _)| *name == tier);
    // Without a backup there is nothing to restore.
    let declared = of(tier).or_else(|| of(Tier::Backup).filter(|_| tier == Tier::Restore));
    // Everything else stands on an installed app: it runs whatever was asked for.
    if tier == Tier::Install {
        let reason = match facts.base {
            Ok(_) if !wanted => "every other tier stands on it".to_owned(),
            Ok(base) => format!("at {}, {}", base.name, base.reason),
            Err(_) => format!("at head {}, as there is no base", facts.head.short()),
        };
        return (Decision::Run, reason);
    }
    if !wanted {
        return (Decision::NotPlanned, "not asked for".to_owned());
    }
    if let Some((_, reason)) = declared.filter(|_| tier != Tier::Lint) {
        return (Decision::NotApplicable, format!("declared in recipe.toml: {reason}"));
    }
    if !facts.available.contains(&tier) {
        return (Decision::NotPlanned, format!("this version of cc-ci does not run {tier} yet"));
    }
    match (tier, facts.base) {
        (Tier::Upgrade, Err(error)) => (Decision::NotApplicable, error.to_string()),
        (Tier::Upgrade, Ok(base)) => {
            let through: Vec<&str> = facts.rungs.iter().map(|rung| rung.name.as_str()).collect();
            let through =
                if through.is_empty() { String::new() } else { format!(" through {}", through.join(", ")) };
            (Decision::Run, format!("from {}{through} to {}", base.name, facts.head.short()))
        }
        (Tier::Custom, _) if facts.custom_checks == 0 => {
            (Decision::NotPlanned, "no custom checks yet".to_owned())
        }
        (Tier::Custom, _) => (Decision::Run, format!("{} checks", facts.custom_checks)),
        (Tier::Backup, _) => (Decision::Run, "where the labels of what is deployed ask for it".to_owned()),
        (Tier::Restore, _) => (Decision::Run, "where there is a backup".to_owned()),
        _ => (Decision::Run, "always".to_owned()),
    }
}

impl Plan {
    /// The tiers that run, in order.
    pub fn running(&self) -> impl Iterator<Item = Tier> {
        self.tiers.iter().filter(|planned| planned.decision == Decision::Run).map(|planned| planned.tier)
    }

    /// Whether a tier runs.
    #[must_use]
    pub fn runs(&self, tier: Tier) -> bool {
        self.running().any(|running| running == tier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> CommitSha {
        CommitSha::parse(&"a".repeat(40)).unwrap()
    }

    fn base() -> Base {
        Base {
            name: "1.0.0+1".into(),
            commit: CommitSha::parse(&"b".repeat(40)).unwrap(),
            reason: "newest".into(),
        }
    }

    fn facts<'a>(
        head: &'a CommitSha,
        base: &'a Result<Base, NoBase>,
        declared: &'a [(Tier, String)],
    ) -> PlanFacts<'a> {
        let available = &Tier::PLANNABLE;
        let elsewhere = ElsewhereFacts::default();
        PlanFacts { head, base, rungs: &[], asked: None, declared, elsewhere, available, custom_checks: 1 }
    }

    #[test]
    fn plan_states_every_tier_in_or_out_with_its_reason() {
        let (head, base) = (head(), Ok(base()));
        let declared = [(Tier::Backup, "keeps no data".to_owned()), (Tier::Lint, "no".to_owned())];
        let plan = plan(&facts(&head, &base, &declared));
        assert_eq!(plan.tiers.len(), Tier::PLANNABLE.len());
        assert!(plan.tiers.iter().all(|tier| !tier.reason.is_empty()));
        assert!(plan.runs(Tier::Lint), "lint cannot be declared away");
        assert!(!plan.runs(Tier::Backup));
        assert_eq!(plan.expected_deploys, 1);
    }

    #[test]
    fn without_a_base_install_is_judged_at_head_and_upgrade_has_no_meaning() {
        let head = head();
        let none = Err(NoBase::NothingOlder { head: head.short().to_owned() });
        let plan = plan(&facts(&head, &none, &[]));
        assert_eq!(plan.base, None);
        let upgrade = plan.tiers.iter().find(|tier| tier.tier == Tier::Upgrade).unwrap();
        assert_eq!(upgrade.decision, Decision::NotApplicable);
    }

    #[test]
    fn tiers_that_were_not_asked_for_are_out_and_install_is_always_in() {
        let (head, base) = (head(), Ok(base()));
        let asked = [Tier::Custom];
        let plan = plan(&PlanFacts { asked: Some(&asked), ..facts(&head, &base, &[]) });
        assert_eq!(plan.running().collect::<Vec<_>>(), [Tier::Install, Tier::Custom]);
        assert_eq!(plan.base, None, "without an upgrade the app is installed at head");
    }

    #[test]
    fn each_rung_of_a_ladder_is_a_planned_deploy_and_named() {
        let (head, base) = (head(), Ok(base()));
        let rungs = [Base { name: "1.1.0+1".into(), ..base.clone().unwrap() }];
        let facts = PlanFacts { rungs: &rungs, ..facts(&head, &base, &[]) };
        let climbing = plan(&facts);
        assert_eq!((climbing.rungs.len(), climbing.expected_deploys), (1, 3), "and the restore elsewhere");
        let upgrade = climbing.tiers.iter().find(|tier| tier.tier == Tier::Upgrade).unwrap();
        assert_eq!(upgrade.reason, "from 1.0.0+1 through 1.1.0+1 to aaaaaaaa");
        let asked = [Tier::Install];
        let without = plan(&PlanFacts { asked: Some(&asked), ..facts });
        assert_eq!((without.rungs.len(), without.expected_deploys), (0, 1), "no upgrade, no ladder");
    }

    #[test]
    fn a_restore_stands_on_a_backup() {
        let (head, base) = (head(), Ok(base()));
        let asked = [Tier::Restore];
        let one = plan(&PlanFacts { asked: Some(&asked), ..facts(&head, &base, &[]) });
        assert_eq!(one.running().collect::<Vec<_>>(), [Tier::Install, Tier::Backup, Tier::Restore]);
        let declared = [(Tier::Backup, "keeps no data".to_owned())];
        let one = plan(&facts(&head, &base, &declared));
        assert!(!one.runs(Tier::Backup) && !one.runs(Tier::Restore));
        let declared = [(Tier::Restore, "by hand".to_owned())];
        let one = plan(&facts(&head, &base, &declared));
        assert!(one.runs(Tier::Backup) && !one.runs(Tier::Restore));
    }

    #[test]
    fn restore_elsewhere_is_a_deploy_of_its_own() {
        let (head, base) = (head(), Ok(base()));
        let whole = plan(&facts(&head, &base, &[]));
        assert_eq!((whole.elsewhere.decision, whole.expected_deploys), (Decision::Run, 2));
        let declared = [(Tier::Restore, "by hand".to_owned())];
        let without = plan(&facts(&head, &base, &declared));
        assert_eq!((without.elsewhere.decision, without.expected_deploys), (Decision::NotApplicable, 1));
    }

    #[test]
    fn a_recipe_without_custom_checks_does_not_plan_them() {
        let (head, base) = (head(), Ok(base()));
        let plan = plan(&PlanFacts { custom_checks: 0, ..facts(&head, &base, &[]) });
        assert!(!plan.runs(Tier::Custom));
    }
}
