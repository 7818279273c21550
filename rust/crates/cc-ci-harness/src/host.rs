//! Is this machine fit for a run: engine, swarm, proxy network, helper image; asked before anything is deployed.

use std::path::Path;
use std::time::Duration;

use cc_ci_model::outcome::Trouble;
use cc_ci_swarm::docker::{Docker, DockerError, EngineInfo, Ipvs, ipvs};
use cc_ci_swarm::programs::Programs;

/// The network that recipes share with the proxy.
pub const PROXY_NETWORK: &str = "proxy";

/// A machine that can carry a run.
#[derive(Debug, Clone)]
pub struct Host {
    /// The engine.
    pub docker: Docker,
    /// What it says about itself.
    pub info: EngineInfo,
    /// Whether its kernel has IPVS.
    pub ipvs: Ipvs,
    /// Version of the Docker CLI.
    pub cli_version: String,
}

/// A program that only says its version answers at once.
const VERSION_LIMIT: Duration = Duration::from_secs(20);

/// Looks at the machine.
///
/// # Errors
/// [`Trouble`] names what is missing and the command that mends it.
pub async fn inspect(programs: &Programs, helper_image: &str) -> Result<Host, Trouble> {
    let gone =
        |error: DockerError| Trouble { what: error.to_string(), place: "host".to_owned(), retry: true };
    let docker = Docker::connect(None).await.map_err(gone)?;
    let info = docker.info().await.map_err(gone)?;
    if info.swarm_node.is_none() {
        return Err(unfit(
            "this engine is no manager of a swarm: run `docker swarm init --advertise-addr 127.0.0.1` first"
                .to_owned(),
        ));
    }
    proxy_network(&docker).await?;
    helper_image_there(&docker, helper_image).await?;
    let cli_version = version(programs, "docker", &["version", "--format", "{{.Client.Version}}"])
        .await
        .ok_or_else(|| unfit("there is no docker command in PATH: install the Docker CLI".to_owned()))?;
    Ok(Host { docker, info, ipvs: ipvs(), cli_version })
}

fn unfit(what: String) -> Trouble {
    Trouble { what, place: "host".to_owned(), retry: false }
}

/// Whether the network that recipes share with the proxy is there and spans a swarm.
///
/// # Errors
/// [`Trouble`] names what is missing and the command that mends it.
pub async fn proxy_network(docker: &Docker) -> Result<(), Trouble> {
    let network = docker.api().inspect_network(PROXY_NETWORK, None).await;
    match network {
        Ok(network) if network.driver.as_deref() == Some("overlay") => Ok(()),
        Ok(network) => {
            let driver = network.driver.unwrap_or_default();
            Err(unfit(format!(
                "the network {PROXY_NETWORK} has driver {driver}, recipes need an overlay: remove it and run `docker network create -d overlay {PROXY_NETWORK}`"
            )))
        }
        Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => {
            Err(unfit(format!(
                "there is no network {PROXY_NETWORK}: run `docker network create -d overlay {PROXY_NETWORK}`"
            )))
        }
        Err(error) => Err(Trouble {
            what: format!("looking for the network {PROXY_NETWORK}: {error}"),
            place: "host".to_owned(),
            retry: true,
        }),
    }
}

/// Whether the image of the helper container is there.
///
/// # Errors
/// [`Trouble`] names what is missing and the command that mends it.
pub async fn helper_image_there(docker: &Docker, helper_image: &str) -> Result<(), Trouble> {
    match docker.api().inspect_image(helper_image).await {
        Ok(_) => Ok(()),
        Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => {
            Err(unfit(format!(
                "the helper image {helper_image} is not on this engine: run `cargo xtask helper` to build and load it"
            )))
        }
        Err(error) => Err(Trouble {
            what: format!("looking for the helper image: {error}"),
            place: "host".to_owned(),
            retry: true,
        }),
    }
}

impl Host {
    /// Whether virtual addresses of services work here.
    #[must_use]
    pub fn has_ipvs(&self) -> bool {
        self.ipvs == Ipvs::Present
    }
}

/// First line of what a program says about its version; `None` where there is no such program.
pub async fn version(programs: &Programs, program: &str, arguments: &[&str]) -> Option<String> {
    let label = format!("asking {program} for its version");
    let output = programs.run(&label, program, arguments, Path::new("/"), VERSION_LIMIT).await.ok()?;
    output.stdout.lines().next().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty())
}
