//! The demo on the user's own Docker: what it needs there, what it adds, and taking exactly that away again.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::bail;
use cc_ci_testkit::image::Docker;
use cc_ci_testkit::own_registry::OwnRegistry;
use cc_ci_testkit::program::Program;
use cc_ci_testkit::progress::say;
use cc_ci_testkit::stock::{self, HELPER_IMAGE};
use cc_ci_testkit::{public_image, rust_program, witness};

use crate::interrupts::Interrupts;

/// A zone nobody else uses, so that the label it leaves on the node can be taken away again.
const ZONE: &str = "cc-ci-demo.test";

struct OwnDocker;

impl Docker for OwnDocker {
    fn docker(&self) -> Program {
        // A second Ctrl-C while things are taken away is not for the command that does it.
        Program::new("docker").in_own_group()
    }
}

/// Says which command is missing where the running Docker cannot be used.
pub(super) fn require() -> anyhow::Result<()> {
    let info = ["info", "--format", "{{.Swarm.LocalNodeState}} {{.Swarm.ControlAvailable}}"];
    let answer = match OwnDocker.docker().args(info).outcome() {
        Ok(ended) if ended.status.success() => ended.stdout,
        Ok(ended) if ended.stderr.contains("permission denied") => {
            bail!(
                "this user may not use the running Docker: sudo usermod -aG docker $USER (then log in again), or as root: sudo cargo xtask demo"
            )
        }
        Ok(_) => bail!("no Docker answers: sudo systemctl start docker, or as root: sudo cargo xtask demo"),
        Err(error) => bail!("{error}; install it: sudo apt-get install docker.io"),
    };
    if answer.trim() != "active true" {
        bail!("Docker runs without an active swarm: docker swarm init --advertise-addr 127.0.0.1");
    }
    Ok(())
}

/// Runs the demo and takes away what it added, also when it fails.
pub(super) fn run(cc_ci: &Path, extra: &[OsString], interrupts: &Interrupts) -> anyhow::Result<ExitCode> {
    let registry = OwnRegistry::start()?;
    let mut undo = Undo::default();
    say("adding test images to the running Docker; they are removed at the end");
    let before = images()?;
    undo.images = Some((before.clone(), registry.address().to_owned()));
    let is_pulled = public_image::nginx(&OwnDocker, registry.address())?;
    let layers: &[stock::Layer] = if is_pulled { &[] } else { &[stock::NGINX] };
    stock::make(&OwnDocker, registry.address(), &rust_program::probe()?, layers)?;
    if !before.iter().any(|image| image == HELPER_IMAGE) && !stock::make_helper(&OwnDocker)? {
        say("this workspace has no helper: its image is left out");
    }
    let networks = OwnDocker.docker().args(["network", "ls", "--format", "{{.Name}}"]).run()?;
    if !networks.lines().any(|name| name == "proxy") {
        OwnDocker.docker().args(["network", "create", "--driver", "overlay", "proxy"]).run()?;
        undo.remove_proxy = true;
    }
    let stacks = OwnDocker.docker().args(["stack", "ls", "--format", "{{.Name}}"]).run()?;
    if !stacks.lines().any(|name| name == witness::STACK) {
        undo.remove_witness = true;
        witness::deploy(&OwnDocker, &format!("{}/probe:1.0", registry.address()))?;
    }
    undo.remove_label = true;
    let settings = format!(
        "zone = \"{ZONE}\"\ndeployer = \"native\"\nvia = \"direct\"\nhelper_image = \"{HELPER_IMAGE}\"\n"
    );
    let host = super::Host { registry: registry.address(), settings: &settings };
    let status = super::call(Command::new(cc_ci), &host, extra, interrupts)?;
    say("removing what the demo added to the running Docker");
    undo.now()?;
    say("everything the demo made is gone");
    Ok(status)
}

/// Names of all images, tagged.
fn images() -> anyhow::Result<Vec<String>> {
    let list = OwnDocker.docker().args(["image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]).run()?;
    Ok(list.lines().map(str::to_owned).collect())
}

/// What has to be taken away, noted before it is made.
#[derive(Default)]
struct Undo {
    remove_witness: bool,
    remove_proxy: bool,
    remove_label: bool,
    /// The images there were before, and the address of the registry in the names of the demo's own.
    images: Option<(Vec<String>, String)>,
}

impl Undo {
    /// Takes away what is noted; each step once, also if one before it failed, and the first failure is returned.
    fn now(&mut self) -> anyhow::Result<()> {
        let mut outcome = Ok(());
        let mut note = |done: anyhow::Result<()>| {
            if outcome.is_ok() {
                outcome = done;
            }
        };
        if std::mem::take(&mut self.remove_witness) {
            note(witness::remove(&OwnDocker).map_err(anyhow::Error::from));
        }
        if std::mem::take(&mut self.remove_proxy) {
            note(
                OwnDocker
                    .docker()
                    .args(["network", "rm", "proxy"])
                    .run()
                    .map(|_| ())
                    .map_err(anyhow::Error::from),
            );
        }
        if std::mem::take(&mut self.remove_label) {
            note(remove_label());
        }
        if let Some((before, registry)) = self.images.take() {
            note(remove_images(&before, &registry));
        }
        outcome
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        if let Err(error) = self.now() {
            say(format!("the demo left something in Docker: {error:#}"));
        }
    }
}

/// Takes the zone's mark off the node; there is none if no run came that far.
fn remove_label() -> anyhow::Result<()> {
    let node = OwnDocker.docker().args(["info", "--format", "{{.Swarm.NodeID}}"]).run()?;
    let label = format!("cc-ci.zone.{ZONE}");
    let labels =
        ["node", "inspect", "--format", "{{range $name, $value := .Spec.Labels}}{{println $name}}{{end}}"];
    if OwnDocker.docker().args(labels).arg(node.trim()).run()?.lines().any(|name| name == label) {
        OwnDocker.docker().args(["node", "update", "--label-rm", &label]).arg(node.trim()).run()?;
    }
    Ok(())
}

/// Removes the demo's images: those that were not there before and carry its registry's address or a name that it makes
/// or pulls.
fn remove_images(before: &[String], registry: &str) -> anyhow::Result<()> {
    let prefix = format!("{registry}/");
    let pulled: Vec<String> = public_image::nginx_names().collect();
    let is_named = |name: &String| name.starts_with(&prefix) || name == HELPER_IMAGE || pulled.contains(name);
    let is_ours = |name: &String| !before.contains(name) && is_named(name);
    let ours: Vec<String> = images()?.into_iter().filter(is_ours).collect();
    if !ours.is_empty() {
        OwnDocker.docker().args(["image", "rm", "--force"]).args(&ours).run()?;
    }
    Ok(())
}
