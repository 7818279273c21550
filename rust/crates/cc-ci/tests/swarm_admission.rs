//! A host that has no room: a run waits for it visibly, goes on when it is there, and is trouble when it never comes.
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::path::Path;
use std::time::Duration;

use cc_ci_testkit::run_host::{LiveRun, RunHost};
use cc_ci_testkit::stock::Proxy;
use cc_ci_testkit::testbed::{TestEngine, Testbed};
use cc_ci_testkit::{can_start_engines, canaries, engine_or_skip, patience};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal;

mod support;
use support::{CC_CI, leaves_nothing};

/// Runs a test in a thread with mounts of its own: nobody else sees them, and they go with the thread.
fn in_own_mounts(test: impl FnOnce() + Send) {
    let outcome = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNS).unwrap();
            let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
            mount(None::<&str>, "/", None::<&str>, private, None::<&str>).unwrap();
            test();
        });
        thread.join()
    });
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

/// A file system in memory on a folder, or the one that is there with another size.
fn set_size(folder: &Path, how: MsFlags, size: &str, inodes: u32) {
    let options = format!("size={size},nr_inodes={inodes}");
    mount(Some("tmpfs"), folder, Some("tmpfs"), how, Some(options.as_str())).unwrap();
}

fn only_install(host: &RunHost, engine: &TestEngine) -> Vec<String> {
    let mut arguments = host.prepare(&canaries::sound(engine));
    arguments.extend(["--tiers", "install"].map(str::to_owned));
    arguments
}

/// Waits until the run says that it waits for this, and has deployed nothing.
fn wait_for_want(run: &mut LiveRun, words: &str) {
    run.wait_until(words, |folder, result| {
        let log = std::fs::read_to_string(folder.join("log.txt")).ok()?;
        let line = log.lines().find(|line| line.contains("no room yet — waiting ("))?;
        assert!(line.contains(words), "{line}");
        assert_eq!(result.deploys.counted, 0, "{log}");
        Some(())
    });
}

/// Waits until the run has gone on to its install, and ends it there: the engine does not see these mounts, so what the
/// run hands to its containers would not be there.
fn goes_on(mut run: LiveRun) {
    run.wait_for_event("\"tier_started\",\"tier\":\"install\"");
    run.signal(Signal::SIGTERM);
    let ended = run.wait();
    assert!(ended.file("log.txt").contains("there is room enough; going on"), "{ended}");
    assert_eq!(ended.result().deploys.counted, 1, "{ended}");
}

#[test]
fn run_is_refused_below_the_byte_inode_and_address_floor() {
    let engine = engine_or_skip!();
    // Made and removed outside, where nothing is mounted on its folders.
    let host = RunHost::new(CC_CI, &engine);
    let runs = host.path("state/runs");
    std::fs::create_dir_all(&runs).unwrap();
    let arguments = only_install(&host, &engine);
    in_own_mounts(|| {
        set_size(&runs, MsFlags::empty(), "1g", 400_000);
        let mut run = host.start(&arguments);
        wait_for_want(&mut run, "disk of run folders: 1023 MiB free, 2048 MiB needed");
        set_size(&runs, MsFlags::MS_REMOUNT, "4g", 400_000);
        goes_on(run);

        set_size(&runs, MsFlags::MS_REMOUNT, "4g", 50_000);
        let mut run = host.start(&arguments);
        wait_for_want(&mut run, "inodes of run folders: 49");
        set_size(&runs, MsFlags::MS_REMOUNT, "4g", 400_000);
        goes_on(run);

        set_size(&runs, MsFlags::MS_REMOUNT, "1g", 50_000);
        host.write_settings("[limits]\nadmission_wait = \"1s\"\n");
        let ended = host.run(&arguments);
        assert_eq!(ended.code, 2, "{ended}");
        let trouble = ended.result().trouble.unwrap();
        assert_eq!((trouble.place.as_str(), trouble.retry), ("admission", true), "{ended}");
        for words in ["disk of run folders", "inodes of run folders"] {
            assert!(trouble.what.contains(words), "{trouble:?}");
            assert!(ended.stdout.contains(words), "a person sees it: {ended}");
        }
        leaves_nothing(&engine, &host);
    });
}

#[test]
fn a_run_waits_for_addresses_of_the_proxys_network_and_uses_no_more_than_it_counted() {
    if !can_start_engines() {
        return;
    }
    let bed = Testbed::start(Proxy::Without).unwrap();
    let engine = bed.description.clone();
    let docker = |words: &[&str]| bed.engine.docker().args(words).run().unwrap();
    docker(&["network", "rm", "proxy"]);
    // Four addresses for tasks and services: the probe takes three while head is started beside base.
    let create = ["network", "create", "--driver", "overlay", "--subnet", "10.199.0.0/29", "proxy"];
    let made = || bed.engine.docker().args(create).run().map_err(|error| error.to_string());
    let limit = Duration::from_secs(30);
    patience::until("a small network", limit, Duration::from_millis(200), made).unwrap();
    let image = engine.image("probe:1.0").reference.clone();
    let crowd = ["service", "create", "--detach", "--quiet", "--no-resolve-image", "--name", "crowd"];
    docker(&[&crowd[..], &["--replicas", "3", "--network", "proxy", &image]].concat());

    let prefix = bed.engine.nsenter_prefix();
    let prefix: Vec<&str> = prefix.iter().map(|word| word.to_str().unwrap()).collect();
    let host = RunHost::new(CC_CI, &engine).started_by(&prefix);
    let mut arguments = host.prepare(&canaries::sound(&engine));
    arguments.extend(["--tiers", "install,upgrade"].map(str::to_owned));
    let mut run = host.start(&arguments);
    wait_for_want(&mut run, "addresses on the proxy's network: 0 left, 3 needed");
    docker(&["service", "rm", "crowd"]);
    let ended = run.wait();
    assert_eq!(ended.code, 0, "{ended}");
    assert!(ended.file("log.txt").contains("there is room enough; going on"), "{ended}");
    leaves_nothing(&engine, &host);
    drop(host);
    bed.stop().unwrap();
}
