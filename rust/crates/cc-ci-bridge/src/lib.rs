//! Comment in, build started, verdict out.

mod advance;
mod answers;
mod authorise;
mod facts;
mod health;
mod intake;
mod marks;
mod notify;
mod pages;
pub mod program;
mod script;
mod service;
pub mod settings;
mod socket;
mod start;
mod store;
mod tidy;
