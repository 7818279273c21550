//! Reads compose files as the Docker CLI reads them, its faults included, and remembers where everything was written.
//!
//! The CLI is 28.2.2, the format version 3; `tests/compose/` compares both over a corpus. What is judged from a read file is in
//! [`gate`], [`overlay`] and [`names`].

mod document;
mod error;
pub mod gate;
mod interpolate;
mod merge;
mod mounts;
pub mod names;
pub mod overlay;
mod ports;
mod quantity;
mod raw_text;
mod reading;
mod render;
mod route_rule;
pub mod routes;
pub mod rules;
mod scalar;
mod schema;
mod service;
mod shape;
mod top_level;
mod tree;
pub mod used;
mod variables;
mod words;

pub use error::{ComposeError, Position};
pub use mounts::RECIPE_FOLDER;
pub use quantity::Nanoseconds;
pub use reading::{Compose, ComposeSource, read};
pub use service::{
    Attachment, Healthcheck, Mount, MountKind, Placed, Port, Reference, Resources, RestartPolicy, Service,
    UpdatePolicy,
};
pub use top_level::{Config, Network, Secret, Volume, yaml_to_json};
