//! Whether a comment counts: asked live for each one; whatever cannot be found out is no for now, never a yes.

use cc_ci_forge::gitea::Membership;
use cc_ci_model::bridge::command::Command;
use cc_ci_model::bridge::head::{Unsure, head_when_written};
use cc_ci_model::bridge::intent::{Asked, Granted, Intent, Refusal};
use cc_ci_model::bridge::parameters::{Right, is_login};

use crate::service::{Bridge, BridgeError};

impl Bridge {
    /// Finds out by which right, and which commit is meant; the answer stands in the intent.
    pub(crate) async fn authorise(&mut self, intent: &mut Intent) -> Result<(), BridgeError> {
        let Some(right) = self.right_of(intent).await? else {
            intent.refused = Some(Refusal::Stranger);
            tracing::info!(
                code = "stranger",
                "comment {}: {} may not trigger",
                intent.comment,
                intent.author
            );
            return Ok(());
        };
        if !self.settings.is_enrolled(&intent.repository) {
            intent.refused = Some(Refusal::NotEnrolled);
            return Ok(());
        }
        let mut commit = None;
        if intent.wants_build() {
            let pull = self.gitea.pull(&intent.repository, intent.pr).await?;
            if !pull.is_open {
                intent.refused = Some(Refusal::Closed);
                return Ok(());
            }
            let written = intent.written.parse().map_err(|error| {
                BridgeError::Intent(intent.comment, format!("its time {} is none: {error}", intent.written))
            })?;
            let moves = self.gitea.moves(&intent.repository, intent.pr).await?;
            match head_when_written(written, &pull.head, &moves) {
                Ok(()) => commit = Some(pull.head),
                Err(Unsure::Moved { then, now }) => intent.refused = Some(Refusal::Moved { then, now }),
                Err(Unsure::TooClose) => intent.refused = Some(Refusal::TooClose),
            }
            if intent.refused.is_some() {
                return Ok(());
            }
        }
        intent.granted = Some(Granted { right, commit });
        self.health.count(match intent.asked {
            Asked::Command(Command::Run(_)) => "runs_allowed",
            Asked::Command(_) | Asked::Unclear(_) => "others_allowed",
        });
        Ok(())
    }

    async fn right_of(&mut self, intent: &Intent) -> Result<Option<Right>, BridgeError> {
        if self.settings.allowed.contains(&intent.author_id) {
            return Ok(Some(Right::Listed));
        }
        // It becomes part of an address and of a build's parameters.
        if !is_login(&intent.author) {
            return Ok(None);
        }
        let owner = intent.repository.split('/').next().unwrap_or_default();
        match self.gitea.membership(owner, &intent.author).await? {
            Membership::Yes => {
                self.health.calm("membership-hidden");
                return Ok(Some(Right::Member));
            }
            Membership::No => {}
            Membership::Hidden => {
                let words = format!(
                    "the forge does not say who is a member of {owner}: make {} a member of a read-only team of it",
                    self.me.login
                );
                self.health.worry("membership-hidden", words.clone());
                return Err(BridgeError::ForNow(words));
            }
        }
        let writes = self.gitea.may_write(&intent.repository, &intent.author).await?;
        Ok(writes.then_some(Right::Writer))
    }
}
