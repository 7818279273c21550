//! The layers of the tests, from fast to real: what each runs, and what it needs.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context;
use cc_ci_testkit::progress::say;
use cc_ci_testkit::stock::{self, Proxy};
use cc_ci_testkit::testbed::{self, Testbed};
use cc_ci_testkit::{go_program, packages, rust_program};

use crate::test_binaries::{Count, Kind, LIMIT, TestBinary, counted};
use crate::workspace;
use crate::{check, nix_layer};

/// A layer, in the order they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Layer {
    /// Format, lints, licences, generated pages
    Check,
    /// The NixOS modules, evaluated and rendered, with every planted fault noticed
    Nix,
    /// Tests beside the code, and the examples in its documentation
    Unit,
    /// Tests of whole programs, with real files, signals and processes
    Program,
    /// The servers that tests start: building and keeping them
    Servers,
    /// Tests on a private Docker engine
    Swarm,
    /// Comment to verdict, on a real Gitea, Drone and exec runner beside that engine
    Loop,
    /// Locks, signals, sweeps and kills alone: what the layers program and swarm hold of them
    Concurrency,
    /// What is too long for every change: 200 kills, a storm of triggers, each check switched off, each defect put back, the bridge killed at each request; 1 to 2 hours
    Long,
}

/// The test programs of the concurrency suite, by package and target.
const CONCURRENCY: [&str; 21] = [
    "cc-ci-process/programs",
    "cc-ci-swarm/locks",
    "cc-ci-swarm/lock_protocol",
    "cc-ci-swarm/records",
    "cc-ci-swarm/leftovers_of_the_dead",
    "cc-ci-swarm/swarm_reap",
    "cc-ci-janitor/blind_sweeps",
    "cc-ci-janitor/swarm_sweep",
    "cc-ci-janitor/swarm_health",
    "cc-ci/swarm_concurrency",
    "cc-ci/swarm_phases",
    "cc-ci/swarm_plain_user",
    "cc-ci/swarm_kill_anywhere",
    "cc-ci/swarm_engine_restarts",
    "cc-ci/swarm_isolation",
    "cc-ci/swarm_lifetime",
    "cc-ci/swarm_keep",
    "cc-ci/swarm_leftovers",
    "cc-ci/swarm_storm",
    "cc-ci/swarm_admission",
    "cc-ci/swarm_retention",
];

/// Test programs of the layer [`Layer::Long`], each with the variable that makes it long.
const LONG: [(&str, (&str, &str)); 7] = [
    ("cc-ci/swarm_kill_anywhere", ("CCCI_TEST_KILLS", "200")),
    ("cc-ci/swarm_storm", ("CCCI_TEST_STORM", "big")),
    ("cc-ci/swarm_mutation", ("CCCI_TEST_MUTATION", "all")),
    ("cc-ci/swarm_green", ("CCCI_TEST_GREEN", "all")),
    ("cc-ci-testkit/defects", ("CCCI_TEST_DEFECTS", "all")),
    ("cc-ci-bridge/loop_kills", ("CCCI_TEST_BRIDGE_KILLS", "all")),
    ("cc-ci-bridge/loop_faults", ("CCCI_TEST_BRIDGE_FAULTS", "10")),
];

/// Test programs that compare the whole machine before and after: nothing else may start or end beside them.
const ALONE: [&str; 1] = ["cc-ci-testkit/swarm_bystander"];

/// More engines than this cost more memory than they save time: mostly, tests wait for stability windows.
const MOST_LANES: usize = 2;

/// A long test program that is still running after this hangs.
const LONG_LIMIT: Duration = Duration::from_secs(3 * 3600);

impl Layer {
    /// All that every change has to pass; [`Layer::Concurrency`] is a part of others, and with [`Layer::Long`] runs only
    /// where it is named.
    pub(crate) const ALL: [Self; 7] =
        [Self::Check, Self::Nix, Self::Unit, Self::Program, Self::Servers, Self::Swarm, Self::Loop];

    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Nix => "nix",
            Self::Unit => "unit",
            Self::Program => "program",
            Self::Servers => "servers",
            Self::Swarm => "swarm",
            Self::Loop => "loop",
            Self::Concurrency => "concurrency",
            Self::Long => "long",
        }
    }

    /// Whether it can do without Docker and without building servers.
    pub(crate) fn is_fast(self) -> bool {
        match self {
            Self::Check | Self::Nix | Self::Unit | Self::Program => true,
            Self::Servers | Self::Swarm | Self::Loop | Self::Concurrency | Self::Long => false,
        }
    }

    /// Whether it runs compiled tests.
    pub(crate) fn has_tests(self) -> bool {
        match self {
            Self::Unit | Self::Program | Self::Swarm | Self::Loop | Self::Concurrency | Self::Long => true,
            Self::Check | Self::Nix | Self::Servers => false,
        }
    }
}

/// How a layer went.
pub(crate) struct Outcome {
    /// What was counted.
    pub(crate) count: Count,
    /// Why the whole layer could not run here.
    pub(crate) skipped_because: Option<String>,
}

impl From<Count> for Outcome {
    fn from(count: Count) -> Self {
        Self { count, skipped_because: None }
    }
}

/// Runs one layer.
pub(crate) fn run(layer: Layer, binaries: &[TestBinary]) -> anyhow::Result<Outcome> {
    let of = |kind: Kind| binaries.iter().filter(move |binary| binary.kind == kind);
    match layer {
        Layer::Check => checks().map(Outcome::from),
        Layer::Nix => nix_layer::run().map(Outcome::from),
        Layer::Unit => {
            // Some make a recipe's repository, with git.
            packages::ensure(packages::PROGRAMS)?;
            let mut count = run_all(of(Kind::Unit), |path| Command::new(path))?;
            say("     Running the examples in the documentation");
            count += counted(workspace::cargo(&["test", "--quiet", "--workspace", "--doc"]), "the examples")?;
            Ok(count.into())
        }
        Layer::Program => {
            packages::ensure(packages::PROGRAMS)?;
            run_all(of(Kind::Program), |path| Command::new(path)).map(Outcome::from)
        }
        Layer::Servers => servers().map(Outcome::from),
        Layer::Swarm => swarm(&of(Kind::Swarm).cloned().collect::<Vec<_>>()),
        Layer::Long => {
            let find = |name: &str| binaries.iter().find(|binary| binary.name == name).cloned();
            let longs = LONG.iter().map(|(name, variable)| {
                find(name)
                    .map(|binary| (binary, *variable))
                    .with_context(|| format!("there is no test program {name}"))
            });
            long(&longs.collect::<anyhow::Result<Vec<_>>>()?)
        }
        Layer::Loop => swarm(&of(Kind::Loop).cloned().collect::<Vec<_>>()),
        Layer::Concurrency => {
            let is_ours = |binary: &&TestBinary| CONCURRENCY.contains(&binary.name.as_str());
            packages::ensure(packages::PROGRAMS)?;
            let mut count = run_all(of(Kind::Program).filter(is_ours), |path| Command::new(path))?;
            let on_swarm = swarm(&of(Kind::Swarm).filter(is_ours).cloned().collect::<Vec<_>>())?;
            count += on_swarm.count;
            Ok(Outcome { count, skipped_because: on_swarm.skipped_because })
        }
    }
}

fn run_all<'a>(
    binaries: impl Iterator<Item = &'a TestBinary>,
    command: impl Fn(&PathBuf) -> Command,
) -> anyhow::Result<Count> {
    let mut count = Count::default();
    for binary in binaries {
        count += binary.run(&command)?;
    }
    Ok(count)
}

fn checks() -> anyhow::Result<Count> {
    let mut count = Count::default();
    for check in check::all()? {
        say(format!("check {} ... {}", check.name, if check.passed { "ok" } else { "FAILED" }));
        count += one(check.passed);
    }
    Ok(count)
}

fn one(passed: bool) -> Count {
    Count { passed: u64::from(passed), failed: u64::from(!passed), skipped: 0 }
}

/// Builds what the layers swarm and loop start, each counted by whether it is there afterwards.
fn servers() -> anyhow::Result<Count> {
    packages::ensure(packages::TOOLCHAINS)?;
    let mut count = Count::default();
    let mut note = |name: &str, outcome: Result<(), String>| {
        say(format!("server {name} ... {}", outcome.as_ref().map_or_else(|error| error.as_str(), |()| "ok")));
        count += one(outcome.is_ok());
    };
    let text = |error: &dyn std::fmt::Display| error.to_string();
    note("probe", rust_program::probe().map(|_| ()).map_err(|error| text(&error)));
    note("restic", go_program::RESTIC.binary().map(|_| ()).map_err(|error| text(&error)));
    for program in [go_program::TRAEFIK, go_program::DRONE_RUNNER, go_program::DRONE, go_program::GITEA] {
        note(program.name, program.binary().map(|_| ()).map_err(|error| text(&error)));
    }
    if nix::unistd::geteuid().is_root() {
        packages::ensure(packages::ENGINE)?;
        note("images", stock::kept(Proxy::Traefik).map(|_| ()).map_err(|error| text(&error)));
    }
    Ok(count)
}

/// Runs the tests that need an engine, each test program inside the network of one of a few private engines.
fn swarm(binaries: &[TestBinary]) -> anyhow::Result<Outcome> {
    let (alone, beside): (Vec<_>, Vec<_>) =
        binaries.iter().cloned().partition(|binary| ALONE.contains(&binary.name.as_str()));
    let wanted = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let lanes = wanted.min(MOST_LANES).min(beside.len()).max(1);
    beside_engines(binaries.len(), lanes, |beds| {
        let mut count = in_lanes(&beside, beds)?;
        if let Some(bed) = beds.first() {
            count += run_all(alone.iter(), |path| in_engine(bed, path))?;
        }
        Ok(count)
    })
}

/// One lane per engine; each takes the next test program when it is done with one, so that none waits for a slow one.
fn in_lanes(binaries: &[TestBinary], beds: &[Testbed]) -> anyhow::Result<Count> {
    let next = AtomicUsize::new(0);
    let lane = |index: usize, bed: &Testbed| {
        let prefix = if beds.len() > 1 { format!("{}| ", index + 1) } else { String::new() };
        let mut count = Count::default();
        while let Some(binary) = binaries.get(next.fetch_add(1, Ordering::Relaxed)) {
            count += binary.run_as(&prefix, LIMIT, |path| in_engine(bed, path))?;
        }
        anyhow::Ok(count)
    };
    std::thread::scope(|scope| {
        let lanes: Vec<_> =
            beds.iter().enumerate().map(|(index, bed)| scope.spawn(move || lane(index, bed))).collect();
        let mut count = Count::default();
        for lane in lanes {
            count += lane.join().map_err(|_| anyhow::anyhow!("a lane of tests broke off"))??;
        }
        Ok(count)
    })
}

/// The same for long tests, each made long by a variable.
fn long(binaries: &[(TestBinary, (&str, &str))]) -> anyhow::Result<Outcome> {
    beside_engines(binaries.len(), 1, |beds| {
        let mut count = Count::default();
        let bed = beds.first().context("no engine was started")?;
        for (binary, (name, value)) in binaries {
            count += binary.run_as("", LONG_LIMIT, |path| {
                let mut command = in_engine(bed, path);
                command.env(name, value);
                command
            })?;
        }
        Ok(count)
    })
}

fn in_engine(bed: &Testbed, path: &PathBuf) -> Command {
    let mut command = bed.engine.command_in(path);
    command.env(testbed::VARIABLE, bed.description_file());
    command
}

/// Starts engines with all that tests want, for these tests, and removes them.
fn beside_engines(
    wanted: usize,
    engines: usize,
    tests: impl FnOnce(&[Testbed]) -> anyhow::Result<Count>,
) -> anyhow::Result<Outcome> {
    if !nix::unistd::geteuid().is_root() {
        let count = Count { skipped: wanted.max(1) as u64, ..Count::default() };
        let reason = "private Docker engines need root: run the same command with sudo".to_owned();
        return Ok(Outcome { count, skipped_because: Some(reason) });
    }
    packages::ensure(packages::ENGINE)?;
    packages::ensure(packages::PROGRAMS)?;
    packages::ensure(packages::TOOLCHAINS)?;
    let mut beds = Vec::new();
    for number in 1..=engines {
        say(format!(
            "starting private Docker engine {number} of {engines}, with registry, images and Traefik"
        ));
        beds.push(Testbed::start(Proxy::Traefik)?);
    }
    let count = tests(&beds)?;
    say("removing the private Docker engines");
    for bed in beds {
        bed.stop()?;
    }
    Ok(count.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_concurrency_suite_is_there_with_all_its_cases() {
        let mut cases = 0;
        for name in CONCURRENCY {
            let (package, target) = name.split_once('/').unwrap();
            let tests = workspace::folder().join("crates").join(package).join("tests");
            let (file, folder) = (tests.join(format!("{target}.rs")), tests.join(target));
            let files: Vec<PathBuf> = match file.is_file() {
                true => vec![file],
                false => std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect(),
            };
            let texts = files.iter().map(|file| std::fs::read_to_string(file).unwrap());
            // Those of a program with a main of its own stand in lists, name first.
            let of = |text: String| {
                ["#[test]", "#[tokio::test", "    (\"", "    (\n        \""]
                    .map(|mark| text.matches(mark).count())
            };
            let found: usize = texts.map(|text| of(text).iter().sum::<usize>()).sum();
            assert!(found > 0, "{name} has no test");
            cases += found;
        }
        assert!(cases >= 25, "{cases} cases");
    }
}
