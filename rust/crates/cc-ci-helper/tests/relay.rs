//! The relay passes bytes both ways, falls back to the next address, and ends at once when it is told to.
#![allow(clippy::unwrap_used, reason = "a test ends where something it needs is not there")]

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const LONG: Duration = Duration::from_secs(20);

/// The relay, killed where a test forgets it.
struct Relay {
    child: Child,
    socket: PathBuf,
}

impl Relay {
    fn start(folder: &Path, to: &[String]) -> Self {
        let socket = folder.join("relay.sock");
        let mut command = Command::new(env!("CARGO_BIN_EXE_cc-ci-helper"));
        command.args(["relay", "--listen"]).arg(&socket);
        for address in to {
            command.args(["--to", address]);
        }
        let child = command.stderr(Stdio::piped()).spawn().unwrap();
        Self { child, socket }
    }

    /// Connects, as soon as the relay listens.
    fn connect(&self) -> UnixStream {
        let end = Instant::now() + LONG;
        loop {
            match UnixStream::connect(&self.socket) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(LONG)).unwrap();
                    return stream;
                }
                Err(error) => assert!(Instant::now() < end, "the relay does not listen: {error}"),
            }
            std::thread::yield_now();
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Answers one connection with what it got, upside down, after the client closed its side.
fn server() -> (String, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut got = Vec::new();
        stream.read_to_end(&mut got).unwrap();
        got.reverse();
        stream.write_all(&got).unwrap();
    });
    (address, thread)
}

/// An address nobody listens on: the port of a service (tcpmux) that no machine runs.
const NOBODY: &str = "127.0.0.1:1";

#[test]
fn bytes_go_both_ways_and_a_half_closed_connection_works() {
    let folder = tempfile::tempdir().unwrap();
    let (address, thread) = server();
    let relay = Relay::start(folder.path(), &[address]);
    let mut stream = relay.connect();
    let mode = std::fs::metadata(&relay.socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o666, "another user than the container's root has to get in");
    let sent: Vec<u8> = (0..200_000_u32).map(|number| number.to_le_bytes()[0]).collect();
    stream.write_all(&sent).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut got = Vec::new();
    stream.read_to_end(&mut got).unwrap();
    got.reverse();
    assert!(got == sent, "{} bytes came back of {}", got.len(), sent.len());
    thread.join().unwrap();
}

#[test]
fn the_first_address_that_accepts_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let (address, thread) = server();
    let relay = Relay::start(folder.path(), &[NOBODY.to_owned(), address]);
    let mut stream = relay.connect();
    stream.write_all(b"abc").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut got = String::new();
    stream.read_to_string(&mut got).unwrap();
    assert_eq!(got, "cba");
    thread.join().unwrap();
}

#[test]
fn where_nobody_accepts_the_client_is_closed_and_the_relay_stays() {
    let folder = tempfile::tempdir().unwrap();
    let relay = Relay::start(folder.path(), &[NOBODY.to_owned()]);
    for _ in 0..3 {
        let mut got = Vec::new();
        match relay.connect().read_to_end(&mut got) {
            Ok(_) => assert!(got.is_empty()),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }
}

#[test]
fn it_ends_at_once_on_term_and_takes_its_socket_along() {
    let folder = tempfile::tempdir().unwrap();
    let mut relay = Relay::start(folder.path(), &[NOBODY.to_owned()]);
    let _open = relay.connect();
    let start = Instant::now();
    kill(Pid::from_raw(relay.child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    assert!(relay.child.wait().unwrap().success());
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert!(!relay.socket.exists());
}

#[test]
fn a_file_in_the_place_of_the_socket_is_not_taken_away() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("relay.sock"), "precious").unwrap();
    let mut relay = Relay::start(folder.path(), &[NOBODY.to_owned()]);
    assert_eq!(relay.child.wait().unwrap().code(), Some(2));
    assert_eq!(std::fs::read_to_string(&relay.socket).unwrap(), "precious");
}

#[test]
fn a_socket_that_was_left_behind_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("relay.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let relay = Relay::start(folder.path(), &[NOBODY.to_owned()]);
    drop(relay.connect());
}
