//! The first question of a bridge: whose token it holds. Without an answer nothing can begin, so it is asked until there is one.

use std::time::Duration;

use anyhow::Result;
use cc_ci_forge::gitea::{Gitea, User};
use cc_ci_process::cancel::Cancellation;
use cc_ci_process::wait::{Look, Waiting, wait_for};

/// A forge that starts together with us is up by then; else systemd starts us again.
const WAITING: Waiting = Waiting { deadline: Duration::from_secs(60), interval: Duration::from_secs(1) };

/// Whose token this is.
pub(crate) async fn who(gitea: &Gitea, cancellation: &Cancellation) -> Result<User> {
    let look = || async {
        match gitea.me().await {
            Ok(me) => Ok(Look::There(me)),
            Err(error) if error.may_pass() => Ok(Look::NotYet(error.to_string())),
            Err(error) => Err(error),
        }
    };
    let sentence = "asking the forge whose token gitea-token is";
    Ok(wait_for(sentence, WAITING, None, cancellation, look).await?)
}
