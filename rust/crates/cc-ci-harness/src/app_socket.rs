//! The socket behind `cc-ci app exec|logs|env`: one JSON line asks, one JSON line answers.
//!
//! It lies in the run's folder and reaches this run's services through [`AppHands`] and nothing else: a request has
//! no field that could name another run, a container or an address.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cc_ci_model::names::ServiceName;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::door::ShortPath;
use crate::hands::{AppHands, HandsError};

/// Version of the lines; a different one is refused by both sides.
pub const VERSION: u32 = 1;
/// Exit status of `cc-ci app` where the channel failed and the command's own status is not known (as `docker run`
/// has it).
pub const CHANNEL_FAILED: u8 = 125;
/// Bytes of one line; output is bounded before by whoever executes.
const LONGEST: u64 = 64 << 20;
/// Callers at once.
const AT_ONCE: usize = 16;
/// A caller has so long to send its line.
const ASKING: Duration = Duration::from_secs(10);

/// What a test asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase", deny_unknown_fields)]
pub enum Wanted {
    /// A command in a container of a service.
    Exec {
        /// The service.
        service: ServiceName,
        /// The argument vector.
        command: Vec<String>,
        /// Its standard input.
        #[serde(default)]
        stdin: Bytes,
    },
    /// The last log lines of a service.
    Logs {
        /// The service.
        service: ServiceName,
    },
    /// What is known of the app.
    Env,
}

/// One line from the caller.
#[derive(Debug, Serialize, Deserialize)]
struct Request {
    version: u32,
    wanted: Wanted,
}

/// What `cc-ci app` prints and how it ends.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// Exit status of the command; 0 for logs and env.
    pub exit: i32,
    /// For standard output.
    pub stdout: Bytes,
    /// For standard error.
    pub stderr: Bytes,
}

/// One line to the caller.
#[derive(Debug, Serialize, Deserialize)]
struct Response {
    version: u32,
    reply: Result<Reply, String>,
}

/// Bytes in a JSON string: each byte is the character of its number, so that nothing is lost and text stays readable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.iter().map(|byte| char::from(*byte)).collect::<String>())
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes: Result<Vec<u8>, _> = text.chars().map(u8::try_from).collect();
        bytes.map(Self).map_err(|_| serde::de::Error::custom("a character above U+00FF stands for no byte"))
    }
}

/// Why the channel did not work. `cc-ci app` ends with [`CHANNEL_FAILED`] then.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The socket is not there or broke off.
    #[error("talking to the run over {}: {cause}; is the run still going?", path.display())]
    Broken {
        /// The socket.
        path: PathBuf,
        /// What the kernel said.
        cause: io::Error,
    },
    /// The run refused or could not do it.
    #[error("the run could not do it: {0}")]
    Refused(String),
    /// The lines are not understood.
    #[error("the run speaks another language: {0}; use the cc-ci that started the run")]
    Language(String),
}

/// The open socket. Dropping it ends it and removes the file.
#[derive(Debug)]
pub struct AppSocket {
    path: PathBuf,
    tasks: TaskTracker,
    closed: CancellationToken,
    _guard: DropGuard,
}

impl AppSocket {
    /// Opens the socket; its path may be longer than a socket address.
    ///
    /// # Errors
    /// What the kernel says of the place.
    pub fn open<H: AppHands + 'static>(path: &Path, hands: Arc<H>) -> io::Result<Self> {
        use std::os::unix::fs::PermissionsExt;
        let short = ShortPath::of(path)?;
        let listener = UnixListener::bind(short.path())?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        let (tasks, closed) = (TaskTracker::new(), CancellationToken::new());
        let (tracker, token) = (tasks.clone(), closed.clone());
        tasks.spawn(async move {
            let places = Arc::new(Semaphore::new(AT_ONCE));
            while let Ok(place) = Arc::clone(&places).acquire_owned().await {
                let accepted = tokio::select! {
                    () = token.cancelled() => return,
                    accepted = listener.accept() => accepted,
                };
                let Ok((stream, _)) = accepted else { return };
                let (hands, token) = (Arc::clone(&hands), token.clone());
                tracker.spawn(async move {
                    tokio::select! {
                        () = token.cancelled() => {}
                        // A caller that went away needs no answer.
                        _ = serve(stream, hands.as_ref()) => {}
                    }
                    drop(place);
                });
            }
        });
        let guard = closed.clone().drop_guard();
        Ok(Self { path: path.to_owned(), tasks, closed, _guard: guard })
    }

    /// Where the socket is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Ends it and every call on it.
    pub async fn close(self) {
        self.closed.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for AppSocket {
    fn drop(&mut self) {
        // A file that is gone already is as good.
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn serve(mut stream: UnixStream, hands: &impl AppHands) -> io::Result<()> {
    let line =
        tokio::time::timeout(ASKING, line_of(&mut stream)).await.map_err(|_| io::ErrorKind::TimedOut)??;
    let reply = match serde_json::from_slice::<Request>(&line) {
        Ok(request) if request.version == VERSION => obey(request.wanted, hands).await,
        Ok(request) => {
            Err(format!("version {} of the lines is not known here, only {VERSION}", request.version))
        }
        Err(error) => Err(format!("the request is not understood: {error}")),
    };
    let mut answer = serde_json::to_vec(&Response { version: VERSION, reply }).map_err(io::Error::other)?;
    answer.push(b'\n');
    stream.write_all(&answer).await?;
    stream.shutdown().await
}

async fn line_of(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    BufReader::new(stream.take(LONGEST)).read_until(b'\n', &mut line).await?;
    if line.pop() == Some(b'\n') { Ok(line) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

async fn obey(wanted: Wanted, hands: &impl AppHands) -> Result<Reply, String> {
    let words = |error: HandsError| error.to_string();
    match wanted {
        Wanted::Exec { service, command, stdin } => {
            if command.first().is_none_or(String::is_empty) {
                return Err("the command is empty".to_owned());
            }
            let done = hands.exec(&service, &command, &stdin.0).await.map_err(words)?;
            Ok(Reply { exit: done.exit, stdout: Bytes(done.stdout), stderr: Bytes(done.stderr) })
        }
        Wanted::Logs { service } => {
            let text = hands.logs(&service).await.map_err(words)?;
            Ok(Reply { stdout: Bytes(text.into_bytes()), ..Reply::default() })
        }
        Wanted::Env => {
            Ok(Reply { stdout: Bytes(lines(&hands.env().await.map_err(words)?)), ..Reply::default() })
        }
    }
}

fn lines(values: &BTreeMap<String, String>) -> Vec<u8> {
    values.iter().map(|(name, value)| format!("{name}={value}\n")).collect::<String>().into_bytes()
}

/// The caller's side: asks over the socket at `path` and waits for the answer, without a limit of its own: the test
/// that calls has one.
///
/// # Errors
/// [`ChannelError`], for which the caller ends with [`CHANNEL_FAILED`].
pub async fn ask(path: &Path, wanted: Wanted) -> Result<Reply, ChannelError> {
    let broken = |cause| ChannelError::Broken { path: path.to_owned(), cause };
    let language = |error: serde_json::Error| ChannelError::Language(error.to_string());
    let short = ShortPath::of(path).map_err(broken)?;
    let mut stream = UnixStream::connect(short.path()).await.map_err(broken)?;
    let mut line = serde_json::to_vec(&Request { version: VERSION, wanted }).map_err(language)?;
    line.push(b'\n');
    stream.write_all(&line).await.map_err(broken)?;
    let answer = line_of(&mut stream).await.map_err(broken)?;
    let response: Response = serde_json::from_slice(&answer).map_err(language)?;
    if response.version == VERSION {
        response.reply.map_err(ChannelError::Refused)
    } else {
        Err(ChannelError::Language(format!("version {} of the lines", response.version)))
    }
}
