//! TOUCHING THE MACHINE: Docker, the deployers, git checkouts, .env files, locks, survey and teardown.
