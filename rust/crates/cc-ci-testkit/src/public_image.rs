//! Images of a public registry, for an engine that can reach one, under names of a registry of ours.

use std::time::Duration;

use crate::image::{self, Docker, ImageError};
use crate::progress::say;

/// Docker Hub's nginx for each of [`crate::stock::RELEASES`], with the tools that the bundled recipe calls.
const NGINX: [(&str, &str); 3] =
    [("1.0", "1.26.0-alpine"), ("1.1", "1.26.1-alpine"), ("1.2", "1.26.2-alpine")];

/// Where Docker Hub's own images lie.
const LIBRARY: &str = "docker.io/library";

/// A pull of some megabytes; where nothing answers, the engine says so sooner.
const LIMIT: Duration = Duration::from_secs(90);

/// Names as `docker image ls` shows what [`nginx`] pulls.
pub fn nginx_names() -> impl Iterator<Item = String> {
    NGINX.iter().map(|(_, tag)| format!("nginx:{tag}"))
}

/// Pulls nginx and pushes it to `registry` in each of our releases; false where no public registry gives it.
///
/// # Errors
/// It was pulled and cannot be pushed.
pub fn nginx(docker: &impl Docker, registry: &str) -> Result<bool, ImageError> {
    for (release, tag) in NGINX {
        if !mirror(docker, &format!("{LIBRARY}/nginx:{tag}"), &format!("{registry}/nginx:{release}"))? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Pulls image `from` and pushes it as `to`; false, with a sentence for the person, where it cannot be pulled.
///
/// # Errors
/// It was pulled and cannot be pushed.
pub fn mirror(docker: &impl Docker, from: &str, to: &str) -> Result<bool, ImageError> {
    let failed = |cause| ImageError::Docker { name: to.to_owned(), cause };
    if let Err(error) = docker.docker().args(["pull", "--quiet", from]).deadline(LIMIT).run() {
        let error = error.to_string();
        say(format!("no image from a public registry: {}", error.lines().next().unwrap_or_default()));
        return Ok(false);
    }
    docker.docker().args(["tag", from, to]).run().map_err(failed)?;
    image::push(docker, to).map(|_| true)
}
