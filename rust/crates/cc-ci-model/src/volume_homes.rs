//! Where an app looks for its data: which volume lies at which path of which service.

use std::collections::BTreeMap;

use crate::compose::{Compose, MountKind, rules};
use crate::names::StackName;

/// The volumes of one side by the place they are mounted at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VolumeHomes {
    by_place: BTreeMap<(String, String), String>,
}

impl VolumeHomes {
    /// Reads them from a compose; volumes have their full names.
    #[must_use]
    pub fn of(compose: &Compose, stack: &StackName) -> Self {
        let mut by_place = BTreeMap::new();
        for (service, spec) in &compose.services {
            for mount in &spec.mounts {
                if mount.kind != MountKind::Volume || mount.source.is_empty() {
                    continue;
                }
                let declared = compose.volumes.get(&mount.source);
                // What lies in memory is nobody's home: it is empty at each start.
                if declared.is_some_and(|one| rules::is_in_memory(one.driver.as_deref(), &one.driver_opts)) {
                    continue;
                }
                let named = declared.and_then(|declared| declared.name.clone());
                let volume = named.unwrap_or_else(|| format!("{}{}", stack.prefix(), mount.source));
                by_place.insert((service.to_string(), mount.target.clone()), volume);
            }
        }
        Self { by_place }
    }

    /// The volume in which the app, as it is `later`, looks for what it had in `volume`.
    ///
    /// That is the same one as long as any service mounts it. Where none does, it is what lies at the old place: a
    /// renamed volume is another, empty one, and the old one stays behind with the data in it.
    #[must_use]
    pub fn successor<'a>(&self, later: &'a Self, volume: &'a str) -> &'a str {
        if later.by_place.values().any(|mounted| mounted == volume) {
            return volume;
        }
        let mut old_places = self.by_place.iter().filter(|(_, mounted)| *mounted == volume);
        old_places.find_map(|(place, _)| later.by_place.get(place)).map_or(volume, String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn homes(mounts: &[(&str, &str, &str)]) -> VolumeHomes {
        let place = |(service, target, volume): &(&str, &str, &str)| {
            (((*service).to_owned(), (*target).to_owned()), (*volume).to_owned())
        };
        VolumeHomes { by_place: mounts.iter().map(place).collect() }
    }

    #[test]
    fn volume_in_memory_is_nobodys_home() {
        let text = "services: {app: {image: a, volumes: [\"data:/data\", \"fast:/fast\"]}}\nvolumes: {data: {}, fast: {driver_opts: {type: tmpfs, device: tmpfs}}}\n";
        let source = crate::compose::ComposeSource { path: "compose.yml".into(), text: text.into() };
        let compose = crate::compose::read(&[source], &BTreeMap::new(), &|_| None).unwrap();
        let zone = crate::names::Zone::parse("ci.example.org").unwrap();
        let stack = StackName::parse_in("note-1a2b3c_ci_example_org", &zone).unwrap();
        let homes = VolumeHomes::of(&compose, &stack);
        let volumes: Vec<&String> = homes.by_place.values().collect();
        assert_eq!(volumes, ["note-1a2b3c_ci_example_org_data"]);
    }

    #[test]
    fn data_of_a_renamed_volume_is_looked_for_in_the_new_one() {
        let base = homes(&[("app", "/data", "s_data"), ("db", "/db", "s_db")]);
        let renamed = homes(&[("app", "/data", "s_files"), ("db", "/db", "s_db")]);
        assert_eq!(base.successor(&renamed, "s_data"), "s_files");
        assert_eq!(base.successor(&renamed, "s_db"), "s_db");
    }

    #[test]
    fn volume_that_is_mounted_elsewhere_or_nowhere_is_looked_at_itself() {
        let base = homes(&[("app", "/data", "s_data")]);
        let moved = homes(&[("app", "/var/data", "s_data"), ("app", "/data", "s_cache")]);
        assert_eq!(base.successor(&moved, "s_data"), "s_data");
        assert_eq!(base.successor(&homes(&[]), "s_data"), "s_data");
    }
}
