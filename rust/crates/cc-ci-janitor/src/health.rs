//! `<state>/health.json`: how much room this host has left, renewed by each sweep; read by bridge and dashboard.

use std::collections::BTreeMap;
use std::path::Path;

use cc_ci_model::sweep::Code;
use cc_ci_process::atomic::write_json;
use cc_ci_swarm::certificate::{days_left, valid_until};
use cc_ci_swarm::room_left::{Addresses, DiskRoom, disk, proxy_addresses};

use crate::diary::Diary;
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
    /// Whole days until the proxy's certificate ends, negative once it has; none where no proxy answers.
    certificate_days: Option<i64>,
}

/// A certificate that is renewed by hand is renewed on some day of these.
const RENEWAL_DAYS: i64 = 14;

/// Writes it. What could not be measured is null: an old number would be taken for a new one.
pub(crate) async fn renew(host: &Host, seen: Option<&Seen>, diary: &mut Diary) -> Result<(), String> {
    let certificate_days = certificate_days(host, diary).await;
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
        match proxy_addresses(&seen.docker).await {
            Ok(found) => addresses = found,
            Err(error) => diary.say(Code::Warn, "addresses", error.to_string()),
        }
    }
    let health = Health {
        schema: SCHEMA,
        at: jiff::Timestamp::now().to_string(),
        zone: host.settings.zone.as_str(),
        host_id: seen.and_then(|seen| seen.host_id.as_deref()),
        live_runs: seen.map(|seen| seen.live_runs),
        is_draining: host.paths.drain().exists(),
        disks,
        memory_free_bytes: cc_ci_process::state::free_memory_bytes(),
        proxy_addresses: addresses,
        certificate_days,
    };
    write_json(&host.paths.state.join("health.json"), &health).map_err(|error| error.to_string())
}

/// Asks the proxy for the certificate of an app of this zone. A host without a proxy has none, and that is no news.
async fn certificate_days(host: &Host, diary: &mut Diary) -> Option<i64> {
    let name = format!("cc-ci-health.{}", host.settings.zone);
    let days = match valid_until(&name, host.settings.proxy.address).await {
        Ok(until) => days_left(until, jiff::Timestamp::now()),
        Err(error) => {
            tracing::debug!(code = "no-certificate", "{error}");
            return None;
        }
    };
    if days < RENEWAL_DAYS {
        let reason = format!("the certificate of *.{} ends in {days} days: renew it", host.settings.zone);
        diary.say(Code::Warn, "certificate", reason);
    }
    Some(days)
}
