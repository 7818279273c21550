//! Seeing comments: what changed since the last look, each comment once, whoever tells of it first.

use std::time::{Duration, Instant};

use cc_ci_forge::gitea::{Changed, Comment};
use cc_ci_forge::http::ForgeError;
use cc_ci_model::bridge::command::{Command, Heard, TRIGGER, Unclear, hear};
use cc_ci_model::bridge::intent::{Answer, Asked, Intent, SCHEMA};
use jiff::{SignedDuration, Timestamp};

use crate::service::{Bridge, BridgeError};

/// Clocks and late writes of the forge: everything of the last two minutes is looked at again.
const OVERLAP: SignedDuration = SignedDuration::from_mins(2);
/// What the quick pass may have missed is found by this one.
const FULL_PASS_EVERY: Duration = Duration::from_secs(600);
/// How far back the full pass looks.
const FULL_PASS_BACK: SignedDuration = SignedDuration::from_hours(24);

impl Bridge {
    /// One look at every organisation.
    pub(crate) async fn poll(&mut self) -> Result<(), BridgeError> {
        let is_full = self.last_full_pass.is_none_or(|at| at.elapsed() >= FULL_PASS_EVERY);
        for organisation in self.settings.organisations.clone() {
            let mark = self.marks.of(&organisation, Timestamp::now())?;
            let since = if is_full && self.last_full_pass.is_some() {
                mark.begun.max(mark.seen_until - FULL_PASS_BACK)
            } else {
                mark.seen_until - OVERLAP
            };
            let changes = self.gitea.changed(&organisation, since).await?;
            self.health.count("polls");
            // One pull request that cannot be looked at hides no other one; a server that is away ends the look.
            let mut failed = None;
            for changed in &changes.pulls {
                match self.look_at(changed, since, mark.begun).await {
                    Ok(()) => {}
                    Err(
                        error @ BridgeError::Forge(ForgeError::Busy { .. } | ForgeError::Malformed { .. }),
                    ) => {
                        failed = Some(error);
                    }
                    Err(error) => return Err(error),
                }
            }
            if let Some(error) = failed {
                return Err(error);
            }
            // By the forge's own clock, and only after everything was seen.
            self.marks.move_to(&organisation, changes.at.unwrap_or(mark.seen_until))?;
        }
        if is_full {
            self.last_full_pass = Some(Instant::now());
        }
        self.health.polled();
        Ok(())
    }

    /// Looks at one pull request that a webhook told of; the comments themselves come from the forge.
    pub(crate) async fn look_at_hint(&mut self, changed: &Changed) -> Result<(), BridgeError> {
        let owner = changed.repository.split('/').next().unwrap_or_default().to_owned();
        if !self.settings.organisations.contains(&owner) {
            return Ok(());
        }
        let mark = self.marks.of(&owner, Timestamp::now())?;
        self.look_at(changed, mark.seen_until - OVERLAP, mark.begun).await
    }

    async fn look_at(
        &mut self,
        changed: &Changed,
        since: Timestamp,
        begun: Timestamp,
    ) -> Result<(), BridgeError> {
        let comments = match self.gitea.comments(&changed.repository, changed.pr, Some(since)).await {
            Ok(comments) => comments,
            // Gone between two questions: nothing to look at any more.
            Err(ForgeError::Refused { status: 404, .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        for comment in comments {
            // The forge's times have whole seconds.
            if comment.created_at.as_second() < begun.as_second() || self.store.is_known(comment.id) {
                continue;
            }
            if comment.user.id == self.me.id {
                continue;
            }
            let Some(asked) = asked(&comment) else { continue };
            let intent = intent(changed, &comment, asked);
            if self.store.create(intent)? {
                self.health.count("triggers");
                tracing::info!(
                    code = "seen",
                    "comment {} of {} on {}#{}",
                    comment.id,
                    comment.user.login,
                    changed.repository,
                    changed.pr
                );
            }
        }
        Ok(())
    }
}

/// What a comment asks for. One that was edited is no command: whoever may write may have put words into it.
fn asked(comment: &Comment) -> Option<Asked> {
    let is_edited = comment.updated_at != comment.created_at;
    match (hear(&comment.body), is_edited) {
        (Heard::Nothing, _) => None,
        (Heard::Command(command), false) => Some(Asked::Command(command)),
        (Heard::Unclear(unclear), _) => Some(Asked::Unclear(unclear)),
        (Heard::Command(command), true) => {
            let nearest =
                if command == Command::Cancel { format!("{TRIGGER} cancel") } else { TRIGGER.to_owned() };
            Some(Asked::Unclear(Unclear {
                reason: "edited comments start nothing, write a new one".to_owned(),
                nearest,
            }))
        }
    }
}

fn intent(changed: &Changed, comment: &Comment, asked: Asked) -> Intent {
    Intent {
        schema: SCHEMA,
        comment: comment.id,
        repository: changed.repository.clone(),
        pr: changed.pr,
        author_id: comment.user.id,
        author: comment.user.login.clone(),
        written: comment.created_at.to_string(),
        asked,
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

#[cfg(test)]
mod tests {
    use super::*;
    use cc_ci_forge::gitea::User;

    fn comment(body: &str, edited_after: i64) -> Comment {
        let at = Timestamp::from_second(1_700_000_000).unwrap();
        Comment {
            id: 1,
            user: User { id: 3, login: "maria".to_owned() },
            body: body.to_owned(),
            created_at: at,
            updated_at: at + SignedDuration::from_secs(edited_after),
        }
    }

    #[test]
    fn edited_comment_never_fires() {
        assert!(matches!(asked(&comment("!testme", 0)), Some(Asked::Command(_))));
        let Some(Asked::Unclear(unclear)) = asked(&comment("!testme", 9)) else {
            panic!("an edited one is answered")
        };
        assert!(unclear.reason.contains("edited"));
        assert!(matches!(asked(&comment("!tesme", 9)), Some(Asked::Unclear(_))));
        assert_eq!(asked(&comment("thanks", 9)), None);
    }
}
