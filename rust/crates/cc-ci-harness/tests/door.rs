//! The door passes this run's host name and nothing else, however it is asked.

#![allow(clippy::unwrap_used, reason = "a test ends where something it needs is not there")]

mod origin;

use std::time::{Duration, Instant};

use cc_ci_harness::door::{Door, Patience, Target};
use origin::{OWN, Origin, STRANGER};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const LONG: Duration = Duration::from_secs(20);

async fn door(target: Target) -> Door {
    Door::open(&[OWN], target, Patience::default()).await.unwrap()
}

/// Sends bytes to the door and reads until it closes.
async fn say(door: &Door, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(door.address()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    // A reset counts as the end as well.
    let _ = tokio::time::timeout(LONG, stream.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn own_name_passes_and_another_one_is_told_why_not() {
    let origin = Origin::plain("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await;
    let door = door(Target::Tcp(origin.address)).await;
    let answer = say(
        &door,
        format!("GET /a HTTP/1.1\r\nHost: {}:8080\r\nX: y\r\n\r\n", OWN.to_uppercase()).as_bytes(),
    )
    .await;
    assert!(answer.ends_with("hi"), "{answer}");
    let seen = origin.seen();
    assert!(seen.starts_with("GET /a HTTP/1.1\r\n") && seen.contains("X: y\r\n"), "{seen}");
    assert!(
        seen.contains("Connection: close\r\n") && seen.contains("X-Forwarded-Proto: https\r\n"),
        "{seen}"
    );
    let answer = say(&door, format!("GET / HTTP/1.1\r\nHost: {STRANGER}\r\n\r\n").as_bytes()).await;
    assert!(
        answer.starts_with("HTTP/1.1 421 ") && answer.contains(&format!("leads to {OWN} and nowhere else"))
    );
    assert_eq!((door.passed(), door.refused(), origin.connections()), (1, 1, 1));
    door.close().await;
}

#[tokio::test]
async fn a_second_host_cannot_be_smuggled() {
    let origin = Origin::plain("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let door = door(Target::Tcp(origin.address)).await;
    let refused = [
        format!("GET / HTTP/1.1\r\nHost: {OWN}\r\nHost: {STRANGER}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: {OWN}@{STRANGER}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: {OWN}.{STRANGER}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: x{OWN}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: {OWN}, {STRANGER}\r\n\r\n"),
        format!("GET http://{STRANGER}/ HTTP/1.1\r\nHost: {OWN}\r\n\r\n"),
        format!("CONNECT {STRANGER}:443 HTTP/1.1\r\nHost: {OWN}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nX: y\r\n Host: {OWN}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost : {OWN}\r\n\r\n"),
        format!(
            "POST / HTTP/1.1\r\nHost: {OWN}\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        ),
        format!("POST / HTTP/1.1\r\nHost: {OWN}\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde"),
        format!("POST / HTTP/1.1\r\nHost: {OWN}\r\nContent-Length: +4\r\n\r\nabcd"),
        format!("POST / HTTP/1.1\r\nHost: {OWN}\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
        "GET / HTTP/1.1\r\n\r\n".to_owned(),
        "GET / HTTP/1.0\r\n\r\n".to_owned(),
        "SSH-2.0-OpenSSH_9.2\r\n\r\n".to_owned(),
        format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nHost: {OWN}\r\n\r\n"),
    ];
    for request in &refused {
        let answer = say(&door, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{request}\n→ {answer}");
    }
    assert_eq!(door.refused(), refused.len() as u64);
    assert_eq!(origin.connections(), 0, "the app saw none of it: {}", origin.seen());
}

#[tokio::test]
async fn a_second_request_behind_the_first_never_reaches_the_app() {
    let origin = Origin::plain("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await;
    let door = door(Target::Tcp(origin.address)).await;
    let second = format!("GET /second HTTP/1.1\r\nHost: {STRANGER}\r\n\r\n");
    for first in [
        format!("GET /first HTTP/1.1\r\nHost: {OWN}\r\n\r\n"),
        format!("POST /first HTTP/1.1\r\nHost: {OWN}\r\nContent-Length: 3\r\n\r\nabc"),
        format!(
            "POST /first HTTP/1.1\r\nHost: {OWN}\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\n\r\n"
        ),
        format!("GET /first HTTP/1.1\r\nHost: {OWN}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
    ] {
        let answer = say(&door, format!("{first}{second}").as_bytes()).await;
        assert!(answer.ends_with("hi"), "{first}\n→ {answer}");
    }
    assert!(!origin.seen().contains("/second"), "{}", origin.seen());
    assert_eq!(origin.seen().matches("/first").count(), 4);
}

#[tokio::test]
async fn a_client_cannot_say_for_itself_what_only_a_proxy_says() {
    let origin = Origin::plain("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let door = door(Target::Tcp(origin.address)).await;
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {OWN}\r\nX-Forwarded-Host: {STRANGER}\r\nForwarded: host={STRANGER}\r\n\r\n"
    );
    say(&door, request.as_bytes()).await;
    assert!(!origin.seen().contains(STRANGER), "{}", origin.seen());
    assert!(origin.seen().contains(&format!("X-Forwarded-Host: {OWN}\r\n")), "{}", origin.seen());
}

#[tokio::test]
async fn a_websocket_goes_both_ways_once_the_app_agreed() {
    let origin = Origin::plain("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n").await;
    let door = door(Target::Tcp(origin.address)).await;
    let request =
        format!("GET /ws HTTP/1.1\r\nHost: {OWN}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nframes");
    let answer = say(&door, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    assert!(origin.seen().contains("Upgrade: websocket\r\n"), "{}", origin.seen());
    origin.wait_until_seen("frames").await;
}

#[tokio::test]
async fn tls_is_judged_by_its_server_name_and_stays_end_to_end() {
    let origin = Origin::tls(&[OWN, STRANGER], "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await;
    let door = door(Target::Tcp(origin.address)).await;
    let certificate = origin.handshake(door.address(), OWN).await.unwrap();
    assert_eq!(Some(certificate), origin.certificate, "the certificate is the app's, not the door's");
    let refused = origin.handshake(door.address(), STRANGER).await.unwrap_err();
    assert!(refused.contains("UnrecognisedName"), "{refused}");
    // An address is no name, so this ClientHello carries none.
    let refused = origin.handshake(door.address(), "127.0.0.1").await.unwrap_err();
    assert!(refused.contains("UnrecognisedName"), "{refused}");
    assert_eq!((door.passed(), door.refused(), origin.connections()), (1, 2, 1));
}

#[tokio::test]
async fn broken_and_endless_client_hellos_are_refused() {
    let origin = Origin::plain("").await;
    let patience = Patience { head: Duration::from_millis(500), idle: LONG };
    let door = Door::open(&[OWN], Target::Tcp(origin.address), patience).await.unwrap();
    let mut endless = vec![22, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff];
    endless.resize(200_000, 0);
    for hello in [vec![22, 3, 1, 0, 3, 1, 2, 3], vec![22; 400], endless] {
        let answer = say(&door, &hello).await;
        assert!(!answer.contains("HTTP"), "{answer}");
    }
    assert_eq!((door.passed(), origin.connections()), (0, 0));
    assert_eq!(door.refused(), 3);
}

#[tokio::test]
async fn a_huge_head_is_refused_and_a_slow_one_is_ended() {
    let origin = Origin::plain("").await;
    let patience = Patience { head: Duration::from_millis(300), idle: LONG };
    let door = Door::open(&[OWN], Target::Tcp(origin.address), patience).await.unwrap();
    let mut huge = format!("GET / HTTP/1.1\r\nHost: {OWN}\r\nX: ").into_bytes();
    huge.resize(1 << 20, b'x');
    let answer = say(&door, &huge).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    // More slow clients than there are places: all of them are ended, and then the door serves again.
    let mut slow = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(door.address()).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nX: ").await.unwrap();
        slow.push(stream);
    }
    let start = Instant::now();
    for stream in &mut slow {
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(LONG, stream.read_to_end(&mut answer)).await.unwrap();
        assert!(String::from_utf8_lossy(&answer).starts_with("HTTP/1.1 408 "));
    }
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    assert_eq!((door.refused(), origin.connections()), (101, 0));
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let origin = Origin::silent().await;
    let patience = Patience { head: LONG, idle: Duration::from_millis(200) };
    let door = Door::open(&[OWN], Target::Tcp(origin.address), patience).await.unwrap();
    let start = Instant::now();
    let answer = say(&door, format!("GET / HTTP/1.1\r\nHost: {OWN}\r\n\r\n").as_bytes()).await;
    assert!(answer.is_empty(), "{answer}");
    assert!(start.elapsed() >= Duration::from_millis(200) && start.elapsed() < LONG, "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_relay_socket_behind_a_long_path_is_reached_and_the_door_has_a_socket_too() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("a-folder-with-a-long-name-".repeat(5)).join("and-another-one-".repeat(5));
    std::fs::create_dir_all(&deep).unwrap();
    assert!(deep.as_os_str().len() > 108);
    let origin =
        Origin::socket(&deep.join("relay.sock"), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await;
    let door = door(Target::Unix(deep.join("relay.sock"))).await;
    door.open_socket(&deep.join("door.sock")).unwrap();
    let request = format!("GET / HTTP/1.1\r\nHost: {OWN}\r\n\r\n");
    assert!(say(&door, request.as_bytes()).await.ends_with("hi"));
    let mut stream = origin::connect_unix(&deep.join("door.sock")).await;
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("hi"), "{answer}");
    assert_eq!(origin.connections(), 2);
}

#[tokio::test]
async fn where_nobody_is_behind_the_door_it_says_so() {
    let door = door(Target::Unix("/nowhere/relay.sock".into())).await;
    let answer = say(&door, format!("GET / HTTP/1.1\r\nHost: {OWN}\r\n\r\n").as_bytes()).await;
    assert!(
        answer.starts_with("HTTP/1.1 502 ") && answer.contains("nobody answers behind the door"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_closed_door_ends_its_connections() {
    let origin = Origin::silent().await;
    let door = door(Target::Tcp(origin.address)).await;
    let address = door.address();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("GET / HTTP/1.1\r\nHost: {OWN}\r\n\r\n").as_bytes()).await.unwrap();
    origin.wait_until_seen("GET").await;
    tokio::time::timeout(LONG, door.close()).await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(LONG, stream.read_to_end(&mut answer)).await.unwrap();
    assert!(answer.is_empty());
    assert!(TcpStream::connect(address).await.is_err());
}
