//! A recipe's git repository in the run's own folder: cloned once, moved between commits, never shared.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cc_ci_model::names::{CommitSha, GitSource, PrNumber};
use cc_ci_model::request::GitRef;
use cc_ci_model::version::{RecipeVersion, Release, Tip};

use crate::programs::{ProgramError, Programs};

/// A clone takes seconds; beyond this the source does not answer.
const CLONE_LIMIT: Duration = Duration::from_secs(300);
/// Everything else happens on the local disk.
const LOCAL_LIMIT: Duration = Duration::from_secs(60);

/// Why a recipe's repository could not be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckoutError {
    /// The source is no repository that exists: a bad argument.
    #[error("cloning {source_name}: {why}; give --src an existing repository")]
    NoSuchSource {
        /// The clone source.
        source_name: String,
        /// What git said.
        why: String,
    },
    /// The ref is not in the repository: a bad argument.
    #[error("{reference} is not in {source_name}: push the commit first, or name another with --ref")]
    NoSuchRef {
        /// What was asked for.
        reference: String,
        /// The clone source.
        source_name: String,
    },
    /// The source did not answer, or git failed in a way that says nothing about the recipe: trouble.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The checkout is not where it was put.
    #[error("checking out {wanted} left the work tree at {found}: remove the run's folder and run again")]
    Moved {
        /// The commit asked for.
        wanted: String,
        /// The commit found.
        found: String,
    },
    /// git printed something that is no commit.
    #[error("git answered {0} where a commit was expected: is this git older than 2.30?")]
    Odd(String),
    /// A file of the checkout could not be read or written.
    #[error("{what}: {error}")]
    File {
        /// What was attempted on which file.
        what: String,
        /// What the kernel said.
        error: std::io::Error,
    },
    /// A path in the recipe leads out of its repository, by itself or by a link.
    #[error("{0} leads out of the recipe's repository: use a file within it")]
    Outside(String),
}

impl CheckoutError {
    /// Whether the caller's argument is at fault (exit 64) and not we or the world.
    #[must_use]
    pub fn is_bad_argument(&self) -> bool {
        matches!(self, Self::NoSuchSource { .. } | Self::NoSuchRef { .. })
    }
}

/// A clone of a recipe. All git calls run without the caller's configuration, hooks, prompts and helpers.
#[derive(Clone)]
pub struct Checkout {
    folder: PathBuf,
    source: String,
    programs: Programs,
}

impl Checkout {
    /// Clones `source` with all branches and tags into `folder`, which must not exist yet. `config` is a file of ours
    /// that stands in for the caller's git configuration.
    ///
    /// # Errors
    /// [`CheckoutError::NoSuchSource`] where there is no such repository, [`CheckoutError::Program`] where the source did not answer.
    pub async fn clone_from(
        programs: &Programs,
        source: &GitSource,
        folder: &Path,
        config: &Path,
    ) -> Result<Self, CheckoutError> {
        // The source may belong to somebody else, as a repository in /srv does when root tests it.
        let settings =
            "[safe]\n\tdirectory = *\n[core]\n\thooksPath = /dev/null\n[advice]\n\tdetachedHead = false\n";
        std::fs::write(config, settings)
            .map_err(|error| CheckoutError::File { what: format!("writing {}", config.display()), error })?;
        let programs = programs.with_env([
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", &config.to_string_lossy()),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_ALLOW_PROTOCOL", "file:http:https"),
            ("LC_ALL", "C"),
        ]);
        let address = match source.as_str() {
            path if path.starts_with('.') || path.starts_with('/') => {
                let absolute = std::fs::canonicalize(path).map_err(|error| CheckoutError::NoSuchSource {
                    source_name: source.to_string(),
                    why: error.to_string(),
                })?;
                absolute.to_string_lossy().into_owned()
            }
            address => address.to_owned(),
        };
        let this = Self { folder: folder.to_owned(), source: source.to_string(), programs };
        let target = folder.to_string_lossy();
        let arguments =
            ["clone", "--quiet", "--no-hardlinks", "--no-recurse-submodules", "--", &address, &target];
        let label = format!("cloning {source}");
        let output = this.programs.run(&label, "git", &arguments, Path::new("/"), CLONE_LIMIT).await?;
        if output.success() {
            return Ok(this);
        }
        let why = output.last_line();
        let absent = ["does not exist", "not found", "does not appear to be a git repository"];
        if absent.iter().any(|words| output.stderr.contains(words)) {
            return Err(CheckoutError::NoSuchSource { source_name: source.to_string(), why });
        }
        Err(ProgramError::Failed { label, why }.into())
    }

    /// The work tree.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Resolves what was asked for to a commit of the repository; without a ref, the tip of the default branch. A
    /// commit that no branch holds is fetched by its pull request and by its id.
    ///
    /// # Errors
    /// [`CheckoutError::NoSuchRef`] where it is not there.
    pub async fn resolve(
        &self,
        reference: Option<&GitRef>,
        pr: PrNumber,
    ) -> Result<CommitSha, CheckoutError> {
        let Some(reference) = reference else {
            return self.default_branch().await?.ok_or_else(|| CheckoutError::NoSuchRef {
                reference: "a default branch".to_owned(),
                source_name: self.source.clone(),
            });
        };
        let name = reference.as_str();
        if let Some(commit) = self.commit_of(name).await? {
            return Ok(commit);
        }
        let mut wanted = Vec::new();
        if pr.0 > 0 {
            wanted.push(format!("refs/pull/{pr}/head"));
        }
        if CommitSha::parse(name).is_ok() {
            wanted.push(name.to_owned());
        }
        for refspec in &wanted {
            let arguments = ["fetch", "--quiet", "--no-tags", "origin", refspec];
            let output = self.git(&arguments, CLONE_LIMIT).await?;
            // A ref the source does not have is answered below, in one sentence for all ways.
            let absent =
                ["couldn't find remote ref", "not our ref", "no such remote ref", "unadvertised object"];
            if !output.success() && !absent.iter().any(|words| output.stderr.contains(words)) {
                let label = format!("fetching {refspec} from {}", self.source);
                return Err(ProgramError::Failed { label, why: output.last_line() }.into());
            }
        }
        self.commit_of(name).await?.ok_or_else(|| CheckoutError::NoSuchRef {
            reference: cc_ci_model::names::quoted(name),
            source_name: self.source.clone(),
        })
    }

    async fn commit_of(&self, name: &str) -> Result<Option<CommitSha>, CheckoutError> {
        // A full id is that commit and nothing else: a branch may be called like one.
        let asked = CommitSha::parse(name).ok();
        let branch = asked.is_none().then(|| format!("refs/remotes/origin/{name}"));
        for candidate in std::iter::once(name.to_owned()).chain(branch) {
            let spec = format!("{candidate}^{{commit}}");
            let output = self
                .git(&["rev-parse", "--quiet", "--verify", "--end-of-options", &spec], LOCAL_LIMIT)
                .await?;
            if output.success() {
                let text = output.stdout.trim();
                let found = CommitSha::parse(text).map_err(|_| CheckoutError::Odd(text.to_owned()))?;
                if asked.as_ref().is_none_or(|asked| *asked == found) {
                    return Ok(Some(found));
                }
            }
        }
        Ok(None)
    }

    /// The tip of the source's default branch, if it has one.
    ///
    /// # Errors
    /// Only where git itself fails.
    pub async fn default_branch(&self) -> Result<Option<CommitSha>, CheckoutError> {
        self.commit_of("refs/remotes/origin/HEAD").await
    }

    /// The tip of the default branch as seen from head.
    ///
    /// # Errors
    /// Only where git itself fails.
    pub async fn tip(&self, head: &CommitSha) -> Result<Option<Tip>, CheckoutError> {
        let Some(commit) = self.default_branch().await? else { return Ok(None) };
        let output =
            self.git(&["merge-base", "--is-ancestor", head.as_str(), commit.as_str()], LOCAL_LIMIT).await?;
        Ok(Some(Tip { contains_head: output.success(), commit }))
    }

    /// All tags that name a version, with their commits, and whether `head` descends from them.
    ///
    /// # Errors
    /// Only where git itself fails.
    pub async fn releases(&self, head: &CommitSha) -> Result<Vec<Release>, CheckoutError> {
        let format = "--format=%(refname:strip=2)%09%(objecttype)%09%(objectname)%09%(*objectname)";
        let all = self.must(&["for-each-ref", format, "refs/tags"]).await?;
        let merged = self
            .must(&["for-each-ref", "--format=%(refname:strip=2)", "--merged", head.as_str(), "refs/tags"])
            .await?;
        let later = self
            .must(&["for-each-ref", "--format=%(refname:strip=2)", "--contains", head.as_str(), "refs/tags"])
            .await?;
        let (ancestors, later): (Vec<&str>, Vec<&str>) = (merged.lines().collect(), later.lines().collect());
        let releases = all.lines().filter_map(|line| {
            let mut columns = line.split('\t');
            let (name, kind, object) = (columns.next()?, columns.next()?, columns.next()?);
            let target = columns.next().filter(|target| !target.is_empty()).unwrap_or(object);
            Some(Release {
                version: RecipeVersion::parse(name)?,
                commit: CommitSha::parse(target).ok()?,
                is_ancestor_of_head: ancestors.contains(&name),
                contains_head: later.contains(&name),
                is_annotated: kind == "tag",
            })
        });
        Ok(releases.collect())
    }

    /// Moves the work tree to a commit, whatever lies in it: untracked overlays of ours are cleared, a file that the
    /// commit tracks under the same name wins.
    ///
    /// # Errors
    /// [`CheckoutError::Moved`] if the work tree is not there afterwards.
    pub async fn switch(&self, commit: &CommitSha) -> Result<(), CheckoutError> {
        self.must(&["clean", "--quiet", "-ffdx"]).await?;
        self.must(&["checkout", "--quiet", "--force", "--detach", commit.as_str()]).await?;
        let found = self.must(&["rev-parse", "HEAD"]).await?;
        if found.trim() == commit.as_str() {
            Ok(())
        } else {
            Err(CheckoutError::Moved { wanted: commit.to_string(), found: found.trim().to_owned() })
        }
    }

    /// Whether the work tree holds more or other than its commit: then abra writes `+U` behind the commit.
    ///
    /// # Errors
    /// Only where git itself fails.
    pub async fn is_dirty(&self) -> Result<bool, CheckoutError> {
        Ok(!self.must(&["status", "--porcelain"]).await?.trim().is_empty())
    }

    /// Where the work tree stands, and what in it is not as its commit has it: the same text, the same tree.
    ///
    /// # Errors
    /// Only where git itself fails.
    pub async fn state(&self) -> Result<String, CheckoutError> {
        let commit = self.must(&["rev-parse", "HEAD"]).await?;
        let files = self.must(&["status", "--porcelain", "--ignored"]).await?;
        Ok(format!("{commit}{files}"))
    }

    /// Reads a file of the work tree by its path relative to it. `None` if there is no such file.
    ///
    /// # Errors
    /// [`CheckoutError::Outside`] for a path or link that leads out of the repository.
    pub fn read(&self, relative: &str) -> Result<Option<String>, CheckoutError> {
        let Some(path) = self.inside(relative)? else { return Ok(None) };
        let bytes = std::fs::read(&path)
            .map_err(|error| CheckoutError::File { what: format!("reading {relative}"), error })?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// The real path of a file of the work tree; `None` if there is none.
    ///
    /// # Errors
    /// [`CheckoutError::Outside`] for a path or link that leads out of the repository.
    pub fn inside(&self, relative: &str) -> Result<Option<PathBuf>, CheckoutError> {
        let file = |error| CheckoutError::File { what: format!("looking for {relative}"), error };
        let root = std::fs::canonicalize(&self.folder).map_err(file)?;
        match std::fs::canonicalize(root.join(relative)) {
            Ok(path) if path.starts_with(&root) && !path.starts_with(root.join(".git")) => {
                Ok(path.is_file().then_some(path))
            }
            Ok(_) => Err(CheckoutError::Outside(cc_ci_model::names::quoted(relative))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => Ok(None),
            Err(error) => Err(file(error)),
        }
    }

    async fn git(
        &self,
        arguments: &[&str],
        limit: Duration,
    ) -> Result<crate::programs::ProgramOutput, CheckoutError> {
        let label = format!("git {} in the checkout of {}", arguments.first().unwrap_or(&""), self.source);
        Ok(self.programs.run(&label, "git", arguments, &self.folder, limit).await?)
    }

    /// A second clone at a commit, in `folder`, which must not exist yet: its work tree holds the commit's own files and
    /// nothing that was laid over this one. It borrows the objects of this clone and is of no use without it.
    ///
    /// # Errors
    /// Git fails, or the commit is not in this clone.
    pub async fn pristine(&self, commit: &CommitSha, folder: &Path) -> Result<Self, CheckoutError> {
        let (own, target) = (self.folder.to_string_lossy(), folder.to_string_lossy());
        let arguments = ["clone", "--quiet", "--shared", "--no-checkout", "--", &own, &target];
        self.must(&arguments).await?;
        let second =
            Self { folder: folder.to_owned(), source: self.source.clone(), programs: self.programs.clone() };
        second.switch(commit).await?;
        Ok(second)
    }

    /// The commit that the work tree is at; right after cloning that of the source's own. `None` for an empty repository.
    ///
    /// # Errors
    /// Only where git itself fails.
    pub async fn current(&self) -> Result<Option<CommitSha>, CheckoutError> {
        self.commit_of("HEAD").await
    }

    /// The files that the commit in the work tree tracks, by their paths.
    ///
    /// # Errors
    /// Only where git itself fails.
    pub async fn tracked(&self) -> Result<Vec<String>, CheckoutError> {
        let listed = self.must(&["ls-files", "-z"]).await?;
        Ok(listed.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect())
    }

    async fn must(&self, arguments: &[&str]) -> Result<String, CheckoutError> {
        let output = self.git(arguments, LOCAL_LIMIT).await?;
        if output.success() {
            Ok(output.stdout)
        } else {
            let label =
                format!("git {} in the checkout of {}", arguments.first().unwrap_or(&""), self.source);
            Err(ProgramError::Failed { label, why: output.last_line() }.into())
        }
    }
}

impl std::fmt::Debug for Checkout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checkout")
            .field("folder", &self.folder)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}
