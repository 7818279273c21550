//! A private engine starts, survives restarts of its daemon, and leaves nothing, however it ends.

#![expect(clippy::unwrap_used, reason = "in a test a panic with its place is the wanted report")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use cc_ci_testkit::engine::{EngineOptions, PrivateEngine, Signal};
use cc_ci_testkit::patience;

fn is_gone(folder: &Path, data: &Path) -> Result<(), String> {
    let cgroup =
        format!("/sys/fs/cgroup/memory/cc-ci-engine-{}", folder.file_name().unwrap().to_str().unwrap());
    let left: Vec<_> = [folder, data, Path::new(&cgroup)].into_iter().filter(|path| path.exists()).collect();
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let name = folder.file_name().unwrap().to_str().unwrap();
    let commands = std::fs::read_dir("/proc").unwrap().flatten();
    let commands =
        commands.filter_map(|process| std::fs::read_to_string(process.path().join("cmdline")).ok());
    let processes: Vec<_> = commands.filter(|command| command.contains(name)).collect();
    match (left.is_empty(), mounts.contains(name), processes.is_empty()) {
        (true, false, true) => Ok(()),
        seen => Err(format!("{seen:?} {left:?} {processes:?}")),
    }
}

#[test]
fn an_engine_has_a_swarm_survives_restarts_and_leaves_nothing_behind() {
    if !cc_ci_testkit::can_start_engines() {
        return;
    }
    let mut engine = PrivateEngine::start(&EngineOptions::default()).unwrap();
    let networks =
        engine.docker().args(["network", "ls", "--format", "{{.Name}} {{.Driver}}"]).run().unwrap();
    assert!(networks.contains("proxy overlay"), "{networks}");
    for signal in [Signal::Term, Signal::Kill] {
        engine.halt(signal).unwrap();
        assert!(engine.docker().arg("ps").run().is_err());
        engine.resume().unwrap();
        engine.docker().args(["network", "inspect", "proxy"]).run().unwrap();
    }
    let (folder, data) = (engine.folder().to_owned(), engine.data().to_owned());
    engine.stop().unwrap();
    is_gone(&folder, &data).unwrap();
}

#[test]
fn two_engines_live_side_by_side_without_seeing_each_other() {
    if !cc_ci_testkit::can_start_engines() {
        return;
    }
    let first = PrivateEngine::start(&EngineOptions::default()).unwrap();
    let pool = EngineOptions { address_pool: Some("10.50.0.0/22".to_owned()), ..EngineOptions::default() };
    let second = PrivateEngine::start(&pool).unwrap();
    first.docker().args(["volume", "create", "only-here"]).run().unwrap();
    assert_eq!(second.docker().args(["volume", "ls", "--quiet"]).run().unwrap(), "");
    let (folder, data) = (second.folder().to_owned(), second.data().to_owned());
    drop(second);
    is_gone(&folder, &data).unwrap();
    assert_eq!(first.docker().args(["volume", "ls", "--quiet"]).run().unwrap().trim(), "only-here");
}

#[test]
fn an_engine_whose_owner_is_killed_leaves_nothing_behind() {
    const ROLE: &str = "CCCI_TEST_OWNER_OF_AN_ENGINE";
    if let Some(file) = std::env::var_os(ROLE) {
        // This is the owner: a second run of this very test, that waits to be killed.
        let engine = PrivateEngine::start(&EngineOptions::default()).unwrap();
        engine.docker().args(["volume", "create", "kept"]).run().unwrap();
        std::fs::write(&file, format!("{}\n{}\n", engine.folder().display(), engine.data().display()))
            .unwrap();
        let _: Result<(), _> =
            patience::until("being killed", Duration::from_secs(60), Duration::from_secs(1), || {
                Err(String::new())
            });
        return;
    }
    if !cc_ci_testkit::can_start_engines() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("engine");
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "an_engine_whose_owner_is_killed_leaves_nothing_behind"])
        .env(ROLE, &file)
        .spawn()
        .unwrap();
    let places = patience::until("an engine", Duration::from_secs(60), Duration::from_millis(50), || {
        let text = std::fs::read_to_string(&file).map_err(|error| error.to_string())?;
        let lines: Vec<_> = text.lines().map(std::path::PathBuf::from).collect();
        if lines.len() == 2 { Ok(lines) } else { Err(text) }
    });
    owner.kill().unwrap();
    owner.wait().unwrap();
    let places = places.unwrap();
    patience::until("nothing to be left", Duration::from_secs(30), Duration::from_millis(50), || {
        is_gone(&places[0], &places[1])
    })
    .unwrap();
}
