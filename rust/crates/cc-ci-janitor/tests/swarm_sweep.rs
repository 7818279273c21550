//! A sweep on a real swarm: what is dead goes, what lives stays, and what cannot be told apart stays too.
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use cc_ci_model::result::RunState;
use cc_ci_testkit::onlooker::Onlooker;
use cc_ci_testkit::{engine_or_skip, witness};

mod support;
use support::{Ground, KINDS};

const NOTHING: [String; 0] = [];

/// The decisions in what the journal gets, as `code subject`: the code is a field, the subject comes first in the sentence.
fn journal(stderr: &str) -> Vec<String> {
    let line = |line: &str| {
        let (before, code) = line.split_once("code=\"")?;
        let (code, _) = code.split_once('"')?;
        let subject = before.split(": ").nth(1)?;
        Some(format!("{code} {subject}"))
    };
    stderr.lines().filter_map(line).collect()
}

#[test]
fn crashed_run_is_reaped_by_the_next_sweep() {
    let ground = Ground::new(engine_or_skip!());
    let dead = ground.run("dead");
    ground.record(&dead, &[]);
    ground.make_everything(&dead.stack);
    let live = ground.run("live");
    let _lock = ground.lock(&live, "2026-01-01T00:00:00Z");
    let _alive = cc_ci_process::alive::Alive::hold(&live.folder).unwrap();
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
    assert_eq!(journal(&ended.stderr), expected, "and of the journal");
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
    let alive = cc_ci_process::alive::Alive::hold(&run.folder).unwrap();
    assert_eq!(ground.sweep().code, 0);
    assert_eq!(ground.there(&volume).len(), 1, "its lock file is another one, its lock is not");
    drop((lock, alive));
    assert_eq!(ground.sweep().code, 0);
    assert_eq!(ground.there(&volume), NOTHING);
}

#[test]
fn a_record_that_cannot_be_read_keeps_what_it_may_cover_and_the_result_says_so() {
    let ground = Ground::new(engine_or_skip!());
    let (run, unknown) = (ground.run("broken"), ground.run("unknown"));
    ground.record(&run, &[]);
    let volume = format!("{}_data", unknown.stack);
    ground.make("volume", &volume);
    let record = ground.host.path(&format!("state/stacks/{}.json", run.stack));
    let whole = std::fs::read_to_string(&record).unwrap();
    std::fs::write(&record, "{").unwrap();
    let ended = ground.sweep();
    assert_eq!(ended.code, 2, "{ended}");
    assert_eq!(ground.there(&volume).len(), 1);
    // Nobody runs any more, which is all that is known: what it left is neither gone nor proven to be.
    let result = unknown.result();
    assert_eq!(result.run.state, RunState::Interrupted);
    assert!(result.trouble.unwrap().what.contains("what it left was not looked for: "), "{ended}");
    assert!(result.teardown.is_none() && unknown.folder.join("abra").exists(), "its .env is still needed");
    std::fs::write(&record, whole).unwrap();
    let ended = ground.sweep();
    assert_eq!(ended.code, 0, "{ended}");
    assert_eq!(ground.there(&volume), NOTHING);
    assert!(!unknown.folder.join("abra").exists() && !run.folder.join("abra").exists());
}

#[test]
fn a_folder_of_runs_or_records_that_cannot_be_listed_means_could_not_check() {
    let ground = Ground::new(engine_or_skip!());
    let volume = format!("{}_data", ground.domain("blind").stack());
    ground.make("volume", &volume);
    for folder in ["state/runs", "state/stacks"] {
        let folder = ground.host.path(folder);
        // Unreadable for root, too: something else stands there.
        let _ = std::fs::remove_dir(&folder);
        std::fs::write(&folder, "").unwrap();
        let ended = ground.sweep();
        assert_eq!(
            (ended.code, Ground::codes(&ended)),
            (2, vec!["could-not-check state".to_owned()]),
            "{ended}"
        );
        assert!(ended.stdout.contains(folder.to_str().unwrap()), "it names the folder: {ended}");
        std::fs::remove_file(&folder).unwrap();
    }
    assert_eq!(ground.there(&volume).len(), 1, "an orphan, and yet nothing was concluded");
}

#[test]
fn a_run_that_lives_is_not_reaped_though_its_lock_is_free() {
    let ground = Ground::new(engine_or_skip!());
    let run = ground.run("elsewhere");
    ground.record(&run, &[]);
    let volume = format!("{}_data", run.stack);
    ground.make("volume", &volume);
    // As where run and janitor were told of different folders of locks.
    let _alive = cc_ci_process::alive::Alive::hold(&run.folder).unwrap();
    let ended = ground.sweep();
    let expected = ["reap-dead", "could-not-check"].map(|code| format!("{code} {}", run.domain));
    assert_eq!((ended.code, Ground::codes(&ended)), (2, expected.to_vec()), "{ended}");
    assert!(ended.stdout.contains("CCCI_APP_LOCK_DIR"), "{ended}");
    assert_eq!(ground.there(&volume).len(), 1);
    assert_eq!(run.result().run.state, RunState::Running);
}

#[test]
fn what_holds_one_stack_up_does_not_keep_the_others_of_its_run() {
    let ground = Ground::new(engine_or_skip!());
    ground.host.write_settings("[keep]\nimages_below_percent = 100\n[limits]\nteardown = \"3s\"\n");
    let run = ground.run("held");
    let second = ground.domain("second").stack();
    ground.record(&run, &[&second]);
    let held = format!("{second}_data");
    ground.make("volume", &held);
    ground.make("secret", &format!("{}_secret", run.stack));
    let image = ground.engine.image("probe:1.0").reference.clone();
    let user = ground.docker(&["create", "--volume", &format!("{held}:/held"), &image]);
    let ended = ground.sweep();
    assert_eq!(ended.code, 2, "{ended}");
    assert!(ended.stdout.contains(&format!("volume {held}")), "it names what is left: {ended}");
    assert_eq!(ground.there(run.stack.as_str()), NOTHING);
    ground.docker(&["rm", &user]);
    let ended = ground.sweep();
    assert_eq!(ended.code, 0, "{ended}");
    assert_eq!(ground.there(&held), NOTHING);
}

#[test]
fn a_dry_run_says_it_and_changes_nothing() {
    let ground = Ground::new(engine_or_skip!());
    let dead = ground.run("dry");
    ground.record(&dead, &[]);
    let volume = format!("{}_data", dead.stack);
    ground.make("volume", &volume);
    let before = tree(&ground);
    let ended = ground.host.run(&["sweep", "--dry-run", "--json"]);
    let expected = [format!("reap-dead {}", dead.domain), format!("settle-interrupted {}", dead.id)];
    assert_eq!((ended.code, Ground::codes(&ended)), (0, expected.to_vec()), "{ended}");
    assert_eq!(ground.there(&volume).len(), 1);
    assert_eq!(dead.result().run.state, RunState::Running);
    assert!(ground.lock_file(&dead.domain).exists());
    assert_eq!(tree(&ground), before, "neither diary nor health nor any other file");
    let labels = ground.docker(&["node", "inspect", "self", "--format", "{{json .Spec.Labels}}"]);
    assert!(!labels.contains(ground.zone.as_str()), "nor does it claim the zone: {labels}");
}

/// All files of the host's state and locks, with their times.
fn tree(ground: &Ground) -> Vec<String> {
    let listed = std::process::Command::new("find")
        .args(["state", "locks", "-printf", "%p %T@ %s %i\n"])
        .current_dir(ground.host.path(""))
        .output()
        .unwrap();
    let mut lines: Vec<String> = String::from_utf8_lossy(&listed.stdout).lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn janitor_leaves_nothing_of_its_own() {
    let ground = Ground::new(engine_or_skip!());
    let lone = ground.lock_file(&ground.domain("lone"));
    std::fs::write(&lone, "").unwrap();
    // What a writer that was killed has left, and what one may be writing at this moment.
    let stacks = ground.host.path("state/stacks");
    std::fs::create_dir_all(&stacks).unwrap();
    let [old, young] = [".x.json.abc.new", ".y.json.def.new"].map(|name| stacks.join(name));
    let yesterday = std::time::SystemTime::now() - std::time::Duration::from_secs(86_400);
    std::fs::File::create(&old).unwrap().set_modified(yesterday).unwrap();
    std::fs::write(&young, "{").unwrap();
    let ended = ground.sweep();
    assert_eq!(ended.code, 0, "{ended}");
    assert!(!old.exists() && young.exists());
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
    let witness = Witness::new(&ground);
    let looked = witness.looks();
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
    assert_eq!(witness.looks(), looked, "somebody else's stack was touched");
}

/// Somebody else's stack on the engine, for as long as this is held.
struct Witness<'a>(&'a Ground);

impl<'a> Witness<'a> {
    fn new(ground: &'a Ground) -> Self {
        witness::deploy(&ground.engine, &ground.engine.image("probe:1.0").reference).unwrap();
        Self(ground)
    }

    fn looks(&self) -> String {
        let looks = Onlooker::of(&self.0.engine).portrait_of_stack(witness::STACK);
        assert!(looks.contains("service ") && looks.contains("volume "), "{looks}");
        looks
    }
}

impl Drop for Witness<'_> {
    fn drop(&mut self) {
        let _ = witness::remove(&self.0.engine);
    }
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
