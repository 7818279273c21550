//! `/metrics` in the text form of Prometheus. Every label has few values: no run, commit or person is one.

use std::fmt::Write as _;
use std::path::Path;

use cc_ci_model::dashboard::{Face, Queue};

use crate::index::Shelf;
use crate::machine_pages::measured;

/// The whole answer.
pub(crate) fn text(shelf: &Shelf, state: &Path, queue: Option<&Queue>) -> String {
    let totals = shelf.totals();
    let mut out = String::new();
    let head = |out: &mut String, name: &str, help: &str| {
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge");
    };
    head(&mut out, "cc_ci_runs", "Run folders by what they look like.");
    let of_runs = |face: &&Face| !matches!(face, Face::NoRun | Face::NotApplicable | Face::Unverified);
    for face in Face::ALL.iter().filter(of_runs) {
        let count = totals.faces.get(face).copied().unwrap_or(0);
        let _ = writeln!(out, "cc_ci_runs{{verdict=\"{}\"}} {count}", face.key());
    }
    head(&mut out, "cc_ci_tier_seconds", "Wall seconds of all known runs, by tier.");
    head(&mut out, "cc_ci_tier_runs", "How often a tier is in those seconds.");
    for (tier, (sum, count)) in &totals.tiers {
        let seconds = std::time::Duration::from_millis(*sum).as_secs_f64();
        let _ = writeln!(
            out,
            "cc_ci_tier_seconds{{tier=\"{tier}\"}} {seconds:.3}\ncc_ci_tier_runs{{tier=\"{tier}\"}} {count}"
        );
    }
    if let Some(queue) = queue {
        head(&mut out, "cc_ci_queue", "Builds that were asked for and have no run yet.");
        let _ = writeln!(out, "cc_ci_queue {}", queue.waiting().count());
    }
    if let Ok(health) = measured(state) {
        if let Some(at) = health["at"].as_str().and_then(|at| at.parse::<jiff::Timestamp>().ok()) {
            head(&mut out, "cc_ci_health_measured_seconds", "When the janitor measured, seconds since 1970.");
            let _ = writeln!(out, "cc_ci_health_measured_seconds {}", at.as_second());
        }
        head(&mut out, "cc_ci_health", "What the janitor measured last.");
        for (name, value) in
            ["state", "runs", "docker"].iter().flat_map(|disk| numbers(disk, &health["disks"][*disk]))
        {
            let _ = writeln!(out, "cc_ci_health{{what=\"{name}\"}} {value}");
        }
        for (name, value) in numbers("proxy_addresses", &health["proxy_addresses"]) {
            let _ = writeln!(out, "cc_ci_health{{what=\"{name}\"}} {value}");
        }
        for name in ["memory_free_bytes", "live_runs", "certificate_days"] {
            if let Some(value) = health[name].as_i64() {
                let _ = writeln!(out, "cc_ci_health{{what=\"{name}\"}} {value}");
            }
        }
    }
    out
}

/// The numbers of one table, under plain names.
fn numbers(prefix: &str, table: &serde_json::Value) -> Vec<(String, u64)> {
    let fields = table.as_object().into_iter().flatten().take(16);
    let is_plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    fields
        .filter(|(name, _)| is_plain(name))
        .filter_map(|(name, value)| Some((format!("{prefix}_{name}"), value.as_u64()?)))
        .collect()
}
