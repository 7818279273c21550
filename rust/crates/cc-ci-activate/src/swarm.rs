//! `cc-ci-activate swarm`: looks at the engine, carries the plan out, looks again.

use std::collections::HashMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bollard::models::{Ipam, IpamConfig, NetworkCreateRequest, NetworkInspect, SwarmInitRequest};
use bollard::query_parameters::InspectNetworkOptions;
use cc_ci_process::cancel::Cancellation;
use cc_ci_process::mask::Masker;
use cc_ci_process::wait::{Look, Waiting, wait_for};
use cc_ci_swarm::docker::Docker;
use cc_ci_swarm::programs::Programs;

use crate::swarm_plan::{Step, SwarmFacts, SwarmSettings, plan};

/// An engine that starts together with us is up by then.
const ENGINE: Waiting = Waiting { deadline: Duration::from_secs(60), interval: Duration::from_secs(1) };
/// Some 100 MB from a disk.
const LOAD_LIMIT: Duration = Duration::from_secs(300);
/// Only from this machine: the swarm has one node.
const OWN_ADDRESS: &str = "127.0.0.1";
/// The image that runs look for.
const HELPER: &str = "cc-ci-helper:local";
/// Networks of apps are cut out of the pools in this size.
const APP_NETWORK_BITS: u32 = 24;

/// What an activation works with.
pub(crate) struct Activation<'a> {
    pub(crate) settings: &'a SwarmSettings,
    /// Where it remembers what cannot be asked.
    pub(crate) state: &'a Path,
    pub(crate) masker: &'a Masker,
    pub(crate) cancellation: &'a Cancellation,
}

impl Activation<'_> {
    /// The steps that are needed; what is not a dry run carries them out and returns them when a second look finds nothing more.
    pub(crate) async fn run(&self, is_dry: bool) -> Result<Vec<Step>> {
        let docker = self.connect().await?;
        let steps = plan(self.settings, &self.look(&docker).await?)?;
        if is_dry {
            return Ok(steps);
        }
        for step in &steps {
            tracing::info!(code = "activate", "{step}");
            self.carry_out(&docker, step).await.with_context(|| format!("to {step} failed"))?;
        }
        if !steps.is_empty() {
            let left = plan(self.settings, &self.look(&docker).await?)?;
            if let Some(step) = left.first() {
                bail!("it is still needed to {step}, although the engine said that it was done");
            }
        }
        Ok(steps)
    }

    async fn connect(&self) -> Result<Docker> {
        let look = || async {
            Ok::<_, Infallible>(match Docker::connect(None).await {
                Ok(docker) => Look::There(docker),
                Err(error) => Look::NotYet(error.to_string()),
            })
        };
        Ok(wait_for("reaching Docker", ENGINE, None, self.cancellation, look).await?)
    }

    async fn look(&self, docker: &Docker) -> Result<SwarmFacts> {
        let info = docker.info().await?;
        let gateway = network(docker, "docker_gwbridge").await?;
        let proxy = network(docker, "proxy").await?;
        let images = docker.api().inspect_image(HELPER).await;
        let has_helper = match images {
            Ok(_) => true,
            Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => false,
            Err(error) => return Err(error).context("looking for the helper's image"),
        };
        Ok(SwarmFacts {
            is_swarm: info.swarm_node.is_some(),
            gateway: gateway.map(|found| subnet(&found)),
            proxy: proxy.map(|found| (subnet(&found), found.driver.unwrap_or_default())),
            has_helper,
            helper_from: std::fs::read_to_string(self.remembered()).ok().map(PathBuf::from),
        })
    }

    fn remembered(&self) -> PathBuf {
        self.state.join("helper-image")
    }

    async fn carry_out(&self, docker: &Docker, step: &Step) -> Result<()> {
        let api = docker.api();
        let settings = self.settings;
        match step {
            Step::MakeGateway => {
                let options = [
                    ("com.docker.network.bridge.name", "docker_gwbridge"),
                    ("com.docker.network.bridge.enable_icc", "false"),
                    ("com.docker.network.bridge.enable_ip_masquerade", "true"),
                ];
                let request = request("docker_gwbridge", "bridge", &settings.gateway_subnet, &options);
                api.create_network(request).await?;
            }
            Step::InitSwarm => {
                let request = SwarmInitRequest {
                    advertise_addr: Some(OWN_ADDRESS.to_owned()),
                    listen_addr: Some(format!("{OWN_ADDRESS}:2377")),
                    default_addr_pool: Some(settings.address_pools.clone()),
                    subnet_size: Some(APP_NETWORK_BITS),
                    ..Default::default()
                };
                api.init_swarm(request).await?;
            }
            Step::MakeProxy => {
                let request = request("proxy", "overlay", &settings.proxy_subnet, &[]);
                api.create_network(request).await?;
            }
            Step::LoadHelper => {
                let archive = settings.helper_image.display().to_string();
                let home = Path::new("/");
                let programs = Programs::new(home, home, self.cancellation, self.masker);
                let arguments = ["image", "load", "--quiet", "--input", &archive];
                let output = programs
                    .run("loading the helper's image", "docker", &arguments, home, LOAD_LIMIT)
                    .await?;
                if !output.success() {
                    bail!("docker does not load {archive}: {}", output.last_line());
                }
                cc_ci_process::atomic::write_atomic(&self.remembered(), archive.as_bytes())
                    .context("remembering which image was loaded")?;
            }
        }
        Ok(())
    }
}

fn request(name: &str, driver: &str, subnet: &str, options: &[(&str, &str)]) -> NetworkCreateRequest {
    let address = IpamConfig { subnet: Some(subnet.to_owned()), ..Default::default() };
    let options: HashMap<String, String> =
        options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    NetworkCreateRequest {
        name: name.to_owned(),
        driver: Some(driver.to_owned()),
        ipam: Some(Ipam { config: Some(vec![address]), ..Default::default() }),
        options: Some(options),
        ..Default::default()
    }
}

async fn network(docker: &Docker, name: &str) -> Result<Option<NetworkInspect>> {
    match docker.api().inspect_network(name, None::<InspectNetworkOptions>).await {
        Ok(found) => Ok(Some(found)),
        Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
        Err(error) => Err(error).with_context(|| format!("looking at the network {name}")),
    }
}

/// The first IPv4 subnet of a network.
fn subnet(network: &NetworkInspect) -> String {
    let configs = network.ipam.iter().filter_map(|ipam| ipam.config.as_ref()).flatten();
    let mut subnets = configs.filter_map(|config| config.subnet.clone());
    subnets.find(|subnet| !subnet.contains(':')).unwrap_or_else(|| "no subnet".to_owned())
}
