//! The one HTTP client: follows nothing, trusts what it is told to, and reads no more than it needs.

#![allow(clippy::unwrap_used, reason = "a test ends where something it needs is not there")]

mod origin;

use cc_ci_harness::door::{Door, Patience, Target};
use cc_ci_harness::http::{AskError, Client, LONGEST_BODY, Scheme};
use origin::{OWN, Origin, STRANGER};

fn plain(origin: &Origin) -> Client {
    Client::new(OWN, origin.address, &Scheme::Http).unwrap()
}

#[tokio::test]
async fn first_redirect_is_checked_not_followed() {
    let origin = Origin::replying(|head| {
        assert!(!head.contains("/login"), "the redirect was followed");
        format!("HTTP/1.1 302 Found\r\nLocation: https://{OWN}/login\r\nContent-Length: 0\r\n\r\n")
    })
    .await;
    let answer = plain(&origin).get("/").await.unwrap();
    assert_eq!(answer.status, 302);
    assert_eq!(answer.header("location"), Some(format!("https://{OWN}/login").as_str()));
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn the_name_leads_to_the_door_and_the_certificate_must_be_for_it() {
    let origin = Origin::tls(&[OWN], "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await;
    let door = Door::open(&[OWN], Target::Tcp(origin.address), Patience::default()).await.unwrap();
    let scheme = Scheme::Https { ca: Some(origin.pem()) };
    let client = Client::new(OWN, door.address(), &scheme).unwrap();
    assert_eq!(client.base(), format!("https://{OWN}"));
    assert_eq!(client.get("/").await.unwrap().text(), "hi");
    assert!(origin.seen().to_lowercase().contains(&format!("host: {OWN}\r\n")), "no port: {}", origin.seen());

    let other = Client::new(STRANGER, origin.address, &scheme).unwrap();
    let error = other.get("/").await.unwrap_err();
    assert!(matches!(error, AskError::Certificate { .. }), "a certificate for another name: {error}");
    let elsewhere = Origin::tls(&[OWN], "").await;
    let scheme = Scheme::Https { ca: Some(elsewhere.pem()) };
    let error = Client::new(OWN, door.address(), &scheme).unwrap().get("/").await.unwrap_err();
    assert!(matches!(error, AskError::Certificate { .. }), "a certificate by another authority: {error}");
}

#[tokio::test]
async fn a_task_that_speaks_tls_itself_is_asked_whatever_its_certificate_says() {
    let origin = Origin::tls(&[STRANGER], "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await;
    let door = Door::open(&[OWN], Target::Tcp(origin.address), Patience::default()).await.unwrap();
    let client = Client::new(OWN, door.address(), &Scheme::HttpsOfTask).unwrap();
    assert_eq!(client.base(), format!("https://{OWN}"));
    assert_eq!(client.get("/").await.unwrap().text(), "hi");
    assert_eq!((door.passed(), door.refused()), (1, 0), "the door still sees the own name");
}

#[tokio::test]
async fn an_authority_that_is_none_is_refused() {
    let scheme = Scheme::Https { ca: Some(b"no certificate here".to_vec()) };
    let error = Client::new(OWN, "127.0.0.1:1".parse().unwrap(), &scheme).unwrap_err();
    assert!(matches!(error, AskError::Unusable { .. }), "{error}");
}

#[tokio::test]
async fn a_body_is_read_up_to_its_limit() {
    let origin = Origin::replying(|_| {
        let length = LONGEST_BODY + 5_000;
        format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{}", "x".repeat(length))
    })
    .await;
    let answer = plain(&origin).get("/").await.unwrap();
    assert!(answer.is_cut);
    assert_eq!(answer.body.len(), LONGEST_BODY);
}

#[tokio::test]
async fn nobody_there_is_no_answer_and_names_the_address() {
    let client = Client::new(OWN, "127.0.0.1:1".parse().unwrap(), &Scheme::Http).unwrap();
    let error = client.get("/x").await.unwrap_err();
    assert!(matches!(error, AskError::NoAnswer { .. }), "{error}");
    assert!(error.to_string().starts_with(&format!("asking http://{OWN}/x: ")), "{error}");
}
