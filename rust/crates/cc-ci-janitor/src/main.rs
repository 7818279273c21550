//! `cc-ci-janitor`: looks at locks, removes what nobody owns, keeps a diary.

use cc_ci_process::exit::ExitStatus;

fn main() -> ExitStatus {
    cc_ci_janitor::program::main(std::env::args_os())
}
