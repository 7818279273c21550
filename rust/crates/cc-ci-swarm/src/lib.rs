//! TOUCHING THE MACHINE: Docker, the deployers, git checkouts, .env files, locks, survey and teardown.

pub mod alive;
pub mod checkout;
pub mod convergence;
pub mod docker;
pub mod exec;
pub mod helper_container;
pub mod inventory;
pub mod lock;
pub mod native;
pub mod processes;
pub mod programs;
pub mod pull;
pub mod reap;
pub mod recipe_files;
pub mod record;
pub mod registry_login;
pub mod relay;
pub mod restic;
pub mod room_left;
pub mod snapshot;
mod spec;
pub mod spec_gate;
pub mod stateful;
pub mod teardown;
pub mod volume_removals;
pub mod witness;
pub mod zone;
