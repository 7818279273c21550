//! A recipe as values: its files by path and its tags.

use std::collections::BTreeMap;

use crate::compose::ComposeSource;

/// The overlay a test host lays over a recipe: no part of the recipe, so lint never looks at it.
pub const OWN_OVERLAY: &str = "compose.ccci.yml";

/// A tag of the recipe's repository that names a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// Its name.
    pub name: String,
    /// Whether it is annotated.
    pub is_annotated: bool,
}

/// The files of a recipe at one commit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecipeFiles {
    /// Text by path from the recipe folder. Bytes that are no UTF-8 may be replaced.
    pub files: BTreeMap<String, String>,
    /// Files that are links out of the recipe's folder, and were not read.
    pub links_out: Vec<String>,
    /// Its version tags; `None` where there is no repository to ask.
    pub tags: Option<Vec<Tag>>,
}

impl RecipeFiles {
    /// The text of a file.
    #[must_use]
    pub fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// Compose files that the recipe offers: `compose.yml`, `compose.<feature>.yml` beside it or one folder below.
    pub(super) fn compose_files(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str).filter(|path| {
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
            let is_overlay = name.starts_with("compose.") && name.ends_with(".yml") && name != "compose.yml";
            *path != OWN_OVERLAY
                && !folder.contains('/')
                && (is_overlay || (folder.is_empty() && name == "compose.yml"))
        })
    }

    /// A compose file with its text; `None` if there is none.
    pub(crate) fn source(&self, path: &str) -> Option<ComposeSource> {
        Some(ComposeSource { path: path.to_owned(), text: self.text(path)?.to_owned() })
    }
}
