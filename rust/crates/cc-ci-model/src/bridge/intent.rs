//! What became of one comment: seen → allowed or refused → build requested → announced → settled.
//!
//! An intent is one file, `<state>/bridge/intents/<comment>.json`, created exclusively by whoever sees the comment first,
//! and written ahead of each step: before a build is created its attempt stands in the file, before an answer is posted
//! the answer is looked for by its mark. So a bridge that is killed anywhere and started again goes on where it was. What
//! cannot be made exact from here (Drone has no idempotent create) is made exact by the run: it claims comment and attempt,
//! and a surplus build ends as a duplicate.

use serde::{Deserialize, Serialize};

use crate::bridge::command::{Command, Unclear};
use crate::bridge::parameters::Right;
use crate::names::CommitSha;
use crate::result::RunResult;

/// Version of the file.
pub const SCHEMA: u32 = 1;

/// Attempts for one comment: the first, and one more after trouble that may pass.
pub const ATTEMPTS: u32 = 2;

/// What a comment came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    /// Version of this format.
    pub schema: u32,
    /// Id of the comment.
    pub comment: u64,
    /// `<owner>/<name>` of the pull request.
    pub repository: String,
    /// Its number.
    pub pr: u32,
    /// Numeric id of the author.
    pub author_id: u64,
    /// Login of the author.
    pub author: String,
    /// When it was written, RFC 3339, by the forge's clock.
    pub written: String,
    /// What it asks for.
    pub asked: Asked,
    /// The right and the commit, once it may.
    pub granted: Option<Granted>,
    /// Why not, if it may not.
    pub refused: Option<Refusal>,
    /// The builds asked for, in order.
    pub attempts: Vec<Attempt>,
    /// Who or what ended it before its time.
    pub ended_by: Option<EndedBy>,
    /// The answer on the pull request.
    pub answer: Answer,
    /// The last commit status that the forge took.
    pub status: Option<PostedStatus>,
    /// How it ended, in one word.
    pub outcome: Option<String>,
    /// Nothing is left to do.
    pub is_settled: bool,
}

/// What a comment asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asked {
    /// A command.
    Command(Command),
    /// Something that was meant as one.
    Unclear(Unclear),
}

/// By which right, on which commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// The right.
    pub right: Right,
    /// The pull request's head when the comment was written; null for what needs none.
    pub commit: Option<CommitSha>,
}

/// Why a comment starts nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// Nobody of ours: silence.
    Stranger,
    /// The head is another one than the comment meant.
    Moved {
        /// The head then, where it is known.
        then: Option<CommitSha>,
        /// The head when it was seen.
        now: CommitSha,
    },
    /// Nobody can say which head it meant.
    TooClose,
    /// The pull request is closed.
    Closed,
    /// The repository is no recipe of this server.
    NotEnrolled,
}

impl Refusal {
    /// Whether anybody is told: strangers get silence, and everything else is only found out for those who may.
    #[must_use]
    pub fn is_told(&self) -> bool {
        *self != Self::Stranger
    }
}

/// One build asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    /// When it was asked for, RFC 3339.
    pub requested: String,
    /// Drone's number, once it is known.
    pub build: Option<u64>,
    /// The run's id, once it is known.
    pub run: Option<String>,
    /// How it ended, once it did.
    pub outcome: Option<String>,
    /// When its build was first seen to have ended.
    #[serde(default)]
    pub over_since: Option<String>,
}

/// What ended a run before its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndedBy {
    /// Somebody's `!testme cancel`.
    Person(String),
    /// A trigger for a newer head: that comment.
    Newer(u64),
}

/// The one comment that answers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Answer {
    /// Its id.
    pub id: Option<u64>,
    /// Its text, as it was sent last.
    pub said: Option<String>,
    /// Folded away, since a newer one is there.
    #[serde(default)]
    pub is_folded: bool,
}

/// A commit status that the forge took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostedStatus {
    /// The state.
    pub state: StatusState,
    /// The sentence.
    pub description: String,
}

/// The states of a commit status. Gitea stores any word (`forge`, statuses), so there are no others here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatusState {
    /// Queued or running.
    Pending,
    /// Green.
    Success,
    /// The recipe is red, or refused.
    Failure,
    /// Nobody can say: our trouble, a cancel.
    Error,
}

impl StatusState {
    /// The word the forge takes.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Error => "error",
        }
    }
}

/// What is to be done next for a comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing, ever.
    Nothing,
    /// Find out whether it may, and which commit it means.
    Authorise,
    /// Say why not, or nothing, and settle.
    Refuse,
    /// Answer what needs no build, and settle.
    Reply,
    /// Write down that this attempt is asked for; only then ask.
    Begin(u32),
    /// Find this attempt's build at Drone, or create it.
    Create(u32),
    /// Look how far this attempt is, and report it.
    Watch(u32),
    /// Report the end, and settle.
    Conclude,
}

impl Intent {
    /// Reads an intent's file.
    ///
    /// # Errors
    /// A sentence: no intent, or one of a newer schema.
    pub fn read(text: &str) -> Result<Self, String> {
        let value: serde_json::Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        match value["schema"].as_u64() {
            Some(schema) if schema <= u64::from(SCHEMA) => {
                serde_json::from_value(value).map_err(|error| error.to_string())
            }
            other => Err(format!("schema {other:?}, this program reads up to {SCHEMA}")),
        }
    }

    /// Whether it asks for a build.
    #[must_use]
    pub fn wants_build(&self) -> bool {
        matches!(self.asked, Asked::Command(Command::Run(_) | Command::Plan))
    }

    /// Whether a build of it may be queued or running.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.is_settled && self.wants_build() && self.refused.is_none()
    }

    /// The commit it is about, once it is known.
    #[must_use]
    pub fn commit(&self) -> Option<&CommitSha> {
        self.granted.as_ref()?.commit.as_ref()
    }

    /// What comes next; everything is decided by what stands in the file.
    #[must_use]
    pub fn next(&self) -> Step {
        if self.is_settled {
            return Step::Nothing;
        }
        if self.refused.is_some() {
            return Step::Refuse;
        }
        if self.granted.is_none() {
            return Step::Authorise;
        }
        if !self.wants_build() {
            return Step::Reply;
        }
        match self.attempts.last() {
            // Ended before anything was asked for: there is nothing to wait for.
            None if self.ended_by.is_some() => Step::Conclude,
            None => Step::Begin(1),
            Some(attempt) if attempt.outcome.is_some() => match self.repeats(attempt) {
                true => Step::Begin(attempt.number + 1),
                false => Step::Conclude,
            },
            Some(attempt) if attempt.build.is_none() => Step::Create(attempt.number),
            Some(attempt) => Step::Watch(attempt.number),
        }
    }

    fn repeats(&self, attempt: &Attempt) -> bool {
        attempt.outcome.as_deref() == Some(RETRY) && attempt.number < ATTEMPTS && self.ended_by.is_none()
    }

    /// Whether this one is over as soon as `newer` is allowed: another head of the same pull request was asked for later.
    #[must_use]
    pub fn is_superseded_by(&self, newer: &Self) -> bool {
        self.is_open()
            && newer.is_open()
            && matches!(self.asked, Asked::Command(Command::Run(_)))
            && matches!(newer.asked, Asked::Command(Command::Run(_)))
            && newer.comment > self.comment
            && (&self.repository, self.pr) == (&newer.repository, newer.pr)
            && newer.commit().is_some_and(|new| self.commit().is_some_and(|old| old != new))
    }
}

/// Outcome of an attempt after which another one is worth its time.
pub const RETRY: &str = "trouble, may pass";

/// The word for how an attempt ended: the verdict's, or [`RETRY`] for trouble that may pass.
#[must_use]
pub fn outcome_word(result: &RunResult) -> &'static str {
    match (result.verdict, &result.trouble) {
        (_, Some(trouble)) if trouble.retry => RETRY,
        (Some(verdict), _) => verdict.word(),
        (None, _) => RETRY,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::bridge::command::Scope;

    pub(crate) fn intent(comment: u64, asked: Command) -> Intent {
        Intent {
            schema: SCHEMA,
            comment,
            repository: "recipes/custom-html".to_owned(),
            pr: 7,
            author_id: 3,
            author: "maria".to_owned(),
            written: "2026-01-02T03:04:05Z".to_owned(),
            asked: Asked::Command(asked),
            granted: None,
            refused: None,
            attempts: Vec::new(),
            ended_by: None,
            answer: Answer::default(),
            status: None,
            outcome: None,
            is_settled: false,
        }
    }

    pub(crate) fn granted(digit: char) -> Option<Granted> {
        let commit = CommitSha::parse(&digit.to_string().repeat(40)).unwrap();
        Some(Granted { right: Right::Member, commit: Some(commit) })
    }

    fn attempt(number: u32) -> Attempt {
        Attempt {
            number,
            requested: "2026-01-02T03:04:06Z".to_owned(),
            build: None,
            run: None,
            outcome: None,
            over_since: None,
        }
    }

    #[test]
    fn a_run_goes_through_its_steps_in_order() {
        let mut intent = intent(42, Command::Run(Scope::Whole));
        assert_eq!(intent.next(), Step::Authorise);
        intent.granted = granted('a');
        assert_eq!(intent.next(), Step::Begin(1));
        intent.attempts.push(attempt(1));
        assert_eq!(intent.next(), Step::Create(1), "killed between writing and asking");
        intent.attempts[0].build = Some(5);
        assert_eq!(intent.next(), Step::Watch(1));
        intent.attempts[0].outcome = Some(RETRY.to_owned());
        assert_eq!(intent.next(), Step::Begin(2));
        intent.attempts.push(attempt(2));
        intent.attempts[1].build = Some(6);
        intent.attempts[1].outcome = Some(RETRY.to_owned());
        assert_eq!(intent.next(), Step::Conclude, "trouble is repeated once");
        intent.is_settled = true;
        assert_eq!(intent.next(), Step::Nothing);
        let text = serde_json::to_string(&intent).unwrap();
        assert_eq!(Intent::read(&text).unwrap(), intent);
        assert!(Intent::read(&text.replace("\"schema\":1", "\"schema\":2")).is_err());
    }

    #[test]
    fn what_was_ended_on_purpose_is_not_repeated() {
        let mut intent = intent(42, Command::Run(Scope::Whole));
        intent.granted = granted('a');
        intent.ended_by = Some(EndedBy::Person("maria".to_owned()));
        assert_eq!(intent.next(), Step::Conclude);
        intent.attempts.push(attempt(1));
        intent.attempts[0].outcome = Some(RETRY.to_owned());
        assert_eq!(intent.next(), Step::Conclude);
    }

    #[test]
    fn commands_without_a_build_are_answered_and_settled() {
        for command in [Command::Help, Command::Cancel] {
            let mut intent = intent(42, command);
            intent.granted = Some(Granted { right: Right::Member, commit: None });
            assert_eq!(intent.next(), Step::Reply);
            intent.refused = Some(Refusal::Stranger);
            assert_eq!(intent.next(), Step::Refuse);
        }
    }

    #[test]
    fn second_trigger_is_visible_and_can_supersede_the_first() {
        let (mut old, mut new) =
            (intent(1, Command::Run(Scope::Whole)), intent(2, Command::Run(Scope::Whole)));
        (old.granted, new.granted) = (granted('a'), granted('b'));
        assert!(old.is_superseded_by(&new) && !new.is_superseded_by(&old));
        new.granted = granted('a');
        assert!(!old.is_superseded_by(&new), "the same head waits its turn");
        new.granted = granted('b');
        new.pr = 8;
        assert!(!old.is_superseded_by(&new), "another pull request");
        new.pr = 7;
        old.is_settled = true;
        assert!(!old.is_superseded_by(&new), "over already");
    }
}
