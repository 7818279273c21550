//! Data that is changed between backup and restore, so that a restore which does nothing is found out.

use cc_ci_model::backup_plan::ExpectedMarker;
use cc_ci_model::elsewhere::renamed;
use cc_ci_model::names::StackName;
use cc_ci_model::outcome::Status;
use cc_ci_model::result::CheckReport;

use crate::examine::Examiner;
use crate::seeds::{PlantedSeed, VolumeMarker};
use crate::swarm_hands::LockedHands;
use crate::tier_run::{TierRun, TierStop};

/// What was changed after the backup.
pub struct Mutation<'a> {
    seeds: Vec<MutatedSeed<'a>>,
}

/// One seed, planted again with another value.
struct MutatedSeed<'a> {
    second: PlantedSeed<'a>,
    /// Whether the value from before the backup could still be seen beside the second.
    is_additive: bool,
}

impl<'a> Examiner<'a> {
    /// The markers that a snapshot made now has to hold.
    #[must_use]
    pub fn expected_markers(&self) -> Vec<ExpectedMarker> {
        let expected = |marker: &VolumeMarker| ExpectedMarker {
            volume: marker.volume.clone(),
            file: marker.file.clone(),
            size: marker.marker.len() as u64,
        };
        self.markers.iter().map(expected).collect()
    }

    /// Whether there is anything to look for after a restore.
    #[must_use]
    pub fn has_data(&self) -> bool {
        !self.markers.is_empty() || !self.seeds.is_empty()
    }

    /// Eyes for a second stack of the same app that a snapshot of the first is put into: they look for the same data there.
    #[must_use]
    pub fn beside(&self, first: &StackName, second: &StackName) -> Self {
        let namesake = |volume: &String| renamed(volume, first, second);
        let markers = self
            .markers
            .iter()
            .map(|marker| VolumeMarker { volume: namesake(&marker.volume), ..marker.clone() });
        Self {
            attached: None,
            route: self.route.clone(),
            seeds: self.seeds.clone(),
            markers: markers.collect(),
            volumes: self.volumes.iter().map(namesake).collect(),
            homes: Default::default(),
            ..*self
        }
    }

    /// Looks whether everything that was planted before the backup is in a stack that never had anything else.
    ///
    /// # Errors
    /// The tier fails; `why` ends the sentence that says so.
    pub async fn restored_elsewhere(&mut self, tier: &mut TierRun, why: &str) -> Result<(), TierStop> {
        let name = tier.tier();
        let evidence = self.evidence(name);
        let (seeds, markers, lock) = (self.seeds.clone(), self.markers.clone(), self.lock);
        self.reporter.progress("looking for the data in the fresh stack");
        let reports = self
            .looking(name, &evidence, async |looking| {
                let mut reports = looking.expect(&seeds, "restore").await;
                let volumes = LockedHands { hands: looking.hands, lock };
                reports.extend(looking.expect_markers(&volumes, &markers, "restore").await);
                reports
            })
            .await?;
        let lost = lost(&reports);
        if !lost.is_empty() {
            let message = format!("the data is not in a fresh stack under another name ({lost}){why}");
            tier.failed("the snapshot alone brings the data back", std::time::Instant::now(), message);
        }
        reports.into_iter().for_each(|report| tier.record(report));
        if tier.has_failed() { Err(TierStop::Failed) } else { Ok(()) }
    }

    /// Overwrites every marker, plants a second one beside it, plants every seed again with a new value, and reads all of it
    /// back.
    ///
    /// # Errors
    /// The tier fails where a change does not hold: then nothing would show what a restore does.
    pub async fn mutate(&mut self, tier: &mut TierRun) -> Result<Mutation<'a>, TierStop> {
        let name = tier.tier();
        let evidence = self.evidence(name);
        let (planted, markers, lock) = (self.seeds.clone(), self.markers.clone(), self.lock);
        self.reporter.progress("changing the data");
        let recipe_seeds: &'a [cc_ci_model::recipe_toml::Seed] = &self.setup.recipe_toml.seed;
        let (seeds, reports) = self
            .looking(name, &evidence, async |looking| {
                let volumes = LockedHands { hands: looking.hands, lock };
                let (changed, mut reports) = looking.change_markers(&volumes, &markers).await;
                reports.extend(looking.expect_markers(&volumes, &changed, "its change").await);
                let (second, more) = looking.plant(recipe_seeds).await;
                reports.extend(more);
                reports.extend(looking.expect(&second, "its change").await);
                let mut seeds = Vec::new();
                for second in second {
                    let first = planted.iter().find(|first| first.name() == second.name());
                    let seen = match first {
                        Some(first) => looking.expect(std::slice::from_ref(first), "the change").await,
                        None => Vec::new(),
                    };
                    let is_additive = seen.iter().any(|report| report.status == Status::Pass);
                    seeds.push(MutatedSeed { second, is_additive });
                }
                (seeds, reports)
            })
            .await?;
        for report in reports {
            tier.record(CheckReport { name: report.name.replace("is planted", "is changed"), ..report });
        }
        if tier.has_failed() { Err(TierStop::Failed) } else { Ok(Mutation { seeds }) }
    }

    /// Looks whether the data is as it was at the backup: the first values are back, and the second ones gone wherever a dump
    /// was loaded. Files alone are put back additively: there a second value beside the first may stay.
    ///
    /// # Errors
    /// The tier fails; `why` is the cause that labels and hooks suggest.
    pub async fn restored(
        &mut self,
        tier: &mut TierRun,
        mutation: &Mutation<'a>,
        loads_dumps: bool,
        why: &str,
    ) -> Result<(), TierStop> {
        let name = tier.tier();
        let evidence = self.evidence(name);
        let (seeds, mut markers, lock) = (self.seeds.clone(), self.markers.clone(), self.lock);
        if tier.leaves_out_generic() {
            markers.clear();
        }
        self.reporter.progress("looking for the data from before the backup");
        let mut reports = self
            .looking(name, &evidence, async |looking| {
                let mut reports = looking.expect(&seeds, "restore").await;
                let volumes = LockedHands { hands: looking.hands, lock };
                reports.extend(looking.expect_markers(&volumes, &markers, "restore").await);
                for MutatedSeed { second, is_additive } in &mutation.seeds {
                    if !is_additive || !loads_dumps {
                        continue;
                    }
                    for report in looking.expect(std::slice::from_ref(second), "restore").await {
                        reports.push(gone(report, second.name()));
                    }
                }
                reports
            })
            .await?;
        let lost = lost(&reports);
        if !lost.is_empty() {
            // The cause first: the first failure is the tier's reason.
            let message = format!("the data from before the backup is not back ({lost}){why}");
            tier.failed("the snapshot brings the data back", std::time::Instant::now(), message);
        }
        reports.drain(..).for_each(|report| tier.record(report));
        if tier.has_failed() { Err(TierStop::Failed) } else { Ok(()) }
    }
}

/// The names of what was looked for and is not there.
fn lost(reports: &[CheckReport]) -> String {
    let failed = reports.iter().filter(|report| report.status == Status::Fail);
    failed.map(|report| report.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// The report of a look for something that has to be gone.
fn gone(seen: CheckReport, seed: &str) -> CheckReport {
    let (status, message) = match seen.status {
        Status::Pass => (
            Status::Fail,
            "the value planted after the backup is still there: the restore changed nothing".to_owned(),
        ),
        Status::Fail => (Status::Pass, "the value planted after the backup is gone".to_owned()),
        other => (other, seen.message),
    };
    CheckReport { name: format!("the change of seed {seed} is gone after restore"), status, message, ..seen }
}

/// An app that keeps data, and nothing of ours in it: nobody can tell whether the data survives.
pub(super) fn check_missing(volumes: &[String]) -> String {
    format!(
        "the data check is missing: no marker of ours may lie in {}, and recipe.toml has no [[seed]]",
        volumes.join(", ")
    )
}
