//! The door: one forwarder per run that passes this run's host names to the app and nothing else.
//!
//! TLS stays end to end: the door reads the server name of the ClientHello and then only copies. What a client asks
//! for *inside* TLS it cannot see. Plain HTTP is one request per connection, read strictly, so that no second
//! request can hide behind the first.

mod copy;
mod plain;
mod target;
mod tls;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use target::ShortPath;
pub use target::Target;

/// So many connections at once; further ones wait in the kernel's queue.
const AT_ONCE: usize = 64;
/// A client has so long to say what it wants, so that slow ones cannot hold all places.
const HEAD: Duration = Duration::from_secs(10);
/// A connection on which nothing moves for so long is closed.
const IDLE: Duration = Duration::from_secs(120);
/// After a connection that could not be taken.
const PAUSE: Duration = Duration::from_millis(100);

/// Why a door could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("opening the door of {names} on {place}: {cause}; the limit on open files may be too low")]
pub struct DoorError {
    /// The host names it was to pass.
    names: String,
    /// Where it was to listen.
    place: String,
    /// What the kernel said.
    cause: std::io::Error,
}

/// How patient a door is; tests make it less so.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Time for the first request or ClientHello to be whole.
    pub head: Duration,
    /// Time without a byte in either direction.
    pub idle: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { head: HEAD, idle: IDLE }
    }
}

/// An open door. Dropping it closes it and every connection through it.
#[derive(Debug)]
pub struct Door {
    address: SocketAddr,
    inner: Arc<Inner>,
    tasks: TaskTracker,
}

#[derive(Debug)]
struct Inner {
    names: Vec<String>,
    target: Target,
    patience: Patience,
    places: Semaphore,
    passed: AtomicU64,
    refused: AtomicU64,
    is_dead_end: AtomicBool,
    closed: CancellationToken,
}

/// What one connection came to.
enum Judged {
    /// It was let through.
    Passed,
    /// It was not: told so, and closed.
    Refused,
}

impl Door {
    /// Opens a door on a free port of 127.0.0.1 that passes the given host names to the target.
    ///
    /// # Errors
    /// [`DoorError`] where no port can be had.
    pub async fn open(names: &[&str], target: Target, patience: Patience) -> Result<Self, DoorError> {
        let names: Vec<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
        let failed = |cause| DoorError { names: names.join(", "), place: "127.0.0.1".to_owned(), cause };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let inner = Arc::new(Inner {
            names,
            target,
            patience,
            places: Semaphore::new(AT_ONCE),
            passed: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            is_dead_end: AtomicBool::new(false),
            closed: CancellationToken::new(),
        });
        let tasks = TaskTracker::new();
        tasks.spawn(Arc::clone(&inner).listen(tasks.clone(), listener));
        Ok(Self { address, inner, tasks })
    }

    /// Lets the same door be reached through a unix socket as well, for a network namespace without the host's
    /// loopback. The path may be longer than the 108 bytes of a socket address.
    ///
    /// # Errors
    /// [`DoorError`] where the socket cannot be made.
    pub fn open_socket(&self, path: &Path) -> Result<(), DoorError> {
        let place = path.display().to_string();
        let failed = |cause| DoorError { names: self.inner.names.join(", "), place: place.clone(), cause };
        let short = target::ShortPath::of(path).map_err(failed)?;
        let listener = UnixListener::bind(short.path()).map_err(failed)?;
        self.tasks.spawn(Arc::clone(&self.inner).listen(self.tasks.clone(), listener));
        Ok(())
    }

    /// Where the door listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections were let through.
    #[must_use]
    pub fn passed(&self) -> u64 {
        self.inner.passed.load(Ordering::Relaxed)
    }

    /// How many connections were refused, for another host name or for not saying one.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.inner.refused.load(Ordering::Relaxed)
    }

    /// Whether nobody took the last connection behind the door: what it leads to has ended.
    #[must_use]
    pub fn is_dead_end(&self) -> bool {
        self.inner.is_dead_end.load(Ordering::Acquire)
    }

    /// Where the door leads.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.inner.target
    }

    /// Closes the door and returns when no connection is left.
    pub async fn close(self) {
        self.inner.closed.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.inner.closed.cancel();
    }
}

/// A place where clients come in.
trait Listener: Send + 'static {
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    fn next(&self) -> impl Future<Output = std::io::Result<Self::Stream>> + Send;
}

impl Listener for TcpListener {
    type Stream = TcpStream;
    async fn next(&self) -> std::io::Result<TcpStream> {
        self.accept().await.map(|(client, _)| client)
    }
}

impl Listener for UnixListener {
    type Stream = UnixStream;
    async fn next(&self) -> std::io::Result<UnixStream> {
        self.accept().await.map(|(client, _)| client)
    }
}

impl Inner {
    async fn listen(self: Arc<Self>, tasks: TaskTracker, listener: impl Listener) {
        while let Some(()) = self.place().await {
            let next = tokio::select! {
                () = self.closed.cancelled() => return,
                next = listener.next() => next,
            };
            match next {
                Ok(client) => self.take(&tasks, client),
                Err(error) => {
                    self.places.add_permits(1);
                    tracing::warn!(%error, "the door could not take a connection");
                    // No file descriptor is free: asking again at once would only burn the processor.
                    let _ = tokio::time::timeout(PAUSE, self.closed.cancelled()).await;
                }
            }
        }
    }

    /// Waits for a free place; `None` where the door is closed. The place is given back by [`Inner::take`].
    async fn place(&self) -> Option<()> {
        tokio::select! {
            () = self.closed.cancelled() => None,
            permit = self.places.acquire() => permit.ok().map(tokio::sync::SemaphorePermit::forget),
        }
    }

    fn take<S>(self: &Arc<Self>, tasks: &TaskTracker, client: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let own = Arc::clone(self);
        tasks.spawn(async move {
            tokio::select! {
                () = own.closed.cancelled() => {}
                () = own.serve(client) => {}
            }
            own.places.add_permits(1);
        });
    }

    async fn serve(&self, mut client: impl AsyncRead + AsyncWrite + Unpin) {
        let first = tokio::time::timeout(self.patience.head, copy::first_bytes(&mut client)).await;
        let judged = match first {
            Ok(Ok(bytes)) if bytes.first() == Some(&tls::HANDSHAKE) => {
                self.serve_tls(&mut client, bytes).await
            }
            Ok(Ok(bytes)) if !bytes.is_empty() => self.serve_plain(&mut client, bytes).await,
            // A client that says nothing is closed and counts as nothing.
            _ => return,
        };
        match judged {
            Judged::Passed => {}
            Judged::Refused => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(names = self.names.join(","), "the door refused a connection");
            }
        }
        // The other side may be gone already.
        let _ = client.shutdown().await;
    }

    fn is_own(&self, name: &str) -> bool {
        self.names.iter().any(|own| own.eq_ignore_ascii_case(name))
    }

    /// Connects to what is behind the door.
    async fn reach(&self) -> std::io::Result<Box<dyn target::Stream>> {
        let reached = self.target.connect().await;
        self.is_dead_end.store(reached.is_err(), Ordering::Release);
        reached
    }

    fn count_passed(&self) {
        self.passed.fetch_add(1, Ordering::Relaxed);
    }
}
