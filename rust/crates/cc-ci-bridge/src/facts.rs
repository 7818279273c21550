//! Gathering what is known of an attempt: its run's folder on this machine, its build at Drone, its log.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cc_ci_forge::drone::{Build, Word};
use cc_ci_model::bridge::intent::{Attempt, Intent};
use cc_ci_model::bridge::progress::{BuildFact, Facts, LogFact, read_log};
use cc_ci_model::names::RunId;
use cc_ci_model::result::{RunResult, RunState};
use cc_ci_model::sweep::Liveness;
use cc_ci_process::alive::liveness;
use jiff::{SignedDuration, Timestamp};

use crate::service::{Bridge, BridgeError};

impl Bridge {
    /// Everything known of the attempt; the run's folder is asked first and Drone only where that says too little.
    pub(crate) async fn facts(&self, intent: &Intent, attempt: &mut Attempt) -> Result<Facts, BridgeError> {
        let age = since(&attempt.requested);
        let found = self.run_of(intent.comment, attempt);
        if let Some((folder, owner, run)) = found {
            attempt.run = folder.file_name().map(|name| name.to_string_lossy().into_owned());
            let build = BuildFact::Running;
            return Ok(Facts { run: Some(run), owner, build, log: LogFact::NotThere, age, over_for: None });
        }
        let (build, log) = match attempt.build {
            Some(number) => self.build_facts(number, attempt).await?,
            None => (BuildFact::Gone, LogFact::NotThere),
        };
        let is_over = matches!(build, BuildFact::Gone | BuildFact::Killed | BuildFact::Ended(_));
        if is_over && attempt.over_since.is_none() {
            attempt.over_since = Some(Timestamp::now().to_string());
        }
        if let LogFact::Result(result) = &log {
            attempt.run = Some(result.run.id.to_string());
            self.import(result)?;
        }
        let over_for = attempt.over_since.as_deref().map(since);
        Ok(Facts { run: None, owner: Liveness::Dead, build, log, age, over_for })
    }

    async fn build_facts(&self, number: u64, attempt: &Attempt) -> Result<(BuildFact, LogFact), BridgeError> {
        let Some(build) = self.drone.build(number).await? else {
            return Ok((BuildFact::Gone, LogFact::NotThere));
        };
        let step = build.last_step().map(|(stage, step)| (stage, step.clone()));
        let fact = match build.status {
            Word::Pending => BuildFact::Pending(self.builds_before(&build).await?),
            Word::Running => BuildFact::Running,
            Word::Killed => BuildFact::Killed,
            Word::Success | Word::Failure | Word::Error | Word::Skipped => {
                BuildFact::Ended(step.as_ref().map(|(_, step)| step.exit_code))
            }
            Word::Other => BuildFact::Unknown("a word of a later Drone".to_owned()),
        };
        if !matches!(fact, BuildFact::Killed | BuildFact::Ended(_)) {
            return Ok((fact, LogFact::NotThere));
        }
        let Some((stage, step)) = step else {
            // It never had a step: the file could not be read, or it was cancelled in the queue.
            let words =
                build.stages.iter().flatten().map(|stage| stage.error.as_str()).chain([build.error.as_str()]);
            let words: Vec<&str> = words.filter(|words| !words.is_empty()).collect();
            let words = if words.is_empty() {
                "the build ended before its step began".to_owned()
            } else {
                words.join("\n")
            };
            return Ok((fact, LogFact::NoResult(words)));
        };
        let log = self.drone.log(number, stage, step.number).await?;
        let log = log.map_or(LogFact::NotThere, |log| read_log(&log));
        let log = match log {
            // Of another attempt: somebody wrote into the log what only a run may say.
            LogFact::Result(result) if result.request.receipt.attempt != Some(attempt.number) => {
                LogFact::NoResult("the result in its log is of another attempt".to_owned())
            }
            other => other,
        };
        Ok((fact, log))
    }

    /// How many builds wait or run that were created before it.
    async fn builds_before(&self, build: &Build) -> Result<usize, BridgeError> {
        let newest = self.drone.newest().await?;
        let before = newest.iter().filter(|other| other.number < build.number);
        Ok(before.filter(|other| matches!(other.status, Word::Pending | Word::Running)).count())
    }

    /// The folder of the attempt's run, whether it lives, and then its result: in this order, so that "dead" and
    /// "running" together mean killed.
    fn run_of(&self, comment: u64, attempt: &Attempt) -> Option<(PathBuf, Liveness, RunResult)> {
        let read = |folder: &Path| {
            let owner = liveness(folder);
            let text = std::fs::read_to_string(folder.join("result.json")).ok()?;
            Some((owner, RunResult::read(&text).ok()?))
        };
        if let Some(run) = &attempt.run {
            let folder = self.paths.runs.join(RunId::parse(run).ok()?.as_str());
            let (owner, result) = read(&folder)?;
            return Some((folder, owner, result));
        }
        // A run begins after its attempt was asked for; a minute for clocks.
        let earliest = attempt.requested.parse::<Timestamp>().ok()? - SignedDuration::from_mins(1);
        for entry in std::fs::read_dir(&self.paths.runs).ok()?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let begun = RunId::parse(&name).ok().and_then(|id| id.begun());
            if begun.is_none_or(|begun| begun < earliest) {
                continue;
            }
            let Some((owner, result)) = read(&entry.path()) else { continue };
            let receipt = &result.request.receipt;
            if receipt.comment == Some(comment) && receipt.attempt == Some(attempt.number) {
                return Some((entry.path(), owner, result));
            }
        }
        None
    }

    /// Keeps a result of another machine where the dashboard finds it.
    fn import(&self, result: &RunResult) -> Result<(), BridgeError> {
        let folder = self.paths.state.join("imported").join(result.run.id.as_str());
        let file = folder.join("result.json");
        if !file.exists() {
            std::fs::create_dir_all(&folder)
                .map_err(|reason| BridgeError::Folder { path: folder.clone(), reason })?;
            cc_ci_process::atomic::write_json(&file, result)?;
        }
        Ok(())
    }

    /// How long this recipe's last whole run took, minutes.
    pub(crate) fn minutes_of_last_run(&self, recipe: &str) -> Option<u64> {
        let mut names: Vec<String> = std::fs::read_dir(&self.paths.runs)
            .ok()?
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| RunId::parse(name).is_ok())
            .collect();
        names.sort_unstable();
        // The newest hundred: an estimate is worth no more.
        names.iter().rev().take(100).find_map(|name| {
            let text = std::fs::read_to_string(self.paths.runs.join(name).join("result.json")).ok()?;
            let result = RunResult::read(&text).ok()?;
            if result.request.recipe.as_str() != recipe || result.run.state != RunState::Finished {
                return None;
            }
            let (from, to): (Timestamp, Timestamp) =
                (result.run.started.parse().ok()?, result.run.finished?.parse().ok()?);
            u64::try_from((to.as_second() - from.as_second() + 30) / 60).ok()
        })
    }
}

/// The time since a moment; nothing where it is none or lies ahead.
fn since(moment: &str) -> Duration {
    let Ok(moment) = moment.parse::<Timestamp>() else { return Duration::ZERO };
    Duration::try_from(Timestamp::now().duration_since(moment)).unwrap_or_default()
}
