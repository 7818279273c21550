//! An app as checks see it: a real HTTP server, and hands and ports whose answers the test decides.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Mutex;

use cc_ci_harness::checks::Looking;
use cc_ci_harness::evidence::Evidence;
use cc_ci_harness::hands::{AppHands, Executed, HandsError, TaskProbe, Volumes};
use cc_ci_harness::http::{Client, Scheme};
use cc_ci_model::names::ServiceName;
use cc_ci_model::result::CheckReport;
use cc_ci_model::tier::Tier;
use cc_ci_process::cancel::Cancellation;
use cc_ci_process::mask::Masker;

use crate::origin::{OWN, Origin};

pub(crate) struct App {
    client: Client,
    pub(crate) hands: Hands,
    pub(crate) probe: Probe,
    cancellation: Cancellation,
    pub(crate) evidence: Evidence,
    folder: tempfile::TempDir,
}

impl App {
    pub(crate) fn at(server: &Origin) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            client: Client::new(OWN, server.address, &Scheme::Http).unwrap(),
            hands: Hands::default(),
            probe: Probe::default(),
            cancellation: Cancellation::new(),
            evidence: Evidence::new(folder.path(), Tier::Custom, Masker::new()),
            folder,
        }
    }

    pub(crate) fn looking(&self) -> Looking<'_, Hands, Probe> {
        Looking {
            client: Some(&self.client),
            hands: &self.hands,
            probe: &self.probe,
            domain: OWN,
            way: Default::default(),
            cancellation: &self.cancellation,
            evidence: &self.evidence,
        }
    }

    /// The evidence of a report.
    pub(crate) fn kept(&self, report: &CheckReport) -> String {
        std::fs::read_to_string(self.folder.path().join(report.log.as_ref().unwrap())).unwrap()
    }
}

/// What one command comes to.
#[derive(Clone)]
pub(crate) enum Step {
    Done(i32, &'static str),
    NotThere,
    CouldNotLook,
}

/// Keeps what was planted over standard input, or answers as told.
#[derive(Default)]
pub(crate) struct Hands {
    steps: Mutex<VecDeque<Step>>,
    asked: Mutex<usize>,
    pub(crate) data: Mutex<String>,
}

impl Hands {
    pub(crate) fn answers(&mut self, steps: impl IntoIterator<Item = Step>) {
        *self.steps.lock().unwrap() = steps.into_iter().collect();
        *self.asked.lock().unwrap() = 0;
    }

    pub(crate) fn asked(&self) -> usize {
        *self.asked.lock().unwrap()
    }
}

impl AppHands for Hands {
    async fn exec(
        &self,
        service: &ServiceName,
        command: &[String],
        stdin: &[u8],
    ) -> Result<Executed, HandsError> {
        if service.as_str() != "app" {
            return Err(HandsError::NotThere(format!("this run has no service {service}")));
        }
        *self.asked.lock().unwrap() += 1;
        let done =
            |exit, text: &str| Ok(Executed { exit, stdout: text.as_bytes().to_vec(), stderr: Vec::new() });
        match (self.steps.lock().unwrap().pop_front(), command[0].as_str()) {
            (Some(Step::Done(exit, text)), _) => done(exit, text),
            (Some(Step::NotThere), _) => Err(HandsError::NotThere("no container runs".to_owned())),
            (Some(Step::CouldNotLook), _) => Err(HandsError::CouldNotLook("the engine is gone".to_owned())),
            (None, "tee") => {
                *self.data.lock().unwrap() = String::from_utf8(stdin.to_vec()).unwrap();
                done(0, "")
            }
            (None, "cat") => done(0, &self.data.lock().unwrap()),
            (None, "echo") => done(0, &command[1..].join(" ")),
            (None, "bytes") => Ok(Executed { exit: 0, stdout: stdin.to_vec(), stderr: vec![0, 255] }),
            (None, status) => done(status.parse().unwrap(), ""),
        }
    }

    async fn logs(&self, service: &ServiceName) -> Result<String, HandsError> {
        Ok(format!("log of {service}\n"))
    }

    async fn env(&self) -> Result<BTreeMap<String, String>, HandsError> {
        Ok(BTreeMap::from([("CCCI_APP_DOMAIN".to_owned(), OWN.to_owned())]))
    }
}

/// Port 1 refuses; what was asked is remembered.
#[derive(Default)]
pub(crate) struct Probe {
    pub(crate) asked: Mutex<Vec<(Option<String>, u16, u8)>>,
}

impl TaskProbe for Probe {
    async fn connects(&self, service: Option<&ServiceName>, port: u16, stable: u8) -> Result<(), HandsError> {
        if port == 1 {
            return Err(HandsError::NotThere("connection refused".to_owned()));
        }
        self.asked.lock().unwrap().push((service.map(ToString::to_string), port, stable));
        Ok(())
    }
}

/// Volumes as folders below one folder.
pub(crate) struct Folders<'a>(pub(crate) &'a Path);

impl Volumes for Folders<'_> {
    async fn plant(&self, volume: &str, name: &str, content: &str) -> Result<(), HandsError> {
        let place = self.0.join(volume).join(name);
        std::fs::write(place, content).map_err(|error| HandsError::NotThere(error.to_string()))
    }

    async fn read(&self, volume: &str, name: &str) -> Result<Option<String>, HandsError> {
        Ok(std::fs::read_to_string(self.0.join(volume).join(name)).ok())
    }
}
