//! Which domains a sweep has to look at, gathered from everything a run can leave behind.

use std::collections::{BTreeMap, BTreeSet};

use super::{Code, Decision, FolderState, Liveness, RunTrace};
use crate::inventory::{Inventory, Kind, Object};
use crate::names::{RunDomain, RunId, StackName, Zone};

/// A record of what a run may create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordTrace {
    /// It could be read.
    Read {
        /// The run that wrote it.
        run: RunId,
        /// The main stack, whose domain's lock covers the others.
        stack: StackName,
        /// Further stacks.
        extra: Vec<StackName>,
    },
    /// It is there and cannot be read: which stacks it covers is not known.
    Unreadable {
        /// Why, with the file's name.
        reason: String,
    },
}

/// Everything found, gathered in this order: objects, records, run folders, lock files. A run writes its record
/// before it makes anything, so whatever object was seen has its record among those read afterwards.
#[derive(Debug, Clone, Default)]
pub struct Traces {
    /// What lies on the swarm.
    pub inventory: Inventory,
    /// The records.
    pub records: Vec<RecordTrace>,
    /// Names of `.env` files below the run folders, without the ending, each with the run it lies in.
    pub env_files: Vec<(RunId, String)>,
    /// The run folders.
    pub runs: Vec<RunTrace>,
    /// Names of the files in the folder of locks.
    pub lock_files: Vec<String>,
}

/// One domain that a run of this zone has had, and what is there of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its domain: the name of its lock.
    pub domain: RunDomain,
    /// The stacks that this lock covers, as far as something is known of them.
    pub stacks: BTreeSet<StackName>,
    /// How many objects of each kind they have.
    pub objects: BTreeMap<Kind, usize>,
    /// Runs that had this domain and are not there any more.
    pub dead_runs: BTreeSet<RunId>,
    /// Whether there is a record.
    pub has_record: bool,
    /// Whether a dead run left an `.env` file.
    pub has_env_file: bool,
    /// Whether there is a lock file.
    pub has_lock_file: bool,
    /// Why nothing may be concluded from a free lock.
    pub doubt: Option<String>,
}

impl Candidate {
    fn new(domain: RunDomain) -> Self {
        Self {
            stacks: BTreeSet::from([domain.stack()]),
            domain,
            objects: BTreeMap::new(),
            dead_runs: BTreeSet::new(),
            has_record: false,
            has_env_file: false,
            has_lock_file: false,
            doubt: None,
        }
    }

    /// Whether a dead run left something that has to be removed with proof.
    #[must_use]
    pub fn leaves_something(&self) -> bool {
        !self.objects.is_empty() || self.has_record || self.has_env_file
    }

    /// What is there, for a person.
    #[must_use]
    pub fn found(&self) -> String {
        let mut parts: Vec<String> =
            self.objects.iter().map(|(kind, count)| format!("{count} {}", kind.word())).collect();
        if self.has_record {
            parts.push("a record".to_owned());
        }
        if self.has_env_file {
            parts.push("an .env file".to_owned());
        }
        if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") }
    }
}

/// Gathers the domains, in the order of their names, and says what was skipped.
#[must_use]
pub fn candidates(traces: &Traces, zone: &Zone) -> (Vec<Candidate>, Vec<Decision>) {
    let mut gathering = Gathering::new(traces, zone);
    gathering.records();
    for object in traces.inventory.objects() {
        gathering.object(object);
    }
    gathering.env_files();
    gathering.lock_files();
    gathering.runs();
    (gathering.found.into_values().collect(), gathering.skipped)
}

struct Gathering<'a> {
    traces: &'a Traces,
    zone: &'a Zone,
    /// Whose lock covers a stack, where a record says so.
    covered_by: BTreeMap<StackName, RunDomain>,
    runs: BTreeMap<&'a RunId, &'a RunTrace>,
    unreadable: Option<&'a str>,
    found: BTreeMap<String, Candidate>,
    foreign: BTreeSet<String>,
    skipped: Vec<Decision>,
}

impl<'a> Gathering<'a> {
    fn new(traces: &'a Traces, zone: &'a Zone) -> Self {
        let unreadable = traces.records.iter().find_map(|record| match record {
            RecordTrace::Unreadable { reason } => Some(reason.as_str()),
            RecordTrace::Read { .. } => None,
        });
        Self {
            traces,
            zone,
            covered_by: BTreeMap::new(),
            runs: traces.runs.iter().map(|run| (&run.id, run)).collect(),
            unreadable,
            found: BTreeMap::new(),
            foreign: BTreeSet::new(),
            skipped: Vec::new(),
        }
    }

    fn candidate(&mut self, domain: &RunDomain) -> &mut Candidate {
        self.found.entry(domain.to_string()).or_insert_with(|| Candidate::new(domain.clone()))
    }

    fn records(&mut self) {
        for record in &self.traces.records {
            match record {
                RecordTrace::Read { stack, extra, .. } => {
                    let Some(domain) = stack.domain(self.zone) else { continue };
                    for covered in std::iter::once(stack).chain(extra) {
                        self.covered_by.insert(covered.clone(), domain.clone());
                    }
                    let candidate = self.candidate(&domain);
                    candidate.has_record = true;
                    candidate.stacks.extend(extra.iter().cloned());
                }
                RecordTrace::Unreadable { reason } => {
                    self.skipped.push(Decision::new(Code::CouldNotCheck, "records", reason.clone()));
                }
            }
        }
    }

    fn object(&mut self, object: &Object) {
        // A label of another stack beats the name, as in a teardown.
        let name = object.stack.as_deref().unwrap_or(&object.name);
        let Some(stack) = StackName::owning(name, self.zone).filter(|stack| object.belongs_to(stack)) else {
            if object.run.is_some() && self.foreign.insert(name.to_owned()) {
                let reason = "marked by a run, but no run of this zone makes such a name";
                self.skipped.push(Decision::new(Code::SkipForeign, name, reason));
            }
            return;
        };
        let by_mark = || self.runs.get(object.run.as_ref()?)?.domain.clone();
        let known = self.covered_by.get(&stack).cloned().or_else(by_mark);
        let is_known = known.is_some();
        let Some(domain) = known.or_else(|| stack.domain(self.zone)) else { return };
        let doubt = self.unreadable.filter(|_| !is_known).map(|reason| {
            format!("a record cannot be read, so another run's lock may cover this stack ({reason})")
        });
        let candidate = self.candidate(&domain);
        candidate.stacks.insert(stack);
        *candidate.objects.entry(object.kind).or_default() += 1;
        candidate.doubt = candidate.doubt.take().or(doubt);
    }

    fn env_files(&mut self) {
        for (run, name) in &self.traces.env_files {
            // A run that lives writes its .env before it asks for the lock.
            let is_dead = self.runs.get(run).is_some_and(|run| run.liveness == Liveness::Dead);
            let Ok(domain) = RunDomain::parse_in(name, self.zone) else { continue };
            if is_dead {
                self.candidate(&domain).has_env_file = true;
            }
        }
    }

    fn lock_files(&mut self) {
        for name in &self.traces.lock_files {
            let domain = name.strip_suffix(".lock").map(|domain| RunDomain::parse_in(domain, self.zone));
            match domain {
                Some(Ok(domain)) => self.candidate(&domain).has_lock_file = true,
                Some(Err(_)) | None => {
                    let reason = "not the lock of a run of this zone; left alone";
                    self.skipped.push(Decision::new(Code::SkipOddFile, name.clone(), reason));
                }
            }
        }
    }

    fn runs(&mut self) {
        for run in &self.traces.runs {
            let Some(domain) = &run.domain else { continue };
            let is_unsettled = run.state == FolderState::Running;
            if run.liveness == Liveness::Dead && (is_unsettled || self.found.contains_key(domain.as_str())) {
                self.candidate(domain).dead_runs.insert(run.id.clone());
            }
        }
    }
}
