//! `cargo xtask bench run`: `cc-ci run` beside a shell script that does the same, and beside the least time Docker allows.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use cc_ci_model::convergence::Limits;
use cc_ci_model::result::RunResult;
use cc_ci_model::tier::Tier;
use cc_ci_testkit::packages;
use cc_ci_testkit::patience;
use cc_ci_testkit::program::Program;
use cc_ci_testkit::progress::say;
use cc_ci_testkit::recipe_repository::RecipeRepository;
use cc_ci_testkit::stock::{HELPER_IMAGE, Proxy};
use cc_ci_testkit::testbed::Testbed;

use super::parallel;
use crate::{out, workspace};

/// How often it is measured.
#[derive(clap::Args)]
pub(crate) struct RunBenchArguments {
    /// How often each does its work; the table shows medians
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Measure so many runs at once, each of its own domain, beside one alone, and nothing else
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=16))]
    parallel: Option<u32>,
}

const RECIPE: &str = "custom-html";
const BASE: &str = "1.0.0+1.1";
const SCRIPT: &str = include_str!("whole_run/script.sh");
const FLOOR: &str = include_str!("whole_run/floor.sh");
const SHARED: &str = include_str!("whole_run/shared.sh");

/// The steps each of them tells apart.
const STEPS: [&str; 6] = ["install", "upgrade", "backup", "restore", "custom", "removal"];

/// What a run is asked for: everything but lint, which needs no engine.
const TIERS: &str = "install,upgrade,backup,restore,custom";

/// What is aimed at: wall time beside the script's and beside the floor's, seconds of our own, MiB.
const AIMS: [(&str, f64); 4] = [
    ("ratio to script", 0.6),
    ("ratio to floor", 1.15),
    ("outside Docker, s", 1.0),
    ("peak memory, MiB", 40.0),
];

/// Who does the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Script,
    Floor,
    CcCi,
}

impl Who {
    const ALL: [Self; 3] = [Self::Script, Self::Floor, Self::CcCi];

    fn word(self) -> &'static str {
        match self {
            Self::Script => "script",
            Self::Floor => "floor",
            Self::CcCi => "cc-ci",
        }
    }
}

/// One piece of work as it was measured. Seconds and MiB.
#[derive(Debug, Clone, Default)]
pub(super) struct Measured {
    pub(super) whole: f64,
    steps: BTreeMap<String, f64>,
    outside_docker: f64,
    peak_memory: f64,
}

/// Measures on a private engine that is gone afterwards, and prints the table.
pub(crate) fn run(arguments: &RunBenchArguments) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(arguments.rounds > 0, "--rounds 0 measures nothing");
    packages::ensure(packages::ENGINE)?;
    packages::ensure(packages::PROGRAMS)?;
    packages::ensure(packages::TOOLCHAINS)?;
    say("building cc-ci as it is released: takes some minutes the first time");
    let program = workspace::build_released("cc-ci")?;
    say("starting a private Docker engine");
    let bed = Testbed::start(Proxy::Without)?;
    let folder = tempfile::Builder::new().prefix("cc-ci-bench-").tempdir()?;
    let bench = Bench::prepare(&bed, folder.path(), &program)?;
    if let Some(count) = arguments.parallel {
        let status = parallel::measure(&bench, arguments.rounds, count)?;
        bed.stop()?;
        return Ok(status.into());
    }
    // What is read from disk for the first time is nobody's fault.
    for who in Who::ALL {
        bench.measure(who)?;
    }
    let mut all: BTreeMap<Who, Vec<Measured>> = BTreeMap::new();
    for round in 0..arguments.rounds {
        for turn in 0..Who::ALL.len() {
            // Each comes first, second and last in turn.
            let who = Who::ALL[(round + turn) % Who::ALL.len()];
            let measured = bench.measure(who)?;
            say(format!("round {}: {} {:.1} s", round + 1, who.word(), measured.whole));
            all.entry(who).or_default().push(measured);
        }
    }
    bed.stop()?;
    report(&all);
    Ok(ExitCode::SUCCESS)
}

/// What all three work on.
pub(super) struct Bench<'a> {
    bed: &'a Testbed,
    folder: &'a Path,
    program: &'a Path,
    head: String,
    window: Duration,
}

impl<'a> Bench<'a> {
    fn prepare(bed: &'a Testbed, folder: &'a Path, program: &'a Path) -> anyhow::Result<Self> {
        let source = folder.join("repository");
        let (_, head) = RecipeRepository::bundled(RECIPE, &source, &bed.description.registry)?;
        for (name, commit) in [("base", BASE), ("head", head.as_str())] {
            let worktree = ["worktree", "add", "--quiet", "--detach"];
            Program::new("git").folder(&source).args(worktree).arg(folder.join(name)).arg(commit).run()?;
        }
        std::fs::write(folder.join("script.sh"), SCRIPT)?;
        std::fs::write(folder.join("floor.sh"), FLOOR)?;
        std::fs::write(folder.join("shared.sh"), SHARED)?;
        let settings = std::fs::read_to_string(&bed.description.settings)?;
        // The other two restore once: so does the run.
        let (recipes, data) = (folder.join("recipes"), workspace::root().join("recipes").join(RECIPE));
        std::fs::create_dir(&recipes)?;
        Program::new("cp").arg("-r").arg(&data).arg(&recipes).run()?;
        let file = recipes.join(RECIPE).join("recipe.toml");
        let text = std::fs::read_to_string(&file)?;
        std::fs::write(&file, format!("{text}\n[not_applicable]\nelsewhere = \"measured without\"\n"))?;
        std::fs::write(folder.join("settings.toml"), format!("recipes = {recipes:?}\n{settings}"))?;
        Ok(Self { bed, folder, program, head, window: Limits::default().stability })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn measure(&self, who: Who) -> anyhow::Result<Measured> {
        match who {
            Who::Script => self.by_hand("script.sh"),
            Who::Floor => self.by_hand("floor.sh"),
            Who::CcCi => self.by_cc_ci(1),
        }
    }

    fn by_hand(&self, script: &str) -> anyhow::Result<Measured> {
        let mut command = self.bed.engine.command_in("bash");
        command.arg(self.path(script)).arg(format!("bench-{:08x}", std::process::id()));
        command.arg(self.path("base")).arg(self.path("head")).arg(self.window.as_secs().to_string());
        command.arg(HELPER_IMAGE);
        let (mut measured, said) = timed(command, script)?;
        for line in said.lines() {
            if let Some((name, seconds)) = line.strip_prefix("step ").and_then(|rest| rest.split_once(' ')) {
                measured.steps.insert(name.to_owned(), seconds.parse().context("the seconds of a step")?);
            }
        }
        Ok(measured)
    }

    /// One run of this pull request.
    pub(super) fn by_cc_ci(&self, pr: u32) -> anyhow::Result<Measured> {
        let mut command = self.bed.engine.command_in(self.program);
        let pr = pr.to_string();
        command.args(["run", "--json", "--recipe", RECIPE, "--ref", &self.head, "--pr", &pr]);
        command.args(["--tiers", TIERS, "--via", "direct", "--src"]).arg(self.path("repository"));
        command.env("CCCI_STATE_DIR", self.path("state")).env("CCCI_APP_LOCK_DIR", self.path("locks"));
        command.env("CCCI_SETTINGS", self.path("settings.toml")).env_remove("CCCI_RUNS_DIR");
        let (mut measured, said) = timed(command, "cc-ci run")?;
        let result = RunResult::read(&said).context("reading what cc-ci run --json printed")?;
        let mut docker = 0.0;
        for tier in &result.tiers {
            let step = if tier.name == Tier::Teardown { "removal" } else { tier.name.word() };
            measured.steps.insert(step.to_owned(), tier.seconds);
            docker += match tier.name {
                Tier::Teardown => tier.seconds,
                _ => tier
                    .checks
                    .iter()
                    .filter(|check| DOCKERS.contains(&check.name.as_str()))
                    .map(|check| check.seconds)
                    .sum(),
            };
        }
        measured.outside_docker = measured.whole - docker;
        Ok(measured)
    }
}

/// Checks of a run whose time is Docker's: they end when Docker is done.
const DOCKERS: [&str; 5] = [
    "images are there",
    "secrets are made",
    "deploy converges",
    "a snapshot is made",
    "the snapshot is put back",
];

/// Runs a command to its end; time, largest memory of its own process, standard output.
fn timed(mut command: Command, what: &str) -> anyhow::Result<(Measured, String)> {
    let errors = tempfile::NamedTempFile::new()?;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors.reopen()?);
    let begin = Instant::now();
    let mut child = command.spawn().with_context(|| format!("starting {what}"))?;
    let mut pipe = child.stdout.take().context("the child's standard output was asked for")?;
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).map(|_| text)
    });
    let mut memory = 0.0_f64;
    let look = || {
        memory = memory.max(high_water(&child));
        child.try_wait().map_err(|error| error.to_string())?.ok_or_else(|| "it runs".to_owned())
    };
    let ended = patience::until(what, Duration::from_secs(300), Duration::from_millis(10), look);
    let whole = begin.elapsed().as_secs_f64();
    if ended.is_err() {
        child.kill()?;
        child.wait()?;
    }
    let said = reader.join().map_err(|_| anyhow::anyhow!("reading the output of {what}"))??;
    let status = ended?;
    if !status.success() {
        bail!("{what} ended with {status}: {said} {}", std::fs::read_to_string(errors.path())?);
    }
    Ok((Measured { whole, peak_memory: memory, ..Measured::default() }, said))
}

/// `VmHWM` of a process, the most memory it ever had, in MiB; 0 once it has ended.
fn high_water(child: &Child) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}

fn report(all: &BTreeMap<Who, Vec<Measured>>) {
    let of = |who: Who, value: &dyn Fn(&Measured) -> f64| {
        median(all.get(&who).into_iter().flatten().map(value).collect())
    };
    let row = |name: &str, value: &dyn Fn(&Measured) -> f64| {
        let cells = Who::ALL.map(|who| format!("{:>8.1}", of(who, value)));
        out::line(format!("{name:<18}{}", cells.concat()));
    };
    let titles = Who::ALL.map(|who| format!("{:>8}", who.word()));
    out::line(format!("{:<18}{}", "seconds (medians)", titles.concat()));
    for step in STEPS {
        row(step, &|measured| measured.steps.get(step).copied().unwrap_or_default());
    }
    row("rest", &|measured| {
        measured.whole - STEPS.iter().filter_map(|step| measured.steps.get(*step)).sum::<f64>()
    });
    row("whole", &|measured| measured.whole);
    let whole = |who: Who| of(who, &|measured| measured.whole);
    let values = [
        whole(Who::CcCi) / whole(Who::Script),
        whole(Who::CcCi) / whole(Who::Floor),
        of(Who::CcCi, &|measured| measured.outside_docker),
        of(Who::CcCi, &|measured| measured.peak_memory),
    ];
    out::line("");
    for ((name, aim), value) in AIMS.into_iter().zip(values) {
        let verdict = if value <= aim { "reached" } else { "missed" };
        out::line(format!("{name:<18}{value:>8.2}   aim {aim}: {verdict}"));
    }
}

/// The middle one; of an even number, the mean of the two in the middle.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (values.get(middle), values.len() % 2) {
        (Some(value), 1) => *value,
        (Some(value), _) => f64::midpoint(values[middle - 1], *value),
        (None, _) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle_whatever_the_order() {
        assert_eq!(median(vec![9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 9.0]), 3.0);
        assert_eq!(median(Vec::new()), 0.0);
    }
}
