//! The restore elsewhere: whether the snapshot is put into a fresh stack under another name, and what a second stack of the
//! same app stands in the way of.

use crate::backup_plan::{BackupPlan, Selection, facts_of, key_of};
use crate::compose::{Compose, gate};
use crate::names::StackName;
use crate::plan::{Decision, PlannedPart};

/// What is known of it before the run.
#[derive(Debug, Clone, Copy, Default)]
pub struct ElsewhereFacts<'a> {
    /// Why the recipe's settings declare it as not applicable.
    pub declared: Option<&'a str>,
    /// Whether generic checks of the restore are left out.
    pub is_left_out: bool,
}

/// Decides whether the run does it; it stands on the restore.
#[must_use]
pub fn plan_elsewhere(restore: &Decision, facts: ElsewhereFacts<'_>) -> PlannedPart {
    let part = |decision: Decision, reason: String| PlannedPart { decision, reason };
    match (restore, facts) {
        (Decision::NotPlanned | Decision::NotApplicable, _) => {
            part(restore.clone(), "there is no restore to repeat elsewhere".to_owned())
        }
        (Decision::Run, ElsewhereFacts { declared: Some(reason), .. }) => {
            part(Decision::NotApplicable, format!("declared in recipe.toml: {reason}"))
        }
        (Decision::Run, ElsewhereFacts { is_left_out: true, .. }) => {
            part(Decision::NotPlanned, "the generic checks of restore are left out".to_owned())
        }
        (Decision::Run, _) => {
            part(Decision::Run, "the snapshot goes into a fresh stack under another name".to_owned())
        }
    }
}

/// Why a second stack of this app would not be a fresh one; `None` where nothing is shared.
#[must_use]
pub fn obstacle(compose: &Compose, stack: &StackName) -> Option<String> {
    let facts = facts_of(compose, stack);
    let shared = facts.values().flat_map(|service| &service.volumes).find(|volume| !volume.is_own);
    shared.map(|volume| {
        format!("volume {} belongs to no single stack, so no second stack is fresh", volume.name)
    })
}

/// What two stacks of this app cannot have at once, such as a published port: the first makes room then.
#[must_use]
pub fn conflict(compose: &Compose, stack: &StackName) -> Option<String> {
    gate::notes(compose, stack).into_iter().next()
}

/// The name of a stack's object in another stack.
#[must_use]
pub fn renamed(name: &str, from: &StackName, to: &StackName) -> String {
    name.strip_prefix(&from.prefix()).map_or_else(|| name.to_owned(), |rest| format!("{}{rest}", to.prefix()))
}

/// What a fresh stack lacks of the first one's volumes: the end of a sentence about data that came back there alone.
#[must_use]
pub fn what_is_missing(plan: &BackupPlan, stack: &StackName) -> String {
    let prefix = stack.prefix();
    let partly = plan.volumes.iter().filter_map(|(volume, backed_up)| match &backed_up.selection {
        Selection::Whole => None,
        Selection::Paths(paths) => {
            Some(format!("of volume {} it holds {} alone", key_of(volume, &prefix), paths.join(", ")))
        }
    });
    let not = plan
        .left_out
        .iter()
        .map(|(volume, why)| format!("volume {} is not in it ({why})", key_of(volume, &prefix)));
    let lacking: Vec<String> = partly.chain(not).collect();
    let lacking = if lacking.is_empty() { String::new() } else { format!(": {}", lacking.join("; ")) };
    format!(
        "beside the old volumes it came back, so the restore needs something that is not in the snapshot{lacking}"
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::backup_plan::backup_plan;
    use crate::compose::{self, ComposeSource};
    use crate::names::Zone;

    fn stack(name: &str) -> StackName {
        StackName::parse_in(name, &Zone::parse("ci.test").unwrap()).unwrap()
    }

    fn read(more: &str) -> Compose {
        let text = format!(
            "services:\n  app:\n    image: a\n    volumes: [\"data:/data\"]\n    deploy: {{ labels: {{ backupbot.backup: \"true\", backupbot.backup.volumes.data.path: dump.sql }} }}\n{more}"
        );
        let sources = [ComposeSource { path: "compose.yml".to_owned(), text }];
        compose::read(&sources, &BTreeMap::new(), &|_: &str| None).unwrap()
    }

    #[test]
    fn it_stands_on_the_restore_and_can_be_declared_away() {
        let on = ElsewhereFacts::default();
        assert_eq!(plan_elsewhere(&Decision::Run, on).decision, Decision::Run);
        for restore in [Decision::NotPlanned, Decision::NotApplicable] {
            assert_eq!(plan_elsewhere(&restore, on).decision, restore);
        }
        let declared = plan_elsewhere(&Decision::Run, ElsewhereFacts { declared: Some("one licence"), ..on });
        assert_eq!(declared.decision, Decision::NotApplicable);
        assert_eq!(declared.reason, "declared in recipe.toml: one licence");
        let left_out = plan_elsewhere(&Decision::Run, ElsewhereFacts { is_left_out: true, ..on });
        assert_eq!(left_out.decision, Decision::NotPlanned);
    }

    #[test]
    fn shared_volume_keeps_a_second_stack_from_being_fresh() {
        let stack = stack("prob-c95a69_ci_test");
        assert_eq!(obstacle(&read("volumes: { data: {} }\n"), &stack), None);
        let shared = read("volumes: { data: { external: true, name: everybodys } }\n");
        assert!(obstacle(&shared, &stack).unwrap().contains("volume everybodys"));
    }

    #[test]
    fn published_port_is_what_two_stacks_cannot_have_at_once() {
        let stack = stack("prob-c95a69_ci_test");
        assert_eq!(conflict(&read("volumes: { data: {} }\n"), &stack), None);
        let port = conflict(&read("    ports: [\"64738:64738\"]\nvolumes: { data: {} }\n"), &stack).unwrap();
        assert!(port.contains("64738"), "{port}");
    }

    #[test]
    fn volumes_of_one_stack_have_their_namesakes_in_another() {
        let (one, other) = (stack("prob-c95a69_ci_test"), stack("prob-000000_ci_test"));
        assert_eq!(renamed("prob-c95a69_ci_test_data", &one, &other), "prob-000000_ci_test_data");
        assert_eq!(renamed("elsewhere", &one, &other), "elsewhere");
    }

    #[test]
    fn what_a_fresh_stack_lacks_is_named() {
        let stack = stack("prob-c95a69_ci_test");
        let plan = backup_plan(&facts_of(&read("volumes: { data: {} }\n"), &stack)).unwrap();
        let said = what_is_missing(&plan, &stack);
        assert!(said.ends_with("not in the snapshot: of volume data it holds dump.sql alone"), "{said}");
    }
}
