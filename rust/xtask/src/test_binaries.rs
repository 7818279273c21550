//! The compiled tests of the workspace: finding them, running one, counting what it says.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use cc_ci_testkit::patience;
use cc_ci_testkit::progress::say;

use crate::workspace;

/// One compiled test program.
#[derive(Debug, Clone)]
pub(crate) struct TestBinary {
    /// Its package and target, as cargo names them.
    pub(crate) name: String,
    /// Where it is.
    pub(crate) path: PathBuf,
    /// The folder of its package, in which it runs.
    pub(crate) package: PathBuf,
    /// Where its tests belong.
    pub(crate) kind: Kind,
}

/// Where tests belong, told by where they lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Beside the code they test.
    Unit,
    /// `tests/*.rs`: the program, the kernel, files.
    Program,
    /// `tests/swarm_*.rs`: they need an engine.
    Swarm,
    /// `tests/loop_*.rs`: they need an engine and the forge.
    Loop,
}

/// How many tests there were, by outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// Ran and held.
    pub(crate) passed: u64,
    /// Did not hold.
    pub(crate) failed: u64,
    /// Could not run here.
    pub(crate) skipped: u64,
}

impl std::ops::AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// Compiles all tests of the workspace and lists them.
pub(crate) fn build() -> anyhow::Result<Vec<TestBinary>> {
    let arguments = ["test", "--workspace", "--no-run", "--message-format", "json-render-diagnostics"];
    let output =
        workspace::cargo(&arguments).stderr(Stdio::inherit()).output().context("starting cargo test")?;
    if !output.status.success() {
        bail!("the tests do not compile");
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let mut binaries: Vec<TestBinary> = messages.lines().filter_map(binary_of).collect();
    binaries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(binaries)
}

/// The test program a message of cargo announces.
fn binary_of(message: &str) -> Option<TestBinary> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    if message["reason"] != "compiler-artifact" || message["profile"]["test"] != true {
        return None;
    }
    let target = message["target"]["name"].as_str()?;
    let package = PathBuf::from(message["manifest_path"].as_str()?).parent()?.to_owned();
    let is_integration = message["target"]["kind"][0] == "test";
    let kind = match is_integration {
        false => Kind::Unit,
        true if target.starts_with("swarm_") => Kind::Swarm,
        true if target.starts_with("loop_") => Kind::Loop,
        true => Kind::Program,
    };
    let name = format!("{}/{target}", package.file_name()?.to_string_lossy());
    Some(TestBinary { name, path: message["executable"].as_str()?.into(), package, kind })
}

/// A binary that is still running after this hangs: the longest of them deploys for a few minutes.
pub(crate) const LIMIT: Duration = Duration::from_secs(1800);

impl TestBinary {
    /// Runs it through `command` (which starts the program it is given, inside a namespace or not), passes on what it
    /// writes, and counts.
    pub(crate) fn run(&self, command: impl FnOnce(&PathBuf) -> Command) -> anyhow::Result<Count> {
        self.run_as("", LIMIT, command)
    }

    /// The same with a limit of its own, each line behind a prefix that tells it from those of programs beside it.
    pub(crate) fn run_as(
        &self,
        prefix: &str,
        limit: Duration,
        command: impl FnOnce(&PathBuf) -> Command,
    ) -> anyhow::Result<Count> {
        say(format!("{prefix}     Running {}", self.name));
        let begin = Instant::now();
        let mut command = command(&self.path);
        command.current_dir(&self.package).env("CARGO_MANIFEST_DIR", &self.package);
        let marked = |stream| Marked { prefix: prefix.to_owned(), stream };
        let (out, err): (Box<dyn Write + Send>, Box<dyn Write + Send>) =
            (Box::new(std::io::stdout()), Box::new(std::io::stderr()));
        let count = counted_into(command, &self.name, limit, marked(out), marked(err))?;
        if !prefix.is_empty() {
            say(format!("{prefix}     {} took {:.0} s", self.name, begin.elapsed().as_secs_f32()));
        }
        Ok(self.judged(count))
    }

    /// A program of tests that ran none is a failure; beside the code there may be none.
    fn judged(&self, count: Count) -> Count {
        if self.kind == Kind::Unit || count != Count::default() {
            return count;
        }
        say(format!("{}: ran no test", self.name));
        Count { failed: 1, ..count }
    }
}

/// A stream whose every write is a whole line, which gets a prefix.
struct Marked {
    prefix: String,
    stream: Box<dyn Write + Send>,
}

impl Write for Marked {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        // In one piece, so that the lines of two programs never mix.
        self.stream.write_all(&[self.prefix.as_bytes(), line].concat())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.stream.flush()
    }
}

/// Runs a program that speaks like the test harness, passes its output on and counts.
pub(crate) fn counted(command: Command, name: &str) -> anyhow::Result<Count> {
    counted_into(command, name, LIMIT, std::io::stdout(), std::io::stderr())
}

fn counted_into(
    mut command: Command,
    name: &str,
    limit: Duration,
    out: impl Write + Send + 'static,
    err: impl Write + Send + 'static,
) -> anyhow::Result<Count> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("starting {name}"))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let readers = [
        std::thread::spawn(move || stdout.map(|stream| pass_on(stream, out)).unwrap_or_default()),
        std::thread::spawn(move || stderr.map(|stream| pass_on(stream, err)).unwrap_or_default()),
    ];
    let ended = patience::until("its end", limit, Duration::from_millis(20), || match child.try_wait() {
        Ok(Some(status)) => Ok(status.success()),
        Ok(None) => Err("still running".to_owned()),
        Err(error) => Err(error.to_string()),
    });
    let is_good = ended.unwrap_or_else(|error| {
        say(format!("{name}: {error}; killed"));
        let _ = child.kill();
        let _ = child.wait();
        false
    });
    let mut count = Count::default();
    for reader in readers {
        count += reader.join().unwrap_or_default();
    }
    // A test that skips itself is a passed one for the harness.
    count.passed = count.passed.saturating_sub(count.skipped);
    if !is_good && count.failed == 0 {
        say(format!("{name}: ended badly without naming a failed test"));
        count.failed = 1;
    }
    Ok(count)
}

/// Passes each line on as it comes and counts what it says.
fn pass_on(stream: impl Read, mut to: impl Write) -> Count {
    let mut count = Count::default();
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        let _ = to.write_all(&line).and_then(|()| to.flush());
        count += count_of(&String::from_utf8_lossy(&line));
        line.clear();
    }
    count
}

/// What one line adds: the harness's closing line, or a test that says it skips itself.
fn count_of(line: &str) -> Count {
    if line.starts_with("SKIP ") {
        return Count { skipped: 1, ..Count::default() };
    }
    let Some((_, rest)) = line.split_once("test result: ") else { return Count::default() };
    let number = |what: &str| {
        let before = rest.split(what).next().filter(|before| before.len() < rest.len());
        before.and_then(|before| before.trim().rsplit(' ').next()?.parse().ok()).unwrap_or(0)
    };
    Count { passed: number(" passed"), failed: number(" failed"), skipped: number(" ignored") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_and_skips_are_counted() {
        let line = "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s";
        assert_eq!(count_of(line), Count { passed: 12, failed: 3, skipped: 1 });
        assert_eq!(count_of("SKIP some_test: no engine"), Count { passed: 0, failed: 0, skipped: 1 });
        assert_eq!(count_of("test some_test ... ok"), Count::default());
    }

    #[test]
    fn a_program_of_tests_that_ran_none_is_a_failure() {
        let binary = |kind| TestBinary { name: "x/y".into(), path: "/x".into(), package: "/".into(), kind };
        let good = Count { passed: 1, ..Count::default() };
        for kind in [Kind::Program, Kind::Swarm, Kind::Loop] {
            assert_eq!(binary(kind).judged(Count::default()).failed, 1);
            assert_eq!(binary(kind).judged(good), good);
        }
        assert_eq!(binary(Kind::Unit).judged(Count::default()), Count::default());
    }

    #[test]
    fn a_program_that_dies_without_a_closing_line_counts_as_a_failure() {
        let mut command = Command::new("sh");
        command.args(["-c", "kill -9 $$"]);
        // Not into our own output, where whoever counts us would count it, too.
        let count = counted_into(command, "it", LIMIT, std::io::sink(), std::io::sink());
        assert_eq!(count.unwrap(), Count { failed: 1, ..Count::default() });
    }

    #[test]
    fn a_test_that_skips_itself_is_not_a_passed_one() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo 'SKIP a: b' >&2; echo 'test result: ok. 2 passed; 0 failed; 0 ignored'"]);
        // Not into our own output, where whoever counts us would count it, too.
        let count = counted_into(command, "it", LIMIT, std::io::sink(), std::io::sink());
        assert_eq!(count.unwrap(), Count { passed: 1, failed: 0, skipped: 1 });
    }

    #[test]
    fn tests_that_need_an_engine_are_told_by_their_name() {
        let message = |kind: &str, name: &str| {
            format!(
                "{{\"reason\":\"compiler-artifact\",\"profile\":{{\"test\":true}},\"manifest_path\":\"/w/cc-ci/Cargo.toml\",\
                 \"target\":{{\"kind\":[\"{kind}\"],\"name\":\"{name}\"}},\"executable\":\"/t/x\"}}"
            )
        };
        let kind = |kind, name| binary_of(&message(kind, name)).unwrap().kind;
        assert_eq!(kind("test", "swarm_canaries"), Kind::Swarm);
        assert_eq!(kind("test", "signals"), Kind::Program);
        assert_eq!(kind("lib", "swarm_things"), Kind::Unit);
    }
}
