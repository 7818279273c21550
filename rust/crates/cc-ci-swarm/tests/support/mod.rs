//! What the tests on a real swarm share: a run with its lock, and a stack of probes that is gone when it ends.
#![allow(dead_code, reason = "each test program uses its own part of this room")]
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::collections::BTreeMap;
use std::time::Duration;

use cc_ci_model::convergence::{Limits, Sent};
use cc_ci_model::names::{CommitSha, PrNumber, Recipe, RunDomain, RunId, StackName, Zone};
use cc_ci_process::cancel::Cancellation;
use cc_ci_swarm::docker::Docker;
use cc_ci_swarm::lock::HeldLock;
use cc_ci_swarm::teardown::{Removed, teardown};
use cc_ci_testkit::testbed::TestEngine;

/// Fast enough for probes with a monitor of half a second, and longer than that monitor.
pub(crate) const LIMITS: Limits = Limits {
    time: Duration::from_secs(60),
    stability: Duration::from_secs(2),
    loop_failures: 3,
    loop_window: Duration::from_secs(60),
};

/// A run on the test engine: its connection, its names and its lock.
pub(crate) struct TestRun {
    pub(crate) engine: TestEngine,
    pub(crate) docker: Docker,
    pub(crate) domain: RunDomain,
    pub(crate) stack: StackName,
    pub(crate) run: RunId,
    pub(crate) lock: HeldLock,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) never: Cancellation,
}

pub(crate) fn zone() -> Zone {
    Zone::parse("ccci.test").unwrap()
}

/// A domain of its own for each test.
pub(crate) fn domain(test: &str) -> RunDomain {
    let commit = CommitSha::parse(&"0".repeat(40)).unwrap();
    let unique = format!("{}{}", std::process::id(), test.len());
    let recipe = Recipe::parse(&format!("{}-{unique}", test.replace('_', "-"))).unwrap();
    RunDomain::of(&recipe, PrNumber(0), &commit, &zone())
}

pub(crate) fn run_id() -> RunId {
    RunId::new(jiff::Timestamp::now(), [1, 2, 3])
}

impl TestRun {
    pub(crate) async fn start(engine: TestEngine, test: &str) -> Self {
        let docker = Docker::connect(Some(&engine.docker_host)).await.unwrap();
        let (domain, run) = (domain(test), run_id());
        let folder = tempfile::tempdir().unwrap();
        let never = Cancellation::new();
        let lock = HeldLock::acquire(folder.path(), &domain, &run, Duration::from_secs(5), &never, |_| {})
            .await
            .unwrap();
        Self { engine, docker, stack: domain.stack(), domain, run, lock, folder, never }
    }

    /// Deploys a compose file as the operator's CLI does.
    pub(crate) fn deploy(&self, compose: &str) {
        self.try_deploy(compose).unwrap();
    }

    pub(crate) fn try_deploy(&self, compose: &str) -> Result<String, String> {
        let file = self.folder.path().join("compose.yml");
        std::fs::write(&file, compose).unwrap();
        // Without --detach: the CLI of Debian 12 does not know it, and later ones have it by default.
        let words = ["stack", "deploy", "--resolve-image=never", "--compose-file"];
        let deploy = self.engine.docker().args(words).arg(&file).arg(self.stack.as_str());
        deploy.run().map_err(|error| error.to_string())
    }

    /// Full name of a service.
    pub(crate) fn service(&self, name: &str) -> String {
        format!("{}_{name}", self.stack)
    }

    /// What was sent for the service `app`: its version label.
    pub(crate) fn sent(&self, version: &str) -> BTreeMap<String, Sent> {
        let labels = BTreeMap::from([("test.version".to_owned(), version.to_owned())]);
        BTreeMap::from([(self.service("app"), Sent { labels, image: None })])
    }

    /// A `docker` command of the test's own.
    pub(crate) fn cli(&self, words: &[&str]) -> String {
        self.engine.docker().args(words).run().unwrap().trim().to_owned()
    }

    /// A secret without labels, as an operator's tool makes it.
    pub(crate) fn add_secret(&self, name: &str) {
        self.engine.docker().args(["secret", "create", name, "-"]).input("hidden").run().unwrap();
    }

    pub(crate) async fn tear_down(&self) -> Removed {
        let bound = Duration::from_secs(60);
        teardown(&self.docker, &self.stack, &self.lock, bound, &self.never, |_| {}).await.unwrap()
    }
}

/// A service `app` of a probe with a quick health check, and what else a test wants in it.
pub(crate) struct Probe<'a> {
    pub(crate) image: &'a str,
    pub(crate) version: &'a str,
    pub(crate) environment: &'a [(&'a str, &'a str)],
    pub(crate) order: &'a str,
    pub(crate) on_failure: &'a str,
    pub(crate) monitor: &'a str,
    pub(crate) with_health_check: bool,
    /// Further lines of the service, indented by four blanks.
    pub(crate) more: &'a str,
    /// Further lines of `deploy`, indented by six blanks.
    pub(crate) more_deploy: &'a str,
}

impl<'a> Probe<'a> {
    pub(crate) fn new(image: &'a str, version: &'a str) -> Self {
        Self {
            image,
            version,
            environment: &[],
            order: "stop-first",
            on_failure: "rollback",
            monitor: "0.5s",
            with_health_check: true,
            more: "",
            more_deploy: "",
        }
    }

    pub(crate) fn compose(&self) -> String {
        let environment: String =
            self.environment.iter().map(|(key, value)| format!("      {key}: \"{value}\"\n")).collect();
        let environment =
            if environment.is_empty() { String::new() } else { format!("    environment:\n{environment}") };
        let health = if self.with_health_check {
            "    healthcheck: { test: [CMD, /probe, check], interval: 0.5s, retries: 2 }\n"
        } else {
            ""
        };
        let Self { image, version, order, on_failure, monitor, more, more_deploy, .. } = self;
        format!(
            "version: \"3.8\"\nservices:\n  app:\n    image: {image}\n{environment}{health}{more}    deploy:\n      \
             labels: {{ test.version: \"{version}\" }}\n      update_config: {{ order: {order}, failure_action: \
             {on_failure}, monitor: {monitor} }}\n      rollback_config: {{ monitor: 0.5s }}\n      \
             restart_policy: {{ delay: 0.1s }}\n{more_deploy}"
        )
    }
}
