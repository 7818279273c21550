//! What is kept of runs that are over: real folders and real images, on an engine of its own, whose images go.
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cc_ci_model::names::{Recipe, RunId};
use cc_ci_model::outcome::VerdictWord;
use cc_ci_model::result::RunResult;
use cc_ci_process::alive::Alive;
use cc_ci_process::atomic::write_json;
use cc_ci_swarm::image_lock::rest_images;
use cc_ci_testkit::run_host::{Ended, RunHost};
use cc_ci_testkit::stock::Proxy;
use cc_ci_testkit::testbed::{TestEngine, Testbed};
use cc_ci_testkit::{can_start_engines, canaries, engine_or_skip};

mod support;
use support::{CC_CI, janitor, leaves_nothing};

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// A copy of a real run's folder, as of another run so long ago.
fn copy(host: &RunHost, real: &Ended, recipe: &str, age: u64, verdict: VerdictWord) -> PathBuf {
    let then = jiff::Timestamp::now() - Duration::from_secs(age);
    let mut result = real.result();
    result.run.id = RunId::new(then, rand::random());
    result.run.started = then.to_string();
    result.run.finished = Some(then.to_string());
    result.request.recipe = Recipe::parse(recipe).unwrap();
    result.verdict = Some(verdict);
    let folder = host.path("state/runs").join(result.run.id.as_str());
    let from = real.folder.as_ref().unwrap();
    let copied = std::process::Command::new("cp").arg("-a").arg(from).arg(&folder).status().unwrap();
    assert!(copied.success());
    write_json(&folder.join("result.json"), &result).unwrap();
    folder
}

/// A run folder without a result, from so long ago.
fn empty(host: &RunHost, age: u64) -> PathBuf {
    let id = RunId::new(jiff::Timestamp::now() - Duration::from_secs(age), rand::random());
    let folder = host.path("state/runs").join(id.as_str());
    std::fs::create_dir_all(folder.join("state")).unwrap();
    folder
}

fn sweep(host: &RunHost, engine: &TestEngine) -> String {
    let sweep = janitor(host, engine);
    assert_eq!(sweep.status.code(), Some(0), "{}{}", sweep.stdout, sweep.stderr);
    sweep.stdout
}

#[test]
fn run_folders_have_a_retention() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    host.write_settings("[keep]\nruns_per_recipe = 2\nruns_for = \"30d\"\nimages_below_percent = 100\n");
    let mut arguments = host.prepare(&canaries::sound(&engine));
    arguments.extend(["--tiers", "install"].map(str::to_owned));
    let real = host.run(&arguments);
    assert_eq!(real.code, 0, "{real}");
    use VerdictWord::{Fail, Pass};
    let folder = |age, verdict| copy(&host, &real, "many-runs", age, verdict);
    let (newest, second) = (folder(5 * HOUR, Fail), folder(DAY, Fail));
    let newest_green = folder(3 * DAY, Pass);
    let gone =
        [folder(2 * DAY, Fail), folder(70 * DAY, Fail), folder(90 * DAY, Pass), empty(&host, 90 * DAY)];
    let last_of_another = copy(&host, &real, "one-run", 80 * DAY, Fail);
    let living = folder(50 * DAY, Fail);
    let _alive = Alive::hold(&living).unwrap();
    let just_born = empty(&host, 1);
    let foreign = host.path("state/runs/notes");
    std::fs::create_dir(&foreign).unwrap();

    let said = sweep(&host, &engine);
    let of_real = real.folder.clone().unwrap();
    let kept: BTreeSet<&Path> =
        [&newest, &second, &newest_green, &last_of_another, &living, &just_born, &foreign, &of_real]
            .map(PathBuf::as_path)
            .into();
    let there = host.run_folders();
    assert_eq!(there.iter().map(PathBuf::as_path).collect::<BTreeSet<_>>(), kept, "{said}");
    for folder in &gone {
        let id = folder.file_name().unwrap().to_str().unwrap();
        assert!(said.contains(id), "{id} went without a word: {said}");
    }
    assert!(said.contains("older than 30 days") && said.contains("2 newer ones of many-runs"), "{said}");
    let again = sweep(&host, &engine);
    assert!(!again.contains("trim-run-folder"), "{again}");
    leaves_nothing(&engine, &host);
}

/// Names of the images on an engine.
fn images(bed: &Testbed) -> BTreeSet<String> {
    let list = ["image", "ls", "--format", "{{.Repository}}:{{.Tag}}"];
    bed.engine.docker().args(list).run().unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn images_of_old_runs_go_from_a_full_disk_and_never_while_a_run_pulls_or_deploys() {
    if !can_start_engines() {
        return;
    }
    let bed = Testbed::start(Proxy::Without).unwrap();
    let engine = bed.description.clone();
    let prefix = bed.engine.nsenter_prefix();
    let prefix: Vec<&str> = prefix.iter().map(|word| word.to_str().unwrap()).collect();
    let host = RunHost::new(CC_CI, &engine).started_by(&prefix);
    let mut arguments = host.prepare(&canaries::sound(&engine));
    arguments.extend(["--tiers", "install,upgrade"].map(str::to_owned));
    let all = images(&bed);
    // A disk with anything on it is too full.
    host.write_settings("[keep]\nimages_below_percent = 0\n");

    let mut run = host.start(&arguments);
    for words in ["\"tier_started\",\"tier\":\"install\"", "\"tier_started\",\"tier\":\"upgrade\""] {
        run.wait_for_event(words);
        let said = sweep(&host, &engine);
        assert!(said.contains("keep-images") && !said.contains("remove-image"), "{said}");
    }
    let ended = run.wait();
    assert_eq!(ended.code, 0, "{ended}");
    assert_eq!(images(&bed), all);

    // Now nobody runs: what the run has brought goes, but for what a container is made of; what it has not brought stays.
    let [base, head] = ["probe:1.0", "probe:1.1"].map(|name| engine.image(name).reference.clone());
    let user = bed.engine.docker().args(["create", "--name", "user", &head]).run().unwrap();
    let said = sweep(&host, &engine);
    let expected: BTreeSet<String> = all.iter().filter(|name| **name != base).cloned().collect();
    assert_eq!(images(&bed), expected, "{said}");
    bed.engine.docker().args(["rm", user.trim()]).run().unwrap();
    let said = sweep(&host, &engine);
    let expected: BTreeSet<String> = expected.into_iter().filter(|name| *name != head).collect();
    assert_eq!(images(&bed), expected, "{said}");
    assert!(expected.len() > 1, "there were images that no run has brought: {all:?}");

    // A run that begins while images are being removed waits, and pulls what is gone.
    let state = host.path("state");
    let removing = rest_images(&state).unwrap().unwrap();
    let mut run = host.start(&arguments);
    run.wait_until("the wait", |folder, _| {
        let log = std::fs::read_to_string(folder.join("log.txt")).ok()?;
        log.contains("the janitor removes images — waiting").then_some(())
    });
    assert_eq!(images(&bed), expected);
    drop(removing);
    run.wait_for_event("\"tier_started\",\"tier\":\"upgrade\"");
    let ended = run.wait();
    assert_eq!(ended.code, 0, "{ended}");
    let result: RunResult = ended.result();
    assert_eq!(result.images.len(), 2, "{ended}");
    assert_eq!(images(&bed), all);
    leaves_nothing(&engine, &host);
    drop(host);
    bed.stop().unwrap();
}
