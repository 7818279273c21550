//! Tests with real processes, signals and files. This binary is both the tests and the programs they start.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cancelling;
mod children;
mod files;
mod orphans;
mod output;
mod roles;
mod stage;

use cc_ci_process::child::intercept;
use cc_ci_process::exit::ExitStatus;
use libtest_mimic::{Arguments, Trial};

/// A test: its name and what it does.
type Test = (&'static str, fn());

fn main() -> ExitStatus {
    if let Some(status) = intercept(std::env::args_os()) {
        return status;
    }
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() == Some("role") {
        return roles::play(&args.collect::<Vec<_>>());
    }
    let tests = [children::TESTS, orphans::TESTS, cancelling::TESTS, files::TESTS, output::TESTS].concat();
    let trials = tests.into_iter().map(|(name, test)| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    });
    if libtest_mimic::run(&Arguments::from_args(), trials.collect()).has_failed() {
        ExitStatus::Red
    } else {
        ExitStatus::Good
    }
}
