//! The one way to run another program: own group, clean environment, deadline, both streams captured and masked.

mod capture;
mod ending;
mod group;
mod host;
mod output;
mod run;
mod spec;
mod starter;
mod terminal;

pub use capture::{Line, Stream};
pub use host::{ChildHost, intercept};
pub use output::{ChildError, Exit, Output};
pub use run::{run, run_blocking};
pub use spec::{ChildEnvironment, ChildSpec, Input, TerminalSize};
