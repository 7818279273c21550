//! The images tests deploy: which there are, and an engine's data that already holds them, made once and kept.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::engine::{EngineError, EngineOptions, PrivateEngine};
use crate::go_program::{self, GoError};
use crate::image::{self, Docker, ImageError, Start};
use crate::program::ProgramError;
use crate::progress::say;
use crate::registry::RegistryError;
use crate::rust_program::{self, RustError};
use crate::{cache, debian_root, guestbook_images};

/// Why the images could not be made.
#[derive(Debug, thiserror::Error)]
pub enum StockError {
    /// No cache.
    #[error(transparent)]
    Cache(#[from] cache::CacheError),
    /// A binary for an image from scratch could not be built.
    #[error(transparent)]
    Rust(#[from] RustError),
    /// A Go program could not be built.
    #[error(transparent)]
    Go(#[from] GoError),
    /// The files of an image could not be had.
    #[error(transparent)]
    Root(#[from] debian_root::RootError),
    /// An image could not be made or pushed.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// An archive could not be made.
    #[error("making the archive of an image: {0}")]
    Archive(#[from] ProgramError),
    /// The engine that makes them failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Its registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The list beside the kept data could not be written or read.
    #[error("the list of kept images {}: {what}", path.display())]
    List {
        /// Where.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
}

/// One image in the registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockImage {
    /// What a compose file says, with the registry's address.
    pub reference: String,
    /// The digest the registry gave it, `sha256:…`.
    pub digest: String,
}

/// All images in the registry, by short name with tag (`nginx:1.0`).
pub type StockImages = BTreeMap<String, StockImage>;

/// Whether the proxy's image belongs to it, whose first build takes minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proxy {
    /// No proxy: apps are reached directly.
    Without,
    /// With Traefik.
    Traefik,
}

/// The releases each image exists in. Their labels differ, so their digests do.
pub const RELEASES: [&str; 3] = ["1.0", "1.1", "1.2"];

/// The local name of the proxy's image.
pub const TRAEFIK_IMAGE: &str = "cc-ci-traefik:3.6.12";

/// The local name of the image that reads volumes and asks tasks.
pub const HELPER_IMAGE: &str = "cc-ci-helper:local";

/// Raised when the way images are put together changes, so that kept ones are made anew.
const MAKING: &str = "2";

/// Data of an engine that holds the images, for [`EngineOptions::data_from`], and the list of them.
///
/// # Errors
/// Something could not be built, downloaded, imported or pushed.
pub fn kept(proxy: Proxy) -> Result<(PathBuf, StockImages), StockError> {
    let probe = rust_program::probe()?;
    let traefik = match proxy {
        Proxy::Without => None,
        Proxy::Traefik => Some(go_program::TRAEFIK.binary()?),
    };
    let mut parts = vec![MAKING.to_owned(), probe.display().to_string()];
    parts.extend(LAYERS.map(|layer| (layer.recipe)()));
    parts.extend(traefik.iter().map(|path| path.display().to_string()));
    let folder = cache::entry(&cache::key("stock", parts), |folder| {
        say("making the test images, once: takes a minute");
        let mut engine = PrivateEngine::start(&EngineOptions::default())?;
        engine.start_registry()?;
        let images = make(&engine, crate::registry::REGISTRY, &probe, &LAYERS)?;
        if let Some(traefik) = traefik {
            make_traefik(&engine, &traefik)?;
        }
        let list = folder.join(LIST);
        let text = serde_json::to_string_pretty(&images).map_err(|error| broken(&list, &error))?;
        std::fs::write(&list, text).map_err(|error| broken(&list, &error))?;
        Ok::<_, StockError>(engine.keep_data(&folder.join("data"))?)
    })?;
    let list = folder.join(LIST);
    let text = std::fs::read_to_string(&list).map_err(|error| broken(&list, &error))?;
    let images = serde_json::from_str(&text).map_err(|error| broken(&list, &error))?;
    Ok((folder.join("data"), images))
}

const LIST: &str = "images.json";

fn broken(path: &Path, what: &dyn std::fmt::Display) -> StockError {
    StockError::List { path: path.to_owned(), what: what.to_string() }
}

/// A real program whose files come from the distribution's packages.
#[derive(Debug, Clone)]
pub struct Layer {
    /// Its name in the registry.
    name: &'static str,
    /// What decides about its files.
    recipe: fn() -> String,
    /// Fills a folder with them.
    fill: fn(&Path) -> Result<(), debian_root::RootError>,
    start: Start<'static>,
    /// A variable that tells the program its own release.
    release_variable: Option<&'static str>,
}

/// The web server of the recipe custom-html.
pub const NGINX: Layer = Layer {
    name: "nginx",
    recipe: debian_root::recipe_of_nginx,
    fill: debian_root::nginx,
    start: Start {
        entrypoint: &[],
        command: &["nginx", "-g", "daemon off;"],
        environment: &[debian_root::PATH],
        port: Some("80/tcp"),
        labels: &[],
    },
    release_variable: None,
};

/// The database of the recipe guestbook.
pub const MARIADB: Layer = Layer {
    name: "mariadb",
    recipe: guestbook_images::recipe_of_mariadb,
    fill: guestbook_images::mariadb,
    start: guestbook_images::MARIADB_START,
    release_variable: None,
};

/// The app of the recipe guestbook.
pub const GUESTBOOK: Layer = Layer {
    name: "guestbook",
    recipe: guestbook_images::recipe_of_guestbook,
    fill: guestbook_images::guestbook,
    start: guestbook_images::GUESTBOOK_START,
    release_variable: Some("GUESTBOOK_RELEASE"),
};

/// All of them, as an engine for tests has them.
const LAYERS: [Layer; 3] = [NGINX, MARIADB, GUESTBOOK];

/// Makes the images of the probe and of these programs in all their releases and pushes them to `registry`.
///
/// # Errors
/// As [`kept`].
pub fn make(
    docker: &impl Docker,
    registry: &str,
    probe: &Path,
    layers: &[Layer],
) -> Result<StockImages, StockError> {
    let folder = scratch_folder()?;
    let probe_archive = folder.path().join("probe.tar");
    // The folder of its files has to be there, for a volume to take owner and mode from.
    let marker = folder.path().join("marker");
    std::fs::write(&marker, "").map_err(|error| broken(&marker, &error))?;
    image::archive_of(&[(probe.to_owned(), "/probe"), (marker, "/data/.keep")], &probe_archive)?;
    let probe_start = Start {
        entrypoint: &["/probe"],
        environment: &["PATH=/"],
        port: Some("8080/tcp"),
        ..Start::default()
    };
    let mut images = StockImages::new();
    let mut add = |name: &str, archive: &Path, start: &Start<'_>, variable: Option<&str>| {
        for release in RELEASES {
            let reference = format!("{registry}/{name}:{release}");
            let labels = [("org.opencontainers.image.version", release)];
            let told = variable.map(|variable| format!("{variable}={release}"));
            let environment: Vec<&str> = start.environment.iter().copied().chain(told.as_deref()).collect();
            let start = Start { labels: &labels, environment: &environment, ..start.clone() };
            image::load(docker, archive, &reference, &start)?;
            let digest = image::push(docker, &reference)?;
            images.insert(format!("{name}:{release}"), StockImage { reference, digest });
        }
        Ok::<_, StockError>(())
    };
    add("probe", &probe_archive, &probe_start, None)?;
    for layer in layers {
        add(layer.name, &layer.archive()?, &layer.start, layer.release_variable)?;
    }
    Ok(images)
}

impl Layer {
    /// Its files as an archive, made once and kept.
    fn archive(&self) -> Result<PathBuf, StockError> {
        const ARCHIVE: &str = "layer.tar";
        let key = cache::key(self.name, [MAKING_OF_LAYERS.to_owned(), (self.recipe)()]);
        let folder = cache::entry(&key, |folder| {
            say(format!("downloading {} from the distribution's packages, once", self.name));
            let scratch = scratch_folder()?;
            (self.fill)(scratch.path())?;
            Ok::<_, StockError>(image::archive(scratch.path(), &folder.join(ARCHIVE))?)
        })?;
        Ok(folder.join(ARCHIVE))
    }
}

/// Raised when the way layers are put together changes, so that kept ones are made anew.
const MAKING_OF_LAYERS: &str = "1";

/// Makes [`TRAEFIK_IMAGE`] of a static binary.
fn make_traefik(docker: &impl Docker, binary: &Path) -> Result<(), StockError> {
    let folder = scratch_folder()?;
    let archive = folder.path().join("traefik.tar");
    image::archive_of(&[(binary.to_owned(), "/traefik")], &archive)?;
    Ok(image::load(
        docker,
        &archive,
        TRAEFIK_IMAGE,
        &Start { entrypoint: &["/traefik"], ..Start::default() },
    )?)
}

/// Makes [`HELPER_IMAGE`] of the helper's binary and restic; false where the workspace has no helper.
///
/// # Errors
/// A binary cannot be built, or the import fails.
pub fn make_helper(docker: &impl Docker) -> Result<bool, StockError> {
    let Some(helper) = rust_program::helper()? else { return Ok(false) };
    let folder = scratch_folder()?;
    let archive = folder.path().join("helper.tar");
    let files = [(helper, "/cc-ci-helper"), (go_program::RESTIC.binary()?, "/restic")];
    image::archive_of(&files, &archive)?;
    let start = Start { entrypoint: &["/cc-ci-helper"], environment: &["PATH=/"], ..Start::default() };
    image::load(docker, &archive, HELPER_IMAGE, &start)?;
    Ok(true)
}

fn scratch_folder() -> Result<tempfile::TempDir, StockError> {
    tempfile::tempdir().map_err(|error| broken(&std::env::temp_dir(), &error))
}
