//! `cargo xtask bench bridge`: from comment to build, and what looking for comments costs in requests, time and memory.

mod stand_in;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use cc_ci_process::exit::ExitStatus;
use cc_ci_testkit::forge::gitea::{BOSS, BOT, MEMBER, ORGANISATION};
use cc_ci_testkit::forge::{Forge, PIPELINE_REPOSITORY, PullRequest, free_port};
use cc_ci_testkit::held::{Held, ServerSpec};
use cc_ci_testkit::patience;
use cc_ci_testkit::progress::say;
use cc_ci_testkit::recipe_repository::RecipeRepository;

use crate::out;
use crate::workspace;
use stand_in::StandIn;

/// How it is measured.
#[derive(clap::Args)]
pub(crate) struct BridgeBenchArguments {
    /// A bridge that is built already, instead of the released one
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

/// Repositories of an organisation; a tenth of them changed within the last two minutes.
const SIZES: [usize; 4] = [1, 10, 100, 1000];
/// Looks per size.
const LOOKS: u32 = 200;
/// Looks after which the memory is measured.
const MANY_LOOKS: u32 = 10_000;
/// The most memory a bridge may have had by then: 20 MB, in whole MiB.
const MEMORY_LIMIT: u64 = 19;
/// Comments per way to hear of them.
const COMMENTS: usize = 5;
/// The interval of polls in the comparison.
const POLL: Duration = Duration::from_secs(3);
/// From comment to build by a webhook; by a poll the interval comes on top.
const LATENCY_LIMIT: Duration = Duration::from_secs(1);

/// A pipeline that takes every build; no runner is there, so it stays in the queue.
const PIPELINE: &str = "kind: pipeline\ntype: exec\nname: recipe\nplatform: {os: linux, arch: amd64}\n\
    trigger: {event: [custom]}\nclone: {disable: true}\nsteps:\n  - name: run\n    commands: [\"true\"]\n";

/// Measures, prints, and is good if every limit is kept.
pub(crate) fn run(arguments: &BridgeBenchArguments) -> anyhow::Result<ExitCode> {
    let program = match &arguments.program {
        Some(program) => program.clone(),
        None => {
            say("building cc-ci-bridge as it is released: takes some minutes the first time");
            workspace::build_released("cc-ci-bridge")?
        }
    };
    let mut is_kept = true;
    out::line("repositories  changed  requests per look  CPU per look, ms  memory, MiB");
    for size in SIZES {
        let cost = look(&program, size.div_ceil(10), LOOKS)?;
        out::line(format!("{size:>12}{cost}"));
    }
    let cost = look(&program, 10, MANY_LOOKS)?;
    let word = judged(cost.memory <= MEMORY_LIMIT << 20, &mut is_kept);
    out::line(format!("100 repositories, {MANY_LOOKS} looks:{cost}, limit {MEMORY_LIMIT} MiB: {word}"));
    for (name, has_hook) in [("webhook", true), ("poll", false)] {
        let times = latencies(&program, has_hook)?;
        let limit = if has_hook { LATENCY_LIMIT } else { LATENCY_LIMIT + POLL };
        let (least, most) = (times.iter().min(), times.iter().max());
        let (least, most) = least.copied().zip(most.copied()).context("nothing was measured")?;
        let word = judged(most <= limit, &mut is_kept);
        out::line(format!(
            "comment to build by {name}: {:.2} to {:.2} s of {COMMENTS}, limit {} s: {word}",
            least.as_secs_f64(),
            most.as_secs_f64(),
            limit.as_secs()
        ));
    }
    Ok(if is_kept { ExitStatus::Good } else { ExitStatus::Red }.into())
}

fn judged(is_good: bool, all: &mut bool) -> &'static str {
    *all &= is_good;
    if is_good { "kept" } else { "MISSED" }
}

/// What looks cost.
struct Cost {
    changed: usize,
    requests: f64,
    cpu: Duration,
    /// The most it had, bytes.
    memory: u64,
}

impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let cpu = self.cpu.as_secs_f64() * 1000.0;
        write!(f, "{:>9}{:>19.1}{cpu:>18.2}{:>13}", self.changed, self.requests, self.memory >> 20)
    }
}

/// Settings of a bridge in `folder`.
fn settings(folder: &Path, gitea: &str, drone: &str, more: &str) -> anyhow::Result<PathBuf> {
    let token = |name: &str| folder.join(name);
    let text = format!(
        "gitea = {gitea:?}\ndrone = {drone:?}\norganisations = [\"{ORGANISATION}\"]\npipeline = \"{PIPELINE_REPOSITORY}\"\n\
         gitea_token_file = {:?}\ndrone_token_file = {:?}\n{more}",
        token("gitea-token"),
        token("drone-token")
    );
    let path = folder.join("bridge.toml");
    std::fs::write(&path, text).context("writing the bridge's settings")?;
    Ok(path)
}

/// Lets the real bridge look at a stand-in, and watches it from outside.
fn look(program: &Path, changed: usize, looks: u32) -> anyhow::Result<Cost> {
    let folder = tempfile::tempdir().context("making a folder for a bridge")?;
    let server = StandIn::start(changed).context("starting a stand-in for the forge")?;
    for name in ["gitea-token", "drone-token"] {
        std::fs::write(folder.path().join(name), "a-token-of-nobody").context("writing a token")?;
    }
    let config = settings(folder.path(), &server.url, &server.url, "")?;
    let mut child = Command::new(program)
        .args(["once", "--times", &looks.to_string(), "--config"])
        .arg(config)
        .env_clear()
        .env("CCCI_STATE_DIR", folder.path().join("state"))
        .env("CCCI_APP_LOCK_DIR", folder.path().join("locks"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .with_context(|| format!("starting {}", program.display()))?;
    let (mut cpu, mut memory) = (Duration::ZERO, 0);
    let ended = patience::until("the looks", Duration::from_secs(900), Duration::from_millis(2), || {
        if let Some((now, peak)) = used(&child) {
            (cpu, memory) = (now, peak);
        }
        match child.try_wait() {
            Ok(Some(status)) => Ok(status),
            Ok(None) => Err(format!("{} requests", server.asked())),
            Err(error) => Err(error.to_string()),
        }
    });
    if ended.is_err() {
        let _ = child.kill();
        let _ = child.wait();
    }
    ensure!(ended?.success(), "the bridge ended badly");
    let requests = server.asked().saturating_sub(1) as f64 / f64::from(looks);
    Ok(Cost { changed, requests, cpu: cpu / looks, memory })
}

/// CPU time so far and the most memory so far, bytes (proc(5)); none once it has ended.
fn used(child: &Child) -> Option<(Duration, u64)> {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{}/{name}", child.id())).ok();
    let stat = read("stat")?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    let status = read("status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = peak.split_whitespace().next()?.parse().ok()?;
    // A tick is a hundredth of a second on Linux (`getconf CLK_TCK`).
    Some((Duration::from_millis(ticks * 10), kilobytes << 10))
}

/// From before a comment is posted until Drone lists its build, on a real Gitea and Drone.
fn latencies(program: &Path, has_hook: bool) -> anyhow::Result<Vec<Duration>> {
    let folder = tempfile::tempdir().context("making a folder for a bridge")?;
    let forge = Forge::start(PIPELINE, &[])?;
    let tree = folder.path().join("custom-html");
    RecipeRepository::bundled("custom-html", &tree, "127.0.0.1:9")?;
    let pr = forge.add_recipe("custom-html", &tree)?;
    std::fs::write(folder.path().join("gitea-token"), forge.token(BOT))?;
    std::fs::write(folder.path().join("drone-token"), &forge.drone_token)?;
    std::fs::write(folder.path().join("secret"), "what both share")?;
    let port = free_port()?;
    let mut more = format!("poll = \"{}s\"\n", if has_hook { 30 } else { POLL.as_secs() });
    if has_hook {
        more += &format!(
            "listen = \"127.0.0.1:{port}\"\nwebhook_secret_file = {:?}\n",
            folder.path().join("secret")
        );
        let hook = serde_json::json!({"type": "gitea", "active": true, "events": ["pull_request_comment"],
            "config": {"url": format!("http://127.0.0.1:{port}/hook"), "content_type": "json", "secret": "what both share"}});
        forge.ask_as(BOSS, "POST", &format!("/orgs/{ORGANISATION}/hooks"), Some(&hook))?;
    }
    let config = settings(folder.path(), &forge.gitea.url, &forge.drone.url, &more)?;
    let state = folder.path().join("state");
    let spec = ServerSpec {
        program: program.to_owned(),
        arguments: ["--config".into(), config.into(), "serve".into()].into(),
        environment: vec![
            ("CCCI_STATE_DIR".to_owned(), state.clone().into()),
            ("CCCI_APP_LOCK_DIR".to_owned(), folder.path().join("locks").into()),
        ],
        folder: folder.path().to_owned(),
        log: folder.path().join("bridge.log"),
    };
    // A head has to be a few seconds older than the comment.
    let begin = Instant::now();
    let step = Duration::from_millis(100);
    patience::until("the head to be old enough", Duration::from_secs(30), step, || {
        if begin.elapsed() > Duration::from_secs(8) { Ok(()) } else { Err("too young".to_owned()) }
    })?;
    let bridge = Held::start(&spec)?;
    patience::until("the bridge to have looked once", Duration::from_secs(60), step, || {
        if state.join("bridge/queue.json").exists() { Ok(()) } else { Err(bridge.log_tail()) }
    })?;
    (0..COMMENTS).map(|_| one_latency(&forge, &pr, &bridge)).collect()
}

fn one_latency(forge: &Forge, pr: &PullRequest, bridge: &Held) -> anyhow::Result<Duration> {
    let begin = Instant::now();
    let comment = forge.comment(MEMBER, pr, "!testme")?.to_string();
    let took = patience::until("a build", Duration::from_secs(60), Duration::from_millis(10), || {
        let builds = forge.builds().map_err(|error| error.to_string())?;
        let is_there = builds.iter().any(|build| build["params"]["CCCI_COMMENT"] == comment.as_str());
        if is_there { Ok(begin.elapsed()) } else { Err(bridge.log_tail()) }
    })?;
    Ok(took)
}
