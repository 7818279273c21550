//! What tests of runs and sweeps share: a sweep on the host of a run, and the proof that nothing is left.
#![allow(dead_code, reason = "each test program uses its own part of this room")]
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::path::Path;

use cc_ci_testkit::onlooker::Onlooker;
use cc_ci_testkit::program::{Ended, Program};
use cc_ci_testkit::run_host::RunHost;
use cc_ci_testkit::testbed::TestEngine;

pub(crate) const CC_CI: &str = env!("CARGO_BIN_EXE_cc-ci");

/// One sweep on this host, by the program itself.
pub(crate) fn janitor(host: &RunHost, engine: &TestEngine) -> Ended {
    let program = Path::new(CC_CI).with_file_name("cc-ci-janitor");
    assert!(program.exists(), "there is no {}: cargo build -p cc-ci-janitor", program.display());
    Program::new(program)
        .args(["sweep", "--json"])
        .env("DOCKER_HOST", &engine.docker_host)
        .env("CCCI_STATE_DIR", host.path("state"))
        .env("CCCI_RUNS_DIR", host.path("state/runs"))
        .env("CCCI_APP_LOCK_DIR", host.path("locks"))
        .env("CCCI_SETTINGS", host.path("settings.toml"))
        .outcome()
        .unwrap()
}

/// Nothing of this host's zone is on the swarm, no lock, no record, no working file of a run.
pub(crate) fn leaves_nothing(engine: &TestEngine, host: &RunHost) {
    let part = host.zone.replace('.', "_");
    assert_eq!(Onlooker::of(engine).everything_with(&part), Vec::<String>::new());
    let names = |folder: &str| -> Vec<String> {
        let entries = std::fs::read_dir(host.path(folder)).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        // What a writer that was killed in mid-write left beside its file goes an hour later.
        names.filter(|name| !(name.starts_with('.') && name.ends_with(".new"))).collect()
    };
    assert_eq!(names("locks"), Vec::<String>::new());
    assert_eq!(names("state/stacks"), Vec::<String>::new());
    for run in host.run_folders() {
        for working in ["abra", "home"] {
            assert!(!run.join(working).exists(), "{} is still there", run.join(working).display());
        }
    }
    let processes = cc_ci_swarm::processes::of_runs(&host.path("state/runs")).unwrap();
    assert!(processes.is_empty(), "{processes:?}");
}
