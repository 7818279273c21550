//! HOW A PROGRAM BEHAVES: exit codes, signals, child processes, masking, atomic files and waits.

pub mod alive;
pub mod atomic;
pub mod cancel;
pub mod child;
pub mod deadline;
pub mod environment;
pub mod exit;
pub mod logging;
pub mod mask;
pub mod parent;
pub mod printer;
pub mod program;
pub mod state;
pub mod wait;
