//! What the labels of a service ask of the shared proxy: routers, services and hosts have to be the app's own.
//!
//! One Traefik serves every app of a host, and it believes whatever label it reads: a rule for another host takes that app's
//! visitors, a router of the same name puts both out, and a service of Traefik's own shows its inside. Keys are read as
//! Traefik reads them, in any case.

use std::collections::BTreeMap;

use crate::names::{StackName, quoted};

use super::route_rule::{Reach, reach};
use super::rules::{Finding, Weight};

/// Names of what a host runs beside the apps, as a router might be called.
const INFRASTRUCTURE: [&str; 5] = ["traefik", "cc-ci", "drone", "backup-bot-two", "backupbot"];
/// Entry points that all apps share.
const SHARED_ENTRY_POINTS: [&str; 4] = ["web", "web-secure", "websecure", "traefik"];

const NAME: &str = "on the shared proxy it is the name of somebody else's; begin names of routers and services with ${STACK_NAME}";
const BARE_NAME: &str =
    "another app with the same name on this proxy puts both out; begin it with ${STACK_NAME}";
const HOST: &str = "its visitors are somebody else's; a rule names ${DOMAIN} or names below it, for each of its alternatives";
const PLACEHOLDER: &str =
    "no visitor of this server comes by that name; set the variable behind it in recipe.toml (app.env)";
const INSIDE: &str = "that is the proxy's own inside; route to a service of the app";
const ELSEWHERE: &str = "the proxy would ask whoever stands there; name the port of a service instead";
const STORE: &str = "certificates of the proxy are everybody's; leave the label out";
const CATCH_ALL: &str = "it takes connections for every app; give it an entry point of its own or a rule with HostSNI(`${DOMAIN}`)";
const OWN_ENTRY: &str =
    "it takes all connections of that entry point; two runs of it cannot be served at once";

/// Everything the labels of one service ask of the proxy that is not the app's own.
#[must_use]
pub fn judge(labels: &BTreeMap<String, String>, stack: &StackName) -> Vec<(String, Finding)> {
    let mut found = Vec::new();
    for (key, value) in labels {
        let lower = key.to_ascii_lowercase();
        let parts: Vec<&str> = lower.split('.').collect();
        let mut tell = |weight, what: String, why| found.push((key.clone(), Finding { weight, what, why }));
        match parts.as_slice() {
            ["traefik", "tls", ..] => tell(Weight::Refused, format!("the label {}", quoted(key)), STORE),
            ["traefik", protocol @ ("http" | "tcp" | "udp"), kind, name, rest @ ..] => {
                let kind = kind.trim_end_matches('s');
                if let Some((weight, why)) = name_fault(name, stack) {
                    tell(weight, format!("the {kind} {}", quoted(name)), why);
                }
                match (kind, rest) {
                    ("router", ["rule"]) => {
                        let entry_points = entry_points(labels, protocol, name);
                        if let Some(finding) = rule_fault(value, stack, &entry_points) {
                            found.push((key.clone(), finding));
                        }
                    }
                    ("router", ["service"]) => {
                        if let Some(finding) = reference_fault(value, stack) {
                            found.push((key.clone(), finding));
                        }
                    }
                    ("service", ["loadbalancer", server, "url" | "address"])
                        if server.starts_with("server") =>
                    {
                        let what = format!("the service {} at {}", quoted(name), quoted(value));
                        tell(Weight::Refused, what, ELSEWHERE);
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }
    // One finding per thing: a router's name stands in each of its labels.
    let mut seen = std::collections::BTreeSet::new();
    found.retain(|(_, finding)| seen.insert(finding.what.clone()));
    found
}

/// Whether a name of a router, service or middleware is another's.
fn name_fault(name: &str, stack: &StackName) -> Option<(Weight, &'static str)> {
    let own = stack.as_str().to_ascii_lowercase();
    let follows = |rest: &str| !rest.starts_with(|next: char| next.is_ascii_alphanumeric());
    if name.strip_prefix(&own).is_some_and(follows) {
        return None;
    }
    let zone = own.split_once('_').map_or(own.as_str(), |(_, zone)| zone);
    let of_infrastructure = INFRASTRUCTURE.iter().any(|known| name.strip_prefix(known).is_some_and(follows));
    if name.contains(&format!("_{zone}")) || of_infrastructure {
        Some((Weight::Refused, NAME))
    } else {
        Some((Weight::Noted, BARE_NAME))
    }
}

/// Whether a router sends its visitors to a service that is not the app's.
fn reference_fault(value: &str, stack: &StackName) -> Option<Finding> {
    let lower = value.trim().to_ascii_lowercase();
    let (name, provider) = lower.split_once('@').unwrap_or((&lower, ""));
    let what = format!("the route to the service {}", quoted(value));
    if provider == "internal" {
        return Some(Finding { weight: Weight::Refused, what, why: INSIDE });
    }
    match name_fault(name, stack) {
        Some((Weight::Noted, _)) if !provider.is_empty() => {
            Some(Finding { weight: Weight::Refused, what, why: NAME })
        }
        Some((Weight::Refused, why)) => Some(Finding { weight: Weight::Refused, what, why }),
        // A bare name is noted where the service gets it.
        Some((Weight::Noted, _)) | None => None,
    }
}

fn rule_fault(rule: &str, stack: &StackName, entry_points: &[String]) -> Option<Finding> {
    let what = format!("the rule {}", quoted(rule));
    let finding = |weight, what, why| Some(Finding { weight, what, why });
    match reach(rule, stack) {
        Reach::Own => None,
        Reach::Placeholder(_) => finding(Weight::Noted, what, PLACEHOLDER),
        Reach::AllTls => {
            let is_shared = |name: &String| SHARED_ENTRY_POINTS.contains(&name.as_str());
            if entry_points.is_empty() || entry_points.iter().any(is_shared) {
                finding(Weight::Refused, what, CATCH_ALL)
            } else {
                finding(Weight::Noted, what, OWN_ENTRY)
            }
        }
        Reach::Foreign(host) => finding(Weight::Refused, format!("{what} for {}", quoted(&host)), HOST),
        Reach::Anything => finding(Weight::Refused, what, HOST),
    }
}

fn entry_points(labels: &BTreeMap<String, String>, protocol: &str, router: &str) -> Vec<String> {
    let wanted = format!("traefik.{protocol}.routers.{router}.entrypoints");
    let value = labels.iter().find(|(key, _)| key.to_ascii_lowercase() == wanted).map(|(_, value)| value);
    let names = value.map(String::as_str).unwrap_or_default().split(',');
    names.map(|name| name.trim().to_ascii_lowercase()).filter(|name| !name.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Zone;

    fn stack() -> StackName {
        let zone = Zone::parse("ci.coop.tech").unwrap();
        StackName::parse_in("note-1a2b3c_ci_coop_tech", &zone).unwrap()
    }

    const OWN: &str = "note-1a2b3c.ci.coop.tech";

    fn judged(labels: &[(&str, &str)]) -> Vec<(Weight, String)> {
        let fill = |text: &str| text.replace("OWN", OWN).replace("STACK", stack().as_str());
        let labels = labels.iter().map(|(key, value)| (fill(key), fill(value))).collect();
        judge(&labels, &stack()).into_iter().map(|(_, finding)| (finding.weight, finding.what)).collect()
    }

    #[test]
    fn what_recipes_really_ask_of_the_proxy_is_their_own() {
        assert_eq!(
            judged(&[
                ("traefik.enable", "true"),
                ("traefik.docker.network", "proxy"),
                ("traefik.http.routers.STACK.rule", "Host(`OWN`)"),
                ("traefik.http.routers.STACK.entrypoints", "web-secure"),
                ("traefik.http.routers.STACK.tls.certresolver", ""),
                ("traefik.http.routers.STACK.middlewares", "STACK-redirect,security@file"),
                (
                    "traefik.http.routers.STACK-admin.rule",
                    "Host(`OWN`) && (PathPrefix(`/admin`) || Path(`/x`))"
                ),
                ("traefik.http.routers.STACK_api.rule", "Host(`api.OWN`, `OWN`) && !PathPrefix(`/private`)"),
                ("traefik.http.routers.STACK_api.service", "STACK-api"),
                ("traefik.http.services.STACK.loadbalancer.server.port", "80"),
                ("traefik.http.middlewares.STACK-redirect.redirectscheme.scheme", "https"),
                ("traefik.tcp.routers.STACK-ssh.rule", "HostSNI(`OWN`)"),
                ("backupbot.backup", "true"),
            ]),
            []
        );
    }

    #[test]
    fn routes_that_take_other_apps_visitors_are_refused() {
        for (key, value) in [
            ("traefik.http.routers.STACK.rule", "Host(`drone.ci.coop.tech`)"),
            ("traefik.http.routers.STACK.rule", "Host(`git.coop.tech`)"),
            ("traefik.http.routers.STACK.rule", "Host(`OWN`) || Host(`wiki-000000.ci.coop.tech`)"),
            ("traefik.http.routers.STACK.rule", "Host(`OWN`, `other.ci.coop.tech`)"),
            ("traefik.http.routers.STACK.rule", "PathPrefix(`/`)"),
            ("Traefik.HTTP.Routers.STACK.Rule", "PathPrefix(`/`)"),
            ("traefik.http.routers.STACK.rule", "!Host(`OWN`)"),
            ("traefik.http.routers.STACK.rule", "HostRegexp(`.*`)"),
            ("traefik.http.routers.STACK.rule", "Host(`OWN"),
            ("traefik.tcp.routers.STACK.rule", "HostSNI(`*`)"),
            ("traefik.http.routers.STACK.service", "api@internal"),
            ("traefik.http.routers.STACK.service", "drone_ci_coop_tech"),
            ("traefik.http.routers.STACK.service", "app@file"),
            ("traefik.http.routers.traefik.entrypoints", "web"),
            ("traefik.http.routers.traefik_ci_coop_tech.tls", "true"),
            ("traefik.http.services.wiki-000000_ci_coop_tech.loadbalancer.server.port", "80"),
            ("traefik.http.middlewares.cc-ci-dashboard.headers.sslredirect", "true"),
            ("traefik.http.services.STACK.loadbalancer.server.url", "http://drone:80"),
            ("traefik.tls.stores.default.defaultgeneratedcert.resolver", "x"),
        ] {
            let found = judged(&[(key, value)]);
            assert!(matches!(found.as_slice(), [(Weight::Refused, _)]), "{key}={value}: {found:?}");
        }
    }

    #[test]
    fn what_may_stand_in_the_way_of_another_run_is_noted() {
        for labels in [
            &[("traefik.http.routers.notes.tls", "true")][..],
            &[("traefik.http.routers.STACK.rule", "Host(`notes.example.com`)")],
            &[
                ("traefik.tcp.routers.STACK.rule", "HostSNI(`*`)"),
                ("traefik.tcp.routers.STACK.entrypoints", "mumble"),
            ],
        ] {
            let found = judged(labels);
            assert!(matches!(found.as_slice(), [(Weight::Noted, _)]), "{labels:?}: {found:?}");
        }
        // The name stands in each of a router's labels, and is told once.
        let twice = judged(&[
            ("traefik.http.routers.notes.tls", "true"),
            ("traefik.http.routers.notes.priority", "1"),
        ]);
        assert_eq!(twice.len(), 1, "{twice:?}");
        // An entry point that all share is no one's own.
        let shared = judged(&[
            ("traefik.tcp.routers.STACK.rule", "HostSNI(`*`)"),
            ("traefik.tcp.routers.STACK.entrypoints", "mumble, web-secure"),
        ]);
        assert!(matches!(shared.as_slice(), [(Weight::Refused, _)]), "{shared:?}");
    }
}
