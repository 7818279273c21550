//! What the helper says of ports and answers, and how it ends.
#![allow(clippy::unwrap_used, reason = "a test ends where something it needs is not there")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn helper(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cc-ci-helper")).args(arguments).output().unwrap()
}

fn json(output: &Output) -> serde_json::Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn an_answer_is_printed_with_status_headers_and_body() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            request.push(byte[0]);
        }
        // The connection stays open: the announced length alone says where the answer ends.
        stream.write_all(b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 4\r\n\r\ngone").unwrap();
        (stream, String::from_utf8(request).unwrap())
    });
    let start = Instant::now();
    let answer = json(&helper(&["get", "localhost", &port, "/a?b=c", "app.example"]));
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    let (_open, request) = server.join().unwrap();
    assert!(request.starts_with("GET /a?b=c HTTP/1.1\r\nHost: app.example\r\n"), "{request}");
    assert_eq!(answer["status"], 302, "a redirect is shown, not followed");
    assert_eq!(answer["headers"][0], serde_json::json!(["location", "/login"]));
    assert_eq!(answer["body"], "gone");
}

#[test]
fn a_port_counts_as_stable_only_after_all_its_connections() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let server = std::thread::spawn(move || {
        for _ in 0..3 {
            listener.accept().unwrap();
        }
    });
    let answer = json(&helper(&["tcp", "127.0.0.1", &port, "--stable", "3"]));
    assert_eq!(answer["connected"], 3);
    // It ends after the third connection, and the listener with it.
    server.join().unwrap();
    let output = helper(&["tcp", "127.0.0.1", &port, "--stable", "3"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("connection 1 of 3"));
}

#[test]
fn listening_ports_are_listed_for_both_address_families() {
    let four = TcpListener::bind("127.0.0.1:0").unwrap();
    let port_of = |listener: &TcpListener| listener.local_addr().unwrap().port();
    let ports = json(&helper(&["listening"]));
    let has = |address: &str, port: u16| {
        ports.as_array().unwrap().contains(&serde_json::json!({ "address": address, "port": port }))
    };
    assert!(has("127.0.0.1", port_of(&four)), "{ports}");
    if let Ok(six) = TcpListener::bind("[::1]:0") {
        let ports = json(&helper(&["listening"]));
        let entry = serde_json::json!({ "address": "::1", "port": port_of(&six) });
        assert!(ports.as_array().unwrap().contains(&entry), "{ports}");
    }
}

#[test]
fn words_that_could_end_a_request_line_are_refused() {
    for arguments in [
        &["get", "127.0.0.1", "1", "/ HTTP/1.1\r\nX: y", "h"][..],
        &["get", "127.0.0.1", "1", "/", "h\r\nX: y"],
        &["get", "127.0.0.1", "1", "no-slash", "h"],
        &["get", "example.org", "80", "/", "h"],
        &["tcp", "127.0.0.1", "0"],
        &["tcp", "127.0.0.1", "80", "--stable", "0"],
        &["relay", "--listen", "/x"],
        &["relay", "--listen", "/x", "--to"],
        &["shell"],
        &[],
    ] {
        let output = helper(arguments);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn sleep_ends_at_once_and_well_on_term() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let child =
            Command::new(env!("CARGO_BIN_EXE_cc-ci-helper")).arg("sleep").stdout(Stdio::null()).spawn();
        let mut child = Guard(child.unwrap());
        let pid = Pid::from_raw(child.0.id().try_into().unwrap());
        // Blocked signals wait for the program; before that they would end it with a signal's status.
        let end = Instant::now() + Duration::from_secs(20);
        while !blocks_term(pid) {
            assert!(Instant::now() < end, "the program did not come up");
            std::thread::yield_now();
        }
        kill(pid, Signal::SIGUSR1).unwrap();
        assert!(child.0.try_wait().unwrap().is_none(), "only TERM and INT end it");
        let start = Instant::now();
        kill(pid, signal).unwrap();
        assert!(child.0.wait().unwrap().success());
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    }
}

/// The program, killed where a test fails before its end.
struct Guard(std::process::Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether a thread of the program blocks TERM. The thread that waits for signals does not while it waits.
fn blocks_term(pid: Pid) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return false };
    threads.flatten().any(|thread| {
        let status = std::fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap_or("0").trim();
        u64::from_str_radix(mask, 16).unwrap_or(0) & (1 << (Signal::SIGTERM as u32 - 1)) != 0
    })
}
