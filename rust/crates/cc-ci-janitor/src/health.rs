//! `<state>/health.json`: how much room this host has left, renewed by each sweep; read by bridge and dashboard.

use std::collections::BTreeMap;
use std::path::Path;

use cc_ci_process::atomic::write_json;
use cc_ci_swarm::room_left::{Addresses, DiskRoom, disk, proxy_addresses};

use crate::host::Host;
use crate::sweep::Seen;

/// Version of the file's form.
const SCHEMA: u32 = 1;

#[derive(serde::Serialize)]
struct Health<'a> {
    schema: u32,
    at: String,
    zone: &'a str,
    /// None where nobody could say to whom the zone belongs.
    host_id: Option<&'a str>,
    /// None where the sweep could not look.
    live_runs: Option<usize>,
    is_draining: bool,
    disks: BTreeMap<&'static str, DiskRoom>,
    memory_free_bytes: Option<u64>,
    proxy_addresses: Option<Addresses>,
}

/// Writes it. What could not be measured is null: an old number would be taken for a new one.
pub(crate) async fn renew(host: &Host, seen: Option<&Seen>) -> Result<(), String> {
    let mut disks = BTreeMap::new();
    let mut add = |name, path: &Path| {
        if let Ok(room) = disk(path) {
            disks.insert(name, room);
        }
    };
    add("state", &host.paths.state);
    add("runs", &host.paths.runs);
    let mut addresses = None;
    if let Some(seen) = seen {
        if let Ok(info) = seen.docker.info().await {
            add("docker", Path::new(&info.data_root));
        }
        addresses = proxy_addresses(&seen.docker).await.map_err(|error| error.to_string())?;
    }
    let health = Health {
        schema: SCHEMA,
        at: jiff::Timestamp::now().to_string(),
        zone: host.settings.zone.as_str(),
        host_id: seen.map(|seen| seen.host_id.as_str()),
        live_runs: seen.map(|seen| seen.live_runs),
        is_draining: host.paths.drain().exists(),
        disks,
        memory_free_bytes: cc_ci_process::state::free_memory_bytes(),
        proxy_addresses: addresses,
    };
    write_json(&host.paths.state.join("health.json"), &health).map_err(|error| error.to_string())
}
