//! Processes that a dead run left behind: found by the run's folder, never by their name, and ended.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cc_ci_model::names::RunId;
use cc_ci_process::cancel::Cancellation;
use cc_ci_process::environment::CCCI_RUN_ID;
use cc_ci_process::wait::{Look, Waiting, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long a process may take to end after TERM; what it does has no use any more.
const GRACE: Duration = Duration::from_secs(2);
/// How long the kernel may take to end a killed one.
const DYING: Duration = Duration::from_secs(8);
const INTERVAL: Duration = Duration::from_millis(50);

/// Variables in which a shell keeps where it is and was: they follow a person's steps and belong to nobody.
const FOLLOWED: [&str; 2] = ["PWD", "OLDPWD"];

/// A process that works for a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// Its id.
    pub pid: i32,
    /// When it started, in the kernel's ticks since boot: with the id, this names one process for good.
    pub started: u64,
    /// What it calls itself, for people.
    pub name: String,
}

impl std::fmt::Display for Leftover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {} ({})", self.pid, self.name)
    }
}

/// All processes on this machine that work for a run below `runs`, by run.
///
/// A process works for a run whose folder, or a path in it, is in its environment (every child of a run gets `HOME` and
/// `ABRA_DIR` there, and a test the run's id), or is its working folder while it has no terminal: a person's shell
/// that looks around in a run's folder, and what is started there, is not the run's. Processes of other users that may not be looked at are not.
///
/// # Errors
/// The kernel's list of processes cannot be read.
pub fn of_runs(runs: &Path) -> io::Result<BTreeMap<RunId, Vec<Leftover>>> {
    let roots: Vec<PathBuf> =
        [Some(runs.to_owned()), runs.canonicalize().ok()].into_iter().flatten().collect();
    let mut found: BTreeMap<RunId, Vec<Leftover>> = BTreeMap::new();
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    for entry in std::fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        // One that ends while it is looked at is no leftover.
        let Some(stat) = Stat::of(pid).filter(|stat| pid != own && !stat.is_over) else { continue };
        if let Some(run) = run_of(pid, &stat, &roots) {
            found.entry(run).or_default().push(Leftover { pid, started: stat.started, name: stat.name });
        }
    }
    Ok(found)
}

/// The same of one run.
///
/// # Errors
/// The kernel's list of processes cannot be read.
pub fn of_run(runs: &Path, run: &RunId) -> io::Result<Vec<Leftover>> {
    Ok(of_runs(runs)?.remove(run).unwrap_or_default())
}

/// Ends the processes of one run: TERM, a short grace, KILL; looks again each time, so that what they start meanwhile
/// goes, too. Returns those that were ended.
///
/// # Errors
/// Some are still there: their names, for a person.
pub async fn end(runs: &Path, run: &RunId, cancellation: &Cancellation) -> Result<Vec<Leftover>, String> {
    let mut ended: Vec<Leftover> = Vec::new();
    for (signal, limit) in [(Signal::SIGTERM, GRACE), (Signal::SIGKILL, DYING)] {
        let waiting = Waiting { deadline: limit, interval: INTERVAL };
        let sentence = format!("waiting for the leftover processes of run {run} to end");
        let step = || {
            let here = of_run(runs, run).map_err(|error| error.to_string())?;
            for process in &here {
                let is_known = ended.contains(process);
                // Everyone is told TERM once; KILL can be said again.
                if !(is_known && signal == Signal::SIGTERM)
                    && Stat::of(process.pid).is_some_and(|now| now.started == process.started)
                {
                    let _ = kill(Pid::from_raw(process.pid), signal);
                }
                if !is_known {
                    ended.push(process.clone());
                }
            }
            Ok(if here.is_empty() { Look::There(()) } else { Look::NotYet(list(&here)) })
        };
        let mut step = step;
        let done = wait_for(&sentence, waiting, None, cancellation, || {
            std::future::ready::<Result<Look<()>, String>>(step())
        });
        match done.await {
            Ok(()) => return Ok(ended),
            Err(error) if signal == Signal::SIGKILL => return Err(error.to_string()),
            Err(_) => {}
        }
    }
    Ok(ended)
}

fn list(processes: &[Leftover]) -> String {
    processes.iter().map(Leftover::to_string).collect::<Vec<_>>().join(", ")
}

/// What `/proc/<pid>/stat` says (proc(5)).
struct Stat {
    name: String,
    is_over: bool,
    has_terminal: bool,
    started: u64,
}

impl Stat {
    fn of(pid: i32) -> Option<Self> {
        Self::parse(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The name stands in parentheses and may contain any character, so fields are counted from its end.
    fn parse(text: &str) -> Option<Self> {
        let (front, back) = text.rsplit_once(") ")?;
        let (_, name) = front.split_once(" (")?;
        let fields: Vec<&str> = back.split_ascii_whitespace().collect();
        // The third field is the first here; the terminal is the 7th, the start the 22nd.
        Some(Self {
            name: name.to_owned(),
            is_over: matches!(*fields.first()?, "Z" | "X"),
            has_terminal: *fields.get(4)? != "0",
            started: fields.get(19)?.parse().ok()?,
        })
    }
}

fn run_of(pid: i32, stat: &Stat, roots: &[PathBuf]) -> Option<RunId> {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let by_environment = environment.split(|byte| *byte == 0).find_map(|variable| {
        let (key, value) = std::str::from_utf8(variable).ok()?.split_once('=')?;
        if FOLLOWED.contains(&key) {
            return None;
        }
        let id = (key == CCCI_RUN_ID).then(|| RunId::parse(value).ok()).flatten();
        // An id alone may be anybody's: it counts where the folder is one of ours.
        id.filter(|id| roots.iter().any(|root| root.join(id.as_str()).is_dir()))
            .or_else(|| below(Path::new(value), roots))
    });
    by_environment.or_else(|| {
        let folder = std::fs::read_link(format!("/proc/{pid}/cwd")).ok()?;
        below(&folder, roots).filter(|_| !stat.has_terminal)
    })
}

/// The run whose folder a path lies in.
fn below(path: &Path, roots: &[PathBuf]) -> Option<RunId> {
    let rest = roots.iter().find_map(|root| path.strip_prefix(root).ok())?;
    RunId::parse(rest.components().next()?.as_os_str().to_str()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_shift_the_fields() {
        let text = "42 (a) (b c) S 1 42 42 34816 42 0 0 0 0 0 0 0 0 0 20 0 1 0 777 0 0";
        let stat = Stat::parse(text).unwrap();
        assert_eq!(
            (stat.name.as_str(), stat.is_over, stat.has_terminal, stat.started),
            ("a) (b c", false, true, 777)
        );
        assert!(Stat::parse("42 (x").is_none());
    }

    #[test]
    fn only_paths_below_a_runs_own_folder_lead_to_it() {
        let roots = [PathBuf::from("/state/runs")];
        let run = |path: &str| below(Path::new(path), &roots).map(|id| id.to_string());
        assert_eq!(run("/state/runs/20260102T030405-1a2b3c/home").as_deref(), Some("20260102T030405-1a2b3c"));
        for other in ["/state/runs", "/state/runs/x/20260102T030405-1a2b3c", "/other/20260102T030405-1a2b3c"]
        {
            assert_eq!(run(other), None, "{other}");
        }
    }
}
