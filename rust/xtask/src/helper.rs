//! `cargo xtask helper`: the image that runs need on an engine, built from this workspace and loaded into the running Docker.

use std::process::ExitCode;

use anyhow::bail;
use cc_ci_testkit::image::Docker;
use cc_ci_testkit::program::Program;
use cc_ci_testkit::progress::say;
use cc_ci_testkit::stock::{self, HELPER_IMAGE};

/// The Docker that `DOCKER_HOST` or the default socket names.
struct Running;

impl Docker for Running {
    fn docker(&self) -> Program {
        Program::new("docker")
    }
}

/// Builds and loads it; the image stays.
pub(crate) fn run() -> anyhow::Result<ExitCode> {
    say("building the helper and restic; the first time takes some minutes");
    if !stock::make_helper(&Running)? {
        bail!("this workspace has no helper to build: use a whole checkout");
    }
    say(format!("{HELPER_IMAGE} is on the running Docker"));
    Ok(ExitCode::SUCCESS)
}
