//! Lines about programs: the Docker CLI, git, bubblewrap, abra, and the clock.

use std::path::Path;

use cc_ci_harness::host::version;
use cc_ci_model::doctor::{self, ClockFacts, Line};
use cc_ci_model::settings::DeployerChoice;

use super::{Host, LIMIT};

pub(super) async fn examine(host: &Host<'_>) -> Vec<Line> {
    let ask = |program: &'static str, arguments: &'static [&'static str]| async move {
        version(host.programs, program, arguments).await
    };
    let docker = ["version", "--format", "{{.Client.Version}}"];
    let cli = match version(host.programs, "docker", &docker).await {
        Some(found) => Line::ok("Docker CLI", found),
        None => Line::bad("Docker CLI", "there is no docker command in PATH", "install the Docker CLI"),
    };
    let git = match ask("git", &["--version"]).await {
        Some(found) => Line::ok("git", found),
        None => Line::bad("git", "there is no git command in PATH", "install git"),
    };
    let bubblewrap = match ask("bwrap", &["--version"]).await {
        Some(found) => Line::ok("bubblewrap", found),
        None => Line::warn(
            "bubblewrap",
            "there is no bwrap command in PATH: recipes' own test programs cannot run",
            "install bubblewrap",
        ),
    };
    vec![cli, git, bubblewrap, abra(host).await, clock(host).await]
}

async fn abra(host: &Host<'_>) -> Line {
    let found = version(host.programs, "abra", &["--version"]).await;
    match (found, host.settings.deployer) {
        (found, DeployerChoice::Abra) => Line::bad(
            "abra",
            format!("{}, and the settings ask for it", found.unwrap_or_else(|| "not there".to_owned())),
            "deployer = \"native\" in the settings: this version of cc-ci deploys natively only",
        ),
        (Some(found), DeployerChoice::Auto | DeployerChoice::Native) => {
            Line::ok("abra", format!("{found}; not used, apps are deployed natively"))
        }
        (None, DeployerChoice::Auto | DeployerChoice::Native) => {
            Line::ok("abra", "not there, and not needed: apps are deployed natively")
        }
    }
}

async fn clock(host: &Host<'_>) -> Line {
    let made = std::env::current_exe().and_then(std::fs::metadata).and_then(|found| found.modified());
    let is_before_program = made.is_ok_and(|made| made > std::time::SystemTime::now());
    let words = ["show", "--property=NTPSynchronized", "--value"];
    let label = "asking whether a time service keeps the clock";
    let asked = host.programs.run(label, "timedatectl", &words, Path::new("/"), LIMIT).await;
    let is_kept = asked.ok().filter(cc_ci_swarm::programs::ProgramOutput::success).and_then(|answer| {
        match answer.stdout.trim() {
            "yes" => Some(true),
            "no" => Some(false),
            _ => None,
        }
    });
    let now = jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string();
    doctor::clock(&now, ClockFacts { is_before_program, is_kept })
}
