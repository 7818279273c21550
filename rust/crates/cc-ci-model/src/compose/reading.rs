//! The way from compose files to one [`Compose`]: parse, interpolate, check, merge.

use std::collections::BTreeMap;

use super::document::{self, Document, Surroundings};
use super::error::{ComposeError, Position, Problem};
use super::mounts::{self, RECIPE_FOLDER};
use super::service::Service;
use super::top_level::{Config, Network, Secret, Volume};
use super::tree;

/// One compose file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComposeSource {
    /// Its path as in `COMPOSE_FILE`, from the recipe folder.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// The merged compose files of one app.
#[derive(Debug, Clone)]
pub struct Compose {
    /// By the name in the file, without the stack's.
    pub services: BTreeMap<String, Service>,
    /// By the name in the file.
    pub networks: BTreeMap<String, Network>,
    /// By the name in the file.
    pub volumes: BTreeMap<String, Volume>,
    /// By the name in the file.
    pub secrets: BTreeMap<String, Secret>,
    /// By the name in the file.
    pub configs: BTreeMap<String, Config>,
    document: Document,
    /// The folder of the first file below [`RECIPE_FOLDER`]; all paths are relative to it.
    folder: String,
}

/// Reads compose files in the order of `COMPOSE_FILE`, with `env` as the only variables there are.
///
/// `files` gives the text of a file named by `env_file`, by its path from the recipe folder; it is never asked for a path that is
/// absolute or leaves that folder as written (a link inside the folder that points out of it is the caller's to refuse). Reading never
/// panics and its cost is bounded whatever the texts are.
///
/// # Errors
/// The first fault found, with its position. What `docker stack config` accepts is accepted here, and what it refuses is
/// refused; what only the deploy refuses is told by [`Compose::deploy_fault`].
pub fn read(
    sources: &[ComposeSource],
    env: &BTreeMap<String, String>,
    files: &dyn Fn(&str) -> Option<String>,
) -> Result<Compose, ComposeError> {
    let names: Vec<String> = sources.iter().map(|source| source.path.clone()).collect();
    let folder = match sources.first().map(|first| first.path.rsplit_once('/')) {
        None => return Err(ComposeError::NothingToRead),
        Some(None) => RECIPE_FOLDER.to_owned(),
        Some(Some((folder, _))) => mounts::resolve(RECIPE_FOLDER, folder),
    };
    let surroundings = Surroundings { env, read: files, folder: &folder };
    let document = merged(sources, surroundings).map_err(|problem| problem.named(&names))?;
    Ok(Compose::new(document, folder, &names))
}

fn merged(sources: &[ComposeSource], surroundings: Surroundings<'_>) -> Result<Document, Problem> {
    let trees: Vec<tree::Node> = sources
        .iter()
        .enumerate()
        .map(|(file, source)| tree::parse(&source.text, file))
        .collect::<Result<_, _>>()?;
    let mut base: Option<Document> = None;
    for tree in trees {
        let version = document::version(&tree);
        if let Some(first) = base.as_ref().map(|base| &base.version)
            && *first != version
        {
            let place = tree.get("version").map_or(tree.place, |node| node.place);
            let what =
                format!("version {version} here, but {first} in the first file; state the same in all files");
            return Err(Problem::schema(place, what));
        }
        let loaded = document::load(tree, surroundings)?;
        match &mut base {
            Some(base) => base.merge(loaded)?,
            None => base = Some(loaded),
        }
    }
    Ok(base.expect("a file was read, for an empty list of sources was refused before"))
}

impl Compose {
    fn new(document: Document, folder: String, names: &[String]) -> Compose {
        fn all<T>(
            document: &Document,
            section: &str,
            make: impl Fn(&tree::Node) -> T,
        ) -> BTreeMap<String, T> {
            let entries = document.sections.get(section).into_iter().flatten();
            entries.map(|(name, node)| (name.clone(), make(node))).collect()
        }
        Compose {
            services: all(&document, "services", |node| Service::new(node, names)),
            networks: all(&document, "networks", |node| Network::new(node, names)),
            volumes: all(&document, "volumes", |node| Volume::new(node, names)),
            secrets: all(&document, "secrets", |node| Secret::new(node, names)),
            configs: all(&document, "configs", |node| Config::new(node, names)),
            document,
            folder,
        }
    }

    /// The version of the format, `3.13` where the files state none.
    pub fn version(&self) -> &str {
        &self.document.version
    }

    /// Everything in the shape that `docker stack config` prints, with [`RECIPE_FOLDER`] as the folder of the recipe.
    pub fn to_value(&self) -> serde_json::Value {
        self.document.render(&self.folder)
    }

    /// The image of every service that names one: service, image, position.
    pub fn images(&self) -> Vec<(String, String, Position)> {
        self.services
            .iter()
            .filter_map(|(name, service)| {
                let image = service.image.as_ref()?;
                Some((name.clone(), image.value.clone(), image.at.clone()))
            })
            .collect()
    }

    /// The labels that a service, not its containers, gets; empty for a service that is not there.
    pub fn deploy_labels(&self, service: &str) -> BTreeMap<String, String> {
        let labels = self.services.get(service).map(|service| &service.deploy_labels);
        let labels = labels.into_iter().flatten();
        labels.map(|(key, value)| (key.clone(), value.value.clone())).collect()
    }

    /// A path written in these files, from the recipe folder; `None` if it is absolute or leaves that folder.
    pub fn path_in_recipe(&self, written: &str) -> Option<String> {
        mounts::inside_recipe(&self.folder, written)
    }

    /// What `docker stack deploy` refuses though `docker stack config` takes it: a service without image, or with something that is
    /// declared nowhere. `None` if there is nothing of that kind.
    pub fn deploy_fault(&self) -> Option<ComposeError> {
        self.services.iter().find_map(|(name, service)| {
            let (at, what) = service.missing_part(self)?;
            Some(ComposeError::Schema { at, what: format!("service {name:?}: {what}") })
        })
    }
}
