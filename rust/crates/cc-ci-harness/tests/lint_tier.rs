//! Lint sees the commit and nothing else: no overlay, no work tree, no host.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::sync::Arc;

use cc_ci_harness::folder::RunFolder;
use cc_ci_harness::lint_tier::{self, lint_commit};
use cc_ci_harness::report::{Line, Reporter, Watcher};
use cc_ci_model::lint::{Lint, LintInput, LintOutcome, RecipeFiles, lint};
use cc_ci_model::names::{CommitSha, GitSource, PrNumber, Recipe, RunDomain, RunId, StackName, Zone};
use cc_ci_model::outcome::{Status, TierOutcome, Unjudged};
use cc_ci_model::request::{Deployer, GitRef};
use cc_ci_model::result::{Requested, Run, RunResult, RunState, TierReport};
use cc_ci_process::cancel::Cancellation;
use cc_ci_process::mask::Masker;
use cc_ci_swarm::checkout::Checkout;
use cc_ci_swarm::programs::Programs;
use cc_ci_testkit::program::Program;
use cc_ci_testkit::recipe_repository::RecipeRepository;

struct Host {
    folder: tempfile::TempDir,
    repository: RecipeRepository,
    head: CommitSha,
    checkout: Checkout,
}

/// A clone of the bundled recipe, as a run has one.
async fn host(change: impl FnOnce(&mut RecipeRepository) -> Option<String>) -> Host {
    let folder = tempfile::tempdir().unwrap();
    let (mut repository, head) =
        RecipeRepository::bundled("custom-html", &folder.path().join("upstream"), "127.0.0.1:5000").unwrap();
    let head = CommitSha::parse(&change(&mut repository).unwrap_or(head)).unwrap();
    let programs =
        Programs::new(folder.path(), &folder.path().join("abra"), &Cancellation::new(), &Masker::new());
    let source = GitSource::parse(&repository.path().to_string_lossy()).unwrap();
    let (clone, config) = (folder.path().join("clone"), folder.path().join("gitconfig"));
    let checkout = Checkout::clone_from(&programs, &source, &clone, &config).await.unwrap();
    let reference = GitRef::parse(head.as_str()).unwrap();
    checkout.resolve(Some(&reference), PrNumber(1)).await.unwrap();
    Host { folder, repository, head, checkout }
}

impl Host {
    async fn lint(&self) -> Lint {
        lint_commit(&self.checkout, &self.head, &stack(), None, self.folder.path()).await.unwrap()
    }
}

/// Nobody watches.
struct Unwatched;

impl Watcher for Unwatched {
    fn line(&self, _: &Line) {}
    fn progress(&self, _: &str) {}
}

impl Host {
    /// The lint tier of a run, and what stands in the result about it.
    async fn tier(&self) -> (TierOutcome, TierReport) {
        let id = RunId::new(jiff::Timestamp::UNIX_EPOCH, [1, 2, 3]);
        let folder = RunFolder::of(&self.folder.path().join("runs"), &id);
        folder.create().unwrap();
        let run = Run {
            id,
            state: RunState::Running,
            started: String::new(),
            finished: None,
            host: String::new(),
            pid: 0,
            deployer: Deployer::Native,
            via: None,
            domain: None,
            stack: None,
        };
        let recipe = Recipe::parse("custom-html").unwrap();
        let request = Requested {
            recipe,
            src: None,
            reference: None,
            pr: PrNumber(0),
            tiers: None,
            from: None,
            receipt: Default::default(),
        };
        let stub = RunResult::stub(run, request, String::new());
        let reporter = Reporter::begin(folder, Masker::new(), Arc::new(Unwatched), stub).unwrap();
        let outcome = lint_tier::run(&reporter, &self.checkout, &self.head, &stack(), None).await;
        (outcome, reporter.result().tiers.remove(0))
    }
}

fn stack() -> StackName {
    let recipe = Recipe::parse("custom-html").unwrap();
    let commit = CommitSha::parse(&"a".repeat(40)).unwrap();
    RunDomain::of(&recipe, PrNumber(1), &commit, &Zone::parse("ci.test").unwrap()).stack()
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

fn violated(lint: &Lint) -> Vec<&str> {
    lint.violated().map(|row| row.rule.reference).collect()
}

#[tokio::test]
async fn lint_result_is_the_same_with_and_without_overlay() {
    let host = host(|_| None).await;
    let without = host.lint().await;
    let tree = host.checkout.folder();
    write(tree, "compose.ccci.yml", "services: {app: {image: \"x:latest\", network_mode: host}}\n");
    write(tree, "compose.yml", "services: {web: {}}\n");
    write(tree, ".env.sample", "COMPOSE_FILE=compose.yml:compose.ccci.yml\n");
    assert_eq!(host.lint().await, without);
    host.checkout.switch(&host.head).await.unwrap();
    assert_eq!(host.lint().await, without, "whatever commit the work tree is at");
    assert!(!host.folder.path().join("lint-head").exists() && !host.folder.path().join("lint-base").exists());
}

#[tokio::test]
async fn the_bundled_recipe_has_no_error_and_its_update_policy_is_named() {
    let lint = host(|_| None).await.lint().await;
    assert_eq!(lint.outcome(), LintOutcome::Clean);
    assert_eq!(violated(&lint), ["C008"], "{:#?}", lint.violated().collect::<Vec<_>>());
}

/// Where the defect is another, a red lint would hide that; where the files give it away, lint names it before any deploy.
#[test]
fn no_canary_has_a_lint_error_but_those_whose_defect_lint_names() {
    let image = |reference: &str| cc_ci_testkit::stock::StockImage {
        reference: format!("127.0.0.1:5000/{reference}"),
        digest: format!("sha256:{}", "a".repeat(64)),
    };
    let engine = cc_ci_testkit::testbed::TestEngine {
        docker_host: String::new(),
        registry: "127.0.0.1:5000".to_owned(),
        images: ["probe:1.0", "probe:1.1", "probe:1.2"].map(|name| (name.to_owned(), image(name))).into(),
        zone: "ccci.test".to_owned(),
        traefik: None,
        helper_image: None,
        settings: Default::default(),
    };
    let all = cc_ci_testkit::canaries::all(&engine);
    let mut named = Vec::new();
    for canary in all.into_iter().chain([cc_ci_testkit::canaries::sound(&engine)]) {
        let files = RecipeFiles { files: canary.head.iter().cloned().collect(), ..RecipeFiles::default() };
        let base = canary
            .base
            .map(|base| RecipeFiles { files: base.into_iter().collect(), ..RecipeFiles::default() });
        let lint = lint(LintInput { head: &files, base: base.as_ref(), stack: &stack(), serves: None });
        if lint.outcome() != LintOutcome::Clean {
            named.push((canary.name, lint.outcome(), violated(&lint).join(" ")));
        }
    }
    let errors = |name, codes: &str| (name, LintOutcome::Errors, codes.to_owned());
    let expected = [
        errors("canary-long-name", "R007 C002 C008"),
        errors("canary-long-name-at-head", "R007 C002 C008"),
        errors("canary-config", "R007 C004 C008"),
    ];
    assert_eq!(named, expected);
}

#[tokio::test]
async fn lint_failure_is_read_from_the_table_not_from_the_exit_code() {
    let broken = host(|repository| {
        repository.put(&[("site.conf.tmpl", "server {}\n")]).unwrap();
        Some(repository.commit("a changed config").unwrap())
    })
    .await;
    let (outcome, report) = broken.tier().await;
    assert_eq!(outcome, TierOutcome::Fail);
    let of = |status| {
        let checks = report.checks.iter().filter(move |check| check.status == status);
        checks.map(|check| check.name.split(' ').next().unwrap()).collect::<Vec<_>>()
    };
    // The row of a warning is there and decides nothing.
    assert_eq!((of(Status::Fail), of(Status::Pass)), (vec!["C004"], vec!["C008", "rules"]), "{report:#?}");

    let (outcome, report) = host(|_| None).await.tier().await;
    assert_eq!(outcome, TierOutcome::Pass, "{report:#?}");

    let unreadable = host(|_| None).await;
    std::fs::remove_dir_all(unreadable.checkout.folder().join(".git")).unwrap();
    let (outcome, report) = unreadable.tier().await;
    assert_eq!(outcome, TierOutcome::Unverified(Unjudged::CouldNotRun), "without a table nothing is known");
    assert!(report.reason.contains("could not lint"), "{report:#?}");
}

#[tokio::test]
async fn a_lightweight_tag_is_a_lint_error() {
    let host = host(|repository| {
        let tag = Program::new("git").folder(repository.path()).args(["tag", "1.0.1+1.1"]);
        tag.run().unwrap();
        None
    })
    .await;
    let lint = host.lint().await;
    assert_eq!((lint.outcome(), violated(&lint)), (LintOutcome::Errors, vec!["R014", "C008"]));
    assert!(host.repository.path().exists());
}

#[tokio::test]
async fn a_config_changed_without_version_is_found_against_the_release_before() {
    let host = host(|repository| {
        repository.put(&[("site.conf.tmpl", "server {}\n")]).unwrap();
        Some(repository.commit("a changed config").unwrap())
    })
    .await;
    let lint = host.lint().await;
    assert_eq!(violated(&lint), ["C004", "C008"]);
    let row = lint.violated().next().unwrap();
    assert!(row.findings[0].to_string().starts_with("compose.yml:4"), "{}", row.findings[0]);
}

#[tokio::test]
async fn a_link_out_of_the_repository_is_refused_and_not_followed() {
    let host = host(|repository| {
        let file = repository.path().join("site.conf.tmpl");
        std::fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", &file).unwrap();
        Some(repository.commit("a link").unwrap())
    })
    .await;
    let LintOutcome::Refused(findings) = host.lint().await.outcome() else { panic!("not refused") };
    assert!(findings[0].to_string().starts_with("site.conf.tmpl: is refused"), "{findings:?}");
}
