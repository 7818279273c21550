//! The oneshots of a host: its swarm, and a look at its secrets before a switch.

mod age_key;
pub mod program;
mod secrets;
pub mod sops;
mod swarm;
pub mod swarm_plan;
