//! Asks a port: does it accept connections, and what does it answer over HTTP.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::fault::Fault;

const CONNECT: Duration = Duration::from_secs(2);
/// Between two connections of a row: long enough to fall into a restart, short enough not to be felt.
const PAUSE: Duration = Duration::from_millis(100);
/// For a whole answer.
const ANSWER: Duration = Duration::from_secs(10);
/// Bytes read of an answer, head and body together.
const LONGEST: usize = 1 << 20;

/// Connects so many times in a row.
#[expect(
    clippy::disallowed_methods,
    reason = "a pause between looks, bounded by their number; there is no event"
)]
pub(crate) fn connects(address: SocketAddr, stable: u32) -> Result<Vec<u8>, Fault> {
    for time in 1..=stable {
        if let Err(error) = TcpStream::connect_timeout(&address, CONNECT) {
            return Err(Fault::NotSo(format!("connection {time} of {stable} to {address}: {error}")));
        }
        if time < stable {
            std::thread::sleep(PAUSE);
        }
    }
    line(&json!({ "address": address.to_string(), "connected": stable }))
}

/// One GET, its answer as JSON: status, headers in order, body as text, whether the body was cut.
pub(crate) fn get(address: SocketAddr, path: &str, host: &str) -> Result<Vec<u8>, Fault> {
    let no_answer = |error| Fault::NotSo(format!("asking {address} for {path}: {error}"));
    let mut stream = TcpStream::connect_timeout(&address, CONNECT).map_err(no_answer)?;
    stream.set_write_timeout(Some(ANSWER)).map_err(no_answer)?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: cc-ci\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).map_err(no_answer)?;
    let answer = read_until_closed(&mut stream).map_err(no_answer)?;
    let parsed = parse(&answer)
        .ok_or_else(|| Fault::NotSo(format!("asking {address} for {path}: the answer is not HTTP")))?;
    line(&parsed)
}

/// Everything until the other side closes, bounded in time and size. What came before the time was up is kept:
/// some servers answer and leave the connection open.
fn read_until_closed(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let end = Instant::now() + ANSWER;
    let mut answer = Vec::new();
    let mut buffer = [0_u8; 16 * 1024];
    while answer.len() < LONGEST && !is_whole(&answer) {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
            Err(_) if !answer.is_empty() => break,
            Err(error) => return Err(error),
        }
    }
    answer.truncate(LONGEST);
    Ok(answer)
}

/// Whether the announced length has arrived.
fn is_whole(answer: &[u8]) -> bool {
    let Some((head, body)) = split(answer) else { return false };
    header(&head, "content-length")
        .and_then(|length| length.parse().ok())
        .is_some_and(|length: usize| body.len() >= length)
}

fn split(answer: &[u8]) -> Option<(String, &[u8])> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    Some((String::from_utf8_lossy(&answer[..end]).into_owned(), &answer[end + 4..]))
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

fn parse(answer: &[u8]) -> Option<serde_json::Value> {
    let (head, raw) = split(answer)?;
    let mut words = head.lines().next()?.splitn(3, ' ');
    words.next().filter(|version| version.starts_with("HTTP/1."))?;
    let status: u16 = words.next()?.parse().ok()?;
    let chunked =
        header(&head, "transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
    let (body, whole) = if chunked {
        unchunk(raw)
    } else {
        let announced: Option<usize> = header(&head, "content-length").and_then(|length| length.parse().ok());
        let length = announced.map_or(raw.len(), |length| length.min(raw.len()));
        (
            raw[..length].to_vec(),
            announced.is_none_or(|announced| announced <= raw.len()) && answer.len() < LONGEST,
        )
    };
    let headers: Vec<_> = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| json!([name.to_ascii_lowercase(), value.trim()]))
        .collect();
    Some(
        json!({ "status": status, "headers": headers, "body": String::from_utf8_lossy(&body), "whole": whole }),
    )
}

/// The body without its chunk marks, and whether its end was seen.
fn unchunk(mut raw: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let Some(end) = raw.windows(2).position(|window| window == b"\r\n") else { return (body, false) };
        let size = String::from_utf8_lossy(&raw[..end]);
        let size = size.split(';').next().unwrap_or_default().trim();
        let Ok(size) = usize::from_str_radix(size, 16) else { return (body, false) };
        raw = &raw[end + 2..];
        if size == 0 {
            return (body, true);
        }
        body.extend_from_slice(&raw[..size.min(raw.len())]);
        let Some(rest) = size.checked_add(2).and_then(|next| raw.get(next..)) else { return (body, false) };
        raw = rest;
    }
}

fn line(value: &serde_json::Value) -> Result<Vec<u8>, Fault> {
    Ok(format!("{value}\n").into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_apart_and_says_whether_it_is_whole() {
        let plain = parse(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: a: b\r\n\r\nhi extra").unwrap();
        assert_eq!(plain["body"], "hi");
        assert_eq!(plain["headers"][1], json!(["x", "a: b"]));
        let chunked =
            b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nhi\r\n1\r\n!\r\n0\r\n\r\n";
        let chunked = parse(chunked).unwrap();
        assert_eq!(
            (&chunked["status"], &chunked["body"], &chunked["whole"]),
            (&json!(404), &json!("hi!"), &json!(true))
        );
        let cut =
            parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nhi").unwrap();
        assert_eq!((&cut["body"], &cut["whole"]), (&json!("hi"), &json!(false)));
    }

    #[test]
    fn what_is_not_http_is_no_answer() {
        for bytes in [
            &b""[..],
            b"SSH-2.0-x\r\n\r\n",
            b"HTTP/1.1\r\n\r\n",
            b"HTTP/1.1 abc\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n",
        ] {
            assert!(parse(bytes).is_none(), "{}", String::from_utf8_lossy(bytes));
        }
    }
}
