//! The ladder: from the status of the rungs to a level between 0 and 5.

use crate::outcome::Status;
use crate::tier::Tier;

/// Level of a run and the sentence that says what keeps it there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level {
    /// 0 to 5.
    pub level: u8,
    /// Why not higher; at 5, that all rungs hold.
    pub reason: String,
}

/// Computes the level: the highest rung that passed with every rung below passed or not applicable. `tiers` holds the
/// planned tiers; a tier that is not in it was not planned. Fail, unverified and "not planned" block (architecture, section 4).
#[must_use]
pub fn level(tiers: &[(Tier, Status)]) -> Level {
    let status = |tier: Tier| tiers.iter().find(|(name, _)| *name == tier).map(|(_, status)| *status);
    let rungs: [(u8, &[Tier]); 5] = [
        (1, &[Tier::Install]),
        (2, &[Tier::Upgrade]),
        (3, &[Tier::Backup, Tier::Restore]),
        (4, &[Tier::Custom]),
        (5, &[Tier::Lint]),
    ];
    let mut reached = 0;
    for (rung, needed) in rungs {
        let mut passed = false;
        for tier in needed {
            let blocked = match status(*tier) {
                Some(Status::Pass) => {
                    passed = true;
                    continue;
                }
                // Lint has always a meaning: a declaration cannot excuse it.
                Some(Status::NotApplicable) if *tier != Tier::Lint => continue,
                Some(Status::NotApplicable) | Some(Status::Unverified) => format!("{tier} is unverified"),
                Some(Status::Fail) => format!("{tier} failed"),
                None if *tier == Tier::Custom => "no custom checks yet".to_owned(),
                None => format!("{tier} was not planned"),
            };
            return Level { level: reached, reason: blocked };
        }
        if passed {
            reached = rung;
        }
    }
    Level { level: reached, reason: "every rung holds".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(changed: &[(Tier, Option<Status>)]) -> Level {
        let tiers: Vec<(Tier, Status)> = Tier::PLANNABLE
            .into_iter()
            .filter_map(|tier| match changed.iter().find(|(name, _)| *name == tier) {
                Some((_, status)) => status.map(|status| (tier, status)),
                None => Some((tier, Status::Pass)),
            })
            .collect();
        level(&tiers)
    }

    #[test]
    fn the_examples_of_the_ladder_hold() {
        assert_eq!(all(&[]).level, 5);
        assert_eq!(all(&[(Tier::Install, Some(Status::Fail))]).level, 0);
        assert_eq!(all(&[(Tier::Upgrade, Some(Status::Fail))]).level, 1);
        let skip = Some(Status::NotApplicable);
        assert_eq!(all(&[(Tier::Backup, skip), (Tier::Restore, skip)]).level, 5);
        assert_eq!(all(&[(Tier::Backup, Some(Status::Unverified))]).level, 2);
        assert_eq!(all(&[(Tier::Lint, Some(Status::Unverified))]).level, 4);
    }

    #[test]
    fn declared_skip_never_covers_a_failure() {
        let skip = Some(Status::NotApplicable);
        assert_eq!(all(&[(Tier::Backup, skip), (Tier::Restore, Some(Status::Fail))]).level, 2);
        assert_eq!(all(&[(Tier::Lint, skip)]).level, 4, "lint can never be excused");
    }

    #[test]
    fn missing_custom_checks_keep_the_level_below_four() {
        let level = all(&[(Tier::Custom, None)]);
        assert_eq!((level.level, level.reason.as_str()), (3, "no custom checks yet"));
    }
}
