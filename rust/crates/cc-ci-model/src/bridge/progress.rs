//! How far an attempt is, told by its run's folder first, its build's log second, and Drone's word only where nothing else is.

use std::time::Duration;

use crate::bridge::intent::StatusState;
use crate::outcome::VerdictWord;
use crate::result::{RunResult, RunState};
use crate::result_line::{PREFIX, ResultLine};
use crate::sweep::Liveness;

/// A build that Drone calls running has its run's folder after this time, or its runner died. The longest clone is shorter.
pub const FOLDER_BY: Duration = Duration::from_secs(600);
/// A log that is not there this long after its build ended does not come any more.
pub const LOG_BY: Duration = Duration::from_secs(120);
/// A killed build's step may go on through its removal, and its log comes only then.
pub const KILLED_LOG_BY: Duration = Duration::from_secs(900);

/// What Drone says of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildFact {
    /// It could not be asked.
    Unknown(String),
    /// It knows no such build.
    Gone,
    /// Waits for a runner; builds before it.
    Pending(usize),
    /// It runs.
    Running,
    /// Somebody cancelled it, or its time was up.
    Killed,
    /// It ended otherwise, with the exit code of its step where there is one.
    Ended(Option<i32>),
}

/// What the log of a build's step says.
#[derive(Debug, Clone, PartialEq)]
pub enum LogFact {
    /// It is not there (yet), or was not asked for.
    NotThere,
    /// It ends with a result.
    Result(Box<RunResult>),
    /// Another build did this attempt's run.
    Duplicate,
    /// It is there, and holds none; its last lines.
    NoResult(String),
}

/// Everything known about an attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// The result in the run's folder on this machine.
    pub run: Option<RunResult>,
    /// Whether that run lives; asked *before* the result was read, so that "dead" and "running" together mean killed.
    pub owner: Liveness,
    /// Drone's word.
    pub build: BuildFact,
    /// The log's.
    pub log: LogFact,
    /// Since the attempt was asked for.
    pub age: Duration,
    /// Since the build was first seen to have ended.
    pub over_for: Option<Duration>,
}

/// How far an attempt is.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// It waits; builds before it.
    Queued(usize),
    /// It is about to begin.
    Starting,
    /// It runs, and this is its result so far.
    Running(Box<RunResult>),
    /// It is over.
    Over(Box<Over>),
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Over {
    /// With a result.
    Result(Box<RunResult>),
    /// With words and no result, as a plan does, and as a bad argument does (exit 64).
    Words {
        /// The exit code of its step.
        code: Option<i32>,
        /// The last lines of its log.
        tail: String,
    },
    /// Somebody ended it before it came to a result; how far it was.
    Cancelled(String),
    /// Without a word; why it is given up.
    Lost(String),
}

/// Decides.
#[must_use]
pub fn judge(facts: &Facts) -> Progress {
    if let Some(run) = &facts.run {
        return match (run.run.state, &facts.owner) {
            (RunState::Finished | RunState::Interrupted, _) => over(Over::Result(Box::new(run.clone()))),
            // Truth is the folder and its lock, whatever Drone says.
            (RunState::Running, Liveness::Lives | Liveness::Unknown(_)) => {
                Progress::Running(Box::new(run.clone()))
            }
            (RunState::Running, Liveness::Dead) => {
                let tier = run.tiers.last().map_or("before its first tier", |tier| tier.name.word());
                over(Over::Lost(format!(
                    "its process ended in mid-run (last tier: {tier}); what it left is removed by the janitor"
                )))
            }
        };
    }
    if let LogFact::Result(result) = &facts.log {
        return over(Over::Result(result.clone()));
    }
    let waited = facts.over_for.unwrap_or_default();
    match (&facts.build, &facts.log) {
        (BuildFact::Pending(before), _) => Progress::Queued(*before),
        (BuildFact::Running, _) if facts.age > FOLDER_BY => over(Over::Lost(
            "its build says running and no run ever began; the runner may have been restarted".to_owned(),
        )),
        (BuildFact::Running | BuildFact::Unknown(_), _) => Progress::Starting,
        (BuildFact::Ended(code), LogFact::NoResult(tail)) => {
            over(Over::Words { code: *code, tail: tail.clone() })
        }
        (BuildFact::Killed, LogFact::NoResult(_)) => {
            over(Over::Cancelled("its run had not begun".to_owned()))
        }
        // The run of this attempt is another build's, whose folder or log will say more.
        (_, LogFact::Duplicate) if waited <= KILLED_LOG_BY => Progress::Starting,
        (BuildFact::Killed, _) if waited <= KILLED_LOG_BY => Progress::Starting,
        (BuildFact::Ended(_) | BuildFact::Gone, _) if waited <= LOG_BY => Progress::Starting,
        (BuildFact::Killed, _) => over(Over::Cancelled("its step was never heard of again".to_owned())),
        (BuildFact::Gone, _) => over(Over::Lost("Drone does not know its build any more".to_owned())),
        (BuildFact::Ended(_), _) => {
            over(Over::Lost("its build ended and left neither a log nor a result".to_owned()))
        }
    }
}

fn over(over: Over) -> Progress {
    Progress::Over(Box::new(over))
}

impl Over {
    /// What the commit's status becomes.
    #[must_use]
    pub fn status(&self) -> StatusState {
        match self {
            Self::Result(result) => match result.verdict {
                Some(VerdictWord::Pass) => StatusState::Success,
                Some(VerdictWord::Fail | VerdictWord::Refused) => StatusState::Failure,
                Some(VerdictWord::Trouble | VerdictWord::Cancelled) | None => StatusState::Error,
            },
            Self::Words { .. } | Self::Cancelled(_) | Self::Lost(_) => StatusState::Error,
        }
    }

    /// The word kept for it; [`crate::bridge::intent::RETRY`] where another attempt is worth its time.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Result(result) => crate::bridge::intent::outcome_word(result),
            // A plan that is made, and an argument that is wrong: asking again says the same.
            Self::Words { code: Some(0), .. } => "said",
            Self::Words { code: Some(64), .. } => "bad argument",
            // On Drone's page or by a comment: whoever did it does not want another one.
            Self::Cancelled(_) => VerdictWord::Cancelled.word(),
            Self::Words { .. } | Self::Lost(_) => crate::bridge::intent::RETRY,
        }
    }
}

/// Finds the result in a step's log: the last line that begins with [`PREFIX`]. A call that was no run says there why.
#[must_use]
pub fn read_log(log: &str) -> LogFact {
    let clean = |line: &str| strip_colour(line).trim().to_owned();
    for line in log.lines().rev().take(50) {
        let line = clean(line);
        let Some(json) = line.strip_prefix(PREFIX) else { continue };
        if let Ok(result) = RunResult::read(json) {
            return LogFact::Result(Box::new(result));
        }
        if let Ok(ResultLine::BadArgument { bad_argument, .. }) = serde_json::from_str(json) {
            return LogFact::NoResult(bad_argument);
        }
        let value: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
        if value.get("duplicate").is_some() {
            return LogFact::Duplicate;
        }
    }
    // The runner shows each command of the step behind a plus.
    let is_output = |line: &String| !line.is_empty() && !line.starts_with("+ ");
    let lines: Vec<String> = log.lines().map(clean).filter(is_output).collect();
    LogFact::NoResult(lines[lines.len().saturating_sub(60)..].join("\n"))
}

/// A line without the escape sequences that colour it.
fn strip_colour(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            chars.by_ref().find(char::is_ascii_alphabetic);
        } else if !c.is_control() || c == '\t' {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::say::tests::result;

    fn facts(build: BuildFact) -> Facts {
        Facts {
            run: None,
            owner: Liveness::Dead,
            build,
            log: LogFact::NotThere,
            age: Duration::from_secs(30),
            over_for: None,
        }
    }

    fn lost(progress: &Progress) -> bool {
        matches!(progress, Progress::Over(over) if matches!(**over, Over::Lost(_)))
    }

    #[test]
    fn drone_running_is_not_believed_without_a_live_owner() {
        let mut killed = facts(BuildFact::Running);
        let mut run = result();
        run.run.state = RunState::Running;
        killed.run = Some(run);
        assert!(lost(&judge(&killed)));
        killed.owner = Liveness::Lives;
        assert!(matches!(judge(&killed), Progress::Running(_)));
        let mut never = facts(BuildFact::Running);
        assert_eq!(judge(&never), Progress::Starting);
        never.age = FOLDER_BY + Duration::from_secs(1);
        assert!(lost(&judge(&never)));
    }

    #[test]
    fn vanished_or_restarted_build_is_settled() {
        let mut gone = facts(BuildFact::Gone);
        assert_eq!(judge(&gone), Progress::Starting, "a moment of patience");
        gone.over_for = Some(LOG_BY + Duration::from_secs(1));
        assert!(lost(&judge(&gone)));
        gone.run = Some(result());
        assert!(matches!(judge(&gone), Progress::Over(over) if matches!(*over, Over::Result(_))));
    }

    #[test]
    fn a_killed_build_is_over_only_when_its_step_is() {
        let mut killed = facts(BuildFact::Killed);
        killed.over_for = Some(Duration::from_secs(300));
        assert_eq!(judge(&killed), Progress::Starting);
        killed.log = LogFact::Result(Box::new(result()));
        assert!(matches!(judge(&killed), Progress::Over(_)));
    }

    #[test]
    fn what_somebody_cancelled_in_the_queue_or_at_drone_is_not_tried_again() {
        let mut killed = facts(BuildFact::Killed);
        killed.log = LogFact::NoResult("the build ended before its step began".to_owned());
        let mut silent = facts(BuildFact::Killed);
        silent.over_for = Some(KILLED_LOG_BY + Duration::from_secs(1));
        for facts in [killed, silent] {
            let Progress::Over(over) = judge(&facts) else { panic!("{facts:?}") };
            assert_eq!((over.word(), over.status()), ("cancelled", StatusState::Error));
        }
    }

    #[test]
    fn a_result_is_found_in_a_log_behind_colours_and_other_lines() {
        let json = serde_json::to_string(&result()).unwrap();
        let log = format!("+ cc-ci run\nhello\n\u{1b}[2mcc-ci-result: {json}\u{1b}[0m\n+ :\n");
        assert_eq!(read_log(&log), LogFact::Result(Box::new(result())));
        assert_eq!(read_log("cc-ci-result: {\"duplicate\":{\"comment\":1}}\n"), LogFact::Duplicate);
        let refused =
            format!("+ cc-ci run\n{}\n", ResultLine::bad_argument("unknown tier x").line().unwrap());
        assert_eq!(read_log(&refused), LogFact::NoResult("unknown tier x".to_owned()));
        assert_eq!(
            read_log("+ cc-ci plan\na\n\n\u{1b}[31mb\u{1b}[0m\n"),
            LogFact::NoResult("a\nb".to_owned())
        );
    }
}
