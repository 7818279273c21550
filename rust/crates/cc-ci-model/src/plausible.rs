//! How fast a tier can be at all: one that was over sooner has not done what it says, and is suspicious instead of green.

use std::time::Duration;

use crate::tier::Tier;

/// The shortest call of restic that was ever seen took 0.3 s (swarm.md 7); a backup or a restore makes several.
const RESTIC: Duration = Duration::from_millis(200);

/// How a tier's deploy settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settling {
    /// From the deploy to the judgement.
    pub took: Duration,
    /// How many services got new tasks by it.
    pub changed: usize,
}

/// Why a tier that passed did too little for the time; `None` where it is plausible. `settling` is there for tiers that
/// deploy, and `stability` is how long each task that was started is watched.
#[must_use]
pub fn too_fast(
    tier: Tier,
    took: Duration,
    settling: Option<Settling>,
    stability: Duration,
) -> Option<String> {
    let seconds = |duration: Duration| format!("{:.1} s", duration.as_secs_f64());
    match (tier, settling) {
        (Tier::Upgrade, Some(Settling { changed: 0, .. })) => Some(
            "over too fast to prove anything: the upgrade replaced no task, head runs nothing that the base did not"
                .to_owned(),
        ),
        (Tier::Install, Some(Settling { changed: 0, .. })) => {
            Some("over too fast to prove anything: the deploy started no task".to_owned())
        }
        (Tier::Install | Tier::Upgrade, Some(settling)) if settling.took < stability => Some(format!(
            "over too fast to prove anything: the deploy settled in {}, and each task that it starts is watched for {}",
            seconds(settling.took),
            seconds(stability)
        )),
        (Tier::Backup | Tier::Restore, _) if took < RESTIC => Some(format!(
            "over too fast to prove anything: {}, and no restic is done before {}",
            seconds(took),
            seconds(RESTIC)
        )),
        (
            Tier::Lint
            | Tier::Install
            | Tier::Upgrade
            | Tier::Backup
            | Tier::Restore
            | Tier::Custom
            | Tier::Teardown,
            _,
        ) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STABILITY: Duration = Duration::from_secs(8);
    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn run_faster_than_plausible_is_suspicious() {
        let settled = |took, changed| Some(Settling { took, changed });
        for tier in [Tier::Install, Tier::Upgrade] {
            let told = too_fast(tier, LONG, settled(Duration::from_millis(300), 1), STABILITY).unwrap();
            assert!(told.contains("0.3 s") && told.contains("8.0 s"), "{told}");
            assert!(too_fast(tier, LONG, settled(LONG, 0), STABILITY).unwrap().contains("no task"));
            assert_eq!(too_fast(tier, LONG, settled(STABILITY, 1), STABILITY), None);
        }
        for tier in [Tier::Backup, Tier::Restore] {
            assert!(too_fast(tier, Duration::from_millis(50), None, STABILITY).is_some());
            assert_eq!(too_fast(tier, Duration::from_millis(900), None, STABILITY), None);
        }
        // One check of the recipe may be over at once.
        assert_eq!(too_fast(Tier::Custom, Duration::from_millis(1), None, STABILITY), None);
        // A tier that ended before its deploy settled is no fast one.
        assert_eq!(too_fast(Tier::Install, Duration::ZERO, None, STABILITY), None);
    }
}
