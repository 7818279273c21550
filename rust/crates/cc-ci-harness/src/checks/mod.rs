//! The checks of a recipe.toml: each looks once at what is there, and waits only for it to be there at all.

mod expectation;

use std::time::{Duration, Instant};

use cc_ci_model::outcome::Status;
use cc_ci_model::recipe_toml::{Check, ExecLook, HttpLook, Look, Placeholders, TcpLook};
use cc_ci_model::result::{CheckReport, Origin};
use cc_ci_process::cancel::Cancellation;
use cc_ci_process::wait::{self, WaitError, Waiting, wait_for};

use crate::evidence::Evidence;
use crate::hands::{AppHands, HandsError, TaskProbe};
use crate::http::{AskError, Client};
use crate::way::{Outages, Way};

/// Between two looks at something that is not there yet.
const INTERVAL: Duration = Duration::from_millis(250);
/// Statuses by which a proxy says that nobody is behind it (RFC 9110, 15.6): not there yet, and no content.
const NOBODY_BEHIND: [u16; 3] = [502, 503, 504];

/// With what a run looks at its app.
pub struct Looking<'a, H, P> {
    /// The app through its door; none for an app without a page.
    pub client: Option<&'a Client>,
    /// Commands in its containers.
    pub hands: &'a H,
    /// Ports of its tasks.
    pub probe: &'a P,
    /// Its domain, for `{{domain}}`.
    pub domain: &'a str,
    /// What lies between, which may be broken without any fault of the app.
    pub way: Way<'a>,
    /// Ends the looking.
    pub cancellation: &'a Cancellation,
    /// Where what was seen is kept.
    pub evidence: &'a Evidence,
}

/// What a look came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// As expected; the text says what was seen.
    Right(String),
    /// Something else: the sentence for the result, and all of it for the evidence.
    Wrong { message: String, whole: String },
}

/// Why there was nothing to judge.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unseen {
    /// May be there the next time.
    #[error("{0}")]
    NotThere(String),
    /// Is wrong in a way that waiting does not mend, and is the app's fault.
    #[error("{0}")]
    Never(String),
    /// The way to it is broken: may mend, and says nothing about the app.
    #[error("{0}")]
    Broken(String),
    /// We could not look.
    #[error("{0}")]
    CouldNotLook(String),
}

impl From<HandsError> for Unseen {
    fn from(error: HandsError) -> Self {
        match error {
            HandsError::NotThere(what) => Self::NotThere(what),
            HandsError::CouldNotLook(what) => Self::CouldNotLook(what),
        }
    }
}

impl<H: AppHands, P: TaskProbe> Looking<'_, H, P> {
    /// Runs one check.
    pub async fn check(&self, check: &Check) -> CheckReport {
        let values = Placeholders { marker: None, domain: Some(self.domain) };
        self.report(check.name.as_str(), check.within.0, || async {
            match &check.look {
                Look::Http(look) => self.http(look, &values).await,
                Look::Tcp(look) => self.tcp(look).await,
                Look::Exec(look) => self.exec(look, &values).await,
                Look::Browser(_) => Err(Unseen::CouldNotLook("this program has no browser".to_owned())),
            }
        })
        .await
    }

    /// Looks until there is something to judge, at most `within`; what is there is judged once.
    pub(crate) async fn report<F: Future<Output = Result<Seen, Unseen>>>(
        &self,
        name: &str,
        within: Duration,
        look: impl Fn() -> F,
    ) -> CheckReport {
        let start = Instant::now();
        let waiting = Waiting { deadline: within, interval: INTERVAL };
        let outages = Outages::default();
        let seen = wait_for(name, waiting, None, self.cancellation, || {
            let (looking, outages) = (look(), &outages);
            async move {
                let looked = looking.await;
                let fault = match &looked {
                    Err(Unseen::Broken(what)) => Some(what.as_str()),
                    _ => None,
                };
                outages.note(fault);
                match looked {
                    Ok(seen) => Ok(wait::Look::There(seen)),
                    Err(Unseen::NotThere(what) | Unseen::Broken(what)) => Ok(wait::Look::NotYet(what)),
                    Err(error @ (Unseen::Never(_) | Unseen::CouldNotLook(_))) => Err(error),
                }
            }
        })
        .await;
        let (status, message, whole) = match seen {
            Ok(Seen::Right(message)) => (Status::Pass, message, None),
            Ok(Seen::Wrong { message, whole }) => (Status::Fail, message, Some(whole)),
            Err(WaitError::Failed { reason: Unseen::CouldNotLook(what), .. }) => {
                (Status::Unverified, what, None)
            }
            Err(WaitError::Failed { reason, .. }) => (Status::Fail, reason.to_string(), None),
            Err(error @ WaitError::TimedOut { .. }) => match outages.instead(self.way).await {
                Some(what) => (Status::Unverified, what, None),
                None => (Status::Fail, error.to_string(), None),
            },
            Err(error @ WaitError::Cancelled { .. }) => (Status::Unverified, error.to_string(), None),
        };
        let kept = whole.as_ref().map(|whole| format!("{message}\n\n{whole}"));
        let log = kept.and_then(|text| self.evidence.keep(name, &text));
        let message = self.evidence.masker().mask(&message);
        let seconds = start.elapsed().as_secs_f64();
        CheckReport { name: name.to_owned(), origin: Origin::Recipe, status, seconds, message, log }
    }

    pub(crate) async fn http(&self, look: &HttpLook, values: &Placeholders<'_>) -> Result<Seen, Unseen> {
        // Masked before anything is cut or quoted: half a secret is no longer recognised.
        let Some(client) = self.client else {
            let what = "the app has no HTTP page: say app.serves = \"http\" and app.port in recipe.toml if it has one";
            return Err(Unseen::Never(what.to_owned()));
        };
        let answer = match client.ask(look, values).await {
            Ok(answer) => answer.masked(self.evidence.masker()),
            Err(error) => return Err(self.unanswered(error).await),
        };
        let is_expected = look.status.iter().any(|status| status.get() == answer.status);
        if NOBODY_BEHIND.contains(&answer.status) && !is_expected {
            let nobody = format!("status {}: nobody is behind the proxy", answer.status);
            return Err(self.way.dead_end().await.map_or(Unseen::NotThere(nobody), Unseen::Broken));
        }
        Ok(match expectation::of_answer(look, values, &answer) {
            Ok(()) => {
                Seen::Right(format!("{} {} answers {}", look.method.as_str(), look.path, answer.status))
            }
            Err(message) => Seen::Wrong { message, whole: answer.shown() },
        })
    }

    /// Why there was no answer: first what lies between is looked at, then the app is blamed.
    pub(crate) async fn unanswered(&self, error: AskError) -> Unseen {
        if matches!(error, AskError::Unusable { .. }) {
            return Unseen::CouldNotLook(error.to_string());
        }
        match (self.way.fault().await, &error) {
            (Some(fault), _) => Unseen::Broken(fault),
            // The proxy's own is fine, so this one is the app's.
            (None, AskError::Certificate { .. }) => Unseen::Never(error.to_string()),
            (None, AskError::NoAnswer { .. } | AskError::Unusable { .. }) => {
                Unseen::NotThere(error.to_string())
            }
        }
    }

    pub(crate) async fn tcp(&self, look: &TcpLook) -> Result<Seen, Unseen> {
        let (port, stable) = (look.port.get(), look.stable.get());
        self.probe.connects(look.service.as_ref(), port, stable).await?;
        Ok(Seen::Right(format!("port {port} took {stable} connections in a row")))
    }

    pub(crate) async fn exec(&self, look: &ExecLook, values: &Placeholders<'_>) -> Result<Seen, Unseen> {
        let command: Vec<String> = look.command.iter().map(|word| values.fill(word)).collect();
        let stdin = look.stdin.as_deref().map(|text| values.fill(text)).unwrap_or_default();
        let done = self.hands.exec(&look.service, &command, stdin.as_bytes()).await?;
        let done = done.masked(self.evidence.masker());
        Ok(match expectation::of_command(look, values, &done) {
            Ok(()) => Seen::Right(format!("{} in {} ended with {}", command[0], look.service, done.exit)),
            Err(message) => {
                let (out, error) =
                    (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
                Seen::Wrong { message, whole: format!("standard output:\n{out}\nstandard error:\n{error}\n") }
            }
        })
    }
}
