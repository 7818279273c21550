//! `cc-ci`: what Drone's step and a person call.

use std::process::ExitCode;

use cc_ci_process::child;

fn main() -> ExitCode {
    // A child of ours starts as ourselves, so that it dies with us; see cc-ci-process.
    if let Some(status) = child::intercept(std::env::args_os()) {
        return status.into();
    }
    // A test program begins in its sandbox as ourselves too; see cc-ci-harness, sandbox.
    if let Some(status) = cc_ci_harness::sandbox::inside::intercept(std::env::args_os().skip(1)) {
        return ExitCode::from(status);
    }
    cc_ci::verbs::main(std::env::args_os())
}
