//! Where `/hook`, `/healthz` and `/metrics` answer: on the socket that systemd opened, else on the address of the settings.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result};
use tokio::net::TcpListener;

/// An inherited socket outlives the service, so hooks wait while the bridge is started anew.
pub(crate) fn listener(address: Option<SocketAddr>, settings: &Path) -> Result<Option<TcpListener>> {
    let inherited =
        listenfd::ListenFd::from_env().take_tcp_listener(0).context("taking the inherited socket")?;
    let listener = match (inherited, address) {
        (Some(inherited), _) => inherited,
        (None, Some(address)) => std::net::TcpListener::bind(address)
            .with_context(|| format!("listening on {address}, as `listen` in {} says", settings.display()))?,
        (None, None) => return Ok(None),
    };
    listener.set_nonblocking(true).context("making the socket fit for waiting")?;
    Ok(Some(TcpListener::from_std(listener).context("taking the socket over")?))
}
