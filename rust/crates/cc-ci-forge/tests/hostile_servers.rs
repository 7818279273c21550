//! A server that delays, drops, truncates, redirects or says no: each is told apart, and none is a yes.
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};

use cc_ci_forge::drone::Drone;
use cc_ci_forge::gitea::{Gitea, Membership};
use cc_ci_forge::http::ForgeError;
use cc_ci_process::mask::SecretValue;

/// Answers each connection with the same bytes and closes it; the address.
fn server(answer: impl Into<Vec<u8>>) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let answer = answer.into();
    // Ends with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(&answer);
        }
    });
    address
}

fn http(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nLocation: http://127.0.0.1:1/\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn gitea(answer: impl Into<Vec<u8>>) -> Gitea {
    Gitea::new(&server(answer), SecretValue::new("a-token-for-tests")).unwrap()
}

fn drone(answer: impl Into<Vec<u8>>) -> Drone {
    Drone::new(&server(answer), SecretValue::new("a-token-for-tests"), "boss/cc-ci", "main").unwrap()
}

#[tokio::test]
async fn membership_redirect_is_a_no_not_a_yes() {
    let found = gitea(http("303 See Other", "")).membership("recipes", "maria").await.unwrap();
    assert_eq!(found, Membership::Hidden);
}

#[tokio::test]
async fn member_lookup_allows_204_only_and_denies_on_any_error() {
    let of =
        |status: &'static str| async move { gitea(http(status, "")).membership("recipes", "maria").await };
    assert_eq!(of("204 No Content").await.unwrap(), Membership::Yes);
    assert_eq!(of("404 Not Found").await.unwrap(), Membership::No);
    for status in
        ["200 OK", "201 Created", "401 Unauthorized", "403 Forbidden", "429 Too Many", "500 Error", "502 Bad"]
    {
        assert!(of(status).await.is_err(), "{status}");
    }
    for broken in ["", "HTTP/1.1 204", "rubbish\r\n\r\n"] {
        let error = gitea(broken).membership("recipes", "maria").await.unwrap_err();
        assert!(error.may_pass(), "{broken:?}: {error}");
    }
}

#[tokio::test]
async fn build_create_that_answers_null_is_an_error_with_a_reason() {
    let error = drone(http("200 OK", "null")).create(&[]).await.unwrap_err();
    assert!(
        matches!(error, ForgeError::NoPipeline { .. }) && error.to_string().contains("custom"),
        "{error}"
    );
    let down = r#"{"message":"Get \"http://x\": dial tcp 127.0.0.1:1: connect: connection refused"}"#;
    assert!(
        drone(http("404 Not Found", down)).create(&[]).await.unwrap_err().may_pass(),
        "the forge is down"
    );
    assert!(
        !drone(http("404 Not Found", "{\"message\":\"Not Found\"}"))
            .create(&[])
            .await
            .unwrap_err()
            .may_pass()
    );
}

#[tokio::test]
async fn a_body_that_breaks_off_or_never_ends_is_no_answer() {
    let short = "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n[{\"id\":1";
    assert!(gitea(short).comments("recipes/a", 1, None).await.unwrap_err().may_pass());
    let mut long = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n[".to_vec();
    long.resize(14 << 20, b' ');
    let error = gitea(long).comments("recipes/a", 1, None).await.unwrap_err();
    assert!(matches!(error, ForgeError::Malformed { .. } | ForgeError::NoAnswer { .. }), "{error}");
    assert!(gitea(http("200 OK", "null")).comments("recipes/a", 1, None).await.unwrap().is_empty());
}

#[tokio::test]
async fn no_error_shows_the_token() {
    for answer in
        [http("500 Error", "no"), http("401 Unauthorized", "no"), String::new(), http("200 OK", "{")]
    {
        let error = gitea(answer).me().await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("a-token-for-tests"), "{error:?}");
    }
}

#[tokio::test]
async fn a_comment_of_a_deleted_account_does_not_hide_the_others() {
    let comment = |id: u64, user: &str| {
        let at = "2026-01-02T04:04:05+01:00";
        format!(r#"{{"id":{id},"user":{user},"body":"!testme","created_at":"{at}","updated_at":"{at}"}}"#)
    };
    let ghost = comment(1, r#"{"id":-1,"login":"Ghost"}"#);
    let list = format!("[{ghost},{},{}]", comment(2, "null"), comment(3, r#"{"id":7,"login":"maria"}"#));
    let found = gitea(http("200 OK", &list)).comments("recipes/a", 1, None).await.unwrap();
    assert_eq!(found.iter().map(|one| one.id).collect::<Vec<_>>(), [3]);
}
