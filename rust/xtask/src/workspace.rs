//! Where the repository is, and cargo commands in it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail};

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    let rust = folder();
    rust.parent().map_or(rust.clone(), PathBuf::from)
}

/// The folder with the workspace's `Cargo.toml`.
pub(crate) fn folder() -> PathBuf {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    own.parent().map_or(own.clone(), PathBuf::from)
}

/// A cargo command in the workspace.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(folder());
    // What `cargo run` told us about our own package: build scripts that watch these (ring's does) would run again each
    // time we are called, and with them everything that depends on it.
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_about_our_package(&name.to_string_lossy())) {
        command.env_remove(name);
    }
    command
}

/// Whether `cargo run` sets this variable for the program it runs (The Cargo Book, "Environment Variables").
fn is_about_our_package(name: &str) -> bool {
    name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
}

/// Builds the programs people call and returns the folder with them.
pub(crate) fn build_programs(packages: &[&str]) -> anyhow::Result<PathBuf> {
    let mut command = cargo(&["build"]);
    for package in packages {
        command.args(["--package", package]);
    }
    let status = command.status().context("starting cargo build")?;
    if !status.success() {
        bail!("cargo build of {} failed", packages.join(", "));
    }
    let metadata = metadata()?;
    let target = metadata["target_directory"].as_str().context("cargo metadata names no target directory")?;
    Ok(PathBuf::from(target).join("debug"))
}

/// Builds one program as it is released and returns its path.
pub(crate) fn build_released(package: &str) -> anyhow::Result<PathBuf> {
    let status = cargo(&["build", "--quiet", "--release", "--package", package]).status();
    if !status.context("starting cargo build")?.success() {
        bail!("cargo build --release of {package} failed");
    }
    let metadata = metadata()?;
    let target = metadata["target_directory"].as_str().context("cargo metadata names no target directory")?;
    Ok(PathBuf::from(target).join("release").join(package))
}

/// What `cargo metadata` says about the workspace, without the packages it depends on.
pub(crate) fn metadata() -> anyhow::Result<serde_json::Value> {
    let output =
        cargo(&["metadata", "--format-version", "1", "--no-deps"]).output().context("cargo metadata")?;
    serde_json::from_slice(&output.stdout).context("reading the answer of cargo metadata")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_of_ours_knows_nothing_of_the_package_that_started_it() {
        let command = cargo(&["build"]);
        let removed = |name: &str| command.get_envs().any(|(key, value)| key == name && value.is_none());
        // Cargo sets both for this very test, too.
        assert!(removed("CARGO_PKG_NAME") && removed("CARGO_MANIFEST_DIR"));
        assert!(!is_about_our_package("CARGO_TARGET_DIR") && !is_about_our_package("CARGO_HOME"));
    }
}
