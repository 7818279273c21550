//! The facts a result starts with: identity, request, tools, the line that repeats the run.

use cc_ci_model::names::{CommitSha, RunId};
use cc_ci_model::request::Deployer;
use cc_ci_model::result::{Requested, Run, RunResult, RunState, Tools};
use cc_ci_model::settings::ViaChoice;
use cc_ci_swarm::programs::Programs;

use crate::host::{Host, version};
use crate::setup::Setup;

/// A new run id: the second of the start and three random bytes.
#[must_use]
pub fn new_id() -> RunId {
    RunId::new(jiff::Timestamp::now(), rand::random())
}

/// The stub of a run's result.
#[must_use]
pub fn result(setup: &Setup, id: &RunId) -> RunResult {
    let request = &setup.request;
    let host = nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let run = Run {
        id: id.clone(),
        state: RunState::Running,
        started: jiff::Timestamp::now().to_string(),
        finished: None,
        host,
        pid: std::process::id(),
        deployer: Deployer::Native,
        via: None,
        domain: None,
        stack: None,
    };
    let requested = Requested {
        recipe: request.recipe.clone(),
        src: request.source.as_ref().map(ToString::to_string),
        reference: None,
        pr: request.pr,
        tiers: request.tiers.clone(),
        from: request.from.as_ref().map(ToString::to_string),
        receipt: request.receipt.clone(),
    };
    RunResult::stub(run, requested, replay(setup, None))
}

/// One command that does the same again.
#[must_use]
pub fn replay(setup: &Setup, head: Option<&CommitSha>) -> String {
    let request = &setup.request;
    let command = format!("{}cc-ci run --recipe", setup.opt_outs.before_command());
    let mut words = vec![command, request.recipe.to_string()];
    let mut option = |name: &str, value: String| words.push(format!("--{name} {}", quoted(&value)));
    if let Some(source) = &request.source {
        option("src", source.to_string());
    }
    match (head, &request.reference) {
        (Some(head), _) => option("ref", head.to_string()),
        (None, Some(reference)) => option("ref", reference.as_str().to_owned()),
        (None, None) => {}
    }
    if request.pr.0 > 0 {
        option("pr", request.pr.to_string());
    }
    if let Some(tiers) = &request.tiers {
        option("tiers", tiers.iter().map(|tier| tier.word()).collect::<Vec<_>>().join(","));
    }
    if let Some(from) = &request.from {
        option("from", from.to_string());
    }
    if setup.via != ViaChoice::Auto {
        option("via", setup.via.to_string());
    }
    words.join(" ")
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:,@%+=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// Versions of what the verdict stands on.
pub async fn tools(programs: &Programs, host: &Host) -> Tools {
    let git = version(programs, "git", &["--version"]).await;
    let info = cc_ci_process::state::free_memory_bytes();
    Tools {
        cc_ci: env!("CARGO_PKG_VERSION").to_owned(),
        revision: option_env!("CCCI_REVISION").map(str::to_owned),
        abra: None,
        docker: Some(host.info.version.clone()),
        docker_cli: Some(host.cli_version.clone()),
        restic: None,
        git: git.map(|line| line.trim_start_matches("git version ").to_owned()),
        kernel: Some(host.info.kernel.clone()),
        free_memory_bytes: info,
    }
}
