//! Passes connections from a unix socket on the host into the task's own network namespace.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::fault::Fault;

/// So many connections at once; more are closed unserved, so that a test cannot use up the machine's threads.
const AT_ONCE: usize = 128;
/// How long the task may take to accept. It is on this machine, so anything longer is a port nobody accepts on.
const CONNECT: Duration = Duration::from_secs(5);
/// A connection on which nothing moves for so long is closed.
const IDLE: Duration = Duration::from_secs(300);

/// Serves until the process ends. Each connection goes to the first of the addresses that accepts.
pub(crate) fn serve(socket: &Path, to: &[SocketAddr]) -> Result<Vec<u8>, Fault> {
    let what = format!("listening on {}", socket.display());
    clear(socket).and_then(|()| UnixListener::bind(socket)).map_or_else(
        |error| Err(Fault::ours(&what, error)),
        |listener| {
            // The harness may be another user than the root of this container; the folder decides who gets here.
            std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o666))
                .map_err(|error| Fault::ours(&what, error))?;
            accept(&listener, to)
        },
    )
}

/// Takes away a socket that an earlier relay left; anything else in its place stays and is an error.
fn clear(socket: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(socket) {
        Ok(metadata) if metadata.file_type().is_socket() => std::fs::remove_file(socket),
        Ok(_) => Err(io::Error::new(ErrorKind::AlreadyExists, "something else is in its place")),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn accept(listener: &UnixListener, to: &[SocketAddr]) -> Result<Vec<u8>, Fault> {
    let open = Arc::new(AtomicUsize::new(0));
    loop {
        let (client, _) = match listener.accept() {
            Ok(accepted) => accepted,
            // A client that left before it was taken is no reason to end.
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted) => {
                continue;
            }
            Err(error) => return Err(Fault::ours("taking a connection", error)),
        };
        if open.fetch_add(1, Ordering::Relaxed) >= AT_ONCE {
            open.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let (to, open) = (to.to_vec(), Arc::clone(&open));
        std::thread::spawn(move || {
            // The client sees a closed connection, which is all there is to say.
            let _ = pass_on(client, &to);
            open.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

fn pass_on(client: UnixStream, to: &[SocketAddr]) -> io::Result<()> {
    let mut refusal = io::Error::from(ErrorKind::AddrNotAvailable);
    for address in to {
        match TcpStream::connect_timeout(address, CONNECT) {
            Ok(task) => return couple(client, task),
            Err(error) => refusal = error,
        }
    }
    Err(refusal)
}

/// Copies both ways. The end of one direction is handed on as such, so half-closed connections work.
fn couple(client: UnixStream, task: TcpStream) -> io::Result<()> {
    client.set_read_timeout(Some(IDLE))?;
    client.set_write_timeout(Some(IDLE))?;
    task.set_read_timeout(Some(IDLE))?;
    task.set_write_timeout(Some(IDLE))?;
    let (from_client, to_client) = (client.try_clone()?, client);
    let (from_task, to_task) = (task.try_clone()?, task);
    let there = std::thread::spawn(move || {
        let fine = copy(from_client, &to_task).is_ok();
        let _ = to_task.shutdown(if fine { Shutdown::Write } else { Shutdown::Both });
    });
    let fine = copy(from_task, &to_client).is_ok();
    let _ = to_client.shutdown(if fine { Shutdown::Write } else { Shutdown::Both });
    let _ = there.join();
    Ok(())
}

fn copy(mut from: impl Read, mut to: impl Write) -> io::Result<()> {
    let mut buffer = [0_u8; 16 * 1024];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => to.write_all(&buffer[..count])?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
