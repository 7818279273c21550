//! Git repositories of recipes: releases as annotated tags and a pull request's commit, the same ids every time.

use std::path::{Path, PathBuf};

use crate::program::{Program, ProgramError};

/// Why a repository could not be made.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// A git command failed.
    #[error("making the repository of a recipe: {0}")]
    Git(#[from] ProgramError),
    /// A file could not be read or written.
    #[error("putting {} into the repository of a recipe: {cause}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the kernel said.
        cause: std::io::Error,
    },
}

/// A repository on disk that recipes are cloned from, by its path.
#[derive(Debug)]
pub struct RecipeRepository {
    folder: PathBuf,
    commits: u32,
}

/// What stands for the registry's address in the bundled recipes.
const REGISTRY_MARK: &str = "@registry@";

/// Where the bundled recipes lie.
const BUNDLED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/recipes");

impl RecipeRepository {
    /// An empty repository in `folder`, which is made.
    ///
    /// # Errors
    /// The folder cannot be made, or git fails.
    pub fn create(folder: &Path) -> Result<Self, RepositoryError> {
        std::fs::create_dir_all(folder)
            .map_err(|cause| RepositoryError::File { path: folder.to_owned(), cause })?;
        let repository = Self { folder: folder.to_owned(), commits: 0 };
        repository.git(&["init", "--quiet", "--initial-branch=main"])?;
        // Runs fetch a single commit by its id, as from a forge.
        repository.git(&["config", "uploadpack.allowAnySHA1InWant", "true"])?;
        Ok(repository)
    }

    /// The bundled recipe `name` with all its releases, and the id of its pull request's commit.
    ///
    /// Each folder of `recipes/<name>` holds the files that change with it: the releases, in the order of their names,
    /// become annotated tags, and `head` becomes pull request 1.
    ///
    /// # Errors
    /// There is no such recipe, or git fails.
    pub fn bundled(name: &str, folder: &Path, registry: &str) -> Result<(Self, String), RepositoryError> {
        let mut repository = Self::create(folder)?;
        let source = Path::new(BUNDLED).join(name);
        for release in listed(&source)?.iter().filter(|path| !path.ends_with("head")) {
            let version = release.file_name().unwrap_or_default().to_string_lossy();
            repository.put(&files_below(release, registry)?)?;
            repository.commit(&format!("release {version}"))?;
            repository.release(&version)?;
        }
        let head = repository.pull_request(1, &files_below(&source.join("head"), registry)?)?;
        Ok((repository, head))
    }

    /// Where it is; what `--src` takes.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// Writes files (path, text) into the work tree, with the folders above them.
    ///
    /// # Errors
    /// One cannot be written.
    pub fn put<P: AsRef<str>, T: AsRef<str>>(&self, files: &[(P, T)]) -> Result<(), RepositoryError> {
        for (name, text) in files {
            let path = self.folder.join(name.as_ref());
            let written = path.parent().map_or(Ok(()), std::fs::create_dir_all);
            written
                .and_then(|()| std::fs::write(&path, text.as_ref()))
                .map_err(|cause| RepositoryError::File { path, cause })?;
        }
        Ok(())
    }

    /// Removes a file from the work tree.
    ///
    /// # Errors
    /// It is not there.
    pub fn remove(&self, name: &str) -> Result<(), RepositoryError> {
        let path = self.folder.join(name);
        std::fs::remove_file(&path).map_err(|cause| RepositoryError::File { path, cause })
    }

    /// Commits the work tree as it is and returns the commit's id.
    ///
    /// # Errors
    /// Git fails.
    pub fn commit(&mut self, message: &str) -> Result<String, RepositoryError> {
        self.commits += 1;
        self.git(&["add", "--all"])?;
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message])?;
        Ok(self.git(&["rev-parse", "HEAD"])?.trim().to_owned())
    }

    /// An annotated tag on the newest commit.
    ///
    /// # Errors
    /// Git fails, as when the tag is there.
    pub fn release(&self, version: &str) -> Result<(), RepositoryError> {
        self.git(&["tag", "--annotate", version, "--message", version]).map(|_| ())
    }

    /// A lightweight tag on the newest commit, as `git tag` makes it when nobody asks for more.
    ///
    /// # Errors
    /// Git fails, as when the tag is there.
    pub fn lightweight_release(&self, version: &str) -> Result<(), RepositoryError> {
        self.git(&["tag", version]).map(|_| ())
    }

    /// A commit with these files on top of the newest, reachable as a forge shows a pull request
    /// (`refs/pull/<number>/head`); the branch `main` stays where it is. Returns the commit's id.
    ///
    /// # Errors
    /// A file cannot be written, or git fails.
    pub fn pull_request<P: AsRef<str>, T: AsRef<str>>(
        &mut self,
        number: u32,
        files: &[(P, T)],
    ) -> Result<String, RepositoryError> {
        self.git(&["switch", "--quiet", "--create", &format!("change-{number}")])?;
        self.put(files)?;
        let head = self.commit(&format!("pull request {number}"))?;
        self.git(&["update-ref", &format!("refs/pull/{number}/head"), &head])?;
        self.git(&["switch", "--quiet", "main"])?;
        Ok(head)
    }

    /// A git command in the repository, as a fixed person at a fixed time, whatever this machine's settings are.
    fn git(&self, arguments: &[&str]) -> Result<String, RepositoryError> {
        // One day per commit, so that no two have the same date.
        let date = format!("{} +0000", FIRST_DAY + u64::from(self.commits) * 86_400);
        let mut git = Program::new("git").folder(&self.folder).args(arguments);
        for (name, value) in [
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_CONFIG_SYSTEM", "/dev/null"),
            ("GIT_AUTHOR_NAME", "A Maintainer"),
            ("GIT_AUTHOR_EMAIL", "maintainer@example.org"),
            ("GIT_COMMITTER_NAME", "A Maintainer"),
            ("GIT_COMMITTER_EMAIL", "maintainer@example.org"),
            ("GIT_AUTHOR_DATE", date.as_str()),
            ("GIT_COMMITTER_DATE", date.as_str()),
        ] {
            git = git.env(name, value);
        }
        Ok(git.run()?)
    }
}

/// 2024-01-01, in seconds since 1970.
const FIRST_DAY: u64 = 1_704_067_200;

/// The files and folders in a folder, by name.
fn listed(folder: &Path) -> Result<Vec<PathBuf>, RepositoryError> {
    let listed =
        std::fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    let mut listed: Vec<PathBuf> =
        listed.map_err(|cause| RepositoryError::File { path: folder.to_owned(), cause })?;
    listed.sort();
    Ok(listed)
}

/// All files below a folder (path from there, text), with the registry's address put in.
fn files_below(folder: &Path, registry: &str) -> Result<Vec<(String, String)>, RepositoryError> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for path in listed(&next)? {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path)
                .map_err(|cause| RepositoryError::File { path: path.clone(), cause })?;
            let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
            files.push((name, text.replace(REGISTRY_MARK, registry)));
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundled(folder: &Path) -> (RecipeRepository, String) {
        RecipeRepository::bundled("custom-html", folder, "127.0.0.1:5000").unwrap()
    }

    #[test]
    fn the_bundled_recipe_has_three_annotated_releases_and_a_pull_request() {
        let folder = tempfile::tempdir().unwrap();
        let (repository, head) = bundled(&folder.path().join("custom-html"));
        let tags = repository
            .git(&["for-each-ref", "--format=%(objecttype) %(refname:short)", "refs/tags"])
            .unwrap();
        assert_eq!(tags, "tag 0.1.0+1.0\ntag 0.2.0+1.1\ntag 1.0.0+1.1\n");
        assert_eq!(repository.git(&["rev-parse", "refs/pull/1/head"]).unwrap().trim(), head);
        assert_eq!(
            repository.git(&["merge-base", "main", &head]).unwrap(),
            repository.git(&["rev-parse", "main"]).unwrap()
        );
        let compose = repository.git(&["show", &format!("{head}:compose.yml")]).unwrap();
        assert!(compose.contains("image: 127.0.0.1:5000/nginx:1.2") && compose.contains("version=1.1.0+1.2"));
    }

    #[test]
    fn a_changed_config_of_the_bundled_recipe_has_a_changed_version() {
        let folder = tempfile::tempdir().unwrap();
        let (repository, head) = bundled(&folder.path().join("custom-html"));
        let show = |commit: &str, file: &str| repository.git(&["show", &format!("{commit}:{file}")]).unwrap();
        for (base, next) in
            [("0.1.0+1.0", "0.2.0+1.1"), ("0.2.0+1.1", "1.0.0+1.1"), ("1.0.0+1.1", head.as_str())]
        {
            let is_same = show(base, "site.conf.tmpl") == show(next, "site.conf.tmpl");
            assert_eq!(is_same, show(base, "abra.sh") == show(next, "abra.sh"), "{base} to {next}");
        }
    }

    #[test]
    fn every_bundled_recipe_has_releases_and_test_data_that_can_be_read() {
        for source in listed(Path::new(BUNDLED)).unwrap() {
            let name = source.file_name().unwrap().to_string_lossy().into_owned();
            let folder = tempfile::tempdir().unwrap();
            let (repository, _) =
                RecipeRepository::bundled(&name, &folder.path().join(&name), "127.0.0.1:5000").unwrap();
            let kinds = repository.git(&["for-each-ref", "--format=%(objecttype)", "refs/tags"]).unwrap();
            assert_eq!(kinds, "tag\ntag\ntag\n", "{name} has three annotated tags");
            let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../recipes").join(&name);
            let text = std::fs::read_to_string(data.join("recipe.toml")).unwrap();
            cc_ci_model::recipe_toml::RecipeToml::parse("recipe.toml", &text).unwrap();
        }
    }

    #[test]
    fn the_same_files_make_the_same_commits() {
        let folder = tempfile::tempdir().unwrap();
        let (_, first) = bundled(&folder.path().join("first"));
        let (_, second) = bundled(&folder.path().join("second"));
        assert_eq!(first, second);
    }
}
