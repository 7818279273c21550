//! Lines about the zone: whose it is, whether its names lead somewhere, how long its certificate lasts.

use std::net::SocketAddr;

use cc_ci_harness::http::{AskError, Client, Scheme};
use cc_ci_model::doctor::{self, Line};
use cc_ci_model::settings::ViaChoice;
use cc_ci_swarm::certificate;
use cc_ci_swarm::docker::Docker;
use cc_ci_swarm::zone;

use super::{Host, no_engine, within};

pub(super) async fn examine(host: &Host<'_>, docker: Option<&Docker>) -> Vec<Line> {
    let owner = match docker {
        Some(docker) => owner(host, docker).await,
        None => no_engine("zone"),
    };
    let mut lines = vec![owner];
    let zone = host.settings.zone.as_str();
    // RFC 6761: these names are for the machine itself, or for tests; no name service knows them.
    let is_local = [".localhost", ".test"].iter().any(|end| zone.ends_with(end));
    // Some name below the zone, as a run's is: the record behind it is a wildcard.
    let name = format!("doctor.{zone}");
    lines.push(if is_local {
        Line::skipped("DNS of the zone", format!("no name service is asked for {zone}"))
    } else {
        names(&name).await
    });
    lines.push(match (host.settings.via, is_local && host.settings.proxy.ca.is_none()) {
        (ViaChoice::Direct, _) => {
            Line::skipped("certificate of the zone", "apps are reached directly (via = \"direct\")")
        }
        (_, true) => Line::skipped("certificate of the zone", format!("nobody certifies {zone}")),
        (ViaChoice::Auto | ViaChoice::Proxy, false) => certificate_of(host, &name).await,
    });
    lines
}

async fn owner(host: &Host<'_>, docker: &Docker) -> Line {
    let (checked, zone, state) = ("zone", &host.settings.zone, &host.paths.state);
    match within("asking whose the zone is", zone::look(docker, zone, state)).await {
        Ok(Ok(Some(id))) => Line::ok(checked, format!("{zone}, host id {id}")),
        Ok(Ok(None)) => Line::ok(checked, format!("{zone}; the first run makes this state folder its owner")),
        Ok(Err(error)) => {
            let text = error.to_string();
            let (found, todo) = text.split_once(": ").unwrap_or((&text, "look at the state folder"));
            Line::bad(checked, found, todo)
        }
        Err(why) => Line::bad(checked, why, "look at Docker's log"),
    }
}

async fn names(name: &str) -> Line {
    let (checked, todo) = ("DNS of the zone", "a wildcard record *.<zone> that leads to this host");
    match within("asking the name service", tokio::net::lookup_host((name, 443))).await {
        Ok(Ok(found)) => {
            let found: Vec<String> = found.map(|address: SocketAddr| address.ip().to_string()).collect();
            Line::ok(checked, format!("{name} leads to {}", found.join(", ")))
        }
        Ok(Err(error)) => Line::warn(checked, format!("{name}: {error}"), todo),
        Err(why) => Line::warn(checked, why, todo),
    }
}

async fn certificate_of(host: &Host<'_>, name: &str) -> Line {
    let checked = "certificate of the zone";
    let proxy = &host.settings.proxy;
    let todo = "start the proxy or set proxy.address; without one apps are reached directly";
    let until = match within("asking the proxy", certificate::valid_until(name, proxy.address)).await {
        Ok(Ok(until)) => until,
        Ok(Err(error)) => return unanswered(host, error.to_string(), todo),
        Err(why) => return unanswered(host, why, todo),
    };
    let line = doctor::certificate(certificate::days_left(until, jiff::Timestamp::now()));
    if line.sign == doctor::Sign::Bad {
        return line;
    }
    let ca = match proxy.ca.as_ref().map(std::fs::read).transpose() {
        Ok(ca) => ca,
        Err(error) => return Line::bad(checked, format!("reading proxy.ca: {error}"), "mend proxy.ca"),
    };
    let asked = async { Client::new(name, proxy.address, &Scheme::Https { ca })?.get("/").await };
    match within("asking the proxy", asked).await {
        Ok(Err(AskError::Certificate { cause, .. })) => Line::bad(
            checked,
            format!("not accepted for {name}: {cause}"),
            "a certificate for *.<zone>, or its authority in proxy.ca",
        ),
        // What it answers is the runs' business.
        Ok(_) | Err(_) => line,
    }
}

/// A proxy that does not answer matters only where the settings insist on it.
fn unanswered(host: &Host<'_>, why: String, todo: &str) -> Line {
    let checked = "certificate of the zone";
    match host.settings.via {
        ViaChoice::Proxy => Line::bad(checked, why, todo),
        ViaChoice::Auto | ViaChoice::Direct => Line::warn(checked, why, todo),
    }
}
