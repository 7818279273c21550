//! Saying things on the pull request: one comment per trigger, found by its mark, edited in place; and the commit status.

use cc_ci_forge::http::ForgeError;
use cc_ci_model::bridge::command::Command;
use cc_ci_model::bridge::intent::{Asked, Intent, PostedStatus, StatusState};
use cc_ci_model::bridge::say;

use crate::service::{Bridge, BridgeError};

impl Bridge {
    /// Makes the answer say this. Nothing is sent where it says so already.
    pub(crate) async fn say(&mut self, intent: &mut Intent, text: &str) -> Result<(), BridgeError> {
        if intent.answer.said.as_deref() == Some(text) {
            return Ok(());
        }
        let outcome = self.put_comment(intent, text).await;
        match outcome {
            Ok(id) => {
                intent.answer.id = Some(id);
                self.health.count("comments");
            }
            // Locked, archived, deleted: nothing can be said there, and the status still tells.
            Err(ForgeError::Refused { status: 401..=404 | 410 | 423, what, text }) => {
                tracing::warn!(code = "cannot-answer", "comment {}: {what}: {text}", intent.comment);
            }
            Err(error) => return Err(error.into()),
        }
        intent.answer.said = Some(text.to_owned());
        self.store.save(intent)?;
        Ok(())
    }

    async fn put_comment(&self, intent: &Intent, text: &str) -> Result<u64, ForgeError> {
        if let Some(id) = intent.answer.id {
            match self.gitea.edit_comment(&intent.repository, id, text).await {
                Ok(()) => return Ok(id),
                // Somebody deleted it: it is said again.
                Err(ForgeError::Refused { status: 404, .. }) => {}
                Err(error) => return Err(error),
            }
        } else {
            // We may have been killed between posting it and writing its number down.
            let mark = say::mark(intent.comment);
            let all = self.gitea.comments(&intent.repository, intent.pr, None).await?;
            let own = all.iter().find(|one| one.user.id == self.me.id && one.body.starts_with(&mark));
            if let Some(own) = own {
                self.gitea.edit_comment(&intent.repository, own.id, text).await?;
                return Ok(own.id);
            }
        }
        self.gitea.post_comment(&intent.repository, intent.pr, text).await
    }

    /// Makes the commit's status say this, where the token may.
    pub(crate) async fn set_status(
        &mut self,
        intent: &mut Intent,
        (state, description): (StatusState, String),
        link: Option<&str>,
    ) -> Result<(), BridgeError> {
        let wanted = PostedStatus { state, description };
        let Some(commit) = intent.commit().cloned() else { return Ok(()) };
        // A plan says nothing about the commit.
        if !matches!(intent.asked, Asked::Command(Command::Run(_))) {
            return Ok(());
        }
        if intent.status.as_ref() == Some(&wanted) {
            return Ok(());
        }
        let sent = self
            .gitea
            .set_status(&intent.repository, &commit, state, say::CONTEXT, &wanted.description, link)
            .await;
        match sent {
            Ok(()) => self.health.calm("no-right-to-set-statuses"),
            Err(ForgeError::Refused { status: 401..=404, .. }) => {
                let words = format!(
                    "{} may not set commit statuses: give it write access, or live without",
                    self.me.login
                );
                self.health.worry("no-right-to-set-statuses", words);
            }
            // An unknown commit is 500, as any fault of the forge is; it was forced away, and no question mends that.
            Err(error @ ForgeError::Busy { status: 500, .. }) => {
                if self.gitea.has_commit(&intent.repository, &commit).await? {
                    return Err(error.into());
                }
                tracing::warn!(
                    code = "status-not-taken",
                    "{}@{commit}: the forge does not know this commit any more",
                    intent.repository
                );
            }
            Err(error) => return Err(error.into()),
        }
        intent.status = Some(wanted);
        self.store.save(intent)?;
        Ok(())
    }

    /// Folds the earlier answers of the pull request away.
    pub(crate) async fn fold_earlier(&mut self, intent: &Intent) -> Result<(), BridgeError> {
        for mut earlier in self.store.earlier_answers(intent) {
            if let (Some(id), Some(said)) = (earlier.answer.id, &earlier.answer.said) {
                let text = say::folded(&earlier, said);
                match self.gitea.edit_comment(&earlier.repository, id, &text).await {
                    Ok(()) | Err(ForgeError::Refused { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            earlier.answer.is_folded = true;
            self.store.save(&earlier)?;
        }
        Ok(())
    }
}
