//! `cargo xtask bench dashboard`: ten thousand runs, the pages over them, and the same bytes as a file behind nginx.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use cc_ci_process::exit::ExitStatus;
use cc_ci_testkit::packages::{self, Need};
use cc_ci_testkit::patience;
use cc_ci_testkit::program::Program;
use cc_ci_testkit::progress::say;

use crate::workspace;

const RECIPES: usize = 50;
/// Answers of `/` in each round.
const SECONDS: u32 = 5;
/// Each contender is first once and second once.
const ROUNDS: usize = 2;
const CONNECTIONS: u32 = 8;
/// Neither program needs this long to start or to end.
const LIMIT: Duration = Duration::from_secs(60);

const NEEDS: &[Need] =
    &[Need { program: "wrk", package: "wrk" }, Need { program: "nginx", package: "nginx-light" }];

/// How large.
#[derive(clap::Args)]
pub(crate) struct DashboardBenchArguments {
    /// How many runs are generated
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    runs: u32,
}

/// What one round of load came to.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Load {
    per_second: f64,
    p99: Duration,
}

/// Generates, measures, prints.
pub(crate) fn run(arguments: &DashboardBenchArguments) -> anyhow::Result<ExitCode> {
    packages::ensure(NEEDS)?;
    let folder = tempfile::tempdir().context("making a folder for runs")?;
    say(format!("writing {} runs of {RECIPES} recipes", arguments.runs));
    generate(&folder.path().join("state/runs"), arguments.runs)?;
    say("building the dashboard as it is released: takes a minute the first time");
    let program = workspace::build_released("cc-ci-dashboard")?;
    // Once for the kernel's cache of files: a reboot is not what is measured.
    drop(Dashboard::start(&program, folder.path())?);
    let dashboard = Dashboard::start(&program, folder.path())?;
    let page = get(dashboard.address, "/")?;
    let nginx = Nginx::start(folder.path(), &page)?;
    ensure!(get(nginx.address, "/index.html")? == page, "nginx sends other bytes than the dashboard");
    let mut loads: [Vec<Load>; 2] = [Vec::new(), Vec::new()];
    for round in 0..ROUNDS {
        say(format!("round {} of {ROUNDS}: {SECONDS} s each", round + 1));
        for turn in 0..2 {
            let which = (round + turn) % 2;
            let address = [dashboard.address, nginx.address][which];
            let path = ["/", "/index.html"][which];
            loads[which].push(load(address, path)?);
        }
    }
    let memory = dashboard.memory()?;
    let median = |loads: &[Load], of: fn(&Load) -> f64| {
        let mut values: Vec<f64> = loads.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or_default()
    };
    let (ours, theirs) =
        (median(&loads[0], |load| load.per_second), median(&loads[1], |load| load.per_second));
    let p99 = median(&loads[0], |load| load.p99.as_secs_f64() * 1000.0);
    let (start, memory) = (dashboard.took.as_secs_f64(), memory_mib(memory));
    let rows = [
        ("seconds to start", start, "at most 1", start <= 1.0),
        ("memory, MiB", memory, "at most 60", memory <= 60.0),
        ("overview p99, ms", p99, "at most 10", p99 <= 10.0),
        ("overview, answers per second", ours, "", true),
        ("nginx, same bytes", theirs, "", true),
        ("ratio to nginx", ours / theirs, "at least 0.5", ours / theirs >= 0.5),
    ];
    crate::out::line(format!("{} runs, {RECIPES} recipes, page of {} bytes\n", arguments.runs, page.len()));
    for (what, value, aim, is_reached) in rows {
        let word = match (aim, is_reached) {
            ("", _) => "",
            (_, true) => "reached",
            (_, false) => "missed",
        };
        crate::out::line(format!("{what:<32}{value:>10.2}  {aim:<14}{word}"));
    }
    drop(nginx);
    drop(dashboard);
    Ok(ExitStatus::Good.into())
}

#[allow(clippy::cast_precision_loss, reason = "a few dozen mebibytes")]
fn memory_mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Run folders as real runs leave them, of all verdicts, spread over the recipes.
fn generate(runs: &Path, count: u32) -> anyhow::Result<()> {
    for number in 0..count {
        let seconds = i64::from(number) * 300;
        let started = jiff::Timestamp::from_second(1_750_000_000 + seconds)?;
        let id = format!("{}-{:06x}", started.strftime("%Y%m%dT%H%M%S"), number & 0x00ff_ffff);
        let folder = runs.join(&id);
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        std::fs::write(folder.join("result.json"), result(&id, number, started).to_string())?;
    }
    Ok(())
}

fn result(id: &str, number: u32, started: jiff::Timestamp) -> serde_json::Value {
    let is_red = number % 7 == 3;
    let verdict = if number % 31 == 5 {
        "trouble"
    } else if is_red {
        "fail"
    } else {
        "pass"
    };
    let check = |tier: &str, index: u32| {
        serde_json::json!({
            "name": format!("check {index} of {tier} looks at something"), "origin": "generic", "status": "pass", "seconds": 0.25,
            "message": "what was seen is what was wanted, in one sentence of ordinary length", "log": null,
        })
    };
    let tiers = ["install", "upgrade", "backup", "restore", "custom", "lint", "teardown"].map(|tier| {
        let status = if is_red && tier == "restore" { "fail" } else { "pass" };
        let checks: Vec<_> = (0..6).map(|index| check(tier, index)).collect();
        serde_json::json!({ "name": tier, "status": status, "reason": "", "seconds": 7.5, "checks": checks })
    });
    serde_json::json!({
        "schema": 1,
        "run": { "id": id, "state": "finished", "started": started.to_string(), "finished": started.to_string(), "host": "bench",
            "pid": 1, "deployer": "native", "via": "proxy", "domain": null, "stack": null },
        "request": { "recipe": format!("recipe-{:02}", number as usize % RECIPES), "src": "https://example.org/x.git",
            "ref": format!("{number:040x}"), "pr": number % 400 + 1, "tiers": null, "from": null },
        "verdict": verdict, "trouble": null, "tools": { "cc_ci": "0.1.0" }, "customisation": [],
        "level": if is_red { 2 } else { 5 }, "level_reason": if is_red { "restore failed" } else { "every rung holds" },
        "plan": [], "base": null, "tiers": tiers, "deploys": { "counted": 1, "expected": 1 }, "teardown": null,
        "images": [], "footprint": { "peak_memory_bytes": 200_000_000 + number, "image_bytes": 1, "seconds": {} },
        "redaction": { "masked": 3, "leaks": 0 }, "retries": [], "limits": [], "replay": "cc-ci run --recipe x",
    })
}

/// A running dashboard; ends with its guard.
struct Dashboard {
    child: Child,
    address: SocketAddr,
    took: Duration,
}

impl Dashboard {
    fn start(program: &Path, folder: &Path) -> anyhow::Result<Self> {
        let begin = Instant::now();
        let mut child = Command::new(program)
            .args(["serve", "--listen", "127.0.0.1:0"])
            .env_clear()
            .env("CCCI_STATE_DIR", folder.join("state"))
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        let mut lines = BufReader::new(child.stderr.take().context("its standard error is piped")?);
        let mut address = None;
        let mut line = String::new();
        while address.is_none() && lines.read_line(&mut line)? > 0 {
            address = line.split(" on ").nth(1).and_then(|rest| rest.split_whitespace().next()?.parse().ok());
            line.clear();
        }
        let took = begin.elapsed();
        // Whatever it says later is read to nowhere, so that it never waits for a reader.
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        let address = address.context("the dashboard ended before it served")?;
        Ok(Self { child, address, took })
    }

    /// The most memory it had so far, bytes.
    fn memory(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        Ok(kibibytes.context("the kernel does not say how much memory it had")? * 1024)
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// nginx with one file, in the foreground, all of its files in the bench's folder.
struct Nginx {
    child: Child,
    address: SocketAddr,
}

impl Nginx {
    fn start(folder: &Path, page: &[u8]) -> anyhow::Result<Self> {
        let place = folder.join("nginx");
        std::fs::create_dir_all(place.join("root"))?;
        // Its workers are another user's.
        open_to_all(folder)?;
        std::fs::write(place.join("root/index.html"), page)?;
        // Free now, and nobody else on this machine takes ports at random in the next moment.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let file = place.join("nginx.conf");
        std::fs::write(&file, config(&place, address))?;
        let mut child = Command::new("nginx")
            .arg("-p")
            .arg(&place)
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .spawn()
            .context("starting nginx")?;
        let answers = patience::until("nginx to answer", LIMIT, Duration::from_millis(20), || {
            TcpStream::connect(address).map(drop).map_err(|error| error.to_string())
        });
        if let Err(error) = answers {
            let _ = child.kill();
            let _ = child.wait();
            bail!("{error}");
        }
        Ok(Self { child, address })
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // By TERM: it ends its workers.
        if let Ok(pid) = i32::try_from(self.child.id()) {
            let _ =
                nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM);
        }
        let _ = self.child.wait();
    }
}

fn open_to_all(folder: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))
        .context("opening the bench's folder")
}

fn config(place: &Path, address: SocketAddr) -> String {
    let place = place.display();
    format!(
        "daemon off;\nworker_processes 2;\npid {place}/nginx.pid;\nerror_log {place}/error.log;\n\
         events {{ worker_connections 256; }}\n\
         http {{ access_log off; keepalive_requests 1000000; default_type text/html;\n\
         client_body_temp_path {place}/body; proxy_temp_path {place}/proxy; fastcgi_temp_path {place}/fastcgi;\n\
         uwsgi_temp_path {place}/uwsgi; scgi_temp_path {place}/scgi;\n\
         server {{ listen {address}; root {place}/root; }} }}\n"
    )
}

fn get(address: SocketAddr, path: &str) -> anyhow::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(LIMIT))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n")?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n").context("the answer has no head")?;
    ensure!(bytes.starts_with(b"HTTP/1.1 200"), "{path} on {address} did not answer with 200");
    Ok(bytes.split_off(head + 4))
}

/// Loads one address with wrk.
fn load(address: SocketAddr, path: &str) -> anyhow::Result<Load> {
    let (connections, seconds) = (CONNECTIONS.to_string(), format!("{SECONDS}s"));
    let url = format!("http://{address}{path}");
    let said = Program::new("wrk")
        .args(["--threads", "1", "--connections", &connections, "--duration", &seconds, "--latency", &url])
        .run()?;
    load_of(&said).with_context(|| format!("reading what wrk said of {url}: {said}"))
}

/// Reads what wrk prints: `Requests/sec: 1234.5` and, below the distribution, `99% 3.21ms`.
fn load_of(said: &str) -> Option<Load> {
    let after = |start: &str| said.lines().find_map(|line| line.trim().strip_prefix(start)).map(str::trim);
    let p99 = after("99%")?;
    let (number, unit) = p99.split_at(p99.find(|c: char| c.is_ascii_alphabetic())?);
    let unit = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        _ => return None,
    };
    // Errors would make it look quick.
    if said.contains("Non-2xx") || said.contains("Socket errors") {
        return None;
    }
    let p99 = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * unit).ok()?;
    Some(Load { per_second: after("Requests/sec:")?.parse().ok()?, p99 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wrk_says_is_read_and_errors_are_no_speed() {
        let said = "  Latency Distribution\n     50%  210.00us\n     99%    3.21ms\n  999 requests in 5.00s\nRequests/sec:  20512.33\n";
        assert_eq!(load_of(said), Some(Load { per_second: 20512.33, p99: Duration::from_micros(3210) }));
        assert_eq!(load_of(&format!("{said}  Non-2xx or 3xx responses: 4\n")), None);
        assert_eq!(load_of("Requests/sec: 1\n"), None);
    }

    #[test]
    fn generated_results_are_results() {
        let at = jiff::Timestamp::from_second(1_750_000_000).unwrap();
        for number in [0, 3, 5] {
            let id = "20250615T150640-000001";
            let text = result(id, number, at).to_string();
            let id = cc_ci_model::names::RunId::parse(id).unwrap();
            let entry = cc_ci_model::dashboard::Entry::read(id, &text);
            assert!(entry.summary.is_ok(), "{number}: {:?}", entry.summary);
        }
    }
}
