//! Programs built from their Go modules, once, and kept.

use std::path::PathBuf;
use std::time::Duration;

use crate::cache;
use crate::program::{Program, ProgramError};
use crate::progress::say;

/// A command of a Go module.
#[derive(Debug, Clone, Copy)]
pub struct GoProgram {
    /// The module's path.
    pub module: &'static str,
    /// The path of the command in it.
    pub command: &'static str,
    /// The version, as the module proxy names it.
    pub version: &'static str,
    /// The name of the binary.
    pub name: &'static str,
    /// Roughly how long the first build takes on two cores, for the person who waits.
    pub takes: &'static str,
}

/// The proxy in front of the apps. 3.6.12 is the newest release whose modules are all served.
pub const TRAEFIK: GoProgram = GoProgram {
    module: "github.com/traefik/traefik/v3",
    command: "github.com/traefik/traefik/v3/cmd/traefik",
    version: "v3.6.12",
    name: "traefik",
    takes: "5 to 10 minutes",
};

/// The backup program inside the helper image.
pub const RESTIC: GoProgram = GoProgram {
    module: "github.com/restic/restic",
    command: "github.com/restic/restic/cmd/restic",
    version: "v0.18.0",
    name: "restic",
    takes: "a minute",
};

/// Why a Go program could not be built.
#[derive(Debug, thiserror::Error)]
pub enum GoError {
    /// No cache.
    #[error(transparent)]
    Cache(#[from] cache::CacheError),
    /// A step of the Go command failed.
    #[error("building {name} {version} from its Go module: {cause}")]
    Build {
        /// The program.
        name: &'static str,
        /// Its version.
        version: &'static str,
        /// What the Go command said.
        cause: ProgramError,
    },
    /// The module's own `go.mod` could not be found or read, or ours not written.
    #[error("reading the go.mod of {name} {version}: {what}")]
    Module {
        /// The program.
        name: &'static str,
        /// Its version.
        version: &'static str,
        /// What is wrong.
        what: String,
    },
}

impl GoProgram {
    /// The path of the binary, built first if it is not kept yet: static, without paths of this machine.
    ///
    /// # Errors
    /// Go is missing, a module is not served, or the build fails.
    pub fn binary(&self) -> Result<PathBuf, GoError> {
        let key = cache::key(self.name, [self.module, self.command, self.version, FLAGS]);
        let folder = cache::entry(&key, |folder| self.build(folder))?;
        Ok(folder.join(self.name))
    }

    fn build(&self, folder: &std::path::Path) -> Result<(), GoError> {
        say(format!(
            "building {} {} from its Go module, once: takes {}",
            self.name, self.version, self.takes
        ));
        let work = tempfile::tempdir().map_err(|error| self.module_error(&error))?;
        let go = |arguments: &[&str]| {
            let program = Program::new("go").args(arguments).folder(work.path());
            program
                .env("CGO_ENABLED", "0")
                .env("GOFLAGS", "-buildvcs=false")
                .env("GOWORK", "off")
                .deadline(Duration::from_secs(3600))
                .run()
                .map_err(|cause| GoError::Build { name: self.name, version: self.version, cause })
        };
        let wanted = format!("{}@{}", self.module, self.version);
        let answer: serde_json::Value = serde_json::from_str(&go(&["mod", "download", "-json", &wanted])?)
            .map_err(|error| self.module_error(&error))?;
        let path = answer["GoMod"].as_str().ok_or_else(|| self.module_error(&"the answer has no GoMod"))?;
        let theirs = std::fs::read_to_string(path).map_err(|error| self.module_error(&error))?;
        let ours = format!("module cc-ci.invalid/{}\n\ngo 1.25.0\n\n{}", self.name, own_lines(&theirs));
        std::fs::write(work.path().join("go.mod"), ours).map_err(|error| self.module_error(&error))?;
        go(&["get", "-tool", &format!("{}@{}", self.command, self.version)])?;
        let binary = folder.join(self.name);
        go(&["build", "-trimpath", "-ldflags", "-s -w", "-o", &binary.to_string_lossy(), self.command])?;
        Ok(())
    }

    fn module_error(&self, what: &dyn std::fmt::Display) -> GoError {
        GoError::Module { name: self.name, version: self.version, what: what.to_string() }
    }
}

/// What the build is called with; part of the key of what is kept.
const FLAGS: &str = "CGO_ENABLED=0 -trimpath -ldflags '-s -w'";

/// The `replace` and `exclude` lines of a `go.mod`: those of a dependency do not count for who builds it (Go Modules
/// Reference, "replace directive"), so they have to be our own.
fn own_lines(go_mod: &str) -> String {
    let mut kept = String::new();
    let mut is_inside = false;
    for line in go_mod.lines() {
        let is_start = line.starts_with("replace ") || line.starts_with("exclude ");
        if is_start || is_inside {
            kept.push_str(line);
            kept.push('\n');
        }
        is_inside = (is_inside || is_start && line.trim_end().ends_with('(')) && line.trim() != ")";
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_replace_and_exclude_lines_are_taken_over() {
        let theirs =
            "module a\n\nrequire (\n\tb v1\n)\n\nreplace (\n\tb => c v2\n)\n\nexclude d v3\nrequire e v1\n";
        assert_eq!(own_lines(theirs), "replace (\n\tb => c v2\n)\nexclude d v3\n");
    }
}
