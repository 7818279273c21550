//! Whether the repair of an old release in the test data (`previous/`) still has something to repair.

use crate::plan::Plan;
use crate::tier::Tier;

/// Why the repair for release `version` is of no use to this run; `None` where it is laid over a release, or where the run
/// does not upgrade and so says nothing about it.
#[must_use]
pub fn stale(version: &str, plan: &Plan) -> Option<String> {
    if !plan.runs(Tier::Upgrade) {
        return None;
    }
    let base = plan.base.as_ref()?;
    let mut way = std::iter::once(base).chain(&plan.rungs);
    if way.any(|release| release.name == version) {
        return None;
    }
    Some(format!(
        "previous/ is stale: it mends release {version}, and the upgrade starts from {}, which it is not laid over; remove it \
         if {} deploys without it",
        base.name, base.name
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::CommitSha;
    use crate::plan::{PlanFacts, plan};
    use crate::version::{Base, NoBase};

    fn base(name: &str) -> Base {
        let commit = CommitSha::parse(&"b".repeat(40)).unwrap();
        Base { name: name.to_owned(), commit, reason: String::new() }
    }

    fn planned(from: Result<Base, NoBase>, rungs: &[Base], asked: Option<&[Tier]>) -> Plan {
        let head = CommitSha::parse(&"a".repeat(40)).unwrap();
        plan(&PlanFacts {
            head: &head,
            base: &from,
            rungs,
            asked,
            declared: &[],
            elsewhere: Default::default(),
            available: &Tier::PLANNABLE,
            custom_checks: 0,
        })
    }

    #[test]
    fn a_stale_base_repair_is_flagged_and_one_that_fits_is_not() {
        let plan = planned(Ok(base("2.0.0+1")), &[base("2.1.0+1")], None);
        assert_eq!(stale("2.0.0+1", &plan), None);
        assert_eq!(stale("2.1.0+1", &plan), None, "a rung of a ladder is mended as well");
        let said = stale("1.0.0+1", &plan).unwrap();
        assert!(said.contains("stale") && said.contains("1.0.0+1") && said.contains("2.0.0+1"), "{said}");
    }

    #[test]
    fn a_run_without_an_upgrade_says_nothing_about_a_repair() {
        assert_eq!(stale("1.0.0+1", &planned(Ok(base("2.0.0+1")), &[], Some(&[Tier::Install]))), None);
        let none = Err(NoBase::NothingOlder { head: "a".into() });
        assert_eq!(stale("1.0.0+1", &planned(none, &[], None)), None);
    }
}
