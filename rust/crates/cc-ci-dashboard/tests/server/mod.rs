//! The real program over real folders, asked over loopback by a client that sends addresses as they are.

#![allow(dead_code, unreachable_pub, reason = "each test program uses its own part of this room")]
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

/// No answer takes this long; only a program that hangs does.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running dashboard; it ends with its guard.
pub struct Server {
    child: Child,
    address: SocketAddr,
    stderr: BufReader<ChildStderr>,
    folder: tempfile::TempDir,
}

/// What came back.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.head.lines().filter_map(|line| line.split_once(':'));
        found.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }
}

/// An answer that goes on.
pub struct Open {
    stream: TcpStream,
    seen: String,
}

impl Open {
    /// Reads until a text was seen; returns everything that came up to then.
    pub fn until(&mut self, text: &str) -> &str {
        let mut part = [0; 4096];
        while !self.seen.contains(text) {
            let read = self.stream.read(&mut part).unwrap();
            assert!(read > 0, "it ended before {text:?} came: {}", self.seen);
            self.seen.push_str(&String::from_utf8_lossy(&part[..read]));
        }
        &self.seen
    }
}

/// Folders that a test fills before the program starts.
pub struct Folders(tempfile::TempDir);

impl Folders {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("state/runs")).unwrap();
        Self(folder)
    }

    pub fn state(&self) -> PathBuf {
        self.0.path().join("state")
    }

    pub fn run(&self, id: &str, result: &str) -> PathBuf {
        let folder = self.state().join("runs").join(id);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("result.json"), result).unwrap();
        folder
    }

    /// Starts the program with these settings.
    pub fn serve(self, settings: &str) -> Server {
        let config = self.0.path().join("dashboard.toml");
        std::fs::write(&config, settings).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_cc-ci-dashboard"))
            .args(["serve", "--listen", "127.0.0.1:0", "--config"])
            .arg(&config)
            .env_clear()
            .env("CCCI_STATE_DIR", self.state())
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains(" on 127.0.0.1:") {
            line.clear();
            assert!(
                stderr.read_line(&mut line).unwrap() > 0,
                "it ended before it served: {:?}",
                child.wait()
            );
        }
        let address = line.split(" on ").nth(1).unwrap().split_whitespace().next().unwrap().parse().unwrap();
        Server { child, address, stderr, folder: self.0 }
    }
}

impl Server {
    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub fn runs(&self) -> PathBuf {
        self.state().join("runs")
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask(path, "")
    }

    /// Asks for an address exactly as it is written, with more headers.
    pub fn ask(&self, path: &str, headers: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n").unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }

    /// Asks for something that goes on, and leaves the connection open.
    pub fn open(&self, path: &str, headers: &str) -> Open {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\n{headers}\r\n").unwrap();
        Open { stream, seen: String::new() }
    }

    /// Asks until the answer holds; what it waits for is made by the program's own events.
    pub fn wait(&self, path: &str, what: &str, holds: impl Fn(&Answer) -> bool) -> Answer {
        let end = Instant::now() + PATIENCE;
        loop {
            let answer = self.get(path);
            if holds(&answer) {
                return answer;
            }
            assert!(Instant::now() < end, "{what}: {path} says {} {}", answer.status, answer.body);
            std::thread::yield_now();
        }
    }

    /// Sends TERM and waits for the end.
    pub fn stop(&mut self) -> std::process::ExitStatus {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        let mut rest = String::new();
        self.stderr.read_to_string(&mut rest).unwrap();
        self.child.wait().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A result of a run that ended well.
pub fn result(id: &str, recipe: &str) -> String {
    format!(
        r#"{{"schema":1,"run":{{"id":"{id}","state":"finished","started":"2026-01-02T03:04:05Z","finished":"2026-01-02T03:05:05Z","host":"h","pid":1,"deployer":"native","via":null,"domain":null,"stack":null}},"request":{{"recipe":"{recipe}","src":null,"ref":null,"pr":7,"tiers":null,"from":null}},"verdict":"pass","trouble":null,"tools":{{"cc_ci":"0.1.0"}},"customisation":["<script>alert(1)</script>"],"level":5,"level_reason":"all","plan":[],"base":null,"tiers":[{{"name":"install","status":"pass","reason":"","seconds":3.5,"checks":[{{"name":"<b>serves</b>","origin":"generic","status":"pass","seconds":1.0,"message":"\"><img src=x onerror=alert(2)>","log":"../../secret"}}]}}],"deploys":{{"counted":1,"expected":1}},"teardown":null,"images":[],"footprint":{{"seconds":{{}}}},"redaction":{{"masked":0,"leaks":0}},"retries":[],"limits":[],"replay":"cc-ci run"}}"#
    )
}

/// The id of the n-th run.
pub fn id(n: usize) -> String {
    format!("20260102T030405-{n:06x}")
}

/// Writes a file and the folders above it.
pub fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}
