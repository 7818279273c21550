//! A user who may only use Docker: a run of theirs that is killed, their own sweep, and a green run afterwards.
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use cc_ci_model::result::RunState;
use cc_ci_testkit::program::Program;
use cc_ci_testkit::run_host::RunHost;
use cc_ci_testkit::testbed::TestEngine;
use cc_ci_testkit::{canaries, engine_or_skip};
use nix::sys::signal::Signal;

mod support;
use support::{CC_CI, leaves_nothing};

/// A user and a group that exist on no machine by name, so that no account gets anything by this test.
const USER: u32 = 64_331;
const DOCKER_GROUP: u32 = 64_332;

/// The engine's socket as a host's group docker would have it, for as long as this is held.
struct Shared {
    socket: PathBuf,
    group: u32,
}

impl Shared {
    fn with_group(engine: &TestEngine) -> Self {
        let socket = PathBuf::from(engine.docker_host.trim_start_matches("unix://"));
        let group = std::fs::metadata(&socket).unwrap().gid();
        chown(&socket, None, Some(DOCKER_GROUP)).unwrap();
        std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o660)).unwrap();
        Self { socket, group }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let _ = chown(&self.socket, None, Some(self.group));
    }
}

/// Copies of our programs where every user can reach them.
fn programs() -> tempfile::TempDir {
    let folder = tempfile::Builder::new().prefix("cc-ci-program-").tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    for name in ["cc-ci", "cc-ci-janitor"] {
        let program = Path::new(CC_CI).with_file_name(name);
        assert!(program.exists(), "there is no {}: cargo build -p {name}", program.display());
        std::fs::copy(program, folder.path().join(name)).unwrap();
    }
    folder
}

#[test]
fn a_plain_user_runs_is_killed_sweeps_and_runs_again() {
    let engine = engine_or_skip!();
    let _shared = Shared::with_group(&engine);
    let programs = programs();
    let ids = [format!("--reuid={USER}"), format!("--regid={USER}"), format!("--groups={DOCKER_GROUP}")];
    let prefix = ["setpriv", &ids[0], &ids[1], &ids[2], "--no-new-privs"];
    let host = RunHost::new(programs.path().join("cc-ci"), &engine).started_by(&prefix);
    let mut arguments = host.prepare(&canaries::sound(&engine));
    arguments.extend(["--tiers", "install"].map(str::to_owned));
    Program::new("chown").args(["-R", &format!("{USER}:{USER}")]).arg(host.path("")).run().unwrap();

    let mut run = host.start(&arguments);
    run.wait_for_event("\"tier_ended\",\"tier\":\"install\"");
    run.signal(Signal::SIGKILL);
    let killed = run.wait();
    let owner = |path: &Path| std::fs::metadata(path).unwrap().uid();
    assert_eq!(owner(killed.folder.as_ref().unwrap()), USER, "the run was the user's own");

    let sweep = Program::new("setpriv")
        .args(&prefix[1..])
        .arg(programs.path().join("cc-ci-janitor"))
        .args(["sweep", "--json"])
        .env("DOCKER_HOST", &engine.docker_host)
        .env("CCCI_STATE_DIR", host.path("state"))
        .env("CCCI_APP_LOCK_DIR", host.path("locks"))
        .env("CCCI_SETTINGS", host.path("settings.toml"))
        .outcome()
        .unwrap();
    assert_eq!(sweep.status.code(), Some(0), "{}{}", sweep.stdout, sweep.stderr);
    assert!(sweep.stdout.contains("\"reaped\""), "{}", sweep.stdout);
    leaves_nothing(&engine, &host);
    assert_eq!(killed.result().run.state, RunState::Interrupted, "{killed}");
    for file in ["state/diary.jsonl", "state/health.json"] {
        assert_eq!(owner(&host.path(file)), USER, "{file}");
    }

    let ended = host.run(&arguments);
    assert_eq!(ended.code, 0, "{ended}");
    leaves_nothing(&engine, &host);
}
