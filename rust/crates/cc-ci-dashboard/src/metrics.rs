//! `/metrics` in the text form of Prometheus. Every label has few values: no run, commit or person is one.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use cc_ci_model::dashboard::Face;

use crate::index::Shelf;
use crate::machine_pages::measured;

/// The whole answer.
pub(crate) fn text(shelf: &Shelf, state: &Path) -> String {
    let mut faces: BTreeMap<&str, u64> = Face::ALL.iter().map(|face| (face.key(), 0)).collect();
    let mut tiers: BTreeMap<&str, (f64, u64)> = BTreeMap::new();
    for run in shelf.newest() {
        *faces.entry(run.face().key()).or_default() += 1;
        for tier in run.summary.iter().flat_map(|summary| &summary.tiers) {
            let sum = tiers.entry(tier.tier.word()).or_default();
            if tier.seconds.is_finite() && tier.seconds >= 0.0 {
                *sum = (sum.0 + tier.seconds, sum.1 + 1);
            }
        }
    }
    let mut out = String::new();
    let head = |out: &mut String, name: &str, help: &str| {
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge");
    };
    head(&mut out, "cc_ci_runs", "Run folders by what they look like.");
    for (face, count) in
        faces.iter().filter(|(face, _)| !["no_run", "not_applicable", "unverified"].contains(face))
    {
        let _ = writeln!(out, "cc_ci_runs{{verdict=\"{face}\"}} {count}");
    }
    head(&mut out, "cc_ci_tier_seconds", "Wall seconds of all known runs, by tier.");
    head(&mut out, "cc_ci_tier_runs", "How often a tier is in those seconds.");
    for (tier, (sum, count)) in tiers {
        let _ = writeln!(
            out,
            "cc_ci_tier_seconds{{tier=\"{tier}\"}} {sum:.3}\ncc_ci_tier_runs{{tier=\"{tier}\"}} {count}"
        );
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
