//! A real Traefik in front of a private engine's apps: host ports 80 and 443, a wildcard certificate, no ACME.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::certificate::{self, Validity};
use crate::engine::PrivateEngine;
use crate::patience::{self, TimedOut};
use crate::program::ProgramError;
use crate::stock::TRAEFIK_IMAGE;

/// Why the proxy does not run.
#[derive(Debug, thiserror::Error)]
pub enum TraefikError {
    /// No certificate.
    #[error("making a wildcard certificate for {zone}: {cause}")]
    Certificate {
        /// The zone.
        zone: String,
        /// What is wrong with it.
        cause: rcgen::Error,
    },
    /// Its files could not be written.
    #[error("writing the proxy's files: {0}")]
    Files(std::io::Error),
    /// The deploy failed.
    #[error("deploying the proxy: {0}")]
    Deploy(#[from] ProgramError),
    /// It is not healthy.
    #[error("{waited}; its tasks: {tasks}")]
    NotHealthy {
        /// What was waited for.
        waited: TimedOut,
        /// What `docker service ps` shows.
        tasks: String,
    },
}

/// A proxy that routes `https://<app>.<zone>` inside the engine's network; it ends with the engine.
#[derive(Debug, Clone)]
pub struct Traefik {
    /// The authority to trust, as a PEM file in the engine's folder.
    pub ca_pem: PathBuf,
    /// The port of `web-secure` on 127.0.0.1.
    pub https_port: u16,
    /// The port of `web` on 127.0.0.1.
    pub http_port: u16,
}

/// The stack, as operators know it: entry points `web` and `web-secure`, services found by their labels.
///
/// The refresh is 1 s, because the provider polls: with its default of 15 s an updated app answers 502 until then.
fn compose(socket: &Path, files: &Path) -> String {
    format!(
        r#"version: "3.8"
services:
  app:
    image: {TRAEFIK_IMAGE}
    command:
      - --providers.swarm.endpoint=unix:///var/run/docker.sock
      - --providers.swarm.exposedbydefault=false
      - --providers.swarm.network=proxy
      - --providers.swarm.refreshseconds=1
      - --providers.file.filename=/file-provider.yml
      - --entrypoints.web.address=:80
      - --entrypoints.web-secure.address=:443
      - --entrypoints.ping.address=:8082
      - --ping.entrypoint=ping
      - --log.level=INFO
      - --global.checknewversion=false
    networks: [proxy]
    volumes: ["{socket}:/var/run/docker.sock:ro"]
    ports:
      - {{target: 80, published: 80, mode: host}}
      - {{target: 443, published: 443, mode: host}}
    secrets: [certificate, key]
    configs: [{{source: file_provider, target: /file-provider.yml}}]
    healthcheck:
      test: [CMD, /traefik, healthcheck, --entrypoints.ping.address=:8082, --ping.entrypoint=ping]
      interval: 500ms
      timeout: 5s
      retries: 20
    deploy:
      placement: {{constraints: [node.role == manager]}}
      update_config: {{order: stop-first, monitor: 500ms}}
networks: {{proxy: {{external: true}}}}
secrets:
  certificate: {{file: {files}/certificate.pem}}
  key: {{file: {files}/key.pem}}
configs:
  file_provider: {{file: {files}/file-provider.yml}}
"#,
        socket = socket.display(),
        files = files.display(),
    )
}

const FILE_PROVIDER: &str = "\
tls:
  certificates:
    - {certFile: /run/secrets/certificate, keyFile: /run/secrets/key}
  stores:
    default:
      defaultCertificate: {certFile: /run/secrets/certificate, keyFile: /run/secrets/key}
";

/// The stack's name: it belongs to the infrastructure, like the one on a real host.
pub const STACK: &str = "traefik";

/// Deploys the proxy with a lasting certificate for `zone` and waits until it is healthy.
///
/// # Errors
/// As [`start_traefik_with`].
pub fn start_traefik(engine: &PrivateEngine, zone: &str) -> Result<Traefik, TraefikError> {
    start_traefik_with(engine, zone, Validity::Lasting)
}

/// Deploys the proxy with a certificate for `zone` and waits until it is healthy.
///
/// The engine must have been started with [`crate::stock::Proxy::Traefik`] in its stock.
///
/// # Errors
/// The deploy fails, or it is not healthy within 60 s.
pub fn start_traefik_with(
    engine: &PrivateEngine,
    zone: &str,
    validity: Validity,
) -> Result<Traefik, TraefikError> {
    let wildcard = certificate::wildcard(zone, validity)
        .map_err(|cause| TraefikError::Certificate { zone: zone.to_owned(), cause })?;
    let files = engine.folder().join("traefik");
    std::fs::create_dir_all(&files).map_err(TraefikError::Files)?;
    let socket = engine.folder().join("docker.sock");
    for (name, text) in [
        ("ca.pem", wildcard.authority.as_str()),
        ("certificate.pem", &wildcard.certificate),
        ("key.pem", &wildcard.key),
        ("file-provider.yml", FILE_PROVIDER),
        ("compose.yml", &compose(&socket, &files)),
    ] {
        std::fs::write(files.join(name), text).map_err(TraefikError::Files)?;
    }
    let compose = files.join("compose.yml");
    engine
        .docker()
        .args(["stack", "deploy", "--resolve-image=never", "--compose-file"])
        .arg(compose)
        .arg(STACK)
        .run()?;
    let service = format!("{STACK}_app");
    let look = || {
        let list = engine.docker().args(["service", "ls", "--format", "{{.Name}} {{.Replicas}}"]).run();
        let list = list.map_err(|error| error.to_string())?;
        // A container with a healthcheck counts as a replica only once it is healthy.
        if list.lines().any(|line| line == format!("{service} 1/1")) { Ok(()) } else { Err(list) }
    };
    let healthy = patience::until("Traefik to be healthy", LIMIT, Duration::from_millis(100), look);
    healthy.map_err(|waited| {
        let tasks = engine.docker().args(["service", "ps", "--no-trunc", &service]).run();
        TraefikError::NotHealthy { waited, tasks: tasks.unwrap_or_else(|error| error.to_string()) }
    })?;
    Ok(Traefik { ca_pem: files.join("ca.pem"), https_port: 443, http_port: 80 })
}

/// Removes the proxy, and waits until its ports and its certificate are gone: another one may follow.
///
/// # Errors
/// It is still there after 60 s.
pub fn stop_traefik(engine: &PrivateEngine) -> Result<(), TraefikError> {
    engine.docker().args(["stack", "rm", STACK]).run()?;
    let filter = format!("label=com.docker.stack.namespace={STACK}");
    let look = || {
        let mut left = String::new();
        for kind in ["container", "secret", "config"] {
            let more: &[&str] = if kind == "container" { &["--all"] } else { &[] };
            let list = engine.docker().args([kind, "ls", "--quiet", "--filter", &filter]).args(more).run();
            left.push_str(&list.map_err(|error| error.to_string())?);
        }
        if left.trim().is_empty() { Ok(()) } else { Err(left) }
    };
    patience::until("Traefik to be gone", LIMIT, Duration::from_millis(100), look)
        .map_err(|waited| TraefikError::NotHealthy { waited, tasks: "they end".to_owned() })
}

const LIMIT: Duration = Duration::from_secs(60);
