//! `cc-ci`: what Drone's step and a person call.

use cc_ci_process::child;
use cc_ci_process::exit::ExitStatus;

fn main() -> ExitStatus {
    // A child of ours starts as ourselves, so that it dies with us; see cc-ci-process.
    if let Some(status) = child::intercept(std::env::args_os()) {
        return status;
    }
    cc_ci::verbs::main(std::env::args_os())
}
