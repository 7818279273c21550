//! The three pages the bridge answers: `/hook` for the forge, `/healthz` and `/metrics` for operators.
//!
//! A webhook is a hint and nothing more: it says where to look, and the comment itself comes from the forge. So a forged
//! or repeated one starts nothing, and a lost one costs a poll's time.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use cc_ci_model::bridge::parameters::is_login;
use cc_ci_model::bridge::signature::is_genuine;
use cc_ci_process::mask::SecretValue;
use serde::Deserialize;

use crate::health::Health;
use crate::service::Hints;

/// Longest body of a webhook: Gitea's are about 16 kB, and a comment has at most a few hundred.
const LONGEST_BODY: usize = 1 << 20;

struct Shared {
    health: Arc<Health>,
    hints: Arc<Hints>,
    secret: Option<SecretValue>,
}

#[derive(Deserialize)]
struct Hook {
    action: String,
    #[serde(default)]
    is_pull: bool,
    issue: HookIssue,
    repository: HookRepository,
}

#[derive(Deserialize)]
struct HookIssue {
    number: u32,
}

#[derive(Deserialize)]
struct HookRepository {
    full_name: String,
}

/// Answers on `listener` until `ended` is over.
///
/// # Errors
/// The listener fails.
pub(crate) async fn serve(
    listener: tokio::net::TcpListener,
    health: Arc<Health>,
    hints: Arc<Hints>,
    secret: Option<SecretValue>,
    ended: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let shared = Arc::new(Shared { health, hints, secret });
    let router = Router::new()
        .route("/hook", post(hook))
        .route("/healthz", get(healthz))
        .route("/metrics", get(metrics))
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .with_state(shared);
    axum::serve(listener, router).with_graceful_shutdown(ended).await
}

async fn healthz(State(shared): State<Arc<Shared>>) -> (StatusCode, String) {
    let (is_well, text) = shared.health.report();
    (if is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, text)
}

async fn metrics(State(shared): State<Arc<Shared>>) -> String {
    shared.health.metrics()
}

async fn hook(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, &'static str) {
    let Some(secret) = &shared.secret else {
        return (StatusCode::NOT_FOUND, "this bridge has no secret for webhooks: it polls\n");
    };
    let signature =
        headers.get("X-Gitea-Signature").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !is_genuine(secret.expose().as_bytes(), &body, signature) {
        shared.health.count("hooks_not_genuine");
        return (StatusCode::FORBIDDEN, "the signature is not valid\n");
    }
    shared.health.count("hooks");
    match told(&body) {
        Some((repository, pr)) => {
            shared.hints.add(repository, pr);
            (StatusCode::OK, "seen\n")
        }
        None => (StatusCode::OK, "nothing for this bridge\n"),
    }
}

/// Where a body says that somebody wrote on a pull request. It becomes an address, so the name is one of a repository.
fn told(body: &[u8]) -> Option<(String, u32)> {
    let hook: Hook = serde_json::from_slice(body).ok()?;
    let is_part = |part: &str| is_login(part) && part.bytes().any(|byte| byte != b'.');
    let name = &hook.repository.full_name;
    let is_name = name.split_once('/').is_some_and(|(owner, name)| is_part(owner) && is_part(name));
    (hook.action == "created" && hook.is_pull && is_name)
        .then_some((hook.repository.full_name, hook.issue.number))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, SocketAddr, TcpStream};

    use proptest::prelude::*;

    use super::*;

    /// What Gitea sends for a comment on a pull request, as far as it is read.
    const BODY: &str = r#"{"action":"created","is_pull":true,"issue":{"number":7},"repository":{"full_name":"recipes/custom-html"}}"#;
    /// `openssl dgst -sha256 -hmac a-secret-of-webhooks` of it.
    const SIGNATURE: &str = "11bae3f928590721714798ec96768aae3e00a932a5ef554f9cf7651c5757df71";

    fn ask(address: SocketAddr, head: &str, body: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        let head =
            format!("{head} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(b"X-Gitea-Signature: ").unwrap();
        stream.write_all(format!("{SIGNATURE}\r\n\r\n").as_bytes()).unwrap();
        // The server may have said no before it read everything.
        let _ = stream.write_all(body);
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn only_a_signed_hook_is_a_hint_and_no_long_one_is_read() {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (health, hints) = (Arc::new(Health::new()), Arc::new(Hints::default()));
        let secret = Some(SecretValue::new("a-secret-of-webhooks"));
        let server = tokio::spawn(serve(listener, health, hints.clone(), secret, std::future::pending()));
        let heard = hints.clone();
        let asked = tokio::task::spawn_blocking(move || {
            assert!(ask(address, "GET /healthz", b"").starts_with("HTTP/1.1 200"));
            assert!(ask(address, "GET /metrics", b"").contains("cc_ci_bridge_open 0"));
            let other = BODY.replace("7", "8");
            assert!(ask(address, "POST /hook", other.as_bytes()).starts_with("HTTP/1.1 403"));
            assert!(ask(address, "POST /hook", &vec![b' '; LONGEST_BODY + 1]).contains("413"));
            assert!(heard.take().is_empty());
            assert!(ask(address, "POST /hook", BODY.as_bytes()).starts_with("HTTP/1.1 200"));
            assert_eq!(heard.take().into_iter().collect::<Vec<_>>(), [("recipes/custom-html".to_owned(), 7)]);
        });
        asked.await.unwrap();
        server.abort();
    }

    proptest! {
        #[test]
        fn no_body_panics_and_only_a_new_comment_on_a_pull_request_is_a_hint(
            any in any::<Vec<u8>>(), action in "created|edited|deleted|[a-z]{0,9}", is_pull in any::<bool>(),
            number in any::<i64>(), name in "(recipes/custom-html|[a-z./?#%\\\\ -]{0,20})",
        ) {
            prop_assert_eq!(told(&any), None);
            let body = serde_json::json!({"action": action, "is_pull": is_pull, "issue": {"number": number},
                "repository": {"full_name": name}});
            if let Some((repository, pr)) = told(body.to_string().as_bytes()) {
                prop_assert!(action == "created" && is_pull && i64::from(pr) == number);
                prop_assert_eq!(repository.split('/').filter(|part| !part.is_empty() && *part != "..").count(), 2);
                prop_assert!(!repository.contains(['?', '#', '%', ' ', '\\']), "{}", repository);
            }
            // Cut anywhere, or with a byte put in, it is no hint or the same one.
            for place in 0..BODY.len() {
                prop_assert_eq!(told(&BODY.as_bytes()[..place]), None);
            }
        }
    }
}
