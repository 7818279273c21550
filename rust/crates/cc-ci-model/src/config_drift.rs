//! Docker's configs cannot be changed: content that differs between base and head under one name fails late and
//! obscurely on every existing app. Found by comparing the two sides before anything is deployed.

use std::collections::BTreeMap;

/// A config that head changed without giving it another version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "config {key}: its content changed but its name {name} did not: raise its version in abra.sh, or every upgrade of an existing app fails"
)]
pub struct ConfigDrift {
    /// Key in the compose file.
    pub key: String,
    /// Full name on the swarm, the same on both sides.
    pub name: String,
}

/// Compares the configs of two sides, each by full name with its key and content.
#[must_use]
pub fn config_drift(
    base: &BTreeMap<String, (String, Vec<u8>)>,
    head: &BTreeMap<String, (String, Vec<u8>)>,
) -> Vec<ConfigDrift> {
    let drifted =
        head.iter().filter(|(name, (_, content))| base.get(*name).is_some_and(|(_, old)| old != content));
    drifted.map(|(name, (key, _))| ConfigDrift { key: key.clone(), name: name.clone() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(entries: &[(&str, &str)]) -> BTreeMap<String, (String, Vec<u8>)> {
        entries
            .iter()
            .map(|(name, text)| ((*name).to_owned(), ("conf".to_owned(), text.as_bytes().to_vec())))
            .collect()
    }

    #[test]
    fn changed_config_without_version_bump_is_found_before_deploy() {
        let base = side(&[("s_conf_v1", "a"), ("s_other_v1", "x")]);
        assert_eq!(config_drift(&base, &side(&[("s_conf_v1", "a")])), []);
        assert_eq!(config_drift(&base, &side(&[("s_conf_v2", "b")])), []);
        let drift = config_drift(&base, &side(&[("s_conf_v1", "b")]));
        assert_eq!(drift.len(), 1);
        assert!(drift[0].to_string().contains("s_conf_v1"));
    }
}
