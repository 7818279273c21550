//! A real image registry on the loopback of a private engine, so that digests, moved tags and a dead registry are real.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use crate::engine::{EngineError, PrivateEngine};
use crate::patience;

/// Where the registry of a private engine answers, inside the engine's network. The engine takes loopback registries
/// without TLS.
pub const REGISTRY: &str = "127.0.0.1:5000";

/// Why the registry did not start or stop.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Its settings could not be written.
    #[error("writing the settings of the registry: {0}")]
    Settings(std::io::Error),
    /// The keeper of the engine could not be told.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// It did not answer.
    #[error("{waited}; its log ends with: {log}")]
    NoAnswer {
        /// What was waited for.
        waited: patience::TimedOut,
        /// The last lines of its log.
        log: String,
    },
}

/// The settings of the distribution registry 2.8 (Debian's `docker-registry`): files, deletes allowed, quiet.
pub(crate) fn settings(storage: &Path, port: u16) -> String {
    format!(
        "version: 0.1\nlog:\n  level: warn\n  accesslog:\n    disabled: true\nstorage:\n  delete:\n    enabled: true\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {}:{port}\n",
        storage.display(),
        Ipv4Addr::LOCALHOST,
    )
}

impl PrivateEngine {
    /// Starts the registry at [`REGISTRY`] and waits until it answers. It lives as long as the engine.
    ///
    /// # Errors
    /// It does not answer within 20 s.
    pub fn start_registry(&mut self) -> Result<(), RegistryError> {
        let storage = self.data().join("registry");
        std::fs::create_dir_all(&storage).map_err(RegistryError::Settings)?;
        std::fs::write(self.folder().join("registry.yml"), settings(&storage, 5000))
            .map_err(RegistryError::Settings)?;
        self.tell("REGISTRY")?;
        self.wait_for_registry("the registry to answer", true)
    }

    /// Ends the registry at once; its images stay for the next [`PrivateEngine::start_registry`].
    ///
    /// # Errors
    /// It still answers after 20 s.
    pub fn stop_registry(&mut self) -> Result<(), RegistryError> {
        self.tell("NO-REGISTRY")?;
        self.wait_for_registry("the registry to end", false)
    }

    fn wait_for_registry(&self, what: &str, is_wanted: bool) -> Result<(), RegistryError> {
        let look = || {
            // bash opens the connection: no other program has to be there.
            let connect = format!("exec 3<>/dev/tcp/{}", REGISTRY.replace(':', "/"));
            let ended =
                self.program("bash").args(["-c", &connect]).outcome().map_err(|error| error.to_string())?;
            if ended.status.success() == is_wanted { Ok(()) } else { Err(ended.stderr) }
        };
        patience::until(what, Duration::from_secs(20), Duration::from_millis(20), look).map_err(|waited| {
            let log = std::fs::read_to_string(self.folder().join("registry.log")).unwrap_or_default();
            RegistryError::NoAnswer { waited, log }
        })
    }
}
