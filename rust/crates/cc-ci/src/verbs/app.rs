//! `cc-ci app`: the hands of a test inside a run, through the run's socket.

use anyhow::Result;
use cc_ci_process::exit::ExitStatus;
use cc_ci_process::mask::Masker;

use super::BadArgument;
use crate::args::AppArgs;

pub(super) fn app(args: AppArgs, _masker: &Masker) -> Result<ExitStatus> {
    let _ = &args.verb;
    Err(BadArgument(
        "there is no run: `cc-ci app` works inside a run's tests only, where CCCI_APP_SOCKET is set"
            .to_owned(),
    )
    .into())
}
