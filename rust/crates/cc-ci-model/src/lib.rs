//! WHAT IS TRUE: values, parsers and decisions, without I/O, clock, async or environment.

pub mod env_file;
pub mod head_proof;
pub mod names;
pub mod tier;
pub mod version;
