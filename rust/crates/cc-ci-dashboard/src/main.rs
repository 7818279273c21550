//! `cc-ci-dashboard`: read-only pages, badges and metrics of run folders.

use cc_ci_process::exit::ExitStatus;

fn main() -> ExitStatus {
    cc_ci_dashboard::program::main(std::env::args_os())
}
