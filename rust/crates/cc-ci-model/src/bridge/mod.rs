//! FROM A COMMENT TO AN ANSWER: what was asked, whether it counts, how far it is, and what is said about it.

pub mod command;
pub mod head;
pub mod intent;
pub mod parameters;
pub mod progress;
pub mod say;
pub mod signature;
pub mod trim;
