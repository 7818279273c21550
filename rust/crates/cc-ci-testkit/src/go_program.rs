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
    /// Build tags, separated by commas; with any of them the build uses cgo, else it is static.
    pub tags: &'static str,
    /// Folders of the module that the program reads at run time; kept beside the binary under the same names.
    pub folders: &'static [&'static str],
    /// Lines for our `go.mod` beside the module's own `replace` and `exclude` lines.
    pub more: &'static str,
}

/// The proxy in front of the apps. 3.6.12 is the newest release whose modules are all served.
pub const TRAEFIK: GoProgram = GoProgram {
    module: "github.com/traefik/traefik/v3",
    command: "github.com/traefik/traefik/v3/cmd/traefik",
    version: "v3.6.12",
    name: "traefik",
    takes: "5 to 10 minutes",
    tags: "",
    folders: &[],
    more: "",
};

/// The backup program inside the helper image.
pub const RESTIC: GoProgram = GoProgram {
    module: "github.com/restic/restic",
    command: "github.com/restic/restic/cmd/restic",
    version: "v0.18.0",
    name: "restic",
    takes: "a minute",
    tags: "",
    folders: &[],
    more: "",
};

/// The forge. Templates, locales and images are not in such a binary, so they are kept beside it.
pub const GITEA: GoProgram = GoProgram {
    module: "code.gitea.io/gitea",
    command: "code.gitea.io/gitea",
    version: "v1.25.4",
    name: "gitea",
    takes: "4 to 8 minutes",
    tags: "sqlite,sqlite_unlock_notify",
    folders: &["options", "templates", "public/assets/img"],
    more: "",
};

/// The distributing engine. The tags of the 2.x line lack the `/v2` path and are no modules, so this is the newest.
pub const DRONE: GoProgram = GoProgram {
    module: "github.com/drone/drone",
    command: "github.com/drone/drone/cmd/drone-server",
    version: "v1.10.1",
    name: "drone-server",
    takes: "2 to 4 minutes",
    // Its SQLite needs cgo; the tag itself is of no package.
    tags: "cgo_sqlite",
    folders: &[],
    // The vanity address of this module is no longer served; its repository is.
    more: "replace docker.io/go-docker => github.com/docker/go-docker v1.0.0\n",
};

/// Drone's runner that starts steps as processes of the host.
pub const DRONE_RUNNER: GoProgram = GoProgram {
    module: "github.com/drone-runners/drone-runner-exec",
    command: "github.com/drone-runners/drone-runner-exec",
    version: "v1.0.0-beta.10",
    name: "drone-runner-exec",
    takes: "half a minute",
    tags: "",
    folders: &[],
    more: "",
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
    /// The path of the binary, built first if it is not kept yet, without paths of this machine.
    ///
    /// # Errors
    /// Go is missing, a module is not served, or the build fails.
    pub fn binary(&self) -> Result<PathBuf, GoError> {
        Ok(self.kept()?.join(self.name))
    }

    /// The folder that holds the binary and [`GoProgram::folders`].
    ///
    /// # Errors
    /// As [`GoProgram::binary`].
    pub fn kept(&self) -> Result<PathBuf, GoError> {
        let mut parts = vec![self.module, self.command, self.version, FLAGS];
        if !self.tags.is_empty() {
            parts.push(self.tags);
        }
        parts.extend(self.folders);
        if !self.more.is_empty() {
            parts.push(self.more);
        }
        cache::entry(&cache::key(self.name, parts), |folder| self.build(folder))
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
                .env("CGO_ENABLED", if self.tags.is_empty() { "0" } else { "1" })
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
        let lines = own_lines(&theirs) + self.more;
        let ours = format!("module cc-ci.invalid/{}\n\ngo 1.25.0\n\n{lines}", self.name);
        std::fs::write(work.path().join("go.mod"), ours).map_err(|error| self.module_error(&error))?;
        go(&["get", "-tool", &format!("{}@{}", self.command, self.version)])?;
        let binary = folder.join(self.name);
        let binary = binary.to_string_lossy();
        let build =
            ["build", "-trimpath", "-ldflags", "-s -w", "-tags", self.tags, "-o", &binary, self.command];
        go(&build)?;
        let source = answer["Dir"].as_str().ok_or_else(|| self.module_error(&"the answer has no Dir"))?;
        for part in self.folders {
            let place = folder.join(part);
            let parent = place.parent().unwrap_or(folder);
            std::fs::create_dir_all(parent).map_err(|error| self.module_error(&error))?;
            // The module cache is read-only; what is kept must be removable by its owner.
            let copy = Program::new("cp").args(["-r", "--no-preserve=mode"]);
            let copied = copy.arg(std::path::Path::new(source).join(part)).arg(parent).run();
            copied.map_err(|cause| GoError::Build { name: self.name, version: self.version, cause })?;
        }
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
