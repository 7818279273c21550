//! What a run says while it runs: the result on disk, the events, the log and the lines for whoever watches.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use cc_ci_model::event::{Event, Happening};
use cc_ci_model::footprint::Peaks;
use cc_ci_model::outcome::Status;
use cc_ci_model::result::{CheckReport, RunResult, TierReport};
use cc_ci_model::result_line::PREFIX;
use cc_ci_model::tier::Tier;
use cc_ci_process::atomic::{self, AtomicError};
use cc_ci_process::mask::Masker;

use crate::folder::RunFolder;

/// Who watches a run.
pub trait Watcher: Send + Sync {
    /// A line that stays.
    fn line(&self, line: &Line);
    /// What is being waited for; replaces the one before.
    fn progress(&self, text: &str);
}

/// One line for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// How it stands with it, for the mark before it and its colour.
    pub mark: Mark,
    /// How deep it is indented: 0 for the run and tiers, 1 for checks.
    pub depth: usize,
    /// The text.
    pub text: String,
}

/// The mark before a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// Something begins or is said.
    Note,
    /// It held.
    Good,
    /// It did not hold.
    Bad,
    /// It could not be judged, or asks for attention.
    Warn,
    /// It has no meaning here.
    Skip,
}

impl Mark {
    /// The mark of a status.
    #[must_use]
    pub fn of(status: Status) -> Self {
        match status {
            Status::Pass => Self::Good,
            Status::Fail => Self::Bad,
            Status::NotApplicable => Self::Skip,
            Status::Unverified => Self::Warn,
        }
    }

    /// The character, readable without colour.
    #[must_use]
    pub fn sign(self) -> &'static str {
        match self {
            Self::Note => "·",
            Self::Good => "✔",
            Self::Bad => "✘",
            Self::Warn => "?",
            Self::Skip => "–",
        }
    }
}

/// Writes a run's files and tells its watcher; cheap to clone.
#[derive(Clone)]
pub struct Reporter {
    inner: Arc<Inner>,
}

struct Inner {
    folder: RunFolder,
    masker: Masker,
    watcher: Arc<dyn Watcher>,
    result: Mutex<RunResult>,
    begun: Instant,
    peaks: Mutex<Peaks>,
    write_failure: Mutex<Option<String>>,
}

impl Reporter {
    /// Writes the stub: from here the run exists.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn begin(
        folder: RunFolder,
        masker: Masker,
        watcher: Arc<dyn Watcher>,
        stub: RunResult,
    ) -> Result<Self, AtomicError> {
        atomic::write_json(&folder.result(), &stub)?;
        let inner = Inner {
            folder,
            masker,
            watcher,
            result: Mutex::new(stub),
            begun: Instant::now(),
            peaks: Mutex::default(),
            write_failure: Mutex::new(None),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The run's folder.
    #[must_use]
    pub fn folder(&self) -> &RunFolder {
        &self.inner.folder
    }

    /// The run's masker.
    #[must_use]
    pub fn masker(&self) -> &Masker {
        &self.inner.masker
    }

    /// A copy of the result as it stands.
    #[must_use]
    pub fn result(&self) -> RunResult {
        self.locked().clone()
    }

    /// Changes the result and writes it. A result that cannot be written is kept as our trouble and told at the end:
    /// reporting never changes a verdict.
    pub fn update(&self, change: impl FnOnce(&mut RunResult)) {
        let result = {
            let mut result = self.locked();
            change(&mut result);
            result.clone()
        };
        self.keep_failure(atomic::write_json(&self.inner.folder.result(), &self.masked(&result)));
    }

    /// The result with every text masked, as it may be published.
    fn masked(&self, result: &RunResult) -> serde_json::Value {
        fn mask(masker: &Masker, value: &mut serde_json::Value) {
            match value {
                serde_json::Value::String(text) => *text = masker.mask(text),
                serde_json::Value::Array(items) => items.iter_mut().for_each(|item| mask(masker, item)),
                serde_json::Value::Object(map) => map.values_mut().for_each(|item| mask(masker, item)),
                _ => {}
            }
        }
        let mut value = serde_json::to_value(result).unwrap_or_default();
        mask(&self.inner.masker, &mut value);
        value
    }

    /// What went wrong while writing, if anything did.
    #[must_use]
    pub fn write_failure(&self) -> Option<String> {
        self.inner.write_failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says a sentence.
    pub fn note(&self, text: impl Into<String>) {
        self.say(Mark::Note, 0, text.into(), |text| Happening::Note { text });
    }

    /// Says a sentence that asks for attention.
    pub fn warn(&self, text: impl Into<String>) {
        self.say(Mark::Warn, 0, text.into(), |text| Happening::Note { text });
    }

    /// Says what is being waited for.
    pub fn progress(&self, text: &str) {
        self.inner.watcher.progress(&self.inner.masker.mask(text));
    }

    /// A tier begins.
    pub fn tier_started(&self, tier: Tier) {
        self.peaks().begin(tier);
        self.say(Mark::Note, 0, tier.word().to_owned(), |_| Happening::TierStarted { tier });
    }

    /// A check of a tier ended.
    pub fn check(&self, tier: Tier, check: &CheckReport) {
        let text = match check.status {
            Status::Pass if check.message.is_empty() => check.name.clone(),
            _ => format!("{}: {}", check.name, check.message),
        };
        self.say(Mark::of(check.status), 1, text, |_| Happening::Check {
            tier,
            name: check.name.clone(),
            status: check.status,
            message: self.inner.masker.mask(&check.message),
        });
    }

    /// A tier ended: into the result with it.
    pub fn tier_ended(&self, report: TierReport) {
        let reason = if report.reason.is_empty() { String::new() } else { format!(" – {}", report.reason) };
        let text = format!("{} {} in {:.1} s{reason}", report.name, report.status.word(), report.seconds);
        self.say(Mark::of(report.status), 0, text, |_| Happening::TierEnded {
            tier: report.name,
            status: report.status,
            reason: self.inner.masker.mask(&report.reason),
            seconds: report.seconds,
        });
        let peak = self.peaks().end(report.name);
        self.update(|result| {
            let footprint = &mut result.footprint;
            if let Some(peak) = peak {
                footprint.tier_memory_bytes.insert(report.name.word().to_owned(), peak);
                footprint.peak_memory_bytes = footprint.peak_memory_bytes.max(Some(peak));
            }
            footprint.seconds.insert(report.name.word().to_owned(), report.seconds);
            result.tiers.push(report);
        });
    }

    /// What the app's containers take at this moment, in bytes.
    pub fn memory(&self, bytes: u64) {
        self.peaks().look(bytes);
    }

    fn peaks(&self) -> MutexGuard<'_, Peaks> {
        self.inner.peaks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An event that is no line.
    pub fn event(&self, what: Happening) {
        let event = Event { at: jiff::Timestamp::now().to_string(), what };
        self.keep_failure(atomic::append_line(&self.inner.folder.events(), &event));
    }

    /// Writes a line to the log alone, masked.
    pub fn log(&self, text: &str) {
        let seconds = self.inner.begun.elapsed().as_secs_f64();
        self.append_raw(&format!("{seconds:7.2}  {}", self.inner.masker.mask(text)));
    }

    /// The last line of the log: the whole result, for a reader who has only the log.
    pub fn append_result_line(&self, json: &str) {
        let line = format!("{PREFIX}{}", self.inner.masker.mask(json));
        self.append_raw(&line);
    }

    fn append_raw(&self, line: &str) {
        use std::io::Write;
        let path = self.inner.folder.log();
        let written = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()));
        if let Err(error) = written {
            self.failed(format!("writing {}: {error}", path.display()));
        }
    }

    fn say(&self, mark: Mark, depth: usize, text: String, event: impl FnOnce(String) -> Happening) {
        let text = self.inner.masker.mask(&text);
        self.log(&format!("{}{} {text}", "  ".repeat(depth), mark.sign()));
        self.event(event(text.clone()));
        self.inner.watcher.line(&Line { mark, depth, text });
    }

    fn keep_failure(&self, written: Result<(), AtomicError>) {
        if let Err(error) = written {
            self.failed(error.to_string());
        }
    }

    fn failed(&self, text: String) {
        tracing::error!(code = "report-not-written", "{text}");
        self.inner.write_failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(text);
    }

    fn locked(&self) -> MutexGuard<'_, RunResult> {
        self.inner.result.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
