//! TOUCHING THE MACHINE: Docker, the deployers, git checkouts, .env files, locks, survey and teardown.

pub mod checkout;
pub mod docker;
pub mod exec;
pub mod inventory;
pub mod lock;
pub mod programs;
pub mod record;
mod spec;
pub mod teardown;
pub mod witness;
