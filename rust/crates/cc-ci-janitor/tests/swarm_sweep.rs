//! A sweep on a real swarm: what is dead goes, what lives stays, and what cannot be told apart stays too.
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use cc_ci_model::result::RunState;
use cc_ci_testkit::engine_or_skip;

mod support;
use support::{Ground, KINDS};

const NOTHING: [String; 0] = [];

#[test]
fn crashed_run_is_reaped_by_the_next_sweep() {
    let ground = Ground::new(engine_or_skip!());
    let dead = ground.run("dead");
    ground.record(&dead, &[]);
    ground.make_everything(&dead.stack);
    let live = ground.run("live");
    let _lock = ground.lock(&live, "2026-01-01T00:00:00Z");
    let _alive = cc_ci_swarm::alive::Alive::hold(&live.folder).unwrap();
    ground.make_everything(&live.stack);

    let ended = ground.sweep();
    assert_eq!(ended.code, 0, "{ended}");
    assert_eq!(ground.there(dead.stack.as_str()), NOTHING);
    assert!(!ground.lock_file(&dead.domain).exists(), "the lock file goes last, but it goes");
    assert!(!ground.host.path(&format!("state/stacks/{}.json", dead.stack)).exists());
    assert!(!dead.folder.join("abra").exists() && !dead.folder.join("home").exists());
    let result = dead.result();
    assert_eq!((result.run.state, result.verdict), (RunState::Interrupted, None));
    let what = result.trouble.unwrap().what;
    assert!(what.contains("1 service") && what.contains("1 volume"), "{what}");

    // The neighbour is held for more than 120 minutes and is untouched all the same.
    for kind in KINDS {
        assert!(
            !ground.there(&format!("{}_{kind}", live.stack)).is_empty(),
            "{kind} of a living run is gone"
        );
    }
    assert_eq!(live.result().run.state, RunState::Running);
    let (dead_domain, live_domain) = (&dead.domain, &live.domain);
    let mut expected = vec![format!("reap-dead {dead_domain}"), format!("reaped {dead_domain}")];
    let warning = format!("warn-old-lock {live_domain}");
    let at = if live_domain.as_str() < dead_domain.as_str() { 0 } else { 2 };
    expected.insert(at, warning);
    expected.push(format!("settle-interrupted {}", dead.id));
    assert_eq!(Ground::codes(&ended), expected);
    assert_eq!(ground.diary(), expected, "each decision is a line of the diary, once");
}

#[test]
fn an_orphan_of_which_only_one_object_is_left_goes() {
    let ground = Ground::new(engine_or_skip!());
    let stacks: Vec<_> = KINDS.iter().map(|kind| ground.domain(kind).stack()).collect();
    for (kind, stack) in KINDS.iter().zip(&stacks) {
        ground.make(kind, &format!("{stack}_only"));
    }
    let ended = ground.sweep();
    assert_eq!(ended.code, 0, "{ended}");
    for stack in &stacks {
        assert_eq!(ground.there(stack.as_str()), NOTHING);
    }
    assert_eq!(std::fs::read_dir(ground.host.path("locks")).unwrap().count(), 0);
}

#[test]
fn leftovers_of_a_reboot_go_at_once() {
    let ground = Ground::new(engine_or_skip!());
    let dead = ground.run("reboot");
    ground.record(&dead, &[]);
    ground.make("volume", &format!("{}_data", dead.stack));
    // The folder of locks is in memory, and gone with it.
    std::fs::remove_dir_all(ground.host.path("locks")).unwrap();
    let ended = ground.sweep();
    assert_eq!(ended.code, 0, "{ended}");
    assert_eq!(ground.there(dead.stack.as_str()), NOTHING);
}

#[test]
fn stacks_of_a_neighbouring_zone_and_names_that_look_almost_like_ours_stay() {
    let ground = Ground::new(engine_or_skip!());
    let own = ground.domain("near").stack().to_string();
    let (label, zone) = own.split_once('_').unwrap();
    let strangers = [
        format!("{label}_x{zone}_data"),
        format!("{label}0_{zone}_data"),
        format!("{label}_{zone}0_data"),
        format!("near_{zone}_data"),
        format!("{own}-data"),
    ];
    for name in &strangers {
        ground.make("volume", name);
    }
    let ended = ground.sweep();
    assert_eq!((ended.code, Ground::codes(&ended)), (0, Vec::new()), "{ended}");
    for name in &strangers {
        assert_eq!(ground.there(name).len(), 1, "{name}");
        ground.docker(&["volume", "rm", name]);
    }
}

#[test]
fn another_host_id_means_could_not_check_and_names_both() {
    let ground = Ground::new(engine_or_skip!());
    let dead = ground.run("foreign");
    let volume = format!("{}_data", dead.stack);
    ground.make("volume", &volume);
    let node = ground.docker(&["info", "--format", "{{.Swarm.NodeID}}"]);
    let label = format!("cc-ci.zone.{}=0123456789abcdef", ground.zone);
    ground.docker(&["node", "update", "--label-add", &label, &node]);
    let ended = ground.sweep();
    let own = std::fs::read_to_string(ground.host.path("state/host-id")).unwrap();
    assert_eq!((ended.code, Ground::codes(&ended)), (2, vec!["could-not-check zone".to_owned()]), "{ended}");
    assert!(ended.stdout.contains("0123456789abcdef") && ended.stdout.contains(own.trim()), "{ended}");
    assert_eq!(ground.there(&volume).len(), 1, "a free lock means nothing in another host's zone");
    assert_eq!(dead.result().run.state, RunState::Running);
}

#[test]
fn a_second_stack_lives_and_dies_with_the_run_that_recorded_it() {
    let ground = Ground::new(engine_or_skip!());
    let run = ground.run("main");
    let second = ground.domain("second").stack();
    ground.record(&run, &[&second]);
    let volume = format!("{second}_data");
    ground.make("volume", &volume);
    let lock = ground.lock(&run, "2026-01-01T00:00:00Z");
    let alive = cc_ci_swarm::alive::Alive::hold(&run.folder).unwrap();
    assert_eq!(ground.sweep().code, 0);
    assert_eq!(ground.there(&volume).len(), 1, "its lock file is another one, its lock is not");
    drop((lock, alive));
    assert_eq!(ground.sweep().code, 0);
    assert_eq!(ground.there(&volume), NOTHING);
}

#[test]
fn a_record_that_cannot_be_read_keeps_what_it_may_cover() {
    let ground = Ground::new(engine_or_skip!());
    let run = ground.run("broken");
    ground.record(&run, &[]);
    let volume = format!("{}_data", ground.domain("unknown").stack());
    ground.make("volume", &volume);
    std::fs::write(ground.host.path(&format!("state/stacks/{}.json", run.stack)), "{").unwrap();
    let ended = ground.sweep();
    assert_eq!(ended.code, 2, "{ended}");
    assert_eq!(ground.there(&volume).len(), 1);
}

#[test]
fn a_dry_run_says_it_and_changes_nothing() {
    let ground = Ground::new(engine_or_skip!());
    let dead = ground.run("dry");
    ground.record(&dead, &[]);
    let volume = format!("{}_data", dead.stack);
    ground.make("volume", &volume);
    let ended = ground.host.run(&["sweep", "--dry-run", "--json"]);
    let expected = [format!("reap-dead {}", dead.domain), format!("settle-interrupted {}", dead.id)];
    assert_eq!((ended.code, Ground::codes(&ended)), (0, expected.to_vec()), "{ended}");
    assert_eq!(ground.there(&volume).len(), 1);
    assert_eq!(dead.result().run.state, RunState::Running);
    assert!(ground.lock_file(&dead.domain).exists());
    for file in ["diary.jsonl", "health.json", "janitor.lock"] {
        assert!(!ground.host.path("state").join(file).exists(), "{file}");
    }
}

#[test]
fn janitor_leaves_nothing_of_its_own() {
    let ground = Ground::new(engine_or_skip!());
    let lone = ground.lock_file(&ground.domain("lone"));
    std::fs::write(&lone, "").unwrap();
    let ended = ground.sweep();
    assert_eq!(ended.code, 0, "{ended}");
    assert_eq!(ground.there("janitor"), NOTHING);
    assert_eq!(std::fs::read_dir(ground.host.path("locks")).unwrap().count(), 0, "nor the lock it asked for");
    let health = std::fs::read_to_string(ground.host.path("state/health.json")).unwrap();
    let health: serde_json::Value = serde_json::from_str(&health).unwrap();
    assert!(health["disks"]["state"]["free_bytes"].as_u64().unwrap() > 0, "{health}");
    assert!(health["proxy_addresses"]["total"].as_u64().unwrap() > 4000, "{health}");
    assert_eq!(health["zone"], ground.zone.as_str());
}

#[test]
fn two_janitors_at_once_remove_everything_once() {
    let ground = Ground::new(engine_or_skip!());
    let dead: Vec<_> = ["one", "two", "three"].map(|name| ground.run(name)).into();
    for run in &dead {
        ground.record(run, &[]);
        ground.make("volume", &format!("{}_data", run.stack));
    }
    let first = ground.host.start(&["sweep", "--json"]);
    let second = ground.host.start(&["sweep", "--json"]);
    let (first, second) = (first.wait(), second.wait());
    assert_eq!((first.code, second.code), (0, 0), "{first}{second}");
    for run in &dead {
        assert_eq!(ground.there(run.stack.as_str()), NOTHING);
        let line = format!("reaped {}", run.domain);
        assert_eq!(ground.diary().iter().filter(|said| **said == line).count(), 1);
    }
}

#[test]
fn janitor_killed_half_way_leaves_work_the_next_one_finishes() {
    let ground = Ground::new(engine_or_skip!());
    let dead = ground.run("halfway");
    // Several stacks, so that one is gone while others stand; they go in the order of their names, the main one last.
    let mut extra = ["second", "third", "fourth"].map(|name| ground.domain(name).stack());
    extra.sort();
    ground.record(&dead, &extra.each_ref());
    let stacks: Vec<_> = extra.iter().chain([&dead.stack]).collect();
    for stack in &stacks {
        ground.make_everything(stack);
    }
    let first = format!("name={}_service", extra[0]);
    let has_first = || !ground.docker(&["service", "ls", "--quiet", "--filter", &first]).is_empty();
    let moments: [(&str, &dyn Fn() -> bool); 2] =
        [("its first words", &|| !ground.diary().is_empty()), ("the first service gone", &|| !has_first())];
    for (what, is_due) in moments {
        let janitor = ground.host.start(&["sweep", "--json"]);
        let limit = std::time::Duration::from_secs(60);
        let step = std::time::Duration::from_millis(5);
        let look = || is_due().then_some(()).ok_or_else(|| "not yet".to_owned());
        cc_ci_testkit::patience::until(what, limit, step, look).unwrap();
        janitor.signal(nix::sys::signal::Signal::SIGKILL);
        assert_eq!(janitor.wait().code, 137, "{what}");
        assert!(ground.lock_file(&dead.domain).exists(), "the lock file is the last to go");
        assert!(!ground.there(dead.stack.as_str()).is_empty());
        assert_eq!(dead.result().run.state, RunState::Running);
    }
    let ended = ground.sweep();
    assert_eq!(ended.code, 0, "{ended}");
    for stack in stacks {
        assert_eq!(ground.there(stack.as_str()), NOTHING);
    }
    assert_eq!(dead.result().run.state, RunState::Interrupted);
}

#[test]
fn processes_of_a_dead_run_are_ended_and_others_of_the_same_name_are_not() {
    let ground = Ground::new(engine_or_skip!());
    let dead = ground.run("process");
    ground.record(&dead, &[]);
    let start = |home: &std::path::Path| {
        let mut command = std::process::Command::new("sleep");
        command.arg("300").env_clear().env("HOME", home).env("PATH", std::env::var_os("PATH").unwrap());
        command.spawn().unwrap()
    };
    let mut left = start(&dead.folder.join("home"));
    let mut foreign = start(std::path::Path::new("/"));
    let ended = ground.sweep();
    assert_eq!(ended.code, 0, "{ended}");
    assert!(!left.wait().unwrap().success());
    assert!(foreign.try_wait().unwrap().is_none(), "a process of the same name is somebody else's");
    foreign.kill().unwrap();
    foreign.wait().unwrap();
    assert!(ended.stdout.contains("1 process"), "{ended}");
}
