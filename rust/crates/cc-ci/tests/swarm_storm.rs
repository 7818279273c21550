//! A storm of triggers on one host: every verdict right, nothing left, no lock held. One test alone in its program, because
//! it compares everything the engine has.
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use cc_ci_model::sweep::Liveness;
use cc_ci_process::alive::liveness;
use cc_ci_testkit::run_host::{Ended, RunHost};
use cc_ci_testkit::{canaries, engine_or_skip, inventory};

mod support;
use support::{CC_CI, janitor, leaves_nothing};

/// How much comes at once.
struct Size {
    /// One commit is triggered twice, so many times.
    doubles: usize,
    /// Other recipes, each triggered once.
    recipes: usize,
    /// How many runs there are at a time: the runner's number, and the only one there is.
    capacity: usize,
}

const SMALL: Size = Size { doubles: 3, recipes: 3, capacity: 2 };
const BIG: Size = Size { doubles: 20, recipes: 8, capacity: 4 };

/// A trigger: what it runs, and how that must end.
struct Job {
    name: &'static str,
    arguments: Vec<String>,
    exit: i32,
}

/// The triggers in the order they come: the doubles, and between them the recipes, sound and unsound.
fn jobs(host: &RunHost, engine: &cc_ci_testkit::testbed::TestEngine, size: &Size) -> VecDeque<Job> {
    let sound = canaries::sound(engine);
    let mut arguments = host.prepare(&sound);
    // What meets in a storm is deploys; backups meet in a test of their own.
    arguments.extend(["--tiers", "install,upgrade"].map(str::to_owned));
    let mut others = canaries::all(engine).into_iter().take(size.recipes).map(|canary| Job {
        name: canary.name,
        arguments: host.prepare(&canary),
        exit: canary.expected.exit,
    });
    let mut jobs = VecDeque::new();
    for _ in 0..size.doubles {
        for _ in 0..2 {
            jobs.push_back(Job { name: sound.name, arguments: arguments.clone(), exit: 0 });
        }
        jobs.extend(others.next());
    }
    jobs.extend(others);
    jobs
}

/// So many runs at a time as the capacity says, as a runner starts them; and the most that were seen alive at once.
fn storm(host: &RunHost, jobs: VecDeque<Job>, capacity: usize) -> (Vec<(Job, Ended)>, usize) {
    let (queue, ended, most) = (Mutex::new(jobs), Mutex::new(Vec::new()), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..capacity {
            scope.spawn(|| {
                loop {
                    let job = queue.lock().unwrap().pop_front();
                    let Some(job) = job else { return };
                    let mut run = host.start(&job.arguments);
                    run.wait_until("its first result", |_, _| Some(()));
                    let alive =
                        host.run_folders().iter().filter(|one| liveness(one) == Liveness::Lives).count();
                    most.fetch_max(alive, Ordering::AcqRel);
                    let outcome = run.wait();
                    ended.lock().unwrap().push((job, outcome));
                }
            });
        }
    });
    (ended.into_inner().unwrap(), most.into_inner())
}

#[test]
fn a_storm_of_triggers_ends_with_the_right_verdicts_and_leaves_nothing() {
    let engine = engine_or_skip!();
    let size =
        if std::env::var_os("CCCI_TEST_STORM").is_some_and(|size| size == "big") { BIG } else { SMALL };
    let host = RunHost::new(CC_CI, &engine);
    let jobs = jobs(&host, &engine, &size);
    let count = jobs.len();
    assert_eq!(count, 2 * size.doubles + size.recipes);
    let everything = || {
        let mut all = inventory::take(&engine).unwrap();
        // The zone of this host is written on the node, which is gone with the host.
        all.remove("nodes");
        all
    };
    let before = everything();
    let (ended, most) = storm(&host, jobs, size.capacity);
    assert_eq!(ended.len(), count);
    let mut waited = 0;
    let mut domains = std::collections::BTreeSet::new();
    for (job, ended) in &ended {
        assert_eq!(ended.code, job.exit, "{}: {ended}", job.name);
        let result = ended.result();
        assert_eq!(
            result.deploys.counted,
            ended.file("state/deploys.jsonl").lines().count() as u32,
            "{ended}"
        );
        if job.exit == 0 {
            assert_eq!((result.deploys.counted, result.deploys.expected), (1, 1), "{ended}");
            domains.insert(result.run.domain.unwrap());
            waited += usize::from(ended.file("log.txt").contains("in flight — waiting"));
        }
    }
    assert_eq!(domains.len(), 1, "one commit has one domain: {domains:?}");
    assert!(waited > 0, "no two runs of the commit ever met");
    assert_eq!(most, size.capacity, "cc-ci itself lets as many run as are started");
    leaves_nothing(&engine, &host);
    assert_eq!(everything(), before);
    let sweep = janitor(&host, &engine);
    assert_eq!(sweep.status.code(), Some(0), "{}{}", sweep.stdout, sweep.stderr);
    assert!(!sweep.stdout.contains("reap"), "there was nothing to sweep: {}", sweep.stdout);
}
