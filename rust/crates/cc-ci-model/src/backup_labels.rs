//! What the backup labels of a recipe say about its volumes (abra.md 4.5).

use std::collections::BTreeSet;

use crate::compose::{Compose, MountKind};
use crate::names::StackName;

/// Full names of the volumes that are backed up whole, so that a foreign file in them is kept by upgrade, backup and
/// restore alike.
///
/// A volume that is left out, of which labels select paths, or whose service dumps a database before the backup, is none:
/// there a file of ours would be wrong, or would prove nothing. A stack that takes no part in backups has none either.
#[must_use]
pub fn whole_volumes(compose: &Compose, stack: &StackName) -> Vec<String> {
    let labels: Vec<_> = compose.services.keys().map(|service| compose.deploy_labels(service)).collect();
    let takes_part =
        labels.iter().any(|labels| labels.get("backupbot.backup").is_some_and(|value| value == "true"));
    if !takes_part {
        return Vec::new();
    }
    let mut partial: BTreeSet<&str> = BTreeSet::new();
    for (key, value) in labels.iter().flatten() {
        let Some(rest) = key.strip_prefix("backupbot.backup.volumes.") else { continue };
        match rest.strip_suffix(".path") {
            Some(volume) => partial.insert(volume),
            None if value == "false" => partial.insert(rest),
            None => false,
        };
    }
    let mut whole = BTreeSet::new();
    for (service, labels) in compose.services.values().zip(&labels) {
        let has_hook = ["backupbot.backup.pre-hook", "backupbot.backup.path"]
            .iter()
            .any(|key| labels.contains_key(*key));
        for mount in service.mounts.iter().filter(|mount| mount.kind == MountKind::Volume) {
            let volume = mount.source.as_str();
            let declared = compose.volumes.get(volume);
            if has_hook {
                partial.insert(volume);
            } else if declared.is_some_and(|declared| {
                !declared.external && declared.driver.as_deref().is_none_or(|d| d == "local")
            }) {
                whole.insert(volume);
            }
        }
    }
    let full = |volume: &str| {
        let named = compose.volumes.get(volume).and_then(|declared| declared.name.clone());
        named.unwrap_or_else(|| format!("{}{volume}", stack.prefix()))
    };
    whole.difference(&partial).map(|volume| full(volume)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::compose::{ComposeSource, read};
    use crate::names::Zone;

    fn whole(labels: &str, db_labels: &str) -> Vec<String> {
        let text = format!(
            "version: \"3.8\"\nservices:\n  app:\n    image: a\n    volumes: [\"content:/c\", \"cache:/k\", \"/bare\"]\n    deploy: {{labels: [{labels}]}}\n  \
             db:\n    image: b\n    volumes: [\"data:/d\"]\n    deploy: {{labels: [{db_labels}]}}\nvolumes: {{content: {{}}, cache: {{}}, data: {{}}}}\n"
        );
        let source = ComposeSource { path: "compose.yml".into(), text };
        let compose = read(&[source], &BTreeMap::new(), &|_| None).unwrap();
        let stack = StackName::parse_in("cust-c95a69_ci_test", &Zone::parse("ci.test").unwrap()).unwrap();
        whole_volumes(&compose, &stack)
    }

    #[test]
    fn only_volumes_that_are_backed_up_whole_may_hold_a_marker() {
        let all = ["cache", "content", "data"].map(|name| format!("cust-c95a69_ci_test_{name}"));
        assert_eq!(whole("backupbot.backup=true", ""), all);
        assert_eq!(whole("", ""), Vec::<String>::new());
        assert_eq!(whole("backupbot.backup=false", ""), Vec::<String>::new());
        assert_eq!(
            whole("backupbot.backup=true,backupbot.backup.volumes.cache=false", ""),
            [all[1].clone(), all[2].clone()]
        );
        assert_eq!(whole("backupbot.backup=true", "backupbot.backup.volumes.data.path=dump.sql"), all[..2]);
        assert_eq!(whole("backupbot.backup=true", "backupbot.backup.pre-hook=/dump.sh"), all[..2]);
    }
}
