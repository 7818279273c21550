//! A small web server for test images, whose ways to fail are chosen by its environment.
//!
//! Only the standard library is used, so that `rustc` alone builds it into a static binary.
//!
//! | variable | effect |
//! | --- | --- |
//! | `PROBE_PORT` | the port it listens on, default 8080; `none`: runs and never listens |
//! | `PROBE_TEXT` | what `/` answers, default `probe` |
//! | `PROBE_CRASH_AFTER_MS` | ends with status 3 after so many milliseconds |
//! | `PROBE_CRASH_ONCE` | a file: it crashes only while that is not there, and makes it |
//! | `PROBE_READY_AFTER_MS` | answers 503 until then |
//! | `PROBE_NEVER_HEALTHY` | `probe check` fails, though it serves |
//! | `PROBE_MEMORY_MB` | takes and touches so many MiB |
//! | `PROBE_FILES` | the folder behind `/files/…`, default `/data` |
//! | `PROBE_WRITE` | `path=text`, written at the start |
//!
//! `GET /env` shows the environment, `GET` and `PUT /files/<path>` read and write the folder. As process 1 without a
//! handler it is deaf to TERM; its image says `STOPSIGNAL SIGKILL`, and a service that sets another is the deaf one.
//! Verbs: `probe check [path]`, `probe read <file>`, `probe write <file> <text>`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        [] => return serve(),
        ["check"] => check("/"),
        ["check", path] => check(path),
        ["read", file] => std::fs::read(file).and_then(|bytes| std::io::stdout().write_all(&bytes)),
        ["write", file, text] => std::fs::write(file, text),
        _ => Err(std::io::Error::other("usage: probe [check [path] | read <file> | write <file> <text>]")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("probe: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn milliseconds(name: &str) -> Option<Duration> {
    setting(name)?.parse().ok().map(Duration::from_millis)
}

fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn port() -> String {
    setting("PROBE_PORT").unwrap_or_else(|| "8080".to_owned())
}

/// Serves until it is ended, or until the moment it was told to crash.
fn serve() -> ExitCode {
    let begin = Instant::now();
    if let Some((file, text)) = setting("PROBE_WRITE").as_deref().and_then(|setting| setting.split_once('='))
        && let Err(error) = std::fs::write(file, text)
    {
        say(&format!("probe: writing {file}: {error}"));
        return ExitCode::FAILURE;
    }
    let hog = setting("PROBE_MEMORY_MB").and_then(|size| size.parse::<usize>().ok());
    // Another value than 0, or the kernel would not have to hand out the pages.
    let memory = hog.map(|size| vec![7_u8; size * 1024 * 1024]);
    let port = port();
    if port != "none" {
        let address = format!("0.0.0.0:{port}");
        let listener = match TcpListener::bind(&address) {
            Ok(listener) => listener,
            Err(error) => {
                say(&format!("probe: listening on {address}: {error}"));
                return ExitCode::FAILURE;
            }
        };
        say(&format!("probe: listening on {address}"));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || answer(&stream, begin));
            }
        });
    }
    // Nobody sends: this is waiting with or without an end.
    let (_sender, receiver) = mpsc::channel::<()>();
    let was_once = setting("PROBE_CRASH_ONCE").is_some_and(|file| std::fs::File::create_new(file).is_err());
    match milliseconds("PROBE_CRASH_AFTER_MS") {
        Some(crash) if !was_once => {
            let _ = receiver.recv_timeout(crash.saturating_sub(begin.elapsed()));
            say("probe: crashing as told");
        }
        _ => {
            let _ = receiver.recv();
        }
    }
    drop(memory);
    ExitCode::from(3)
}

/// Reads one request and answers it; a broken connection is the client's matter.
fn answer(stream: &TcpStream, begin: Instant) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    if reader.read_line(&mut first).is_err() {
        return;
    }
    let mut length = 0;
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
        line.clear();
    }
    let mut body = Vec::new();
    let _ = reader.take(length).read_to_end(&mut body);
    let mut words = first.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (status, text) = respond(method, path, &body, begin);
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        text.len()
    );
    let mut stream = stream;
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&text));
}

fn respond(method: &str, path: &str, body: &[u8], begin: Instant) -> (&'static str, Vec<u8>) {
    if milliseconds("PROBE_READY_AFTER_MS").is_some_and(|ready| begin.elapsed() < ready) {
        return ("503 Service Unavailable", b"not ready\n".to_vec());
    }
    match (method, path) {
        ("GET", "/") => ("200 OK", setting("PROBE_TEXT").unwrap_or_else(|| "probe".to_owned()).into_bytes()),
        ("GET", "/env") => {
            let lines: Vec<String> =
                std::env::vars().map(|(name, value)| format!("{name}={value}\n")).collect();
            ("200 OK", lines.concat().into_bytes())
        }
        _ => match path.strip_prefix("/files/").and_then(place) {
            Some(place) => file(method, &place, body),
            None => ("404 Not Found", b"no such page\n".to_vec()),
        },
    }
}

/// The file behind a path below `/files/`; none where the path leaves the folder.
fn place(path: &str) -> Option<PathBuf> {
    let is_inside = Path::new(path).components().all(|component| matches!(component, Component::Normal(_)));
    is_inside.then(|| PathBuf::from(setting("PROBE_FILES").unwrap_or_else(|| "/data".to_owned())).join(path))
}

fn file(method: &str, place: &Path, body: &[u8]) -> (&'static str, Vec<u8>) {
    let outcome = match method {
        "GET" => std::fs::read(place),
        "PUT" => std::fs::write(place, body).map(|()| b"written\n".to_vec()),
        _ => return ("405 Method Not Allowed", Vec::new()),
    };
    match outcome {
        Ok(bytes) => ("200 OK", bytes),
        Err(error) => ("404 Not Found", format!("{error}\n").into_bytes()),
    }
}

/// Asks the server in the same container, as its healthcheck does.
fn check(path: &str) -> std::io::Result<()> {
    if setting("PROBE_NEVER_HEALTHY").is_some() {
        return Err(std::io::Error::other("unhealthy as told"));
    }
    let mut stream = TcpStream::connect(format!("127.0.0.1:{}", port()))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.split_whitespace().nth(1) {
        Some("200") => Ok(()),
        other => Err(std::io::Error::other(format!("answered {other:?}"))),
    }
}
