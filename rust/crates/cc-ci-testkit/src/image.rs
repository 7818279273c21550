//! Images made without a registry: a list of files becomes an archive, the archive becomes an image.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use crate::program::{Program, ProgramError};

/// Why an image could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Its files could not be put together.
    #[error("putting together the files of image {name}: {cause}")]
    Files {
        /// The image.
        name: String,
        /// What the kernel said.
        cause: std::io::Error,
    },
    /// A Docker command failed.
    #[error("making image {name}: {cause}")]
    Docker {
        /// The image.
        name: String,
        /// What it said.
        cause: ProgramError,
    },
    /// The registry gave no digest.
    #[error("image {name} was pushed, and Docker shows no digest for it: {shown}")]
    NoDigest {
        /// The image.
        name: String,
        /// What Docker shows instead.
        shown: String,
    },
}

/// Anything that has a `docker` command: a private engine, or the user's own Docker.
pub trait Docker {
    /// A `docker` command without arguments yet.
    fn docker(&self) -> Program;
}

impl Docker for crate::engine::PrivateEngine {
    fn docker(&self) -> Program {
        self.program("docker")
    }
}

/// An archive of a folder, owned by root, the same bytes for the same files.
///
/// # Errors
/// `tar` fails.
pub fn archive(folder: &Path, to: &Path) -> Result<(), ProgramError> {
    let tar =
        Program::new("tar").args(["--create", "--owner=0", "--group=0", "--numeric-owner", "--sort=name"]);
    let tar = tar
        .args(["--mtime=@0", "--mode=u+rwX,go+rX,go-w"])
        .arg("--file")
        .arg(to)
        .arg("--directory")
        .arg(folder);
    tar.arg(".").deadline(Duration::from_secs(120)).run().map(|_| ())
}

/// An archive of single files, each (where it is, its path in the image); `/tmp` is there, empty.
///
/// # Errors
/// A file cannot be read, or `tar` fails.
pub fn archive_of(files: &[(PathBuf, &str)], to: &Path) -> Result<(), ImageError> {
    let name = to.display().to_string();
    let cause = |cause| ImageError::Files { name: name.clone(), cause };
    let folder = tempfile::tempdir().map_err(cause)?;
    std::fs::create_dir(folder.path().join("tmp")).map_err(cause)?;
    for (from, path) in files {
        let place = folder.path().join(path.trim_start_matches('/'));
        place.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(cause)?;
        std::fs::copy(from, place).map_err(cause)?;
    }
    archive(folder.path(), to).map_err(|cause| ImageError::Docker { name: name.clone(), cause })
}

/// What a container of an image starts with.
#[derive(Debug, Clone, Default)]
pub struct Start<'a> {
    /// The program and its first arguments; a service's `command` comes after them.
    pub entrypoint: &'a [&'a str],
    /// What is run, or what follows the entry point, if the service does not say.
    pub command: &'a [&'a str],
    /// `NAME=value` each.
    pub environment: &'a [&'a str],
    /// The port of its healthy state, such as `80/tcp`.
    pub port: Option<&'a str>,
    /// (name, value) each.
    pub labels: &'a [(&'a str, &'a str)],
}

/// Makes image `name` (with its tag) of one layer. The same layer and start give the same image and, pushed, the same
/// digest. Its stop signal is KILL, because a test waits for nobody's good manners.
///
/// # Errors
/// The archive cannot be put together, or Docker does not load it.
pub fn load(docker: &impl Docker, layer: &Path, name: &str, start: &Start<'_>) -> Result<(), ImageError> {
    let files = |cause| ImageError::Files { name: name.to_owned(), cause };
    let failed = |cause| ImageError::Docker { name: name.to_owned(), cause };
    let sum = Program::new("sha256sum").arg("--binary").arg(layer).run().map_err(failed)?;
    let digest = sum.split_whitespace().next().unwrap_or_default().to_owned();
    let labels: std::collections::BTreeMap<_, _> = start.labels.iter().copied().collect();
    let ports: std::collections::BTreeMap<_, _> = start.port.iter().map(|port| (*port, json!({}))).collect();
    // The form that `docker save` writes (moby, image/spec/v1.2.md).
    let config = json!({
        "architecture": "amd64", "os": "linux", "created": CREATED,
        "config": {
            "Entrypoint": start.entrypoint, "Cmd": start.command, "Env": start.environment, "ExposedPorts": ports,
            "Labels": labels, "StopSignal": "SIGKILL",
        },
        "history": [{ "created": CREATED, "created_by": "cc-ci-testkit" }],
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{digest}")] },
    });
    let manifest = json!([{ "Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"] }]);
    let folder = tempfile::tempdir().map_err(files)?;
    std::fs::write(folder.path().join("config.json"), config.to_string()).map_err(files)?;
    std::fs::write(folder.path().join("manifest.json"), manifest.to_string()).map_err(files)?;
    std::os::unix::fs::symlink(layer, folder.path().join("layer.tar")).map_err(files)?;
    let whole = folder.path().join("image.tar");
    let tar = Program::new("tar").args(["--create", "--dereference", "--file"]).arg(&whole);
    let tar = tar.arg("--directory").arg(folder.path()).args(["manifest.json", "config.json", "layer.tar"]);
    tar.run().map_err(failed)?;
    let load = docker.docker().args(["image", "load", "--quiet", "--input"]).arg(&whole);
    load.deadline(Duration::from_secs(180)).run().map(|_| ()).map_err(failed)
}

/// The day images say they were made: a fixed one keeps their digests the same everywhere.
const CREATED: &str = "2024-01-01T00:00:00Z";

/// Pushes image `name` to the registry in its name and returns its digest (`sha256:…`).
///
/// # Errors
/// The push fails, or Docker shows no digest afterwards.
pub fn push(docker: &impl Docker, name: &str) -> Result<String, ImageError> {
    let failed = |cause| ImageError::Docker { name: name.to_owned(), cause };
    docker
        .docker()
        .args(["push", "--quiet", name])
        .deadline(Duration::from_secs(180))
        .run()
        .map_err(failed)?;
    let inspect = ["image", "inspect", "--format", "{{range .RepoDigests}}{{println .}}{{end}}", name];
    let shown = docker.docker().args(inspect).run().map_err(failed)?;
    let repository = name.rsplit_once(':').map_or(name, |(repository, _)| repository);
    let digest =
        shown.lines().find_map(|line| line.strip_prefix(repository)?.strip_prefix('@').map(str::to_owned));
    digest.ok_or_else(|| ImageError::NoDigest { name: name.to_owned(), shown })
}
