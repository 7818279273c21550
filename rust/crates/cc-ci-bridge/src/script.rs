//! `cc-ci-bridge say`: posting the trigger and waiting for the answer, for scripts.

use std::time::Duration;

use anyhow::{Context, bail};
use cc_ci_forge::gitea::Gitea;
use cc_ci_model::bridge::command::{Heard, TRIGGER, hear};
use cc_ci_model::bridge::say;
use cc_ci_process::cancel::Cancellation;
use cc_ci_process::exit::ExitStatus;
use cc_ci_process::printer::Printer;
use cc_ci_process::wait::{Look, WaitError, Waiting, wait_for};

/// What is posted, and how long the answer may take.
pub(crate) struct Request<'a> {
    pub(crate) organisation: &'a str,
    /// `<recipe>#<number>` or `<owner>/<recipe>#<number>`.
    pub(crate) target: &'a str,
    pub(crate) text: &'a str,
    pub(crate) within: Duration,
    pub(crate) link: String,
}

/// Posts the trigger, waits for the verdict, prints `VERDICT=…` and where to read more.
pub(crate) async fn say(
    gitea: &Gitea,
    request: &Request<'_>,
    printer: &mut Printer,
    cancellation: &Cancellation,
) -> anyhow::Result<ExitStatus> {
    let (repository, pr) = target(request.organisation, request.target)?;
    if !matches!(hear(request.text), Heard::Command(_)) {
        bail!("{:?} is no command: say {TRIGGER}", request.text);
    }
    let comment = gitea.post_comment(&repository, pr, request.text).await.context("posting the trigger")?;
    let mark = say::mark(comment);
    let waiting = Waiting { deadline: request.within, interval: Duration::from_secs(2) };
    let look = || async {
        let all = match gitea.comments(&repository, pr, None).await {
            Ok(all) => all,
            Err(error) if error.may_pass() => return Ok(Look::NotYet(error.to_string())),
            Err(error) => return Err(error),
        };
        let answer = all.iter().find(|one| one.body.starts_with(&mark));
        Ok(match answer.map(|answer| verdict(&answer.body)) {
            Some(Some(word)) => Look::There(word),
            Some(None) => Look::NotYet("queued or running".to_owned()),
            None => Look::NotYet("no answer".to_owned()),
        })
    };
    let word = match wait_for("waiting for the verdict", waiting, None, cancellation, look).await {
        Ok(word) => word,
        Err(WaitError::TimedOut { last, .. }) => {
            tracing::warn!(code = "no-verdict-yet", "{last}");
            "PENDING"
        }
        Err(error) => return Err(error.into()),
    };
    printer.line(&format!("VERDICT={word}"));
    printer.line(&format!("{}/{repository}/pulls/{pr}#issuecomment-{comment}", request.link));
    Ok(match word {
        "GREEN" => ExitStatus::Good,
        "RED" => ExitStatus::Red,
        _ => ExitStatus::Trouble,
    })
}

/// The verdict of an answer, once it has one. The signs are those of `say.rs`.
fn verdict(answer: &str) -> Option<&'static str> {
    let line = answer.lines().nth(1)?;
    [
        ("✅", "GREEN"),
        ("❌", "RED"),
        ("⛔", "RED"),
        ("❔", "TROUBLE"),
        ("✋", "TROUBLE"),
        ("🤔", "TROUBLE"),
        ("📋", "GREEN"),
    ]
    .into_iter()
    .find_map(|(sign, word)| line.starts_with(sign).then_some(word))
}

fn target(organisation: &str, text: &str) -> anyhow::Result<(String, u32)> {
    let parsed = text.rsplit_once('#').and_then(|(name, number)| Some((name, number.parse().ok()?)));
    let Some((name, pr)) = parsed else { bail!("{text:?} is no pull request: write recipe#12") };
    let repository = if name.contains('/') { name.to_owned() } else { format!("{organisation}/{name}") };
    Ok((repository, pr))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pull_request_is_a_recipe_and_a_number() {
        assert_eq!(target("recipes", "gitea#12").unwrap(), ("recipes/gitea".to_owned(), 12));
        assert_eq!(target("recipes", "other/gitea#1").unwrap(), ("other/gitea".to_owned(), 1));
        assert!(target("recipes", "gitea").is_err() && target("recipes", "gitea#x").is_err());
    }
}
