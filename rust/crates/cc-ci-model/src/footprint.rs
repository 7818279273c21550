//! What a run's app takes of the machine's memory, tier by tier, from looks that are taken beside it.

use std::collections::BTreeMap;

use crate::tier::Tier;

/// The largest looks so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peaks {
    now: Option<Tier>,
    last: Option<u64>,
    by_tier: BTreeMap<Tier, u64>,
}

impl Peaks {
    /// A tier begins. What was seen last counts for it too: a tier may be shorter than the time between two looks, and
    /// nothing is freed by a tier's begin.
    pub fn begin(&mut self, tier: Tier) {
        self.now = Some(tier);
        if let Some(last) = self.last {
            self.take(last);
        }
    }

    /// What the app's containers take together at this moment, in bytes. Nothing at all is no look: they are not there.
    pub fn look(&mut self, bytes: u64) {
        self.last = (bytes > 0).then_some(bytes);
        if bytes > 0 {
            self.take(bytes);
        }
    }

    /// A tier ends. Returns its peak in bytes; `None` where nothing was seen.
    pub fn end(&mut self, tier: Tier) -> Option<u64> {
        self.now = self.now.filter(|now| *now != tier);
        self.by_tier.get(&tier).copied()
    }

    fn take(&mut self, bytes: u64) {
        let Some(now) = self.now else { return };
        let peak = self.by_tier.entry(now).or_default();
        *peak = bytes.max(*peak);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tier_has_the_largest_of_its_looks() {
        let mut peaks = Peaks::default();
        peaks.look(900);
        peaks.look(0);
        peaks.begin(Tier::Install);
        [5, 50, 20].into_iter().for_each(|bytes| peaks.look(bytes));
        assert_eq!(peaks.end(Tier::Install), Some(50));
        peaks.look(70);
        peaks.begin(Tier::Upgrade);
        peaks.look(30);
        assert_eq!(peaks.end(Tier::Upgrade), Some(70), "what was there when it began");
        assert_eq!(peaks.end(Tier::Lint), None);
    }

    #[test]
    fn a_tier_shorter_than_the_interval_has_the_look_before_it() {
        let mut peaks = Peaks::default();
        peaks.begin(Tier::Install);
        peaks.look(40);
        peaks.end(Tier::Install);
        peaks.begin(Tier::Custom);
        assert_eq!(peaks.end(Tier::Custom), Some(40));
    }

    #[test]
    fn a_tier_that_ran_twice_has_the_larger_peak() {
        let mut peaks = Peaks::default();
        for bytes in [80, 40] {
            peaks.begin(Tier::Install);
            peaks.look(bytes);
            assert_eq!(peaks.end(Tier::Install), Some(80));
        }
    }
}
