//! Data with a fresh random value: planted once, and looked for after upgrade, backup and restore.

use std::time::{Duration, Instant};

use cc_ci_model::outcome::Status;
use cc_ci_model::recipe_toml::{Placeholders, Seed, SeedStep};
use cc_ci_model::result::{CheckReport, Origin};
use futures_util::{StreamExt, stream};

use crate::checks::{Looking, Seen, Unseen};
use crate::hands::{AppHands, HandsError, TaskProbe, Volumes};

/// Markers that are laid or looked for at the same time. Each needs a helper container, and an app may have many volumes.
const AT_ONCE: usize = 4;
/// How long the app may take to be there for a seed's step.
const WITHIN: Duration = Duration::from_secs(60);

/// A seed that lies in the app.
#[derive(Debug, Clone)]
pub struct PlantedSeed<'a> {
    seed: &'a Seed,
    marker: String,
}

impl PlantedSeed<'_> {
    /// Its name in the result.
    #[must_use]
    pub fn name(&self) -> &str {
        self.seed.name.as_str()
    }
}

/// A marker that lies in a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeMarker {
    /// The volume's whole name.
    pub volume: String,
    /// The file in its top folder.
    pub file: String,
    /// What the file holds.
    pub marker: String,
}

/// A value that was never there before: 96 random bits, letters and digits, fit for any program's input.
#[must_use]
pub fn fresh_marker() -> String {
    format!("ccci{:08x}{:08x}{:08x}", rand::random::<u32>(), rand::random::<u32>(), rand::random::<u32>())
}

impl<H: AppHands, P: TaskProbe> Looking<'_, H, P> {
    /// Plants every seed with a value of its own. A seed that could not be planted is a failed check and is not
    /// looked for.
    pub async fn plant<'a>(&self, seeds: &'a [Seed]) -> (Vec<PlantedSeed<'a>>, Vec<CheckReport>) {
        let (mut planted, mut reports) = (Vec::new(), Vec::new());
        for seed in seeds {
            let marker = fresh_marker();
            let report = self.step(&format!("seed {} is planted", seed.name), &seed.plant, &marker).await;
            if report.status == Status::Pass {
                planted.push(PlantedSeed { seed, marker });
            }
            reports.push(report);
        }
        (planted, reports)
    }

    /// Looks for every planted seed; `after` says after what, e.g. `upgrade`.
    pub async fn expect(&self, planted: &[PlantedSeed<'_>], after: &str) -> Vec<CheckReport> {
        let mut reports = Vec::new();
        for PlantedSeed { seed, marker } in planted {
            let name = format!("seed {} is there after {after}", seed.name);
            reports.push(self.step(&name, &seed.expect, marker).await);
        }
        reports
    }

    async fn step(&self, name: &str, step: &SeedStep, marker: &str) -> CheckReport {
        let values = Placeholders { marker: Some(marker), domain: Some(self.domain) };
        self.report(name, WITHIN, || async {
            match step {
                SeedStep::Exec(look) => self.exec(look, &values).await,
                SeedStep::Http(look) => self.http(look, &values).await,
            }
        })
        .await
    }

    /// Puts a marker into the top folder of each volume. Only for volumes that are backed up whole: elsewhere a
    /// foreign file would be wrong.
    pub async fn plant_markers(
        &self,
        volumes: &impl Volumes,
        names: &[String],
    ) -> (Vec<VolumeMarker>, Vec<CheckReport>) {
        let places = names.iter().map(|volume| (volume.clone(), format!(".{}", fresh_marker())));
        self.lay(volumes, places, |volume| format!("a marker is planted in {volume}")).await
    }

    /// Overwrites each marker, and plants a second one in a file of its own; what is returned is what the volumes hold now.
    pub async fn change_markers(
        &self,
        volumes: &impl Volumes,
        planted: &[VolumeMarker],
    ) -> (Vec<VolumeMarker>, Vec<CheckReport>) {
        let places = planted.iter().flat_map(|VolumeMarker { volume, file, .. }| {
            [file.clone(), format!("{file}-second")].map(|file| (volume.clone(), file))
        });
        self.lay(volumes, places, |volume| format!("the marker in {volume} is changed")).await
    }

    /// Writes a fresh value into each place, a volume and a file; what is returned are those that hold theirs.
    async fn lay(
        &self,
        volumes: &impl Volumes,
        places: impl Iterator<Item = (String, String)>,
        title: impl Fn(&str) -> String,
    ) -> (Vec<VolumeMarker>, Vec<CheckReport>) {
        let lay_one = async |(volume, file): (String, String)| {
            let marker = fresh_marker();
            let report = self
                .report(&title(&volume), WITHIN, || async {
                    volumes.plant(&volume, &file, &marker).await?;
                    Ok(Seen::Right(format!("{file} in {volume}")))
                })
                .await;
            let report = CheckReport { origin: Origin::Generic, ..report };
            (VolumeMarker { volume, file, marker }, report)
        };
        let laid: Vec<_> = stream::iter(places).map(lay_one).buffered(AT_ONCE).collect().await;
        let reports = laid.iter().map(|(_, report)| report.clone()).collect();
        let holds = |(_, report): &(VolumeMarker, CheckReport)| report.status == Status::Pass;
        (laid.into_iter().filter(holds).map(|(marker, _)| marker).collect(), reports)
    }

    /// Looks for the markers in the volumes, once: a volume without its marker does not get it back by waiting.
    pub async fn expect_markers(
        &self,
        volumes: &impl Volumes,
        planted: &[VolumeMarker],
        after: &str,
    ) -> Vec<CheckReport> {
        let expect_one = async |marker: &VolumeMarker| {
            let start = Instant::now();
            let name = format!("the marker in {} is there after {after}", marker.volume);
            let report = self
                .report(&name, WITHIN, || async {
                    match volumes.read(&marker.volume, &marker.file).await {
                        Ok(found) => Ok(judge_marker(marker, found)),
                        Err(HandsError::NotThere(what)) => Err(Unseen::Never(what)),
                        Err(HandsError::CouldNotLook(what)) => Err(Unseen::CouldNotLook(what)),
                    }
                })
                .await;
            CheckReport { origin: Origin::Generic, seconds: start.elapsed().as_secs_f64(), ..report }
        };
        stream::iter(planted).map(expect_one).buffered(AT_ONCE).collect().await
    }
}

fn judge_marker(marker: &VolumeMarker, found: Option<String>) -> Seen {
    let VolumeMarker { volume, file, marker } = marker;
    match found {
        Some(text) if text == *marker => Seen::Right(format!("{volume} still holds it")),
        Some(text) => {
            let message = format!("{file} in {volume} holds something else: its data was changed");
            Seen::Wrong { message, whole: format!("expected {marker}\nfound {text}\n") }
        }
        None => {
            let message =
                format!("{file} is gone from {volume}: the volume was emptied or replaced, its data is lost");
            Seen::Wrong { message, whole: format!("expected {marker}\n") }
        }
    }
}
