//! Drone as the bridge needs it: creating a build, watching it, ending it, reading its log.
//!
//! Facts are of Drone 1.10.1, tried; the 2.x line answers 403 where 1.x answers 404.

use cc_ci_process::mask::SecretValue;
use reqwest::Method;
use serde::Deserialize;
use std::collections::BTreeMap;

use crate::http::{Api, ForgeError};

/// The builds of one repository of pipelines, with a token.
pub struct Drone {
    api: Api,
    repository: String,
    branch: String,
}

/// Drone's word for a build, a stage or a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// Waits for a runner.
    Pending,
    /// Runs.
    Running,
    /// Ended with 0.
    Success,
    /// Ended otherwise.
    Failure,
    /// Could not be run.
    Error,
    /// Cancelled, or its time was up.
    Killed,
    /// Was not reached.
    Skipped,
    /// A word of a later Drone.
    #[serde(other)]
    Other,
}

/// A build.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Build {
    /// Its number in the repository.
    pub number: u64,
    /// How far it is.
    pub status: Word,
    /// Why it could not be run.
    #[serde(default)]
    pub error: String,
    /// What it was handed.
    #[serde(default)]
    pub params: Option<BTreeMap<String, String>>,
    /// Its parts; none in a list and before a runner has it.
    #[serde(default)]
    pub stages: Option<Vec<Stage>>,
}

/// A part of a build.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Stage {
    /// Its number.
    pub number: u64,
    /// How far it is.
    pub status: Word,
    /// Why it could not be run.
    #[serde(default)]
    pub error: String,
    /// Its steps.
    #[serde(default)]
    pub steps: Option<Vec<Step>>,
}

/// A step of a stage.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Step {
    /// Its number.
    pub number: u64,
    /// Its name.
    pub name: String,
    /// How far it is.
    pub status: Word,
    /// Its exit code.
    #[serde(default)]
    pub exit_code: i32,
}

#[derive(Deserialize)]
struct LogLine {
    #[serde(default)]
    out: String,
}

impl Build {
    /// Its last own step, as (stage, step): the one after `clone`.
    #[must_use]
    pub fn last_step(&self) -> Option<(u64, &Step)> {
        let stage = self.stages.as_ref()?.last()?;
        let step = stage.steps.as_ref()?.iter().rfind(|step| step.name != "clone")?;
        Some((stage.number, step))
    }
}

impl Drone {
    /// The builds of `repository` at the Drone at `address`.
    ///
    /// # Errors
    /// The address is none.
    pub fn new(
        address: &str,
        token: SecretValue,
        repository: &str,
        branch: &str,
    ) -> Result<Self, ForgeError> {
        let api = Api::new(address, "/api", token)?;
        Ok(Self { api, repository: repository.to_owned(), branch: branch.to_owned() })
    }

    fn path<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        ["repos", self.repository.as_str(), "builds"].into_iter().chain(more.iter().copied()).collect()
    }

    /// Creates a build with these parameters, each percent-encoded (a raw `;` would drop one without a word).
    ///
    /// # Errors
    /// [`ForgeError::NoPipeline`] where Drone answers `null`; a forge behind it that is down counts as busy, though Drone
    /// answers 404.
    pub async fn create(&self, parameters: &[(&'static str, String)]) -> Result<Build, ForgeError> {
        let mut query = vec![("branch", self.branch.clone())];
        query.extend(parameters.iter().cloned());
        let answer = self.api.ask(Method::POST, &self.path(&[]), &query, None).await?;
        let what = answer.what.clone();
        match answer.json::<Option<Build>>() {
            Ok(Some(build)) => Ok(build),
            Ok(None) => Err(ForgeError::NoPipeline { what }),
            Err(ForgeError::Refused { what, status: 404, text }) if is_about_the_forge(&text) => {
                Err(ForgeError::Busy { what, status: 404, text })
            }
            Err(error) => Err(error),
        }
    }

    /// One build with its stages; none where Drone knows no such build.
    ///
    /// # Errors
    /// Nobody answers, or not well.
    pub async fn build(&self, number: u64) -> Result<Option<Build>, ForgeError> {
        let number = number.to_string();
        let answer = self.api.ask(Method::GET, &self.path(&[&number]), &[], None).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        answer.json()
    }

    /// The newest builds, newest first, without their stages.
    ///
    /// # Errors
    /// Nobody answers, or not well.
    pub async fn newest(&self) -> Result<Vec<Build>, ForgeError> {
        let query = [("per_page", "100".to_owned())];
        let found: Option<Vec<Build>> =
            self.api.ask(Method::GET, &self.path(&[]), &query, None).await?.json()?;
        Ok(found.unwrap_or_default())
    }

    /// Cancels a build. One that is over stays as it is.
    ///
    /// # Errors
    /// Nobody answers, or not well.
    pub async fn cancel(&self, number: u64) -> Result<(), ForgeError> {
        let number = number.to_string();
        let answer = self.api.ask(Method::DELETE, &self.path(&[&number]), &[], None).await?;
        // 400: it is over already (2.x).
        if matches!(answer.status, 400 | 404) { Ok(()) } else { answer.good().map(|_| ()) }
    }

    /// What a step wrote; none until the runner has closed it. Entries are writes and not lines, so they are joined.
    ///
    /// # Errors
    /// Nobody answers, or not well.
    pub async fn log(&self, build: u64, stage: u64, step: u64) -> Result<Option<String>, ForgeError> {
        let (build, stage, step) = (build.to_string(), stage.to_string(), step.to_string());
        let path = self.path(&[&build, "logs", &stage, &step]);
        let answer = self.api.ask(Method::GET, &path, &[], None).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        let lines: Option<Vec<LogLine>> = answer.json()?;
        Ok(Some(lines.unwrap_or_default().into_iter().map(|line| line.out).collect()))
    }
}

/// Whether a 404 tells of a Gitea that Drone could not reach, rather than of something that is not there.
fn is_about_the_forge(text: &str) -> bool {
    ["dial tcp", "connection refused", "EOF", "timeout", "connection reset"]
        .iter()
        .any(|word| text.contains(word))
}
