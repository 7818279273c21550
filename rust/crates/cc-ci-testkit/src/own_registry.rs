//! A registry beside the user's own Docker: a plain process on a free loopback port, for the demo of a normal user.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::patience::{self, TimedOut};
use crate::registry;

/// Why it does not run.
#[derive(Debug, thiserror::Error)]
pub enum OwnRegistryError {
    /// No free port, no folder, or no program.
    #[error("starting docker-registry: {0}")]
    Start(#[from] std::io::Error),
    /// It does not answer.
    #[error(transparent)]
    NoAnswer(#[from] TimedOut),
}

/// A running registry; ends, with its images, when dropped, and when the thread that started it ends.
#[derive(Debug)]
pub struct OwnRegistry {
    address: String,
    child: Child,
    _folder: tempfile::TempDir,
}

impl OwnRegistry {
    /// Starts it; call it from the main thread, whose end takes the registry along.
    ///
    /// # Errors
    /// It cannot be started or does not answer within 20 s.
    pub fn start() -> Result<Self, OwnRegistryError> {
        Self::start_for(None)
    }

    /// The same, for one user alone: a line `name:hash` as Apache's htpasswd writes it with bcrypt.
    ///
    /// # Errors
    /// As [`OwnRegistry::start`].
    pub fn closed(user: &str) -> Result<Self, OwnRegistryError> {
        Self::start_for(Some(user))
    }

    fn start_for(user: Option<&str>) -> Result<Self, OwnRegistryError> {
        let folder = tempfile::tempdir()?;
        // Free at this moment; who takes it in between makes the start fail, not succeed wrongly.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let settings = folder.path().join("registry.yml");
        let mut text = registry::settings(&folder.path().join("images"), port);
        if let Some(user) = user {
            let users = folder.path().join("users");
            std::fs::write(&users, format!("{user}\n"))?;
            text += &format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", users.display());
        }
        std::fs::write(&settings, text)?;
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "docker-registry", "serve"])
            .arg(&settings)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let registry = Self { address: format!("127.0.0.1:{port}"), child, _folder: folder };
        patience::until(
            "docker-registry to answer",
            Duration::from_secs(20),
            Duration::from_millis(20),
            || TcpStream::connect(&registry.address).map(|_| ()).map_err(|error| error.to_string()),
        )?;
        Ok(registry)
    }

    /// `host:port`, the first part of its images' names.
    pub fn address(&self) -> &str {
        &self.address
    }
}

/// User and password as HTTP's basic scheme and the Docker CLI's `config.json` write them (RFC 7617).
pub fn basic(user: &str, password: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"))
}

impl Drop for OwnRegistry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
