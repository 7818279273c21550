//! All that a deploying test stands on, in one piece: engine, registry, images, helper and proxy, and its description.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::engine::{EngineError, EngineOptions, PrivateEngine};
use crate::program::Program;
use crate::progress::say;
use crate::registry::{REGISTRY, RegistryError};
use crate::stock::{self, HELPER_IMAGE, Proxy, StockError, StockImage, StockImages};
use crate::traefik::{TraefikError, start_traefik};
use crate::witness::{self, WitnessError};

/// The zone of apps on a testbed. `.test` never resolves outside (RFC 2606).
pub const ZONE: &str = "ccci.test";

/// The environment variable with the path of a [`TestEngine`] as JSON.
pub const VARIABLE: &str = "CCCI_TEST_ENGINE";

/// Why a testbed did not come up.
#[derive(Debug, thiserror::Error)]
pub enum TestbedError {
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The images.
    #[error(transparent)]
    Stock(#[from] StockError),
    /// The registry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The proxy.
    #[error(transparent)]
    Traefik(#[from] TraefikError),
    /// The description could not be written.
    #[error("writing the description of the test engine: {0}")]
    Description(std::io::Error),
}

/// What a test reads to find the engine that was started for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestEngine {
    /// `DOCKER_HOST`.
    pub docker_host: String,
    /// `host:port` of the registry, inside the engine's network, where the test runs.
    pub registry: String,
    /// The images in the registry, by short name with tag (`nginx:1.0`, `probe:1.2`); all are local, too.
    pub images: StockImages,
    /// The zone of apps; its wildcard certificate is the proxy's.
    pub zone: String,
    /// The proxy, if there is one.
    pub traefik: Option<TestProxy>,
    /// The local name of the helper's image; none while the workspace has no helper.
    pub helper_image: Option<String>,
    /// Settings of a host with this zone and proxy, for `CCCI_SETTINGS`.
    pub settings: PathBuf,
}

/// Where the proxy of a test engine answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestProxy {
    /// The port for https on 127.0.0.1.
    pub https_port: u16,
    /// The port for http on 127.0.0.1.
    pub http_port: u16,
    /// The authority to trust, a PEM file.
    pub ca_pem: PathBuf,
}

impl TestEngine {
    /// The engine that [`VARIABLE`] describes; none where it is not set.
    ///
    /// # Panics
    /// The file cannot be read: a test must not go on as if there were no engine.
    pub fn from_environment() -> Option<Self> {
        let path = PathBuf::from(std::env::var_os(VARIABLE)?);
        let text = std::fs::read_to_string(&path);
        let read = text.map_err(|error| error.to_string());
        let engine = read.and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string()));
        match engine {
            Ok(engine) => Some(engine),
            Err(error) => panic!("{VARIABLE}={}: {error}", path.display()),
        }
    }

    /// An image of the registry by its short name, such as `nginx:1.0`.
    ///
    /// # Panics
    /// There is no such image: the test asks for what the stock does not have.
    pub fn image(&self, name: &str) -> &StockImage {
        match self.images.get(name) {
            Some(image) => image,
            None => panic!("no image {name} in the stock: {:?}", self.images.keys()),
        }
    }

    /// A `docker` command on this engine.
    pub fn docker(&self) -> Program {
        Program::new("docker").env("DOCKER_HOST", &self.docker_host)
    }

    /// Whether the CLI deploys jobs: that of Debian 12 (20.10) does not know their modes yet, that of 23.0 does.
    pub fn cli_knows_jobs(&self) -> bool {
        let version =
            self.docker().args(["version", "--format", "{{.Client.Version}}"]).run().unwrap_or_default();
        version
            .split('.')
            .next()
            .and_then(|major| major.trim().parse::<u32>().ok())
            .is_some_and(|major| major >= 23)
    }
}

impl crate::image::Docker for TestEngine {
    fn docker(&self) -> Program {
        Self::docker(self)
    }
}

/// The engine that was started for tests, or `return` from the test with a SKIP line that says what to run.
#[macro_export]
macro_rules! engine_or_skip {
    () => {
        match $crate::testbed::TestEngine::from_environment() {
            Some(engine) => engine,
            None => {
                let thread = std::thread::current();
                let name = thread.name().unwrap_or("a test");
                $crate::progress::say(format!("SKIP {name}: no test engine (run cargo xtask test swarm)"));
                return;
            }
        }
    };
}

/// A private engine with registry, images, helper and, if wanted, proxy; all of it ends when it is dropped.
#[derive(Debug)]
pub struct Testbed {
    /// The engine.
    pub engine: PrivateEngine,
    /// What tests read about it.
    pub description: TestEngine,
    file: PathBuf,
}

impl Testbed {
    /// Starts everything, building first what is not kept yet.
    ///
    /// # Errors
    /// One of the parts does not come up; then nothing is left.
    pub fn start(proxy: Proxy) -> Result<Self, TestbedError> {
        let (data, images) = stock::kept(proxy)?;
        let mut engine =
            PrivateEngine::start(&EngineOptions { data_from: Some(data), ..EngineOptions::default() })?;
        engine.start_registry()?;
        let has_helper = stock::make_helper(&engine)?;
        if !has_helper {
            say("this workspace has no helper: its image is left out");
        }
        let traefik = match proxy {
            Proxy::Without => None,
            Proxy::Traefik => Some(start_traefik(&engine, ZONE)?),
        };
        let description = TestEngine {
            docker_host: engine.docker_host(),
            registry: REGISTRY.to_owned(),
            images,
            zone: ZONE.to_owned(),
            traefik: traefik.map(|traefik| TestProxy {
                https_port: traefik.https_port,
                http_port: traefik.http_port,
                ca_pem: traefik.ca_pem,
            }),
            helper_image: has_helper.then(|| HELPER_IMAGE.to_owned()),
            settings: engine.folder().join("settings.toml"),
        };
        std::fs::write(&description.settings, settings_of(&description))
            .map_err(TestbedError::Description)?;
        let file = engine.folder().join("test-engine.json");
        let text = serde_json::to_string_pretty(&description).map_err(std::io::Error::other);
        text.and_then(|text| std::fs::write(&file, text)).map_err(TestbedError::Description)?;
        Ok(Self { engine, description, file })
    }

    /// The file with the description, the value of [`VARIABLE`].
    pub fn description_file(&self) -> &Path {
        &self.file
    }

    /// Deploys the witness, as a real host has it; a test that wants none, or its own, leaves it out.
    ///
    /// # Errors
    /// It does not run within 60 s.
    pub fn add_witness(&self) -> Result<(), WitnessError> {
        witness::deploy(&self.engine, &self.description.image("probe:1.0").reference)
    }

    /// Ends everything and waits until nothing of it is left.
    ///
    /// # Errors
    /// The engine does not end.
    pub fn stop(self) -> Result<(), EngineError> {
        self.engine.stop()
    }
}

/// The host settings that fit a test engine.
fn settings_of(engine: &TestEngine) -> String {
    let mut text =
        format!("zone = \"{}\"\ndeployer = \"native\"\nhelper_image = \"{HELPER_IMAGE}\"\n", engine.zone);
    if let Some(proxy) = &engine.traefik {
        let lines =
            format!("\n[proxy]\naddress = \"127.0.0.1:{}\"\nca = {:?}\n", proxy.https_port, proxy.ca_pem);
        text.push_str(&lines);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_of_a_testbed_are_settings_of_a_host() {
        let engine = TestEngine {
            docker_host: "unix:///run/x/docker.sock".to_owned(),
            registry: REGISTRY.to_owned(),
            images: StockImages::new(),
            zone: ZONE.to_owned(),
            traefik: Some(TestProxy { https_port: 443, http_port: 80, ca_pem: "/run/x/ca.pem".into() }),
            helper_image: None,
            settings: "/run/x/settings.toml".into(),
        };
        let settings =
            cc_ci_model::settings::Settings::parse("settings.toml", &settings_of(&engine)).unwrap();
        assert_eq!(settings.zone.to_string(), ZONE);
        assert_eq!(settings.proxy.ca, Some("/run/x/ca.pem".into()));
        // The image a host looks for by default is the one made here.
        assert_eq!(cc_ci_model::settings::Settings::default().helper_image, HELPER_IMAGE);
    }
}
