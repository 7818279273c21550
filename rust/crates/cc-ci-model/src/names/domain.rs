//! Names on the swarm: the zone, a run's domain and its stack, printed and parsed by one type.
//!
//! What a run deploys and what a janitor may remove are recognised by the same type, so the two can
//! never drift apart. Names of infrastructure and of long-lived apps have no way into it.

use sha2::{Digest, Sha256};

use super::{CommitSha, NameError, PrNumber, Recipe, string_name};

/// The DNS zone below which this host's run domains lie, e.g. `ci.example.org`. A zone belongs to one host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Zone(String);

impl Zone {
    /// Parses a zone: at least one lower-case label, 33 characters at most, so that a
    /// run's stack name (12 characters more) is never cut: abra cuts stack names at 45 characters.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if (1..=Self::LONGEST).contains(&text.len()) && text.split('.').all(label) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::new(
                "zone",
                text,
                "lower-case DNS labels, 33 characters at most, e.g. ci.example.org",
            ))
        }
    }

    /// Longest zone in characters: 45 of the stack name less `cccc-xxxxxx.`.
    pub const LONGEST: usize = 33;

    /// The zone as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
string_name!(Zone, "DNS zone of the host's run domains");

/// Domain of one run's app: `<1–4 letters or digits of the recipe>-<6 hex>.<zone>`.
///
/// The hex digits are the start of SHA-256 over recipe, pull request and commit, so a second trigger of
/// the same commit meets the same domain (and its lock), and any other trigger does not.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RunDomain {
    text: String,
    label_length: usize,
}

impl RunDomain {
    /// The domain of a run.
    #[must_use]
    pub fn of(recipe: &Recipe, pr: PrNumber, commit: &CommitSha, zone: &Zone) -> Self {
        Self::derived(&recipe.short(), &format!("{recipe}|{pr}|{commit}"), zone)
    }

    /// The domain of a second stack of a run (a dependency, a restore elsewhere), in the same scheme.
    #[must_use]
    pub fn second(&self, recipe: &Recipe, purpose: &str, zone: &Zone) -> Self {
        Self::derived(&recipe.short(), &format!("{}|{recipe}|{purpose}", self.text), zone)
    }

    fn derived(short: &str, key: &str, zone: &Zone) -> Self {
        let digest = Sha256::digest(key.as_bytes());
        let hex: String = digest.iter().take(3).map(|byte| format!("{byte:02x}")).collect();
        let label = format!("{short}-{hex}");
        Self { text: format!("{label}.{zone}"), label_length: label.len() }
    }

    /// Parses a domain of this zone; a name of any other scheme or zone is refused.
    pub fn parse_in(text: &str, zone: &Zone) -> Result<Self, NameError> {
        let error = || NameError::new("run domain", text, "<1–4 letters or digits>-<6 hex digits>.<zone>");
        let label = text
            .strip_suffix(zone.as_str())
            .and_then(|rest| rest.strip_suffix('.'))
            .filter(|label| is_run_label(label))
            .ok_or_else(error)?;
        Ok(Self { text: text.to_owned(), label_length: label.len() })
    }

    /// The domain as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The part before the zone, e.g. `cust-c95a69`.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.text[..self.label_length]
    }

    /// The name of the stack deployed under this domain.
    #[must_use]
    pub fn stack(&self) -> StackName {
        StackName(self.text.replace('.', "_"))
    }
}

impl std::fmt::Display for RunDomain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl serde::Serialize for RunDomain {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

fn is_run_label(label: &str) -> bool {
    label.rsplit_once('-').is_some_and(|(short, hex)| {
        (1..=4).contains(&short.len())
            && short.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
            && hex.len() == 6
            && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}

/// Name of a run's stack: the run's domain with `.` turned into `_`.
///
/// Only a run's stack has this type, so only a run's stack can be handed to teardown or a janitor;
/// there is no way to make one from the name of an infrastructure or long-lived stack.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StackName(String);

impl StackName {
    /// Recognises the stack that an object on the swarm belongs to: the stack's own name, or any name
    /// below it (`<stack>_<rest>`). `None` for every name that no run of this zone can have made.
    #[must_use]
    pub fn owning(object: &str, zone: &Zone) -> Option<Self> {
        let zone_part = zone.as_str().replace('.', "_");
        let label_end = object.find('_')?;
        let label = object.get(..label_end)?;
        let rest = object.get(label_end + 1..)?.strip_prefix(zone_part.as_str())?;
        let whole = rest.is_empty() || rest.starts_with('_');
        (whole && is_run_label(label)).then(|| Self(format!("{label}_{zone_part}")))
    }

    /// Parses a stack name of this zone.
    pub fn parse_in(text: &str, zone: &Zone) -> Result<Self, NameError> {
        Self::owning(text, zone).filter(|stack| stack.0 == text).ok_or_else(|| {
            NameError::new("run stack", text, "<1–4 letters or digits>-<6 hex digits>_<zone with _>")
        })
    }

    /// The domain this stack was deployed under.
    #[must_use]
    pub fn domain(&self, zone: &Zone) -> Option<RunDomain> {
        let label = self.0.split('_').next()?;
        RunDomain::parse_in(&format!("{label}.{zone}"), zone).ok()
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The prefix of all names below this stack, with its underscore: `app1_` is no prefix of `app10_db`.
    #[must_use]
    pub fn prefix(&self) -> String {
        format!("{}_", self.0)
    }
}

impl std::fmt::Display for StackName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl serde::Serialize for StackName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn zone() -> Zone {
        Zone::parse("ci.example.org").unwrap()
    }

    proptest! {
        #[test]
        fn run_names_and_the_reaper_pattern_come_from_one_type(
            recipe in "[a-z0-9][a-z0-9-]{0,30}[a-z0-9]", pr in 0u32..1_000_000, sha in "[0-9a-f]{40}",
            object in "[a-z0-9_.-]{1,20}"
        ) {
            let recipe = Recipe::parse(&recipe).unwrap();
            let domain = RunDomain::of(&recipe, PrNumber(pr), &CommitSha::parse(&sha).unwrap(), &zone());
            prop_assert_eq!(RunDomain::parse_in(domain.as_str(), &zone()).unwrap(), domain.clone());
            let stack = domain.stack();
            prop_assert!(stack.as_str().len() <= 45);
            prop_assert_eq!(StackName::owning(stack.as_str(), &zone()), Some(stack.clone()));
            prop_assert_eq!(StackName::owning(&format!("{stack}_{object}"), &zone()), Some(stack.clone()));
            prop_assert_eq!(stack.domain(&zone()), Some(domain.clone()));
            let second = domain.second(&recipe, "restore", &zone());
            prop_assert_ne!(second.as_str(), domain.as_str());
            prop_assert_eq!(RunDomain::parse_in(second.as_str(), &zone()).unwrap(), second);
        }
    }

    #[test]
    fn infra_warm_and_run_names_are_distinct_types() {
        for foreign in [
            "traefik_ci_example_org_app",
            "warm-keycloak_ci_example_org_app",
            "drone_ci_example_org",
            "cc-ci-witness",
            "cust-c95a69_ci_example_orgx_app",
            "cust-c95a69_ci_other_org_app",
            "custo-c95a69_ci_example_org_app",
            "cust-c95a6_ci_example_org_app",
            "cust-c95a6g_ci_example_org_app",
            "cust-C95A69_ci_example_org_app",
            "-c95a69_ci_example_org",
            "cust-c95a69",
            "",
        ] {
            assert_eq!(StackName::owning(foreign, &zone()), None, "{foreign}");
        }
        for foreign in
            ["warm-keycloak.ci.example.org", "traefik.ci.example.org", "a.cust-c95a69.ci.example.org"]
        {
            assert!(RunDomain::parse_in(foreign, &zone()).is_err(), "{foreign}");
        }
    }

    #[test]
    fn zones_leave_room_for_the_stack_name() {
        assert!(Zone::parse(&"a".repeat(33)).is_ok());
        for bad in ["", ".", "a..b", "-a.b", "A.b", "a b", &"a".repeat(34)] {
            assert!(Zone::parse(bad).is_err(), "{bad}");
        }
    }
}
