//! `cargo xtask demo`: the bundled recipe through a whole run of `cc-ci`, on whatever engine may be used.

mod own_docker;

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::Context;
use cc_ci_process::exit::ExitStatus;
use cc_ci_testkit::packages;
use cc_ci_testkit::progress::say;
use cc_ci_testkit::recipe_repository::RecipeRepository;
use cc_ci_testkit::stock::Proxy;
use cc_ci_testkit::testbed::Testbed;

use crate::engine::status_code;
use crate::interrupts::Interrupts;
use crate::workspace;

/// What the demo shows.
#[derive(clap::Args)]
pub(crate) struct DemoArguments {
    /// Reach the app through a real Traefik (as root only; its first build takes 5 to 10 minutes)
    #[arg(long)]
    traefik: bool,
    /// Further arguments for `cc-ci run`
    #[arg(last = true)]
    run: Vec<OsString>,
}

/// Runs the demo; its status is that of `cc-ci run`, or that of a cancelled one where it was asked to end before.
pub(crate) fn run(arguments: &DemoArguments) -> anyhow::Result<ExitCode> {
    // A Ctrl-C is for `cc-ci run`, which ends through its teardown; we wait for it and clear up.
    let interrupts = Interrupts::catch()?;
    let outcome = show(arguments, &interrupts);
    match outcome {
        Err(error) if interrupts.came() => {
            say(format!("cargo xtask demo: cancelled ({error:#})"));
            Ok(ExitStatus::Cancelled.into())
        }
        outcome => outcome,
    }
}

fn show(arguments: &DemoArguments, interrupts: &Interrupts) -> anyhow::Result<ExitCode> {
    packages::ensure(packages::PROGRAMS)?;
    packages::ensure(packages::TOOLCHAINS)?;
    let is_root = nix::unistd::geteuid().is_root();
    if is_root {
        packages::ensure(packages::ENGINE)?;
    } else {
        anyhow::ensure!(!arguments.traefik, "--traefik needs root: sudo cargo xtask demo --traefik");
        packages::ensure(packages::OWN_DOCKER)?;
        own_docker::require()?;
    }
    say("building cc-ci");
    let programs = workspace::build_programs(&["cc-ci"])?;
    interrupts.check()?;
    let cc_ci = programs.join("cc-ci");
    if is_root {
        on_private_engine(&cc_ci, arguments, interrupts)
    } else {
        own_docker::run(&cc_ci, &arguments.run, interrupts)
    }
}

fn on_private_engine(
    cc_ci: &Path,
    arguments: &DemoArguments,
    interrupts: &Interrupts,
) -> anyhow::Result<ExitCode> {
    say("starting a private Docker engine with registry and images; the machine's own Docker is not touched");
    let bed = Testbed::start(if arguments.traefik { Proxy::Traefik } else { Proxy::Without })?;
    interrupts.check()?;
    bed.add_witness()?;
    let mut extra = arguments.run.clone();
    if arguments.traefik && !extra.iter().any(|word| word == "--via") {
        extra.extend(["--via".into(), "proxy".into()]);
    }
    let settings = std::fs::read_to_string(&bed.description.settings).context("reading the settings")?;
    let host = Host { registry: &bed.description.registry, settings: &settings };
    let status = call(bed.engine.command_in(cc_ci), &host, &extra, interrupts)?;
    say("removing the private Docker engine");
    bed.stop()?;
    say("everything the demo made is gone");
    Ok(status)
}

/// What the call of `cc-ci` has to know about where it runs.
struct Host<'a> {
    /// The address of the registry with the recipe's images.
    registry: &'a str,
    /// The settings, without the folder of the test data.
    settings: &'a str,
}

/// Calls `cc-ci run` on the bundled recipe, with a state folder of its own that is gone afterwards.
fn call(
    mut cc_ci: Command,
    host: &Host<'_>,
    extra: &[OsString],
    interrupts: &Interrupts,
) -> anyhow::Result<ExitCode> {
    let folder =
        tempfile::Builder::new().prefix("cc-ci-demo-").tempdir().context("making a folder for the demo")?;
    let settings = folder.path().join("settings.toml");
    // First, because what follows may end inside a table.
    let text = format!("recipes = {:?}\n{}", workspace::root().join("recipes"), host.settings);
    std::fs::write(&settings, text).context("writing the demo's settings")?;
    say("making the git repository of the recipe custom-html: three releases and a pull request");
    let (repository, head) =
        RecipeRepository::bundled("custom-html", &folder.path().join("custom-html"), host.registry)?;
    cc_ci
        .args(["run", "--recipe", "custom-html", "--src"])
        .arg(repository.path())
        .args(["--ref", &head, "--pr", "1"])
        .args(extra)
        .env("CCCI_STATE_DIR", folder.path().join("state"))
        .env("CCCI_APP_LOCK_DIR", folder.path().join("locks"))
        .env("CCCI_SETTINGS", &settings)
        .env_remove("CCCI_RUNS_DIR");
    let words: Vec<_> = cc_ci.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
    let from = words.iter().position(|word| word == "run").unwrap_or(0);
    interrupts.check()?;
    say(format!("cc-ci {}\n", words[from..].join(" ")));
    let mut child = cc_ci.spawn().context("starting cc-ci")?;
    let status = interrupts.wait(&mut child)?;
    folder.close().context("removing the folder of the demo")?;
    Ok(status_code(status))
}
