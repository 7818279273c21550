//! Stands for the program `cc-ci` inside a sandbox, so that the sandbox can be tested from this crate.

use std::process::ExitCode;

fn main() -> ExitCode {
    let status = cc_ci_harness::sandbox::inside::intercept(std::env::args_os().skip(1));
    status.map_or(ExitCode::from(64), ExitCode::from)
}
