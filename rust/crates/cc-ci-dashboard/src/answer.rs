//! Answers of HTTP: the headers that every one of them has, and which say nothing new.

use axum::body::Body;
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::{Response, StatusCode};
use sha2::{Digest, Sha256};

/// Most pages have no script; styles and pictures come from here alone.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
);

/// Files of a run are foreign: whatever they hold, nothing in them is carried out.
const FOREIGN: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; sandbox");

/// A page that follows a run: our own script, and its events from here.
const FOLLOWING: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
);

/// Allows a page the scripts of this server, and no others.
pub(crate) fn with_own_script(mut answer: Response<Body>) -> Response<Body> {
    answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, FOLLOWING);
    answer
}

/// Adds what every answer has.
pub(crate) async fn harden(mut answer: Response<Body>) -> Response<Body> {
    let headers = answer.headers_mut();
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(POLICY);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
    answer
}

/// An answer with a body.
pub(crate) fn answer(status: StatusCode, media: &'static str, body: impl Into<Body>) -> Response<Body> {
    let mut answer = Response::new(body.into());
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    answer
}

/// JSON.
pub(crate) fn json(status: StatusCode, value: &serde_json::Value) -> Response<Body> {
    answer(status, "application/json", value.to_string())
}

/// A file of a run.
pub(crate) fn foreign(media: &'static str, bytes: Vec<u8>) -> Response<Body> {
    let mut answer = answer(StatusCode::OK, media, bytes);
    answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, FOREIGN);
    answer
}

/// Text that others ask for again and again: with its tag, and without a body where they have it already.
pub(crate) fn tagged(
    asked: &HeaderMap,
    media: &'static str,
    caching: &'static str,
    body: String,
) -> Response<Body> {
    let digest = Sha256::digest(body.as_bytes());
    let hex: String = digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    let tag = format!("\"{hex}\"");
    let known = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = known.flat_map(|value| value.split(',')).map(|tag| tag.trim().trim_start_matches("W/"));
    let mut answer = if tags.any(|known| known == tag || known == "*") {
        let mut answer = Response::new(Body::empty());
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        answer
    } else {
        answer(StatusCode::OK, media, body)
    };
    let headers = answer.headers_mut();
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    answer
}
