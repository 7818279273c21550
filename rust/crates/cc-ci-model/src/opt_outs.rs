//! Generic checks that a person leaves out for local work: which tiers, by which variables, and what is said about it.

use std::collections::BTreeMap;

use crate::tier::Tier;

/// The tiers whose generic checks are left out, each with the variable that says so.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OptOuts {
    tiers: BTreeMap<Tier, String>,
    variables: Vec<String>,
}

/// A variable that asks for something there is not. A bad argument.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptOutError {
    /// Neither on nor off.
    #[error("{name} is {value}: set it to 1 to leave generic checks out, or unset it")]
    Value {
        /// The variable.
        name: String,
        /// What it holds, quoted.
        value: String,
    },
    /// No tier of that name has generic checks.
    #[error("{0} names no tier with generic checks: INSTALL, UPGRADE, BACKUP and RESTORE have some")]
    Tier(String),
}

/// Tiers with generic checks that may be left out. Lint is nothing else, and custom has none.
const TIERS: [Tier; 4] = [Tier::Install, Tier::Upgrade, Tier::Backup, Tier::Restore];

impl OptOuts {
    /// Reads the variables whose name is `all`, or begins with it and goes on with `_` and the name of a tier in capitals.
    /// `1` is on; empty and `0` are off.
    ///
    /// # Errors
    /// [`OptOutError`] for any other value, and for a name that is no tier's.
    pub fn read<'v>(
        all: &str,
        variables: impl IntoIterator<Item = (&'v str, &'v str)>,
    ) -> Result<Self, OptOutError> {
        let mut read = Self::default();
        let mut variables: Vec<(&str, &str)> = variables.into_iter().collect();
        variables.sort_unstable();
        for (name, value) in variables {
            let Some(rest) = name.strip_prefix(all) else { continue };
            let tiers: Vec<Tier> = match rest.strip_prefix('_') {
                None if rest.is_empty() => TIERS.to_vec(),
                None => continue,
                Some(word) => TIERS.into_iter().filter(|tier| tier.word().to_uppercase() == word).collect(),
            };
            match value {
                "" | "0" => continue,
                "1" => {}
                other => {
                    let value = crate::names::quoted(other);
                    return Err(OptOutError::Value { name: name.to_owned(), value });
                }
            }
            if tiers.is_empty() {
                return Err(OptOutError::Tier(name.to_owned()));
            }
            read.variables.push(name.to_owned());
            for tier in tiers {
                read.tiers.entry(tier).or_insert_with(|| name.to_owned());
            }
        }
        Ok(read)
    }

    /// Whether a tier's generic checks are left out.
    #[must_use]
    pub fn leaves_out(&self, tier: Tier) -> bool {
        self.tiers.contains_key(&tier)
    }

    /// One loud sentence per tier.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let line = |(tier, name): (&Tier, &String)| {
            format!("!! the generic checks of {tier} are left out ({name}): this run proves less")
        };
        self.tiers.iter().map(line).collect()
    }

    /// What has to stand before a command to do the same again, e.g. `CCCI_SKIP_GENERIC=1 `; empty without opt-outs.
    #[must_use]
    pub fn before_command(&self) -> String {
        self.variables.iter().map(|name| format!("{name}=1 ")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<OptOuts, OptOutError> {
        OptOuts::read("SKIP", variables.iter().copied())
    }

    #[test]
    fn one_tier_or_all_can_be_left_out_and_each_says_so_loudly() {
        let all = read(&[("SKIP", "1")]).unwrap();
        assert!(TIERS.iter().all(|tier| all.leaves_out(*tier)));
        assert!(!all.leaves_out(Tier::Lint) && !all.leaves_out(Tier::Custom));
        assert_eq!(all.lines().len(), 4);
        let one = read(&[("SKIP_BACKUP", "1"), ("SKIP_RESTORE", "0"), ("SKIP", ""), ("OTHER", "x")]).unwrap();
        assert!(one.leaves_out(Tier::Backup) && !one.leaves_out(Tier::Restore));
        assert!(one.lines()[0].starts_with("!! ") && one.lines()[0].contains("SKIP_BACKUP"));
        assert_eq!(one.before_command(), "SKIP_BACKUP=1 ");
        assert_eq!(read(&[]).unwrap(), OptOuts::default());
    }

    #[test]
    fn an_opt_out_that_means_nothing_is_refused_by_name() {
        let message = |variables: &[(&str, &str)]| read(variables).unwrap_err().to_string();
        assert!(message(&[("SKIP", "yes")]).contains("SKIP is \"yes\""));
        for name in ["SKIP_LINT", "SKIP_CUSTOM", "SKIP_BAKCUP", "SKIP_backup"] {
            assert!(message(&[(name, "1")]).contains(name), "{name}");
        }
    }
}
