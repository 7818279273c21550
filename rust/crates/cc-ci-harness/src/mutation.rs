//! Switches that make one check of ours hold whatever it saw, so that tests can show that no later tier does its work. A
//! tier ends at that check all the same: what would have come behind it there is not asked.
//!
//! Compiled in with the feature `mutation` alone: tests of the program have it, the released program never (a check of
//! `cargo xtask check` asks cargo). What is switched off is named in `CCCI_MUTATION`, separated by `;`; a `*` in a name
//! stands for anything.

use cc_ci_model::result::CheckReport;

/// The check as it counts: unchanged, unless it failed and is switched off.
#[cfg(not(feature = "mutation"))]
pub(crate) fn as_it_counts(check: CheckReport) -> CheckReport {
    check
}

/// The check as it counts: unchanged, unless it failed and is switched off.
#[cfg(feature = "mutation")]
pub(crate) fn as_it_counts(check: CheckReport) -> CheckReport {
    use cc_ci_model::outcome::Status;

    let switches = std::env::var("CCCI_MUTATION").unwrap_or_default();
    let is_off = switches.split(';').any(|switch| fits(switch, &check.name));
    if check.status != Status::Fail || !is_off {
        return check;
    }
    CheckReport { status: Status::Pass, message: format!("switched off: {}", check.message), ..check }
}

/// Whether a name is the one of a switch.
#[cfg(feature = "mutation")]
fn fits(switch: &str, name: &str) -> bool {
    match switch.split_once('*') {
        None => switch == name,
        Some((begin, end)) => {
            name.len() >= begin.len() + end.len() && name.starts_with(begin) && name.ends_with(end)
        }
    }
}

#[cfg(all(test, feature = "mutation"))]
mod tests {
    use super::*;

    #[test]
    fn a_switch_fits_its_own_check_alone() {
        assert!(fits("is really serving", "is really serving"));
        assert!(fits("* is there after restore", "seed a row is there after restore"));
        assert!(!fits("* is there after restore", "seed a row is there after upgrade"));
        assert!(!fits("", "is really serving"));
    }
}
