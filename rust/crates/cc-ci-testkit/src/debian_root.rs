//! A root file system made of a few Debian packages, without root and in seconds.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cache;
use crate::program::{Program, ProgramError};

/// Why no root file system came about.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// No cache.
    #[error(transparent)]
    Cache(#[from] cache::CacheError),
    /// A package could not be unpacked.
    #[error("making a root file system from Debian packages: {0}")]
    Step(#[from] ProgramError),
    /// A package could not be had.
    #[error("downloading Debian packages: {0}; where apt's lists are old: sudo apt-get update")]
    Download(ProgramError),
    /// A file of it could not be written.
    #[error("writing {} into a root file system: {cause}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the kernel said.
        cause: std::io::Error,
    },
}

/// Downloads `packages` in the version the system's apt knows and unpacks them below `root`.
///
/// Their install scripts do not run: what an app needs beyond the files is written by the caller.
///
/// # Errors
/// A package is unknown to apt, or cannot be unpacked.
pub fn unpack(packages: &[&str], root: &Path) -> Result<(), RootError> {
    let folder = tempfile::tempdir().map_err(|cause| RootError::File { path: root.to_owned(), cause })?;
    let download = || {
        let apt = Program::new("apt-get").args(["-qq", "download"]).args(packages).folder(folder.path());
        apt.deadline(Duration::from_secs(300)).run()
    };
    if let Err(first) = download() {
        // Empty or outdated lists are the usual cause, and only root can renew them.
        let update = Program::new("apt-get").args(["-qq", "update"]).deadline(Duration::from_secs(300)).run();
        if update.is_err() {
            return Err(RootError::Download(first));
        }
        download().map_err(RootError::Download)?;
    }
    let entries = std::fs::read_dir(folder.path());
    for entry in entries.map_err(|cause| RootError::File { path: folder.path().to_owned(), cause })?.flatten()
    {
        Program::new("dpkg-deb").arg("--extract").arg(entry.path()).arg(root).run()?;
    }
    Ok(())
}

/// Gives `root` a shell and the usual small commands: busybox under the names of its applets.
///
/// # Errors
/// `busybox-static` is not unpacked there, or a link cannot be made.
pub fn link_busybox(root: &Path) -> Result<(), RootError> {
    let busybox = root.join("bin/busybox");
    for applet in Program::new(&busybox).arg("--list").run()?.lines().filter(|name| *name != "busybox") {
        let path = root.join("bin").join(applet);
        std::os::unix::fs::symlink("busybox", &path).map_err(|cause| RootError::File { path, cause })?;
    }
    Ok(())
}

/// Writes one small file below `root`, with the folders above it.
///
/// # Errors
/// It cannot be written.
pub fn write(root: &Path, name: &str, text: &str) -> Result<(), RootError> {
    let path = root.join(name);
    let parent = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    parent.and_then(|()| std::fs::write(&path, text)).map_err(|cause| RootError::File { path, cause })
}

/// The environment in which programs of packages find each other.
pub const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What the image of a real nginx consists of.
pub const NGINX: &[&str] =
    &["nginx", "nginx-common", "libc6", "libcrypt1", "libpcre2-8-0", "libssl3", "zlib1g", "busybox-static"];

/// The layout of the official image, as recipes expect it: `conf.d` is read, logs go to the container's streams.
const NGINX_CONF: &str = "\
worker_processes 1;
pid /run/nginx.pid;
error_log /dev/stderr notice;
events { worker_connections 256; }
http {
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    access_log /dev/stdout;
    include /etc/nginx/conf.d/*.conf;
}
";

const NGINX_SITE: &str = "\
server {
    listen 80;
    root /usr/share/nginx/html;
}
";

/// Fills `root` with a real nginx and a shell.
///
/// # Errors
/// As [`unpack`].
pub fn nginx(root: &Path) -> Result<(), RootError> {
    unpack(NGINX, root)?;
    link_busybox(root)?;
    write(root, "etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")?;
    write(root, "etc/group", "root:x:0:\nnogroup:x:65534:\n")?;
    write(root, "etc/nginx/nginx.conf", NGINX_CONF)?;
    write(root, "etc/nginx/conf.d/default.conf", NGINX_SITE)?;
    write(root, "usr/share/nginx/html/index.html", "<h1>Welcome to nginx</h1>\n")?;
    for folder in ["run", "tmp", "var/log/nginx", "var/lib/nginx", "proc", "sys", "dev"] {
        let path = root.join(folder);
        std::fs::create_dir_all(&path).map_err(|cause| RootError::File { path, cause })?;
    }
    for part in ["usr/share/doc", "usr/share/man", "usr/share/lintian"] {
        // What is not there needs no removing.
        let _ = std::fs::remove_dir_all(root.join(part));
    }
    Ok(())
}

/// What decides about the files of [`nginx`], for the key of what is kept.
pub fn recipe_of_nginx() -> String {
    format!("{} {NGINX_CONF} {NGINX_SITE}", NGINX.join(" "))
}
