//! A stand-in for a Gitea with many repositories: what a poll asks for, and a count of the questions.
//!
//! A real one with a thousand repositories takes half an hour to make, and a poll asks it for three things only.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Entries of a page, as Gitea has it.
const PAGE: usize = 50;
/// Comments of a pull request that changed within the overlap of two polls.
const COMMENTS: u64 = 20;

/// The server; its threads end with the process.
pub(super) struct StandIn {
    /// `http://127.0.0.1:<port>`.
    pub(super) url: String,
    asked: Arc<AtomicU64>,
}

impl StandIn {
    /// A forge in which `changed` pull requests, each of another repository, changed lately.
    pub(super) fn start(changed: usize) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let url = format!("http://{}", listener.local_addr()?);
        let asked = Arc::new(AtomicU64::new(0));
        let count = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let count = count.clone();
                std::thread::spawn(move || serve(stream, changed, &count));
            }
        });
        Ok(Self { url, asked })
    }

    /// Requests so far.
    pub(super) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }
}

/// Answers on one connection until it is closed.
fn serve(stream: TcpStream, changed: usize, asked: &AtomicU64) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut writes = stream.try_clone().ok()?;
    let mut reads = BufReader::new(stream);
    loop {
        let mut first = String::new();
        reads.read_line(&mut first).ok().filter(|read| *read > 0)?;
        let mut line = String::new();
        while reads.read_line(&mut line).ok()? > 2 {
            line.clear();
        }
        let number = asked.fetch_add(1, Ordering::Relaxed);
        let path = first.split(' ').nth(1)?;
        let body = if path.contains("/issues/search") {
            search(path, changed)
        } else if path.contains("/comments") {
            comments(number)
        } else {
            r#"{"id":1,"login":"robot"}"#.to_owned()
        };
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        writes.write_all(format!("{head}{body}").as_bytes()).ok()?;
    }
}

fn search(path: &str, changed: usize) -> String {
    let page = path.split("page=").nth(1).and_then(|text| text.parse().ok()).unwrap_or(1_usize);
    let entries = (0..changed).skip((page - 1) * PAGE).take(PAGE);
    let entries: Vec<String> = entries
        .map(|number| format!(r#"{{"number":1,"repository":{{"full_name":"recipes/recipe-{number}"}}}}"#))
        .collect();
    format!("[{}]", entries.join(","))
}

/// Other ones each time, none of which asks for anything.
fn comments(number: u64) -> String {
    let at = "2026-01-02T03:04:05Z";
    let one = |place| {
        let id = number * COMMENTS + place + 1;
        format!(
            r#"{{"id":{id},"user":{{"id":7,"login":"maria"}},"body":"Comment {id}: looks good, see `compose.yml`.\n\n> and this","created_at":"2999-01-02T03:04:05Z","updated_at":"{at}"}}"#
        )
    };
    let all: Vec<String> = (0..COMMENTS).map(one).collect();
    format!("[{}]", all.join(","))
}
