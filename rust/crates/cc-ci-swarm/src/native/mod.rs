//! The native deployer: what `abra app new`, `secret generate` and `deploy` do, from the recipe's own files.

pub mod app_env;
mod deploy;
pub mod generate;
mod render;
mod secrets;

pub use deploy::{Deployed, NativeDeployer};
pub use render::{App, Rendered};
pub use secrets::{KnownSecrets, SecretSources};

use crate::checkout::CheckoutError;
use crate::docker::DockerError;
use crate::programs::ProgramError;

/// Why a deploy did not come about.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The recipe's content is at fault: the tier fails.
    #[error("{0}")]
    Recipe(String),
    /// The compose reaches for the host: refused.
    #[error("{0}")]
    Refused(String),
    /// Our own overlay of the recipe's test data says more than it may: trouble.
    #[error("the overlay in the test data: {0}")]
    Overlay(String),
    /// A file of the checkout leads out of it: refused like anything that reaches for the host.
    #[error(transparent)]
    Checkout(#[from] CheckoutError),
    /// Docker did not answer, or answered something that says nothing about the recipe.
    #[error(transparent)]
    Docker(#[from] DockerError),
    /// A program of ours failed.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// A file of the run could not be written.
    #[error(transparent)]
    File(#[from] cc_ci_process::atomic::AtomicError),
    /// The app's `.env`.
    #[error(transparent)]
    Env(#[from] app_env::AppEnvError),
}

/// Whose fault an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The recipe's: the tier fails.
    Recipe,
    /// Ours or the world's: trouble.
    Ours,
    /// Nobody's: the run may not.
    Refused,
}

impl DeployError {
    /// Whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Recipe(_) | Self::Env(app_env::AppEnvError::NoSample) => Fault::Recipe,
            Self::Refused(_) | Self::Checkout(CheckoutError::Outside(_)) => Fault::Refused,
            Self::Overlay(_)
            | Self::Checkout(_)
            | Self::Docker(_)
            | Self::Program(_)
            | Self::File(_)
            | Self::Env(_) => Fault::Ours,
        }
    }
}
