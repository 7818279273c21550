//! `cc-ci-activate`: brings the swarm of a host into its declared state.

use cc_ci_process::exit::ExitStatus;

fn main() -> ExitStatus {
    cc_ci_activate::program::main(std::env::args_os())
}
