//! A checkout holds exactly the commit it was moved to, and nothing in a repository leads out of it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};
use std::process::Command;

use cc_ci_model::names::{CommitSha, GitSource, PrNumber};
use cc_ci_model::request::GitRef;
use cc_ci_process::cancel::Cancellation;
use cc_ci_process::mask::Masker;
use cc_ci_swarm::checkout::{Checkout, CheckoutError};
use cc_ci_swarm::programs::Programs;

struct Upstream {
    folder: tempfile::TempDir,
}

impl Upstream {
    fn new() -> Self {
        let this = Self { folder: tempfile::tempdir().unwrap() };
        this.git(&["init", "--quiet", "--initial-branch=main"]);
        this
    }

    fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args([
                "-c",
                "user.name=a",
                "-c",
                "user.email=a@b.example",
                "-c",
                "commit.gpgsign=false",
                "-c",
                "tag.gpgsign=false",
            ])
            .args(arguments)
            .current_dir(self.folder.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn commit(&self, file: &str, text: &str) -> CommitSha {
        std::fs::write(self.folder.path().join(file), text).unwrap();
        self.git(&["add", "-A"]);
        self.git(&["commit", "--quiet", "-m", file]);
        CommitSha::parse(&self.git(&["rev-parse", "HEAD"])).unwrap()
    }

    fn source(&self) -> GitSource {
        GitSource::parse(self.folder.path().to_str().unwrap()).unwrap()
    }

    async fn cloned(&self, at: &Path) -> Checkout {
        Checkout::clone_from(&programs(at), &self.source(), &at.join("checkout"), &at.join("gitconfig"))
            .await
            .unwrap()
    }
}

fn programs(home: &Path) -> Programs {
    Programs::new(home, &home.join("abra"), &Cancellation::new(), &Masker::new())
}

fn reference(text: &str) -> GitRef {
    GitRef::parse(text).unwrap()
}

#[tokio::test]
async fn overlay_file_that_head_tracks_does_not_block_the_checkout() {
    let upstream = Upstream::new();
    let base = upstream.commit("compose.yml", "base");
    let head = upstream.commit("compose.ccci.yml", "tracked by head");
    let here = tempfile::tempdir().unwrap();
    let checkout = upstream.cloned(here.path()).await;
    checkout.switch(&base).await.unwrap();
    assert!(!checkout.is_dirty().await.unwrap());
    std::fs::write(checkout.folder().join("compose.ccci.yml"), "ours").unwrap();
    assert!(checkout.is_dirty().await.unwrap());
    checkout.switch(&head).await.unwrap();
    assert_eq!(checkout.read("compose.ccci.yml").unwrap().as_deref(), Some("tracked by head"));
    assert!(!checkout.is_dirty().await.unwrap());
}

#[tokio::test]
async fn recipe_with_lightweight_tags_deploys() {
    let upstream = Upstream::new();
    let first = upstream.commit("compose.yml", "1");
    upstream.git(&["tag", "1.0.0+1"]);
    upstream.commit("compose.yml", "2");
    upstream.git(&["tag", "-a", "1.1.0+1", "-m", "release"]);
    upstream.git(&["tag", "not-a-version"]);
    let head = upstream.commit("compose.yml", "3");
    let here = tempfile::tempdir().unwrap();
    let checkout = upstream.cloned(here.path()).await;
    let mut releases = checkout.releases(&head).await.unwrap();
    releases.sort_by(|left, right| left.version.cmp(&right.version));
    assert_eq!(releases.len(), 2);
    assert_eq!(releases[0].commit, first);
    assert!(!releases[0].is_annotated && releases[1].is_annotated);
    assert!(releases.iter().all(|release| release.is_ancestor_of_head));
    assert!(checkout.releases(&first).await.unwrap().iter().any(|release| !release.is_ancestor_of_head));
}

#[tokio::test]
async fn two_refs_of_one_recipe_in_parallel_each_deploy_their_own_code() {
    let upstream = Upstream::new();
    let one = upstream.commit("marker", "one");
    let two = upstream.commit("marker", "two");
    let (left, right) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let side = async |at: &Path, commit: &CommitSha| {
        let checkout = upstream.cloned(at).await;
        checkout.switch(commit).await.unwrap();
        checkout.read("marker").unwrap().unwrap()
    };
    let (first, second) = tokio::join!(side(left.path(), &one), side(right.path(), &two));
    assert_eq!((first.as_str(), second.as_str()), ("one", "two"));
}

#[tokio::test]
async fn a_commit_is_found_by_branch_tag_id_and_pull_request() {
    let upstream = Upstream::new();
    let main = upstream.commit("a", "1");
    upstream.git(&["tag", "1.0.0+1"]);
    upstream.git(&["checkout", "--quiet", "-b", "feature/x"]);
    let feature = upstream.commit("a", "2");
    upstream.git(&["checkout", "--quiet", "--detach"]);
    let pull = upstream.commit("a", "3");
    upstream.git(&["update-ref", "refs/pull/7/head", pull.as_str()]);
    upstream.git(&["checkout", "--quiet", "main"]);
    let here = tempfile::tempdir().unwrap();
    let checkout = upstream.cloned(here.path()).await;
    let none = PrNumber(0);
    assert_eq!(checkout.resolve(None, none).await.unwrap(), main);
    assert_eq!(checkout.resolve(Some(&reference("1.0.0+1")), none).await.unwrap(), main);
    assert_eq!(checkout.resolve(Some(&reference("feature/x")), none).await.unwrap(), feature);
    assert_eq!(checkout.resolve(Some(&reference(pull.as_str())), PrNumber(7)).await.unwrap(), pull);
    for absent in ["nothing", &"f".repeat(40)] {
        let error = checkout.resolve(Some(&reference(absent)), PrNumber(9)).await.unwrap_err();
        assert!(matches!(error, CheckoutError::NoSuchRef { .. }), "{error}");
        assert!(error.is_bad_argument());
    }
}

#[tokio::test]
async fn a_source_that_is_not_there_is_a_bad_argument() {
    let here = tempfile::tempdir().unwrap();
    let empty = here.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    for path in [here.path().join("none"), empty] {
        let source = GitSource::parse(path.to_str().unwrap()).unwrap();
        let target = here.path().join("checkout");
        let error =
            Checkout::clone_from(&programs(here.path()), &source, &target, &here.path().join("config"))
                .await
                .unwrap_err();
        assert!(error.is_bad_argument(), "{error}");
    }
}

#[tokio::test]
async fn nothing_in_a_repository_leads_out_of_it() {
    let upstream = Upstream::new();
    std::os::unix::fs::symlink("/etc/passwd", upstream.folder.path().join("link")).unwrap();
    std::os::unix::fs::symlink("..", upstream.folder.path().join("up")).unwrap();
    let head = upstream.commit("good", "text");
    let here = tempfile::tempdir().unwrap();
    let checkout = upstream.cloned(here.path()).await;
    checkout.switch(&head).await.unwrap();
    assert_eq!(checkout.read("good").unwrap().as_deref(), Some("text"));
    assert_eq!(checkout.read("absent").unwrap(), None);
    for bad in ["link", "/etc/passwd", "../gitconfig", "up/gitconfig", ".git/config"] {
        assert!(matches!(checkout.read(bad), Err(CheckoutError::Outside(_))), "{bad}");
    }
}

#[tokio::test]
async fn hooks_and_configuration_of_the_caller_are_not_used() {
    let upstream = Upstream::new();
    let head = upstream.commit("a", "1");
    let here = tempfile::tempdir().unwrap();
    let trap: PathBuf = here.path().join("trap");
    std::fs::write(
        here.path().join(".gitconfig"),
        format!("[core]\n\tfsmonitor = touch {}\n", trap.display()),
    )
    .unwrap();
    let checkout = upstream.cloned(here.path()).await;
    checkout.switch(&head).await.unwrap();
    checkout.is_dirty().await.unwrap();
    assert!(!trap.exists());
}
