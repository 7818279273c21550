//! TALKING TO GITEA AND DRONE: HTTP clients with typed answers, and nothing else.

pub mod drone;
pub mod gitea;
pub mod http;
