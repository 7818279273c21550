//! Asking Drone for the state of one's own build: a cancel that Drone's runner never delivers still ends the run.
//!
//! The exec runner listens for 30 s and pauses for 10 s; a cancel in the pause marks the build `killed` while its step runs
//! on (drone-runner-exec 1.0.0-beta.10, tried). Builds of a public repository are readable without a token.

use std::time::Duration;

use cc_ci_process::cancel::{Cancellation, Cause};

/// How soon a lost cancel is noticed.
const INTERVAL: Duration = Duration::from_secs(5);
/// Time for one answer.
const ONE_ANSWER: Duration = Duration::from_secs(5);

/// The address of this process's build, from what the runner sets in the environment of a step; none outside of one.
#[must_use]
pub fn address(variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    let given = |name: &str| variable(name).filter(|value| !value.is_empty());
    let proto = given("DRONE_SYSTEM_PROTO").filter(|proto| matches!(proto.as_str(), "http" | "https"))?;
    let (host, repository) = (given("DRONE_SYSTEM_HOST")?, given("DRONE_REPO")?);
    let number: u64 = given("DRONE_BUILD_NUMBER")?.parse().ok()?;
    Some(format!("{proto}://{host}/api/repos/{repository}/builds/{number}"))
}

/// Cancels once the build is called `killed`; looks until then. No answer is no cancel: Drone may be restarting.
pub async fn watch(address: String, cancellation: Cancellation) {
    // Fails where another client has done it, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(ONE_ANSWER)
        .user_agent("cc-ci")
        .build();
    let client = match client {
        Ok(client) => client,
        Err(error) => {
            tracing::warn!(code = "own-build-not-watched", "{error}");
            return;
        }
    };
    let token = cancellation.token();
    while tokio::time::timeout(INTERVAL, token.cancelled()).await.is_err() {
        match status(&client, &address).await {
            Ok(status) if status == "killed" => {
                cancellation.cancel(Cause::BuildCancelled(format!("{address} is killed")));
                return;
            }
            Ok(_) => {}
            Err(error) => tracing::debug!("asking for the own build: {error}"),
        }
    }
}

async fn status(client: &reqwest::Client, address: &str) -> Result<String, String> {
    let response = client.get(address).send().await.map_err(|error| error.to_string())?;
    let status = response.status();
    if !status.is_success() {
        return Err(format!("answered {status}"));
    }
    // A build with its stages has a few kilobytes.
    let body = response.bytes().await.map_err(|error| error.to_string())?;
    let value: serde_json::Value = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
    Ok(value["status"].as_str().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_is_found_in_the_steps_environment_and_nowhere_else() {
        let of = |proto: &'static str, number: &'static str| {
            address(move |name| {
                let value = match name {
                    "DRONE_SYSTEM_PROTO" => proto,
                    "DRONE_SYSTEM_HOST" => "drone.example.org",
                    "DRONE_REPO" => "cc-ci/cc-ci",
                    "DRONE_BUILD_NUMBER" => number,
                    _ => return None,
                };
                Some(value.to_owned())
            })
        };
        assert_eq!(of("https", "7").unwrap(), "https://drone.example.org/api/repos/cc-ci/cc-ci/builds/7");
        assert_eq!(of("https", ""), None);
        assert_eq!(of("file", "7"), None);
    }
}
