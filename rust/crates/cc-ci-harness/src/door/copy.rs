//! Moving bytes through the door, with an end to every wait.

use std::io;
use std::sync::Mutex;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

const CHUNK: usize = 16 * 1024;

/// The first bytes a client sends; empty where it closes.
pub(super) async fn first_bytes(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    more(from, &mut bytes).await?;
    Ok(bytes)
}

/// Appends what arrives next; an error where nothing comes any more.
pub(super) async fn more(from: &mut (impl AsyncRead + Unpin), bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut chunk = vec![0_u8; CHUNK];
    match from.read(&mut chunk).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        count => {
            bytes.extend_from_slice(&chunk[..count]);
            Ok(())
        }
    }
}

/// The time a byte last moved in either direction.
pub(super) struct Activity {
    last: Mutex<Instant>,
    idle: Duration,
}

impl Activity {
    pub(super) fn new(idle: Duration) -> Self {
        Self { last: Mutex::new(Instant::now()), idle }
    }

    fn moved(&self) {
        *self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Instant::now();
    }

    fn ends(&self) -> Instant {
        *self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner) + self.idle
    }

    /// Waits for something, as long as anything moves on the connection.
    async fn bounded<T>(&self, what: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        let mut what = std::pin::pin!(what);
        loop {
            let end = self.ends();
            match tokio::time::timeout_at(end, what.as_mut()).await {
                Ok(result) => {
                    self.moved();
                    return result;
                }
                Err(_) if self.ends() > end => {}
                Err(_) => return Err(io::ErrorKind::TimedOut.into()),
            }
        }
    }

    pub(super) async fn write(&self, to: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
        self.bounded(to.write_all(bytes)).await
    }

    pub(super) async fn read(
        &self,
        from: &mut (impl AsyncRead + Unpin),
        chunk: &mut [u8],
    ) -> io::Result<usize> {
        self.bounded(from.read(chunk)).await
    }

    /// Copies until the end of one side, and hands that end on.
    pub(super) async fn copy(
        &self,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
    ) -> io::Result<()> {
        let mut chunk = vec![0_u8; CHUNK];
        loop {
            match self.read(from, &mut chunk).await? {
                0 => return self.bounded(to.shutdown()).await,
                count => {
                    self.write(to, &chunk[..count]).await?;
                    self.bounded(to.flush()).await?;
                }
            }
        }
    }

    /// Copies both ways until both sides ended or one failed.
    pub(super) async fn both(
        &self,
        one: &mut (impl AsyncRead + AsyncWrite + Unpin),
        other: &mut (impl AsyncRead + AsyncWrite + Unpin),
    ) -> io::Result<()> {
        let (mut one_in, mut one_out) = tokio::io::split(one);
        let (mut other_in, mut other_out) = tokio::io::split(other);
        let there = self.copy(&mut one_in, &mut other_out);
        let back = self.copy(&mut other_in, &mut one_out);
        tokio::try_join!(there, back).map(|_| ())
    }
}
