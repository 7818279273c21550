//! A proxy in front of one test server that shows a test each request twice, and does with it what the test says.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A request on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passing {
    /// `GET`, `POST`, …
    pub method: String,
    /// Path and query, as sent.
    pub path: String,
}

/// Where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The server has not heard of it.
    Before,
    /// The server has done it, and who asked has not heard of that.
    After,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It goes on.
    Pass,
    /// It goes on after this time.
    Delay(Duration),
    /// The connection is closed without a word.
    Drop,
    /// Half of the answer arrives ([`Moment::After`] alone).
    Truncate,
    /// This status is answered instead, with a `Location` that leads to nobody.
    Answer(u16),
}

type Judge = Box<dyn FnMut(&Passing, Moment) -> Fate + Send>;

/// The proxy; everything passes until [`FaultyProxy::judge_by`] says otherwise. It is gone when it is dropped.
pub struct FaultyProxy {
    /// `http://127.0.0.1:<port>`.
    pub url: String,
    address: SocketAddr,
    judge: Arc<Mutex<Judge>>,
    is_over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// A test's servers answer within this time, or are dead; Drone holds a runner's question for 30 s.
const ONE_ANSWER: Duration = Duration::from_secs(60);
/// No request of the bridge has a longer head.
const LONGEST_HEAD: usize = 64 * 1024;

impl FaultyProxy {
    /// A proxy in front of `http://<host>:<port>`.
    ///
    /// # Errors
    /// There is no port, or no thread.
    pub fn before(upstream: &str) -> io::Result<Self> {
        let upstream = upstream.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let judge: Arc<Mutex<Judge>> = Arc::new(Mutex::new(Box::new(|_, _| Fate::Pass)));
        let is_over = Arc::new(AtomicBool::new(false));
        let (judges, over) = (judge.clone(), is_over.clone());
        let thread = std::thread::Builder::new().name("proxy".to_owned()).spawn(move || {
            for client in listener.incoming() {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                let (Ok(client), judges, upstream) = (client, judges.clone(), upstream.clone()) else {
                    continue;
                };
                // A request that cannot be carried is one that is dropped.
                std::thread::spawn(move || carry(client, &upstream, &judges));
            }
        })?;
        let url = format!("http://{address}");
        Ok(Self { url, address, judge, is_over, thread: Some(thread) })
    }

    /// From here on `judge` says what becomes of each request. It is asked by one request after the other.
    pub fn judge_by(&self, judge: impl FnMut(&Passing, Moment) -> Fate + Send + 'static) {
        *self.judge.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(judge);
    }
}

impl Drop for FaultyProxy {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One request and its answer; `None` where one of them broke off.
fn carry(mut client: TcpStream, upstream: &str, judge: &Mutex<Judge>) -> Option<()> {
    client.set_read_timeout(Some(ONE_ANSWER)).ok()?;
    let (head, mut body) = head_of(&mut client)?;
    let passing = {
        let mut words = head.lines().next()?.split(' ');
        Passing { method: words.next()?.to_owned(), path: words.next()?.to_owned() }
    };
    let ask = |moment| judge.lock().unwrap_or_else(PoisonError::into_inner)(&passing, moment);
    let header = |name: &str| {
        let found = head.lines().filter_map(|line| line.split_once(':'));
        let mut found = found.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.trim().to_owned())
    };
    let length: usize = header("content-length").map_or(Some(0), |text| text.parse().ok())?;
    let missing = length.saturating_sub(body.len());
    let mut rest = vec![0; missing];
    client.read_exact(&mut rest).ok()?;
    body.extend(rest);
    decide(ask(Moment::Before), &mut client)?;
    let mut server = TcpStream::connect(upstream).ok()?;
    server.set_read_timeout(Some(ONE_ANSWER)).ok()?;
    let kept = head.lines().filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
    let kept: String = kept.filter(|line| !line.is_empty()).map(|line| format!("{line}\r\n")).collect();
    server.write_all(format!("{kept}Connection: close\r\n\r\n").as_bytes()).ok()?;
    server.write_all(&body).ok()?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).ok()?;
    let fate = ask(Moment::After);
    decide(fate, &mut client)?;
    let until = if fate == Fate::Truncate { answer.len() / 2 } else { answer.len() };
    client.write_all(&answer[..until]).ok()?;
    client.shutdown(Shutdown::Both).ok()
}

/// `Some` where the request goes on.
fn decide(fate: Fate, client: &mut TcpStream) -> Option<()> {
    match fate {
        Fate::Pass | Fate::Truncate => Some(()),
        Fate::Delay(time) => {
            std::thread::park_timeout(time);
            Some(())
        }
        Fate::Drop => None,
        Fate::Answer(status) => {
            let answer = format!(
                "HTTP/1.1 {status} told\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}"
            );
            let _ = client.write_all(answer.as_bytes());
            None
        }
    }
}

/// The head with its empty line, and what of the body came with it.
fn head_of(client: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let (mut read, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let count = client.read(&mut piece).ok().filter(|count| *count > 0)?;
        read.extend_from_slice(&piece[..count]);
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            let body = read.split_off(end + 4);
            return Some((String::from_utf8(read).ok()?, body));
        }
        if read.len() > LONGEST_HEAD {
            return None;
        }
    }
}
