//! A recipe on disk read into a value for lint: as a commit holds it, or as a folder holds it at this moment.

use std::path::Path;

use cc_ci_model::lint::{RecipeFiles, Tag};
use cc_ci_model::names::CommitSha;
use cc_ci_model::version::{Base, Release, choose_base};

use crate::checkout::{Checkout, CheckoutError};

/// Docker takes no config beyond this size (bytes), so no rule looks into a bigger file; that it is there is enough.
const LONGEST: u64 = 1024 * 1024;

/// More files than this are no recipe.
const MOST_FILES: usize = 10_000;

/// Reads a commit's own files, from a second clone in `folder`, which is removed again.
///
/// # Errors
/// Git or the disk fails.
pub async fn at_commit(
    checkout: &Checkout,
    commit: &CommitSha,
    folder: &Path,
) -> Result<RecipeFiles, CheckoutError> {
    let read = read_clone(checkout, commit, folder).await;
    let removed = match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(CheckoutError::File { what: format!("removing {}", folder.display()), error })
        }
        _ => Ok(()),
    };
    let recipe = read?;
    removed.map(|()| recipe)
}

async fn read_clone(
    checkout: &Checkout,
    commit: &CommitSha,
    folder: &Path,
) -> Result<RecipeFiles, CheckoutError> {
    let clone = checkout.pristine(commit, folder).await?;
    let mut recipe = RecipeFiles::default();
    for path in clone.tracked().await? {
        put(&mut recipe, &clone, path)?;
    }
    Ok(recipe)
}

fn put(recipe: &mut RecipeFiles, clone: &Checkout, path: String) -> Result<(), CheckoutError> {
    match clone.inside(&path) {
        Ok(Some(whole)) => {
            recipe.files.insert(path, text(&whole)?);
        }
        Ok(None) => {}
        Err(CheckoutError::Outside(_)) => recipe.links_out.push(path),
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Reads a folder as it is, `.git` left out. It has no tags.
///
/// # Errors
/// A file or folder in it cannot be read, or there are too many.
pub fn in_folder(root: &Path) -> Result<RecipeFiles, CheckoutError> {
    let failed =
        |path: &Path, error| CheckoutError::File { what: format!("reading {}", path.display()), error };
    let whole_root = std::fs::canonicalize(root).map_err(|error| failed(root, error))?;
    let mut recipe = RecipeFiles::default();
    let mut folders = vec![whole_root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(|error| failed(&folder, error))? {
            let path = entry.map_err(|error| failed(&folder, error))?.path();
            let kind = std::fs::symlink_metadata(&path).map_err(|error| failed(&path, error))?;
            let name = path.strip_prefix(&whole_root).unwrap_or(&path).to_string_lossy().into_owned();
            if kind.is_dir() {
                // A submodule's `.git` is a file, and no recipe needs one either.
                if !path.ends_with(".git") {
                    folders.push(path);
                }
                continue;
            }
            if recipe.files.len() > MOST_FILES {
                let error = std::io::Error::other(format!("more than {MOST_FILES} files are no recipe"));
                return Err(failed(root, error));
            }
            match std::fs::canonicalize(&path) {
                Ok(whole) if !whole.starts_with(&whole_root) => recipe.links_out.push(name),
                Ok(whole) if whole.is_file() => {
                    recipe.files.insert(name, text(&whole)?);
                }
                // A link to a folder of the recipe is walked where it lies; one to nothing is nothing.
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed(&path, error)),
            }
        }
    }
    recipe.links_out.sort();
    Ok(recipe)
}

fn text(path: &Path) -> Result<String, CheckoutError> {
    let failed = |error| CheckoutError::File { what: format!("reading {}", path.display()), error };
    if std::fs::metadata(path).map_err(failed)?.len() > LONGEST {
        return Ok(String::new());
    }
    Ok(String::from_utf8_lossy(&std::fs::read(path).map_err(failed)?).into_owned())
}

/// The tags of releases, as lint asks for them.
#[must_use]
pub fn tags(releases: &[Release]) -> Vec<Tag> {
    let tags = releases
        .iter()
        .map(|release| Tag { name: release.version.to_string(), is_annotated: release.is_annotated });
    tags.collect()
}

/// The release that lint compares a commit with: the newest one that it descends from, whatever a run starts from.
#[must_use]
pub fn release_before(head: &CommitSha, releases: &[Release]) -> Option<Base> {
    choose_base(head, releases, None, None).ok()
}
