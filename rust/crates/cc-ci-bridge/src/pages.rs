//! The three pages the bridge answers: `/hook` for the forge, `/healthz` and `/metrics` for operators.
//!
//! A webhook is a hint and nothing more: it says where to look, and the comment itself comes from the forge. So a forged
//! or repeated one starts nothing, and a lost one costs a poll's time.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
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

/// Answers on `address` until `ended` is over.
///
/// # Errors
/// The address cannot be listened on.
pub(crate) async fn serve(
    address: SocketAddr,
    health: Arc<Health>,
    hints: Arc<Hints>,
    secret: Option<SecretValue>,
    ended: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind(address).await?;
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
    let Ok(hook) = serde_json::from_slice::<Hook>(&body) else {
        return (StatusCode::OK, "nothing for this bridge\n");
    };
    if hook.action == "created" && hook.is_pull {
        shared.hints.add(hook.repository.full_name, hook.issue.number);
    }
    (StatusCode::OK, "seen\n")
}
