//! What a run shares with others and what it does not: its lock, its count of deploys, its folders, its stack.
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cc_ci_model::names::{RunDomain, Zone};
use cc_ci_swarm::lock::{HeldLock, Probe};
use cc_ci_testkit::canaries::{self, Files};
use cc_ci_testkit::engine_or_skip;
use cc_ci_testkit::patience;
use cc_ci_testkit::run_host::{LiveRun, RunHost};
use cc_ci_testkit::testbed::TestEngine;
use nix::sys::signal::Signal;

mod support;
use support::{CC_CI, leaves_nothing};

/// The domain that a run of these arguments has, found by a run that is told to end at once.
fn domain_of(host: &RunHost, arguments: &[String]) -> RunDomain {
    let mut run = host.start(arguments);
    let domain = run.wait_until("its domain", |_, result| result.run.domain.clone());
    run.signal(Signal::SIGTERM);
    assert_eq!(run.wait().code, 143);
    RunDomain::parse_in(&domain, &Zone::parse(&host.zone).unwrap()).unwrap()
}

/// The lock of a domain, held by the test as if another run had it.
fn hold(host: &RunHost, domain: &RunDomain) -> HeldLock {
    match HeldLock::try_probe(&host.path("locks"), domain).unwrap() {
        Probe::Free(lock) => lock,
        Probe::Held(holder) => panic!("held by {holder:?}"),
    }
}

#[test]
fn deploy_is_counted_only_while_the_app_lock_is_held() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    host.write_settings("[limits]\nlock_wait = \"1s\"\n");
    let arguments = host.prepare(&canaries::sound(&engine));
    let lock = hold(&host, &domain_of(&host, &arguments));
    let ended = host.run(&arguments);
    assert_eq!(ended.code, 2, "{ended}");
    assert_eq!(ended.result().trouble.as_ref().unwrap().place, "lock", "{ended}");
    assert_eq!(ended.result().deploys.counted, 0, "{ended}");
    let count = ended.folder.as_ref().unwrap().join("state/deploys.jsonl");
    assert!(!count.exists(), "a run that never got the lock counts nothing");
    lock.remove().unwrap();
    leaves_nothing(&engine, &host);
}

#[test]
fn head_redeploy_happens_under_the_app_lock() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    let mut arguments = host.prepare(&canaries::sound(&engine));
    arguments.extend(["--tiers", "install,upgrade"].map(str::to_owned));
    let mut run = host.start(&arguments);
    run.wait_for_event("\"tier_started\",\"tier\":\"upgrade\"");
    let (zone, locks) = (Zone::parse(&host.zone).unwrap(), host.path("locks"));
    let mut looks = 0;
    run.wait_until("the end of the upgrade", |folder, result| {
        let events = std::fs::read_to_string(folder.join("events.jsonl")).unwrap();
        let domain = RunDomain::parse_in(result.run.domain.as_ref().unwrap(), &zone).unwrap();
        match HeldLock::try_probe(&locks, &domain).unwrap() {
            Probe::Held(holder) => assert_eq!(holder.unwrap().run, result.run.id.to_string()),
            Probe::Free(_) => panic!("free in mid-upgrade: {events}"),
        }
        looks += 1;
        events.contains("\"tier_ended\",\"tier\":\"upgrade\"").then_some(())
    });
    assert!(looks > 1);
    let ended = run.wait();
    assert_eq!(ended.code, 0, "{ended}");
    leaves_nothing(&engine, &host);
}

#[test]
fn a_run_that_waits_for_its_lock_or_for_room_ends_at_once_when_told() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    let arguments = host.prepare(&canaries::sound(&engine));
    let lock = hold(&host, &domain_of(&host, &arguments));
    let ends_while = |words: &str, signal: Signal| {
        let mut run = host.start(&arguments);
        run.wait_until(words, |folder, _| {
            std::fs::read_to_string(folder.join("log.txt")).ok()?.contains(words).then_some(())
        });
        run.signal(signal);
        let ended = run.wait();
        assert_eq!(ended.code, 143, "{ended}");
        assert_eq!(ended.result().deploys.counted, 0, "{ended}");
    };
    ends_while("in flight — waiting", Signal::SIGTERM);
    lock.remove().unwrap();
    host.write_settings("[limits]\nmemory_floor = \"999TiB\"\n");
    ends_while("no room yet — waiting", Signal::SIGINT);
    leaves_nothing(&engine, &host);
}

/// The sound recipe's head, saying something of its own.
fn saying(files: &Files, words: &str) -> Files {
    let put = |text: &String| text.replace("PROBE_TEXT=sound", &format!("PROBE_TEXT=sound {words}"));
    files.iter().map(|(name, text)| (name.clone(), put(text))).collect()
}

/// Files that the run, or a child of it, has open.
fn open_files(run: &mut LiveRun) -> BTreeSet<PathBuf> {
    let pid = run.wait_until("its process", |_, result| Some(result.run.pid));
    let children = |pid: u32| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        text.split_whitespace().filter_map(|word| word.parse().ok()).collect::<Vec<u32>>()
    };
    let all = children(pid).into_iter().chain([pid]);
    let open =
        all.flat_map(|pid| std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten());
    let paths = open.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    paths.filter(|path| path.is_file() && !path.starts_with("/dev")).collect()
}

fn checkout(folder: &Path, recipe: &str) -> PathBuf {
    folder.join("abra/recipes").join(recipe)
}

/// What the run deploys and has checked out is its own commit, whose text ends with `words`.
fn deploys_its_own_head(engine: &TestEngine, run: &mut LiveRun, (recipe, commit, words): (&str, &str, &str)) {
    run.wait_for_event("\"tier_started\",\"tier\":\"upgrade\"");
    let (folder, stack) =
        run.wait_until("its stack", |folder, result| Some((folder.to_owned(), result.run.stack.clone()?)));
    let service = format!("{stack}_app");
    let spec = ["service", "inspect", "--format", "{{json .Spec.TaskTemplate.ContainerSpec.Env}}", &service];
    let (limit, step) = (Duration::from_secs(120), Duration::from_millis(100));
    patience::until("head's own words", limit, step, || {
        let environment = engine.docker().args(spec).run().map_err(|error| error.to_string())?;
        if environment.contains(&format!("PROBE_TEXT=sound {words}")) { Ok(()) } else { Err(environment) }
    })
    .unwrap();
    let head = std::fs::read_to_string(checkout(&folder, recipe).join(".git/HEAD")).unwrap();
    assert_eq!(head.trim(), commit);
}

#[test]
fn two_commits_of_one_recipe_run_beside_each_other_and_share_nothing() {
    let engine = engine_or_skip!();
    let plain = RunHost::new(CC_CI, &engine);
    let temporary = plain.path("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let host = plain.started_by(&["env", &format!("TMPDIR={}", temporary.display())]);
    let mut canary = canaries::sound(&engine);
    let plain_head = canary.head.clone();
    canary.head = saying(&plain_head, "one");
    host.set_test_data(canary.name, &canary.recipe_toml);
    let (mut repository, one) = canary.repository(&host.path("repositories/canary")).unwrap();
    let two = repository.pull_request(2, &saying(&plain_head, "two")).unwrap();
    assert_ne!(one, two);
    let mut runs = [("one", &one, "1"), ("two", &two, "2")].map(|(words, commit, pr)| {
        let mut arguments = host.arguments_for(canary.name, &repository, commit);
        let place = arguments.iter().position(|word| word == "--pr").unwrap();
        arguments[place + 1] = pr.to_owned();
        arguments.extend(["--tiers", "install,upgrade"].map(str::to_owned));
        (words, commit, host.start(&arguments))
    });
    for (_, _, run) in &mut runs {
        run.wait_for_event("\"tier_started\",\"tier\":\"install\"");
    }
    let [first, second] = runs.each_mut().map(|(_, _, run)| open_files(run));
    assert!(first.len() > 1, "a run has at least its log and its locks open: {first:?}");
    // One is meant for all: runs that pull and deploy keep the janitor's hands off the images together.
    let shared: Vec<_> = first.intersection(&second).filter(|path| !path.ends_with("images.lock")).collect();
    assert!(shared.is_empty(), "{shared:?}");
    // At the same time: head stands for a stability window, and the run that is looked at last may be the quicker one.
    let recipe = canary.name;
    std::thread::scope(|scope| {
        for (words, commit, run) in &mut runs {
            let engine = &engine;
            scope.spawn(move || deploys_its_own_head(engine, run, (recipe, commit.as_str(), *words)));
        }
    });
    let [first, second] = runs.map(|(.., run)| run.wait());
    for ended in [&first, &second] {
        assert_eq!(ended.code, 0, "{ended}");
        assert!(!ended.file("log.txt").contains("in flight"), "{ended}");
    }
    let time = |text: &str| text.parse::<jiff::Timestamp>().unwrap();
    let span = |result: &cc_ci_model::result::RunResult| {
        (time(&result.run.started), time(result.run.finished.as_ref().unwrap()))
    };
    let (one, two) = (span(&first.result()), span(&second.result()));
    assert!(one.0 < two.1 && two.0 < one.1, "one after the other proves nothing: {one:?} {two:?}");
    assert_ne!(first.result().run.domain, second.result().run.domain);
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0, "left in the folder for temporary files");
    leaves_nothing(&engine, &host);
}

/// Everything below a folder, by its path from there; what goes meanwhile is not there.
fn files_below(root: &Path, folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && !path.is_symlink() {
            files_below(root, &path, found);
        } else {
            found.insert(path.strip_prefix(root).unwrap().to_string_lossy().into_owned());
        }
    }
}

#[test]
fn every_file_of_a_run_lies_in_its_folder_but_for_its_lock_its_record_and_what_all_runs_share() {
    let engine = engine_or_skip!();
    let plain = RunHost::new(CC_CI, &engine);
    std::fs::create_dir(plain.path("tmp")).unwrap();
    let temporary = format!("TMPDIR={}", plain.path("tmp").display());
    let host = plain.started_by(&["env", &temporary]);
    let arguments = host.prepare(&canaries::sound(&engine));
    let look = |found: &mut BTreeSet<String>| {
        for folder in ["state", "locks", "tmp", "home", "recipes", "repositories"] {
            files_below(&host.path(""), &host.path(folder), found);
        }
    };
    let (mut before, mut seen) = (BTreeSet::new(), BTreeSet::new());
    look(&mut before);
    let mut run = host.start(&arguments);
    let (id, domain, stack) = run.wait_until("the end of the removal", |folder, result| {
        look(&mut seen);
        let events = std::fs::read_to_string(folder.join("events.jsonl")).unwrap_or_default();
        let is_over = events.contains("\"tier_ended\",\"tier\":\"teardown\"");
        is_over.then(|| {
            let run = result.run.clone();
            (run.id, run.domain.unwrap(), run.stack.unwrap())
        })
    });
    let ended = run.wait();
    assert_eq!(ended.code, 0, "{ended}");
    look(&mut seen);
    let own = format!("state/runs/{id}/");
    let outside: BTreeSet<String> =
        seen.difference(&before).filter(|path| !path.starts_with(&own)).cloned().collect();
    let lock = format!("locks/{domain}.lock");
    let record = format!("state/stacks/{stack}.json");
    let shared = ["state/host-id", "state/images.lock"].map(str::to_owned);
    // A file that is being written has a name of its own beside the one that it gets.
    let is_known = |path: &String| {
        *path == lock
            || *path == record
            || shared.contains(path)
            || path.starts_with("state/stacks/.")
            || path.starts_with("state/.host-id")
    };
    let strange: Vec<&String> = outside.iter().filter(|path| !is_known(path)).collect();
    assert!(strange.is_empty(), "{strange:?}");
    assert!(outside.contains(&lock) && outside.contains(&record), "they were there to be seen: {outside:?}");
    let recipe = format!("{own}abra/recipes/canary-sound/compose.yml");
    assert!(seen.contains(&recipe), "the checkout is the run's own");
    let mut after = BTreeSet::new();
    look(&mut after);
    let left: Vec<&String> =
        after.difference(&before).filter(|path| !path.starts_with(&own) && !shared.contains(path)).collect();
    assert!(left.is_empty(), "{left:?}");
}
