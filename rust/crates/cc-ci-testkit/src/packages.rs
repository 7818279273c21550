//! Which programs each part needs from the system, and how they come there.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::program::{Program, ProgramError};
use crate::progress::say;

/// One program a part calls by name, and the Debian package that brings it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// Its name on the `PATH`.
    pub program: &'static str,
    /// The package of Debian 12 that has it.
    pub package: &'static str,
}

const fn need(program: &'static str, package: &'static str) -> Need {
    Need { program, package }
}

/// What every test may call.
pub const PROGRAMS: &[Need] = &[
    need("git", "git"),
    need("bwrap", "bubblewrap"),
    need("openssl", "openssl"),
    need("age", "age"),
    need("ssh-keygen", "openssh-client"),
];

/// What the checks of the Nix layer call. Formatter and search for dead code are no Debian packages; without them the checks say SKIP.
pub const NIX: &[Need] = &[
    need("nix-instantiate", "nix-bin"),
    need("jq", "jq"),
    need("git", "git"),
    need("systemd-analyze", "systemd"),
    need("shellcheck", "shellcheck"),
];

/// What starts units under a systemd of their own.
pub const CONTAINER: &[Need] = &[
    need("systemd-nspawn", "systemd-container"),
    need("debootstrap", "debootstrap"),
    need("script", "bsdutils"),
    need("unshare", "util-linux"),
];

/// What a private engine and its registry consist of.
pub const ENGINE: &[Need] = &[
    need("dockerd", "docker.io"),
    need("docker", "docker.io"),
    need("containerd", "containerd"),
    need("runc", "runc"),
    need("docker-registry", "docker-registry"),
    need("ip", "iproute2"),
    need("iptables", "iptables"),
    need("unshare", "util-linux"),
    need("nsenter", "util-linux"),
    need("flock", "util-linux"),
    need("tar", "tar"),
    need("dpkg-deb", "dpkg"),
    // dockerd calls it for `docker top`.
    need("ps", "procps"),
];

/// What the demo needs beside a user's own Docker.
pub const OWN_DOCKER: &[Need] = &[
    need("docker", "docker.io"),
    need("docker-registry", "docker-registry"),
    need("dpkg-deb", "dpkg"),
    need("setpriv", "util-linux"),
];

/// What only a person can put there: their installers are not packages of Debian 12 in a fitting version.
pub const TOOLCHAINS: &[Need] = &[need("go", "https://go.dev/dl"), need("cc", "gcc")];

/// Why a needed program is not there.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// Not root, so the person has to do it.
    #[error("{} missing; install what is needed with: {remedy}", programs.join(", "))]
    Missing {
        /// Names of the programs.
        programs: Vec<&'static str>,
        /// The exact command.
        remedy: String,
    },
    /// Installing failed.
    #[error("installing {}: {cause}", packages.join(" "))]
    Install {
        /// Names of the packages.
        packages: Vec<&'static str>,
        /// What apt-get said.
        cause: ProgramError,
    },
    /// Services could not be kept from starting.
    #[error("keeping packages from starting their services with {}: {cause}", POLICY)]
    Policy {
        /// What the kernel said.
        cause: std::io::Error,
    },
}

/// The file that tells Debian's packages whether their services may start on installation (Debian Policy 9.3.3).
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// The programs of `needs` that no folder of `path` has.
fn missing_in(needs: &[Need], path: &[PathBuf]) -> Vec<Need> {
    needs
        .iter()
        .copied()
        .filter(|need| !path.iter().any(|folder| folder.join(need.program).is_file()))
        .collect()
}

/// The folders programs are looked for in: the `PATH`, and those a normal user's `PATH` leaves out.
fn folders() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]).collect()
}

/// Whether all `needs` are there.
pub fn are_there(needs: &[Need]) -> bool {
    missing_in(needs, &folders()).is_empty()
}

/// Makes sure that all `needs` are there: says first what it installs, then installs it.
///
/// Services of installed packages are not started: the machine's own Docker is not ours to start.
///
/// # Errors
/// Something is missing and we are not root or have no `apt-get` (the message has the command), or `apt-get` fails.
pub fn ensure(needs: &[Need]) -> Result<(), PackageError> {
    let missing = missing_in(needs, &folders());
    if missing.is_empty() {
        return Ok(());
    }
    let programs: Vec<_> = missing.iter().map(|need| need.program).collect();
    let by_hand: Vec<_> = missing.iter().filter(|need| need.package.contains("://")).collect();
    if let Some(first) = by_hand.first() {
        return Err(PackageError::Missing {
            programs,
            remedy: format!("the instructions of {}", first.package),
        });
    }
    let mut packages: Vec<_> = missing.iter().map(|need| need.package).collect();
    packages.sort_unstable();
    packages.dedup();
    let is_root = nix::unistd::geteuid().is_root();
    if !is_root || !folders().iter().any(|folder| folder.join("apt-get").is_file()) {
        return Err(PackageError::Missing {
            programs,
            remedy: format!(
                "sudo apt-get update && sudo apt-get install --no-install-recommends {}",
                packages.join(" ")
            ),
        });
    }
    say(format!("installing with apt-get (missing: {}): {}", programs.join(", "), packages.join(" ")));
    let _policy = Policy::forbid_services()?;
    let apt = |arguments: &[&str]| {
        Program::new("apt-get")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(["-qq", "-o", "DPkg::Lock::Timeout=120"])
            .args(arguments)
            .deadline(Duration::from_secs(900))
            .run()
    };
    let mut install = vec!["install", "--yes", "--no-install-recommends"];
    install.extend(&packages);
    // The lists of a fresh machine are empty or old; a failing update may still leave usable ones.
    let update = apt(&["update"]);
    apt(&install).map_err(|cause| PackageError::Install {
        packages,
        cause: match update {
            Err(first) => first,
            Ok(_) => cause,
        },
    })?;
    Ok(())
}

/// While it lives, packages do not start their services.
struct Policy {
    is_ours: bool,
}

impl Policy {
    fn forbid_services() -> Result<Self, PackageError> {
        if Path::new(POLICY).exists() {
            return Ok(Self { is_ours: false });
        }
        let cause = |cause| PackageError::Policy { cause };
        std::fs::write(POLICY, "#!/bin/sh\nexit 101\n").map_err(cause)?;
        let policy = Self { is_ours: true };
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(POLICY, mode).map_err(cause)?;
        Ok(policy)
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        if self.is_ours {
            let _ = std::fs::remove_file(POLICY);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_programs_that_no_folder_has_are_missing() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("git"), "").unwrap();
        let missing = missing_in(PROGRAMS, &[folder.path().to_owned()]);
        assert_eq!(
            missing.iter().map(|need| need.program).collect::<Vec<_>>(),
            ["bwrap", "openssl", "age", "ssh-keygen"]
        );
    }
}
