//! Static binaries of our own for images from scratch: the probe and the helper.

use std::path::PathBuf;
use std::time::Duration;

use crate::cache;
use crate::program::{Program, ProgramError};
use crate::progress::say;

/// Why one of our binaries could not be built.
#[derive(Debug, thiserror::Error)]
pub enum RustError {
    /// No cache.
    #[error(transparent)]
    Cache(#[from] cache::CacheError),
    /// The source could not be put beside its binary.
    #[error("writing the source of {name}: {cause}")]
    Source {
        /// The program.
        name: &'static str,
        /// What the kernel said.
        cause: std::io::Error,
    },
    /// The compiler failed.
    #[error("building {name} as a static binary: {cause}")]
    Build {
        /// The program.
        name: &'static str,
        /// What it said.
        cause: ProgramError,
    },
}

/// glibc with everything linked in: this target is installed wherever Rust is, musl is not.
const TARGET: &str = "x86_64-unknown-linux-gnu";

const STATIC: &str = "target-feature=+crt-static";

/// The binary of `src/bin/probe.rs`, built by `rustc` alone and kept.
///
/// # Errors
/// The compiler fails.
pub fn probe() -> Result<PathBuf, RustError> {
    const SOURCE: &str = include_str!("bin/probe.rs");
    let key = cache::key("probe", [SOURCE, TARGET, STATIC]);
    let folder = cache::entry(&key, |folder| {
        let source = folder.join("probe.rs");
        std::fs::write(&source, SOURCE).map_err(|cause| RustError::Source { name: "probe", cause })?;
        Program::new("rustc")
            .args([
                "--edition",
                "2024",
                "--target",
                TARGET,
                "-C",
                STATIC,
                "-C",
                "opt-level=2",
                "-C",
                "strip=symbols",
            ])
            .arg("-o")
            .arg(folder.join("probe"))
            .arg(&source)
            .deadline(Duration::from_secs(300))
            .run()
            .map_err(|cause| RustError::Build { name: "probe", cause })
            .map(|_| ())
    })?;
    Ok(folder.join("probe"))
}

/// The crate of the helper in this workspace, with the name of its only binary.
const HELPER: &str = "cc-ci-helper";

/// The static binary of `cc-ci-helper`; none while the workspace has no such crate. Cargo decides what to build again.
///
/// # Errors
/// The build fails.
pub fn helper() -> Result<Option<PathBuf>, RustError> {
    let workspace = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    if !workspace.join("crates").join(HELPER).join("Cargo.toml").is_file() {
        return Ok(None);
    }
    let target = cache::folder()?.join("static");
    let binary = target.join(TARGET).join("release").join(HELPER);
    if !binary.is_file() {
        say("building the helper's static binary, once: takes a minute");
    }
    Program::new("cargo")
        .args(["build", "--quiet", "--release", "--target", TARGET, "--package", HELPER, "--bin", HELPER])
        .arg("--manifest-path")
        .arg(workspace.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS", format!("-C {STATIC}"))
        .deadline(Duration::from_secs(1800))
        .run()
        .map_err(|cause| RustError::Build { name: HELPER, cause })?;
    Ok(Some(binary))
}
