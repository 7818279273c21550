//! Real restic over a stack's volumes: a repository of the run's own, in a volume that goes with the stack.

use std::time::Duration;

use bollard::models::VolumeCreateRequest;
use cc_ci_model::backup_plan::{Archived, DumpEnd, NodeKind, folder_of};
use cc_ci_model::inventory::{RUN_LABEL, STACK_LABEL};
use cc_ci_model::names::{RunId, StackName};
use cc_ci_process::cancel::Cancellation;
use cc_ci_process::mask::{MaskError, Masker, SecretValue};
use serde_json::Value;

use crate::docker::{Attempt, Docker, DockerError};
use crate::exec::ExecOutput;
use crate::helper_container::{HelperError, HelperJob, HelperNetwork, HelperVolume, run_helper};
use crate::lock::HeldLock;

/// One command of restic; a gigabyte takes a minute on a slow disk.
const LIMIT: Duration = Duration::from_secs(900);
/// Where the helper sees the repository.
const REPOSITORY: &str = "/repository";
/// Name of the repository's volume behind the stack's.
const VOLUME: &str = "ccci-restic";
/// restic's exit status where some of the files could not be read (since 0.17).
const INCOMPLETE: i64 = 3;

/// Why restic did not do it.
#[derive(Debug, thiserror::Error)]
pub enum ResticError {
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] DockerError),
    /// The helper failed, or the run was cancelled.
    #[error(transparent)]
    Helper(#[from] HelperError),
    /// The password cannot be kept out of the output.
    #[error(transparent)]
    Mask(#[from] MaskError),
    /// None of the paths is there: what labels name does not exist.
    #[error("backing up {stack}: nothing that the labels name is there: {said}")]
    NothingThere {
        /// The stack.
        stack: String,
        /// restic's words.
        said: String,
    },
    /// restic ended with another status than 0.
    #[error("restic {verb} for {stack} ended with {code}: {said}")]
    Failed {
        /// The command.
        verb: String,
        /// The stack.
        stack: String,
        /// Its exit status.
        code: i64,
        /// Its last words.
        said: String,
    },
    /// restic answered something that cannot be read.
    #[error("reading what restic {verb} for {stack} answered: {what}")]
    Answer {
        /// The command.
        verb: String,
        /// The stack.
        stack: String,
        /// What is wrong with it.
        what: String,
    },
}

impl ResticError {
    /// Whether a file of the app could not be archived or put back, or none is there.
    #[must_use]
    pub fn is_recipes_fault(&self) -> bool {
        match self {
            Self::NothingThere { .. } => true,
            Self::Failed { code, .. } => *code == INCOMPLETE,
            _ => false,
        }
    }
}

/// What a backup made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its whole id, 64 hex digits.
    pub id: String,
    /// When restic says it was made.
    pub time: String,
    /// Files in it.
    pub files: u64,
    /// Bytes in it.
    pub bytes: u64,
}

/// The repository of one run.
pub struct Restic<'a> {
    docker: &'a Docker,
    lock: &'a HeldLock,
    cancellation: &'a Cancellation,
    stack: StackName,
    run: RunId,
    image: String,
    password: SecretValue,
}

impl<'a> Restic<'a> {
    /// Makes the repository. Its password is made here, told to the masker, and handed to restic by standard input only.
    ///
    /// # Errors
    /// The engine, the helper or restic failed.
    pub async fn create(
        docker: &'a Docker,
        (stack, run): (&StackName, &RunId),
        image: &str,
        masker: &Masker,
        lock: &'a HeldLock,
        cancellation: &'a Cancellation,
    ) -> Result<Self, ResticError> {
        lock.covers(stack).map_err(DockerError::from)?;
        let password =
            SecretValue::new((0..8).map(|_| format!("{:08x}", rand::random::<u32>())).collect::<String>());
        masker.add("the backup's password", &password)?;
        let this = Self {
            docker,
            lock,
            cancellation,
            stack: stack.clone(),
            run: run.clone(),
            image: image.to_owned(),
            password,
        };
        let labels = [(STACK_LABEL.to_owned(), stack.to_string()), (RUN_LABEL.to_owned(), run.to_string())];
        let request = VolumeCreateRequest {
            name: Some(this.volume()),
            labels: Some(labels.into_iter().collect()),
            ..VolumeCreateRequest::default()
        };
        let made = docker.api().create_volume(request).await;
        made.attempt(|| format!("making the volume of the backup of {stack}"))?;
        this.restic(&["init", "--json"], &[]).await?;
        Ok(this)
    }

    fn volume(&self) -> String {
        format!("{}{VOLUME}", self.stack.prefix())
    }

    /// Archives `paths`, which lie in `volumes`; also returns everything that is in the snapshot.
    ///
    /// # Errors
    /// [`ResticError`]. One of several paths that is missing is none: look into the snapshot.
    pub async fn backup(
        &self,
        volumes: &[String],
        paths: &[String],
    ) -> Result<(Snapshot, Vec<Archived>), ResticError> {
        let (tag, host) = (self.run.to_string(), self.stack.to_string());
        let mut words = vec!["backup", "--json", "--host", &host, "--tag", &tag, "--"];
        words.extend(paths.iter().map(String::as_str));
        let output = match self.restic(&words, volumes).await {
            Err(ResticError::Failed { said, stack, .. }) if said.contains("do not exist") => {
                return Err(ResticError::NothingThere { stack, said });
            }
            output => output?,
        };
        let lines = json_lines(&output.stdout);
        let summary = lines.iter().find(|line| line["message_type"] == "summary");
        let short = summary.and_then(|line| line["snapshot_id"].as_str());
        let Some((summary, short)) = summary.zip(short) else {
            return Err(self.answer("backup", "no summary with a snapshot in it"));
        };
        let number = |key: &str| summary[key].as_u64().unwrap_or_default();
        let listed = self.restic(&["ls", "--json", "--", short], &[]).await?;
        if listed.is_cut {
            return Err(self.answer("ls", "more files than can be looked at"));
        }
        let listed = json_lines(&listed.stdout);
        // The list begins with the snapshot itself: the summary may name it by its first digits, and has no time.
        let found = listed.iter().find(|line| line["struct_type"] == "snapshot");
        let text = |key: &str| found.and_then(|one| one[key].as_str()).map(str::to_owned);
        let Some((id, time)) = text("id").filter(|id| id.starts_with(short)).zip(text("time")) else {
            return Err(self.answer("ls", format!("no snapshot {short}")));
        };
        let (files, bytes) = (number("total_files_processed"), number("total_bytes_processed"));
        Ok((Snapshot { id, time, files, bytes }, listed.iter().filter_map(archived).collect()))
    }

    /// Beginning and end of a file in a snapshot.
    ///
    /// # Errors
    /// [`ResticError`].
    pub async fn ends_of(&self, snapshot: &Snapshot, path: &str) -> Result<DumpEnd, ResticError> {
        let words = ["/cc-ci-helper", "ends", "--", "/restic", "--no-cache", "--quiet", "-r", REPOSITORY];
        let words = words.into_iter().chain(["dump", "--", &snapshot.id, path]);
        let output = self.helper(words, Vec::new(), "dump").await?;
        serde_json::from_slice(&output.stdout).map_err(|error| self.answer("dump", error.to_string()))
    }

    /// Puts a snapshot back to where it was taken from. Returns how many files and folders were put back.
    ///
    /// # Errors
    /// [`ResticError`].
    pub async fn restore(&self, snapshot: &Snapshot, volumes: &[String]) -> Result<u64, ResticError> {
        let places: Vec<(String, String)> =
            volumes.iter().map(|volume| (volume.clone(), volume.clone())).collect();
        self.restore_into(snapshot, &places).await
    }

    /// Puts a snapshot into other volumes: of each pair the first is the volume it was taken of, the second the one that gets
    /// its files. Returns how many files and folders were put back.
    ///
    /// # Errors
    /// [`ResticError`].
    pub async fn restore_into(
        &self,
        snapshot: &Snapshot,
        places: &[(String, String)],
    ) -> Result<u64, ResticError> {
        let words = ["/restic", "--no-cache", "-r", REPOSITORY, "restore", "--json", "--target", "/", "--"];
        let seen = places.iter().map(|(archived, volume)| HelperVolume {
            volume: volume.clone(),
            target: folder_of(archived),
            is_read_only: false,
        });
        let words = words.into_iter().chain([snapshot.id.as_str()]);
        let output = self.helper(words, seen.collect(), "restore").await?;
        let lines = json_lines(&output.stdout);
        let summary = lines.iter().find(|line| line["message_type"] == "summary");
        let restored = summary.map(|line| {
            ["files_restored", "files_skipped"].iter().filter_map(|key| line[*key].as_u64()).sum()
        });
        restored.ok_or_else(|| self.answer("restore", "no summary"))
    }

    /// One command of restic, which sees these volumes where they were archived, and changes none of them.
    async fn restic(&self, words: &[&str], volumes: &[String]) -> Result<ExecOutput, ResticError> {
        let fixed = ["/restic", "--no-cache", "-r", REPOSITORY];
        let verb = words.first().copied().unwrap_or_default();
        let seen = volumes.iter().map(|volume| HelperVolume {
            volume: volume.clone(),
            target: folder_of(volume),
            is_read_only: true,
        });
        self.helper(fixed.into_iter().chain(words.iter().copied()), seen.collect(), verb).await
    }

    async fn helper<'w>(
        &self,
        words: impl Iterator<Item = &'w str>,
        seen: Vec<HelperVolume>,
        verb: &str,
    ) -> Result<ExecOutput, ResticError> {
        let repository =
            HelperVolume { volume: self.volume(), target: REPOSITORY.to_owned(), is_read_only: false };
        let job = HelperJob {
            stack: self.stack.clone(),
            run: self.run.clone(),
            image: self.image.clone(),
            argv: words.map(str::to_owned).collect(),
            environment: Vec::new(),
            volumes: seen.into_iter().chain([repository]).collect(),
            network: HelperNetwork::None,
        };
        let stdin = format!("{}\n", self.password.expose());
        let output =
            run_helper(self.docker, &job, stdin.as_bytes(), LIMIT, self.lock, self.cancellation).await?;
        if output.code == 0 {
            return Ok(output);
        }
        let said = said(&output);
        Err(ResticError::Failed {
            verb: verb.to_owned(),
            stack: self.stack.to_string(),
            code: output.code,
            said,
        })
    }

    fn answer(&self, verb: &str, what: impl Into<String>) -> ResticError {
        ResticError::Answer { verb: verb.to_owned(), stack: self.stack.to_string(), what: what.into() }
    }
}

/// One line of restic's list: a file, a folder or the like; `None` for the snapshot itself.
fn archived(line: &Value) -> Option<Archived> {
    let kind = match line["type"].as_str()? {
        "file" => NodeKind::File,
        "dir" => NodeKind::Folder,
        _ => NodeKind::Other,
    };
    let path = line["path"].as_str()?.to_owned();
    Some(Archived { path, kind, size: line["size"].as_u64().unwrap_or_default() })
}

/// The last lines of what went wrong; with `--json` restic writes errors as objects.
fn said(output: &ExecOutput) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let message = |line: &str| {
        let value: Option<Value> = serde_json::from_str(line).ok();
        let message = value.as_ref().and_then(|value| {
            let inner = value.pointer("/error/message").or_else(|| value.get("message"));
            inner.and_then(Value::as_str)
        });
        message.unwrap_or(line).trim().to_owned()
    };
    let lines: Vec<String> = text.lines().map(message).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(4)..].join(" / ")
}

fn json_lines(bytes: &[u8]) -> Vec<Value> {
    let lines = bytes.split(|byte| *byte == b'\n');
    lines.filter_map(|line| serde_json::from_slice(line).ok()).collect()
}
