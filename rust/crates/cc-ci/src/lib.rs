//! What Drone's step and a person call.

pub mod args;
pub mod doctor;
pub mod table;
pub mod verbs;
