//! WHAT IS TRUE: values, parsers and decisions, without I/O, clock, async or environment.

pub mod names;
