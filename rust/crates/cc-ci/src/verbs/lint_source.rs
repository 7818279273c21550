//! Where the recipes of `cc-ci lint` come from: a folder as it is, or a repository at its tip.

use std::path::{Path, PathBuf};

use cc_ci_model::lint::RecipeFiles;
use cc_ci_model::names::{CommitSha, GitSource, PrNumber, Recipe, RunDomain, StackName, Zone};
use cc_ci_swarm::checkout::{Checkout, CheckoutError};
use cc_ci_swarm::programs::Programs;
use cc_ci_swarm::recipe_files::{at_commit, in_folder, release_before, tags};

use super::BadArgument;

/// What one argument names.
pub(super) enum Source {
    /// A folder with a recipe in it.
    Folder(PathBuf),
    /// A repository without a work tree that could be looked at.
    Git(GitSource),
}

/// A recipe as it was read.
pub(super) struct Read {
    /// Its files.
    pub(super) head: RecipeFiles,
    /// The files of the release before it.
    pub(super) base: Option<RecipeFiles>,
}

impl Source {
    /// Tells the two apart. A path that is not there is a bad argument.
    pub(super) fn parse(text: &str) -> Result<Self, BadArgument> {
        let bad = |why: String| BadArgument(format!("{text:?}: {why}; give a folder or a git repository"));
        if text.contains("://") {
            return GitSource::parse(text).map(Self::Git).map_err(|error| bad(error.to_string()));
        }
        let path = std::fs::canonicalize(text).map_err(|error| bad(error.to_string()))?;
        if !path.is_dir() {
            return Err(bad("not a folder".to_owned()));
        }
        let is_bare = path.join("HEAD").is_file() && path.join("objects").is_dir();
        if is_bare { source_of(&path).map(Self::Git) } else { Ok(Self::Folder(path)) }
    }

    /// The recipe's name: the last part of path or address.
    pub(super) fn name(&self) -> String {
        let text = match self {
            Self::Folder(path) => path.to_string_lossy().into_owned(),
            Self::Git(source) => source.to_string(),
        };
        let last = text.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        last.strip_suffix(".git").unwrap_or(last).to_owned()
    }

    /// Where a run would clone it from; none for a folder without a repository.
    pub(super) fn git(&self) -> Option<String> {
        match self {
            Self::Git(source) => Some(source.to_string()),
            Self::Folder(path) => path.join(".git").exists().then(|| path.to_string_lossy().into_owned()),
        }
    }

    /// A stack such as a run of this recipe would have, for the length of names.
    pub(super) fn stack(&self, zone: &Zone) -> StackName {
        let recipe = Recipe::parse(&self.name()).or_else(|_| Recipe::parse("recipe"));
        let recipe = recipe.expect("the second name is a recipe's name");
        let commit = CommitSha::parse(&"0".repeat(40)).expect("forty digits are a commit's id");
        RunDomain::of(&recipe, PrNumber(0), &commit, zone).stack()
    }

    /// Reads it. `scratch` is a folder of its own for this call.
    pub(super) async fn read(&self, programs: &Programs, scratch: &Path) -> Result<Read, CheckoutError> {
        let (clone, config) = (scratch.join("clone"), scratch.join("gitconfig"));
        match self {
            Self::Git(source) => {
                let checkout = Checkout::clone_from(programs, source, &clone, &config).await?;
                let head = checkout.resolve(None, PrNumber(0)).await?;
                let releases = checkout.releases(&head).await?;
                let mut files = at_commit(&checkout, &head, &scratch.join("head")).await?;
                files.tags = Some(tags(&releases));
                let before = release_before(&head, &releases).map(|base| base.commit);
                Ok(Read { head: files, base: release(&checkout, before, scratch).await? })
            }
            Self::Folder(path) => {
                let mut files = in_folder(path)?;
                let source = source_of(path).ok().filter(|_| path.join(".git").exists());
                let Some(source) = source else { return Ok(Read { head: files, base: None }) };
                // The folder's own repository is never worked in: somebody is.
                let checkout = Checkout::clone_from(programs, &source, &clone, &config).await?;
                let Some(tip) = checkout.current().await? else {
                    files.tags = Some(Vec::new());
                    return Ok(Read { head: files, base: None });
                };
                let releases = checkout.releases(&tip).await?;
                files.tags = Some(tags(&releases));
                let committed = at_commit(&checkout, &tip, &scratch.join("head")).await?;
                let before = if committed.files == files.files {
                    release_before(&tip, &releases).map(|base| base.commit)
                } else {
                    // Edits on top of a release are compared with that release.
                    let older = releases.iter().filter(|release| release.is_ancestor_of_head);
                    older.max_by(|a, b| a.version.cmp(&b.version)).map(|release| release.commit.clone())
                };
                Ok(Read { head: files, base: release(&checkout, before, scratch).await? })
            }
        }
    }
}

fn source_of(path: &Path) -> Result<GitSource, BadArgument> {
    GitSource::parse(&path.to_string_lossy()).map_err(|error| BadArgument(error.to_string()))
}

async fn release(
    checkout: &Checkout,
    commit: Option<CommitSha>,
    scratch: &Path,
) -> Result<Option<RecipeFiles>, CheckoutError> {
    match commit {
        Some(commit) => at_commit(checkout, &commit, &scratch.join("base")).await.map(Some),
        None => Ok(None),
    }
}
