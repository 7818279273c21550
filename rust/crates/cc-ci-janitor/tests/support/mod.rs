//! A host with leftovers of dead runs on a test engine, and a janitor that is started there as its timer starts it.
#![allow(dead_code, reason = "each test program uses its own part of this room")]
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::path::PathBuf;

use cc_ci_model::names::{CommitSha, PrNumber, Recipe, RunDomain, RunId, StackName, Zone};
use cc_ci_model::request::{Deployer, Receipt};
use cc_ci_model::result::{Requested, Run, RunResult, RunState};
use cc_ci_process::alive::Alive;
use cc_ci_process::atomic::write_json;
use cc_ci_swarm::lock::{HeldLock, Probe};
use cc_ci_swarm::record::StackRecord;
use cc_ci_testkit::run_host::{Ended, RunHost};
use cc_ci_testkit::testbed::TestEngine;

pub(crate) const JANITOR: &str = env!("CARGO_BIN_EXE_cc-ci-janitor");

/// One host of its own zone on the test engine.
pub(crate) struct Ground {
    pub(crate) engine: TestEngine,
    pub(crate) host: RunHost,
    pub(crate) zone: Zone,
}

/// A run as it lies on disk.
pub(crate) struct OldRun {
    pub(crate) id: RunId,
    pub(crate) domain: RunDomain,
    pub(crate) stack: StackName,
    pub(crate) folder: PathBuf,
}

impl Ground {
    pub(crate) fn new(engine: TestEngine) -> Self {
        let host = RunHost::new(JANITOR, &engine);
        // Whatever disk the tests run on, their images are not the janitor's to judge.
        host.write_settings("[keep]\nimages_below_percent = 100\n");
        let zone = Zone::parse(&host.zone).unwrap();
        for folder in ["state/runs", "locks"] {
            std::fs::create_dir_all(host.path(folder)).unwrap();
        }
        Self { engine, host, zone }
    }

    pub(crate) fn domain(&self, recipe: &str) -> RunDomain {
        let commit = CommitSha::parse(&"0".repeat(40)).unwrap();
        RunDomain::of(&Recipe::parse(recipe).unwrap(), PrNumber(1), &commit, &self.zone)
    }

    /// The folder of a run whose result says "running".
    pub(crate) fn run(&self, recipe: &str) -> OldRun {
        let id = RunId::new(jiff::Timestamp::now(), rand::random());
        let domain = self.domain(recipe);
        let stack = domain.stack();
        let folder = self.host.path("state/runs").join(id.as_str());
        let servers = folder.join("abra/servers/default");
        for below in [&servers, &folder.join("state"), &folder.join("home")] {
            std::fs::create_dir_all(below).unwrap();
        }
        std::fs::write(servers.join(format!("{domain}.env")), "TYPE=x\n").unwrap();
        drop(Alive::hold(&folder).unwrap());
        write_json(&folder.join("result.json"), &running(&id, recipe, &domain)).unwrap();
        OldRun { id, domain, stack, folder }
    }

    /// The lock of a domain, taken by this process, with the note of its holder as a run writes it.
    pub(crate) fn lock(&self, run: &OldRun, since: &str) -> HeldLock {
        let Probe::Free(lock) = HeldLock::try_probe(&self.host.path("locks"), &run.domain).unwrap() else {
            panic!("somebody holds the lock of {}", run.domain)
        };
        let holder =
            format!("{{\"run\":\"{}\",\"pid\":{},\"since\":\"{since}\"}}", run.id, std::process::id());
        std::fs::write(self.lock_file(&run.domain), holder).unwrap();
        lock
    }

    pub(crate) fn lock_file(&self, domain: &RunDomain) -> PathBuf {
        self.host.path("locks").join(format!("{domain}.lock"))
    }

    /// The record of a run, with these further stacks.
    pub(crate) fn record(&self, run: &OldRun, extra: &[&StackName]) {
        let lock = self.lock(run, "2026-01-01T00:00:00Z");
        let mut record = StackRecord::new(&run.id, &run.domain, jiff::Timestamp::now());
        record.extra_stacks = extra.iter().map(|stack| (*stack).clone()).collect();
        record.write(&self.host.path("state"), &lock).unwrap();
    }

    pub(crate) fn docker(&self, words: &[&str]) -> String {
        self.engine.docker().args(words).run().unwrap().trim().to_owned()
    }

    /// One object of a kind, by name and without a label.
    pub(crate) fn make(&self, kind: &str, name: &str) {
        match kind {
            "service" => {
                let image = &self.engine.image("probe:1.0").reference;
                let words =
                    ["service", "create", "--detach", "--quiet", "--no-resolve-image", "--name", name];
                self.engine.docker().args(words).arg(image).run().unwrap();
            }
            "network" => _ = self.docker(&["network", "create", "--driver", "overlay", name]),
            "volume" => _ = self.docker(&["volume", "create", name]),
            "secret" | "config" => {
                self.engine.docker().args([kind, "create", name, "-"]).input("hidden").run().unwrap();
            }
            other => panic!("no such kind: {other}"),
        }
    }

    /// One of each kind below a stack's name.
    pub(crate) fn make_everything(&self, stack: &StackName) {
        for kind in KINDS {
            self.make(kind, &format!("{stack}_{kind}"));
        }
    }

    /// Kind and name of what is there with this in its name; containers and tasks, too.
    pub(crate) fn there(&self, name: &str) -> Vec<String> {
        cc_ci_testkit::onlooker::Onlooker::of(&self.engine).everything_with(name)
    }

    pub(crate) fn sweep(&self) -> Ended {
        self.host.run(&["sweep", "--json"])
    }

    /// What a sweep says, as `code subject`.
    pub(crate) fn codes(ended: &Ended) -> Vec<String> {
        let report: serde_json::Value =
            serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended}"));
        let line = |decision: &serde_json::Value| {
            format!("{} {}", decision["code"].as_str().unwrap(), decision["subject"].as_str().unwrap())
        };
        report["decisions"].as_array().unwrap().iter().map(line).collect()
    }

    pub(crate) fn diary(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.host.path("state/diary.jsonl")).unwrap_or_default();
        let line = |line: &str| {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            format!("{} {}", value["code"].as_str().unwrap(), value["subject"].as_str().unwrap())
        };
        text.lines().map(line).collect()
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        // Whatever a failed test left; the engine is shared with other tests.
        let docker = || self.engine.docker();
        let part = self.zone.as_str().replace('.', "_");
        for (list, remove) in [
            (["service", "ls", "--format", "{{.Name}}"], ["service", "rm"]),
            (["secret", "ls", "--format", "{{.Name}}"], ["secret", "rm"]),
            (["config", "ls", "--format", "{{.Name}}"], ["config", "rm"]),
            (["network", "ls", "--format", "{{.Name}}"], ["network", "rm"]),
            (["volume", "ls", "--format", "{{.Name}}"], ["volume", "rm"]),
        ] {
            let names = docker().args(list).run().unwrap_or_default();
            for name in names.lines().filter(|name| name.contains(&part)) {
                let _ = docker().args(remove).arg(name).run();
            }
        }
    }
}

/// What can be left of a run, each alone.
pub(crate) const KINDS: [&str; 5] = ["service", "network", "volume", "secret", "config"];

fn running(id: &RunId, recipe: &str, domain: &RunDomain) -> RunResult {
    let run = Run {
        id: id.clone(),
        state: RunState::Running,
        started: jiff::Timestamp::now().to_string(),
        finished: None,
        host: "host".to_owned(),
        pid: 1,
        deployer: Deployer::Native,
        via: None,
        domain: Some(domain.to_string()),
        stack: Some(domain.stack().to_string()),
    };
    let request = Requested {
        recipe: Recipe::parse(recipe).unwrap(),
        src: None,
        reference: None,
        pr: PrNumber(1),
        tiers: None,
        from: None,
        receipt: Receipt::default(),
    };
    RunResult::stub(run, request, String::new())
}

impl OldRun {
    pub(crate) fn result(&self) -> RunResult {
        RunResult::read(&std::fs::read_to_string(self.folder.join("result.json")).unwrap()).unwrap()
    }
}
