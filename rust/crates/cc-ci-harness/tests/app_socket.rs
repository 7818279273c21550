//! `cc-ci app` speaks to this run and to nothing else, and tells its own failures from the command's.

#![allow(clippy::unwrap_used, reason = "a test ends where something it needs is not there")]

mod app;
mod origin;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use app::Hands;
use cc_ci_harness::app_socket::{AppSocket, Bytes, ChannelError, Wanted, ask};
use cc_ci_model::names::ServiceName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

struct Place {
    folder: tempfile::TempDir,
    socket: AppSocket,
}

fn open() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("run-folder-with-a-long-name-".repeat(6));
    std::fs::create_dir(&deep).unwrap();
    let socket = AppSocket::open(&deep.join("app.sock"), Arc::new(Hands::default())).unwrap();
    Place { folder, socket }
}

fn exec(command: &[&str], stdin: &[u8]) -> Wanted {
    let command = command.iter().map(|word| (*word).to_owned()).collect();
    Wanted::Exec { service: ServiceName::parse("app").unwrap(), command, stdin: Bytes(stdin.to_vec()) }
}

#[tokio::test]
async fn output_and_exit_status_pass_through_unchanged() {
    let place = open();
    let path = place.socket.path().to_owned();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "no other user of the machine reaches the app");
    let all: Vec<u8> = (0..=255).collect();
    let reply = ask(&path, exec(&["bytes"], &all)).await.unwrap();
    assert_eq!((reply.exit, reply.stdout, reply.stderr), (0, Bytes(all), Bytes(vec![0, 255])));
    for status in [1, 42, 125, 137] {
        assert_eq!(ask(&path, exec(&[&status.to_string()], b"")).await.unwrap().exit, status);
    }
    let reply = ask(&path, exec(&["echo", "$(id)", "a b", "\n;x"], b"")).await.unwrap();
    assert_eq!(reply.stdout.0, b"$(id) a b \n;x", "no shell in between");
    let logs = ask(&path, Wanted::Logs { service: ServiceName::parse("db").unwrap() }).await.unwrap();
    assert_eq!(logs.stdout.0, b"log of db\n");
    let env = ask(&path, Wanted::Env).await.unwrap();
    assert_eq!(env.stdout.0, format!("CCCI_APP_DOMAIN={}\n", origin::OWN).into_bytes());
}

#[tokio::test]
async fn services_of_other_runs_cannot_be_named() {
    let place = open();
    let service = ServiceName::parse("cust-000000_ci_example_app").unwrap();
    let wanted = Wanted::Exec { service, command: vec!["id".to_owned()], stdin: Bytes::default() };
    let error = ask(place.socket.path(), wanted).await.unwrap_err();
    assert!(matches!(&error, ChannelError::Refused(why) if why.contains("has no service")), "{error}");
}

async fn raw(path: &std::path::Path, line: &[u8]) -> String {
    let mut stream = origin::connect_unix(path).await;
    stream.write_all(line).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn lines_that_are_not_understood_are_refused_with_a_sentence() {
    let place = open();
    for (line, part) in [
        ("nonsense\n", "not understood"),
        ("{\"version\":2,\"wanted\":{\"do\":\"env\"}}\n", "version 2"),
        ("{\"version\":1,\"wanted\":{\"do\":\"shell\"}}\n", "not understood"),
        (
            "{\"version\":1,\"wanted\":{\"do\":\"exec\",\"service\":\"../x\",\"command\":[\"id\"]}}\n",
            "not understood",
        ),
        (
            "{\"version\":1,\"wanted\":{\"do\":\"exec\",\"service\":\"app\",\"command\":[],\"container\":\"x\"}}\n",
            "not understood",
        ),
        (
            "{\"version\":1,\"wanted\":{\"do\":\"exec\",\"service\":\"app\",\"command\":[]}}\n",
            "the command is empty",
        ),
    ] {
        let answer = raw(place.socket.path(), line.as_bytes()).await;
        assert!(answer.contains("\"Err\"") && answer.contains(part), "{line}→ {answer}");
    }
    assert_eq!(raw(place.socket.path(), b"{\"version\":1").await, "", "half a line is no request");
}

#[tokio::test]
async fn after_its_end_the_channel_is_broken_and_its_file_gone() {
    let Place { folder, socket } = open();
    let path: PathBuf = socket.path().to_owned();
    let idle = origin::connect_unix(&path).await;
    tokio::time::timeout(Duration::from_secs(20), socket.close()).await.unwrap();
    drop(idle);
    assert!(!path.exists());
    let error = ask(&path, Wanted::Env).await.unwrap_err();
    assert!(matches!(error, ChannelError::Broken { .. }), "{error}");
    drop(folder);
}
