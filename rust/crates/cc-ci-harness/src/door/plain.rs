//! The door for plain HTTP: one request per connection, for this run's host name, passed on as a proxy would.

use std::fmt::Write as _;
use std::io::ErrorKind;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::copy::{self, Activity};
use super::{Inner, Judged};

/// Longest head of a request or of the answer to an upgrade.
const LONGEST: usize = 64 * 1024;
const HEADERS: usize = 100;

/// A request head that was understood in one way only.
struct Head {
    /// What goes to the app.
    rewritten: Vec<u8>,
    /// Bytes of the head as the client sent it.
    length: usize,
    body: Body,
    upgrades: bool,
}

#[derive(Clone, Copy)]
enum Body {
    Length(u64),
    Chunked,
}

/// Why a request is not passed on: the status and the sentence the client gets.
struct Refusal(&'static str, String);

impl Inner {
    pub(super) async fn serve_plain(
        &self,
        client: &mut (impl AsyncRead + AsyncWrite + Unpin),
        mut bytes: Vec<u8>,
    ) -> Judged {
        let read = tokio::time::timeout(self.patience.head, async {
            loop {
                match self.head(&bytes) {
                    Ok(Some(head)) => return Ok(head),
                    Ok(None) if bytes.len() >= LONGEST => {
                        return Err(Refusal(
                            "431 Request Header Fields Too Large",
                            "the head is too long".into(),
                        ));
                    }
                    Ok(None) => {
                        let gone = |_| Refusal("400 Bad Request", "the request broke off".into());
                        copy::more(client, &mut bytes).await.map_err(gone)?;
                    }
                    Err(refusal) => return Err(refusal),
                }
            }
        });
        let late = || Err(Refusal("408 Request Timeout", "the head did not arrive in time".into()));
        let head = match read.await.unwrap_or_else(|_| late()) {
            Ok(head) => head,
            Err(refusal) => {
                answer(client, &refusal).await;
                return Judged::Refused;
            }
        };
        self.count_passed();
        let Ok(mut target) = self.reach().await else {
            let nobody = "nobody answers behind the door".to_owned();
            answer(client, &Refusal("502 Bad Gateway", nobody)).await;
            return Judged::Passed;
        };
        let activity = Activity::new(self.patience.idle);
        // However the exchange ends, its ends are what client and app see.
        let _ = exchange(&activity, client, &mut target, &head, &bytes[head.length..]).await;
        Judged::Passed
    }

    /// Reads a head strictly; `None` where it is not whole yet.
    fn head(&self, bytes: &[u8]) -> Result<Option<Head>, Refusal> {
        let bad = |what: &str| Refusal("400 Bad Request", what.to_owned());
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        let length = match request.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(error) => return Err(bad(&format!("this is not HTTP: {error}"))),
        };
        let (Some(method), Some(path), Some(version)) = (request.method, request.path, request.version)
        else {
            return Err(bad("this is not HTTP"));
        };
        // A request for a whole address names its host a second time, and CONNECT opens a tunnel.
        if !path.starts_with('/') || method.eq_ignore_ascii_case("CONNECT") {
            return Err(bad("only paths on the app can be asked for"));
        }
        let all = |name: &str| -> Vec<&[u8]> {
            let own = request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
            own.map(|header| header.value).collect()
        };
        self.judge_host(&all("host"))?;
        let upgrades =
            version == 1 && all("upgrade").iter().any(|value| value.eq_ignore_ascii_case(b"websocket"));
        let body = match (all("content-length").as_slice(), all("transfer-encoding").as_slice()) {
            ([], []) => Body::Length(0),
            ([length], []) => {
                let digits =
                    std::str::from_utf8(length).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
                let length = digits.and_then(|text| text.parse().ok());
                Body::Length(length.ok_or_else(|| bad("the content length is no number"))?)
            }
            ([], [coding]) if version == 1 && coding.eq_ignore_ascii_case(b"chunked") => Body::Chunked,
            // Two ways to find the end of a body are how a second request is smuggled (RFC 9112, 6.3).
            _ => return Err(bad("the end of the body can be understood in more than one way")),
        };
        let mut rewritten = format!("{method} {path} HTTP/1.{version}\r\n").into_bytes();
        for header in request.headers.iter() {
            let name = header.name.to_ascii_lowercase();
            let hop =
                ["connection", "keep-alive", "proxy-connection", "te", "trailer"].contains(&name.as_str());
            // A proxy says these of its clients; a client cannot say them of itself.
            let forwarded = name.starts_with("x-forwarded-") || name == "forwarded" || name == "x-real-ip";
            if !(hop || forwarded || name == "upgrade" && !upgrades) {
                for part in [header.name.as_bytes(), b": ", header.value, b"\r\n"] {
                    rewritten.extend_from_slice(part);
                }
            }
        }
        let host = self.names.first().map_or("", String::as_str);
        let connection = if upgrades { "Upgrade" } else { "close" };
        // As the proxy in production says it: apps redirect to https for good otherwise.
        let added = format!(
            "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: {host}\r\nX-Forwarded-Proto: https\r\nConnection: {connection}\r\n\r\n"
        );
        rewritten.extend_from_slice(added.as_bytes());
        Ok(Some(Head { rewritten, length, body, upgrades }))
    }

    fn judge_host(&self, hosts: &[&[u8]]) -> Result<(), Refusal> {
        let [host] = hosts else {
            return Err(Refusal("400 Bad Request", format!("{} Host headers instead of one", hosts.len())));
        };
        let text = std::str::from_utf8(host).unwrap_or_default();
        let name = match text.rsplit_once(':') {
            Some((name, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => text,
        };
        if self.is_own(name) {
            Ok(())
        } else {
            let names = self.names.join(", ");
            Err(Refusal("421 Misdirected Request", format!("this door leads to {names} and nowhere else")))
        }
    }
}

async fn answer(client: &mut (impl AsyncWrite + Unpin), Refusal(status, sentence): &Refusal) {
    let mut text = String::new();
    let length = sentence.len() + 1;
    // Writing to a string does not fail.
    let _ = write!(
        text,
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{sentence}\n"
    );
    // Whoever sent this may not read the answer.
    let _ = client.write_all(text.as_bytes()).await;
}

async fn exchange(
    activity: &Activity,
    client: &mut (impl AsyncRead + AsyncWrite + Unpin),
    target: &mut (impl AsyncRead + AsyncWrite + Unpin),
    head: &Head,
    early: &[u8],
) -> std::io::Result<()> {
    activity.write(target, &head.rewritten).await?;
    if head.upgrades {
        return upgrade(activity, client, target, early).await;
    }
    let (mut client_in, mut client_out) = tokio::io::split(client);
    let (mut target_in, mut target_out) = tokio::io::split(target);
    let request = async {
        let sent = send_body(activity, &mut client_in, &mut target_out, head.body, early).await;
        match sent {
            // The client broke off, or frames its body in a way that nobody should have to read.
            Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidData) => {
                Err(error)
            }
            // Nothing follows the body, whatever the client sends: the answer alone ends the exchange. An app may
            // answer without having read it all.
            _ => std::future::pending().await,
        }
    };
    tokio::select! {
        failed = request => failed,
        answered = activity.copy(&mut target_in, &mut client_out) => answered,
    }
}

/// After `101` the connection belongs to the other protocol; without it, nothing more of the client is passed on.
async fn upgrade(
    activity: &Activity,
    client: &mut (impl AsyncRead + AsyncWrite + Unpin),
    target: &mut (impl AsyncRead + AsyncWrite + Unpin),
    early: &[u8],
) -> std::io::Result<()> {
    let mut answer = Vec::new();
    let mut chunk = vec![0_u8; 4096];
    while !answer.windows(4).any(|window| window == b"\r\n\r\n") && answer.len() < LONGEST {
        match activity.read(target, &mut chunk).await? {
            0 => break,
            count => answer.extend_from_slice(&chunk[..count]),
        }
    }
    activity.write(client, &answer).await?;
    if answer.starts_with(b"HTTP/1.1 101 ") {
        activity.write(target, early).await?;
        activity.both(client, target).await
    } else {
        activity.copy(target, client).await
    }
}

async fn send_body(
    activity: &Activity,
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    body: Body,
    early: &[u8],
) -> std::io::Result<()> {
    let mut source = Source { early: early.to_vec(), at: 0 };
    match body {
        Body::Length(length) => source.pass(activity, from, to, length).await?,
        Body::Chunked => loop {
            let line = source.line(activity, from).await?;
            let digits = std::str::from_utf8(&line).unwrap_or_default();
            let digits = digits.split(';').next().unwrap_or_default().trim_end();
            let fine =
                !digits.is_empty() && digits.len() <= 15 && digits.bytes().all(|b| b.is_ascii_hexdigit());
            let size = u64::from_str_radix(digits, 16).ok().filter(|_| fine).ok_or(ErrorKind::InvalidData)?;
            // Extensions and trailers end here; the app gets the plain form.
            activity.write(to, format!("{size:x}\r\n").as_bytes()).await?;
            source.pass(activity, from, to, size).await?;
            if size > 0 && !source.line(activity, from).await?.is_empty() {
                return Err(ErrorKind::InvalidData.into());
            }
            activity.write(to, b"\r\n").await?;
            if size == 0 {
                break;
            }
        },
    }
    to.flush().await
}

/// What the client sends: first what came with the head, then what is read.
struct Source {
    early: Vec<u8>,
    at: usize,
}

impl Source {
    async fn fill(
        &mut self,
        activity: &Activity,
        from: &mut (impl AsyncRead + Unpin),
    ) -> std::io::Result<()> {
        if self.at == self.early.len() {
            self.early.resize(16 * 1024, 0);
            self.at = 0;
            let count = activity.read(from, &mut self.early).await?;
            self.early.truncate(count);
            if count == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    async fn pass(
        &mut self,
        activity: &Activity,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        mut left: u64,
    ) -> std::io::Result<()> {
        while left > 0 {
            self.fill(activity, from).await?;
            let there = &self.early[self.at..];
            let count = there.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            activity.write(to, &there[..count]).await?;
            self.at += count;
            left -= count as u64;
        }
        Ok(())
    }

    /// One line of at most 256 bytes, without its end, which has to be CRLF.
    async fn line(
        &mut self,
        activity: &Activity,
        from: &mut (impl AsyncRead + Unpin),
    ) -> std::io::Result<Vec<u8>> {
        let mut line = Vec::new();
        while line.len() <= 256 {
            self.fill(activity, from).await?;
            line.push(self.early[self.at]);
            self.at += 1;
            if line.ends_with(b"\r\n") {
                line.truncate(line.len() - 2);
                return Ok(line);
            }
        }
        Err(ErrorKind::InvalidData.into())
    }
}
