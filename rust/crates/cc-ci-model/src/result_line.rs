//! The last line of a run's log: its result, for a reader who has the log and nothing else of the machine.

use serde::{Deserialize, Serialize};

use crate::result::{RunResult, SCHEMA};

/// What stands before the JSON.
pub const PREFIX: &str = "cc-ci-result: ";

/// What the line says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ResultLine {
    /// There was no run, and there is no run folder: the caller asked for something that is not there.
    BadArgument {
        /// Version of the format.
        schema: u32,
        /// The exit status, always 64.
        exit: u8,
        /// What was wrong, in one sentence.
        bad_argument: String,
    },
    /// The result of a run.
    Run(Box<RunResult>),
}

impl ResultLine {
    /// The line of a call that was no run.
    #[must_use]
    pub fn bad_argument(sentence: &str) -> Self {
        // A line is one line.
        let sentence: Vec<&str> = sentence.split_whitespace().collect();
        Self::BadArgument { schema: SCHEMA, exit: 64, bad_argument: sentence.join(" ") }
    }

    /// The whole line.
    ///
    /// # Errors
    /// It cannot be said in JSON.
    pub fn line(&self) -> Result<String, serde_json::Error> {
        Ok(format!("{PREFIX}{}", serde_json::to_string(self)?))
    }

    /// Reads the last such line of a log; `None` where there is none.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn of_log(log: &str) -> Option<Result<Self, serde_json::Error>> {
        let json = log.lines().rev().find_map(|line| line.strip_prefix(PREFIX))?;
        Some(serde_json::from_str(json))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_was_no_run_says_so_in_its_last_line() {
        let line = ResultLine::bad_argument("unknown tier \"x\";\nknown are install").line().unwrap();
        assert_eq!(
            line,
            "cc-ci-result: {\"schema\":1,\"exit\":64,\"bad_argument\":\"unknown tier \\\"x\\\"; known are install\"}"
        );
        let read = ResultLine::of_log(&format!("cc-ci: unknown tier\n{line}\n")).unwrap().unwrap();
        assert!(matches!(read, ResultLine::BadArgument { exit: 64, .. }), "{read:?}");
        assert!(ResultLine::of_log("cloning the recipe\n").is_none());
        assert!(ResultLine::of_log("cc-ci-result: {\"schema\":1").unwrap().is_err());
    }
}
