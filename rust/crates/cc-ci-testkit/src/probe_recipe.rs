//! A small recipe around the probe, release by release: for tests in which several commits of one recipe matter.

use crate::canaries::Files;
use crate::testbed::TestEngine;

/// One commit of the recipe.
#[derive(Debug, Clone)]
pub struct ProbeCommit<'a> {
    /// What its version label says.
    pub version: &'a str,
    /// Tag of the probe's image: `1.0` or `1.1`, or one that is not there.
    pub tag: &'a str,
    /// Lines `KEY=value` for the container.
    pub environment: &'a [&'a str],
}

impl ProbeCommit<'_> {
    /// Its files: one service with a volume that is backed up, and short intervals, so that a run takes seconds.
    pub fn files(&self, engine: &TestEngine) -> Files {
        let Self { version, tag, environment } = self;
        let registry = &engine.registry;
        let environment: String =
            environment.iter().map(|setting| format!("      - \"{setting}\"\n")).collect();
        let compose = format!(
            r#"version: "3.8"

services:
  app:
    image: {registry}/probe:{tag}
    networks: [proxy]
    environment:
      - DOMAIN
{environment}    volumes: ["data:/data"]
    healthcheck: {{ test: [CMD, /probe, check], interval: 500ms, timeout: 5s, retries: 2 }}
    deploy:
      update_config: {{ order: start-first, failure_action: rollback, monitor: 1s }}
      rollback_config: {{ monitor: 500ms }}
      restart_policy: {{ delay: 100ms }}
      labels:
        - "traefik.enable=true"
        - "traefik.http.services.${{STACK_NAME}}.loadbalancer.server.port=8080"
        - "traefik.http.routers.${{STACK_NAME}}.rule=Host(`${{DOMAIN}}`)"
        - "coop-cloud.${{STACK_NAME}}.version={version}"
        - "backupbot.backup=true"

networks:
  proxy:
    external: true

volumes:
  data:
"#
        );
        let sample = "TYPE=probe\nDOMAIN=probe.example.com\nLETS_ENCRYPT_ENV=production\n";
        vec![("compose.yml".to_owned(), compose), (".env.sample".to_owned(), sample.to_owned())]
    }
}
