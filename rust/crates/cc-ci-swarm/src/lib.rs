//! TOUCHING THE MACHINE: Docker, the deployers, git checkouts, .env files, locks, survey and teardown.

pub mod checkout;
pub mod programs;
