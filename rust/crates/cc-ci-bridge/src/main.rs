//! `cc-ci-bridge`: comment in, build started, verdict out.

use cc_ci_process::exit::ExitStatus;

fn main() -> ExitStatus {
    cc_ci_bridge::program::main(std::env::args_os())
}
