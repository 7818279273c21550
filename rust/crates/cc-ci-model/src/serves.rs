//! How an app can be asked whether it serves: over HTTP, over TCP, or not at all; read from what the recipe says.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::compose::Compose;
use crate::names::ServiceName;
use crate::recipe_toml::{Look, ReadyLook, RecipeToml, SeedStep};

/// `app.serves`: what the app offers to the outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Serves {
    /// Pages or an API over HTTP.
    Http,
    /// TCP connections.
    Tcp,
    /// Nothing that could be asked: a worker, or UDP alone.
    None,
}

impl Serves {
    /// The word in recipe.toml.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Tcp => "tcp",
            Self::None => "none",
        }
    }
}

/// Where the pages of an app come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebRoute {
    /// The web-facing service.
    pub service: ServiceName,
    /// The port its task listens on, where something names it.
    pub port: Option<u16>,
    /// Whether the task itself speaks TLS, as `loadbalancer.server.scheme=https` says.
    pub is_tls: bool,
}

/// How an app is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// What it offers.
    pub serves: Serves,
    /// Why that is assumed, for the result.
    pub why: String,
    /// The web-facing service; without a page the one that commands and checks mean where they name none.
    pub web: WebRoute,
    /// TCP ports of tasks that have to take connections, where the app serves TCP.
    pub tcp: Vec<(ServiceName, u16)>,
    /// What is offered and cannot be asked, for the result.
    pub unseen: Vec<String>,
}

/// Reads how an app is asked from the recipe's compose, its labels as `docker stack deploy` sees them, and our data about it.
/// `domain` is the app's, `stack` the name of its stack.
#[must_use]
pub fn reach(own: &RecipeToml, compose: &Compose, stack: &str, domain: &str) -> Reach {
    let labels: Vec<(&str, BTreeMap<String, String>)> = std::iter::once("app")
        // `app` is the web-facing one by convention, whatever else has a route.
        .chain(compose.services.keys().map(String::as_str).filter(|name| *name != "app"))
        .map(|service| (service, compose.deploy_labels(service)))
        .collect();
    let ports = |protocol: &'static str| {
        let services = compose.services.iter();
        services.flat_map(move |(name, service)| {
            let own = service.ports.iter().filter(move |port| port.protocol == protocol);
            own.map(move |port| (name.as_str(), port.target))
        })
    };
    let web = web_route(own, &labels, stack, domain);
    let (serves, why) = match own.app.serves {
        Some(serves) => (serves, format!("app.serves is {}", serves.word())),
        None => assumed(own, &labels, ports("tcp").chain(labelled_tcp(&labels)).next().is_some()),
    };
    let named = own.app.port.map(|port| (web.service.clone(), port.get()));
    let mut tcp: Vec<(ServiceName, u16)> = match named {
        Some(named) => vec![named],
        None => {
            let parsed = ports("tcp")
                .chain(labelled_tcp(&labels))
                .filter_map(|(name, port)| Some((ServiceName::parse(name).ok()?, u16::try_from(port).ok()?)));
            parsed.collect()
        }
    };
    tcp.sort();
    tcp.dedup();
    let mut unseen: Vec<String> = ["udp", "sctp"]
        .into_iter()
        .flat_map(|protocol| {
            ports(protocol).map(move |(name, port)| format!("port {port}/{protocol} of service {name}"))
        })
        .collect();
    unseen.dedup();
    Reach { serves, why, web, tcp, unseen }
}

fn assumed(
    own: &RecipeToml,
    labels: &[(&str, BTreeMap<String, String>)],
    has_tcp_port: bool,
) -> (Serves, String) {
    let has = |start: &str| {
        let enabled = labels.iter().filter(|(_, labels)| is_enabled(labels));
        enabled.flat_map(|(_, labels)| labels.keys()).any(|key| key.starts_with(start))
    };
    let is_routed = labels.iter().any(|(_, labels)| is_enabled(labels));
    if is_routed && (has("traefik.http.") || !(has("traefik.tcp.") || has("traefik.udp."))) {
        return (Serves::Http, "its labels give it a route through the proxy".to_owned());
    }
    if asks_over_http(own).is_some() || own.app.service.is_some() || own.app.port.is_some() {
        return (Serves::Http, "recipe.toml says how its page is reached".to_owned());
    }
    if has_tcp_port {
        return (Serves::Tcp, "it publishes a port and has no HTTP route".to_owned());
    }
    (Serves::None, "it has no HTTP route and publishes no TCP port".to_owned())
}

/// What in recipe.toml wants an HTTP page of the app itself, if anything does.
#[must_use]
pub fn asks_over_http(own: &RecipeToml) -> Option<String> {
    let is_page = |look: &Look| matches!(look, Look::Http(_) | Look::Browser(_));
    let check =
        own.check.iter().find(|check| is_page(&check.look)).map(|check| format!("check {}", check.name));
    let is_http = |step: &SeedStep| matches!(step, SeedStep::Http(_));
    let seed = own.seed.iter().find(|seed| is_http(&seed.plant) || is_http(&seed.expect));
    let ready =
        own.ready.iter().find(|ready| matches!(&ready.look, ReadyLook::Http(look) if look.service.is_none()));
    check
        .or_else(|| seed.map(|seed| format!("seed {}", seed.name)))
        .or_else(|| ready.map(|ready| format!("ready {}", ready.name)))
}

/// Ports that the proxy passes on as plain TCP.
fn labelled_tcp<'a>(
    labels: &'a [(&'a str, BTreeMap<String, String>)],
) -> impl Iterator<Item = (&'a str, u32)> {
    labels.iter().filter(|(_, labels)| is_enabled(labels)).flat_map(|(service, labels)| {
        let ports = labels.iter().filter(|(key, _)| {
            key.starts_with("traefik.tcp.services.") && key.ends_with(".loadbalancer.server.port")
        });
        ports.filter_map(|(_, port)| Some((*service, port.parse().ok()?)))
    })
}

fn is_enabled(labels: &BTreeMap<String, String>) -> bool {
    labels.get("traefik.enable").is_some_and(|value| value == "true")
}

/// The service that faces the web: as recipe.toml says, else the one whose router names the app's domain, else the first with a
/// route, else `app`.
fn web_route(
    own: &RecipeToml,
    labels: &[(&str, BTreeMap<String, String>)],
    stack: &str,
    domain: &str,
) -> WebRoute {
    let routed = labels.iter().filter(|(_, labels)| is_enabled(labels));
    let named = routed.clone().filter_map(|(service, labels)| {
        let (router, rank) = router_of(labels, domain)?;
        Some((rank, *service, target_of(labels, Some(&router), stack)))
    });
    let by_router = named.min_by_key(|(rank, ..)| *rank).map(|(_, service, target)| (service, target));
    let (service, target) = by_router
        .or_else(|| routed.clone().next().map(|(service, labels)| (*service, target_of(labels, None, stack))))
        .unwrap_or(("app", (None, false)));
    let app = || ServiceName::parse("app").expect("app is a valid service name");
    let service = ServiceName::parse(service).unwrap_or_else(|_| app());
    let (port, is_tls) = match &own.app.service {
        // Labels of another service say nothing about this one.
        Some(other) if *other != service => {
            let labels = labels.iter().find(|(name, _)| *name == other.as_str());
            labels.map_or((None, false), |(_, labels)| target_of(labels, None, stack))
        }
        _ => target,
    };
    WebRoute {
        service: own.app.service.clone().unwrap_or(service),
        port: own.app.port.map(std::num::NonZeroU16::get).or(port),
        is_tls,
    }
}

/// The router of these labels that serves the app's own name, and how special it is: one for a part of the paths comes after
/// one for all of them.
fn router_of(labels: &BTreeMap<String, String>, domain: &str) -> Option<(String, (bool, usize))> {
    let rules = labels.iter().filter_map(|(key, rule)| {
        let name = key.strip_prefix("traefik.http.routers.")?.strip_suffix(".rule")?;
        let names_it = ["`", "\"", "'"].iter().any(|quote| rule.contains(&format!("{quote}{domain}{quote}")));
        names_it.then(|| (name.to_owned(), (rule.contains("Path"), rule.len())))
    });
    rules.min_by_key(|(_, rank)| *rank)
}

/// Port and TLS of the proxy's service that a router leads to: the one it names, else that of the stack's name, else the only
/// one there is.
fn target_of(labels: &BTreeMap<String, String>, router: Option<&str>, stack: &str) -> (Option<u16>, bool) {
    let value = |service: &str, what: &str| {
        labels.get(&format!("traefik.http.services.{service}.loadbalancer.server.{what}"))
    };
    let has_any = |service: &&str| value(service, "port").is_some() || value(service, "scheme").is_some();
    let named = router.and_then(|router| labels.get(&format!("traefik.http.routers.{router}.service")));
    let of_labels = || {
        labels.keys().find_map(|key| {
            let name = key.strip_prefix("traefik.http.services.")?;
            name.strip_suffix(".loadbalancer.server.port")
                .or_else(|| name.strip_suffix(".loadbalancer.server.scheme"))
        })
    };
    // `name@swarm` is the same service, with the provider it comes from.
    let named = named.map(|name| name.split('@').next().unwrap_or(name));
    let service = named.filter(has_any).or_else(|| Some(stack).filter(has_any)).or_else(of_labels);
    let Some(service) = service else { return (None, false) };
    let port = value(service, "port").and_then(|port| port.parse().ok());
    (port, value(service, "scheme").is_some_and(|scheme| scheme == "https"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::{ComposeSource, read};

    const DOMAIN: &str = "cust-c95a69.ci.test";
    const STACK: &str = "cust-c95a69_ci_test";

    fn of(services: &str, own: &str) -> Reach {
        let text = format!("version: \"3.8\"\nservices:\n{services}");
        let source = ComposeSource { path: "compose.yml".to_owned(), text };
        let compose = compose(&[source]);
        let own = RecipeToml::parse("recipe.toml", &format!("schema = 1\n{own}")).unwrap();
        reach(&own, &compose, STACK, DOMAIN)
    }

    fn compose(sources: &[ComposeSource]) -> Compose {
        read(sources, &BTreeMap::new(), &|_| None).unwrap()
    }

    fn service(name: &str, labels: &[&str]) -> String {
        let labels: String = labels.iter().map(|label| format!("        - \"{label}\"\n")).collect();
        format!("  {name}:\n    image: x\n    deploy:\n      labels:\n{labels}")
    }

    #[test]
    fn labels_of_the_proxy_make_an_app_a_web_app() {
        let labels = ["traefik.enable=true", "traefik.http.services.x.loadbalancer.server.port=8080"];
        let found = of(&service("app", &labels), "");
        assert_eq!((found.serves, found.web.port, found.web.is_tls), (Serves::Http, Some(8080), false));
        let tcp = ["traefik.enable=true", "traefik.tcp.services.x.loadbalancer.server.port=25"];
        let found = of(&service("mail", &tcp), "");
        assert_eq!(found.serves, Serves::Tcp);
        assert_eq!(found.tcp, [(ServiceName::parse("mail").unwrap(), 25)]);
    }

    #[test]
    fn an_app_without_a_route_is_asked_by_its_published_ports() {
        let ports = "  voice:\n    image: x\n    ports: [\"64738:64738\", \"64738:64738/udp\"]\n";
        let found = of(ports, "");
        assert_eq!(found.serves, Serves::Tcp);
        assert_eq!(found.tcp, [(ServiceName::parse("voice").unwrap(), 64738)]);
        assert_eq!(found.unseen, ["port 64738/udp of service voice"]);
    }

    #[test]
    fn a_worker_and_an_app_of_udp_alone_serve_nothing_that_could_be_asked() {
        let worker = of("  app:\n    image: x\n", "");
        assert_eq!((worker.serves, worker.unseen.len()), (Serves::None, 0));
        let udp = of("  app:\n    image: x\n    ports: [\"53:53/udp\"]\n", "");
        assert_eq!(udp.serves, Serves::None);
        assert_eq!(udp.unseen, ["port 53/udp of service app"]);
    }

    #[test]
    fn recipe_toml_has_the_last_word() {
        let routed = service("app", &["traefik.enable=true"]);
        assert_eq!(of(&routed, "[app]\nserves = \"none\"").serves, Serves::None);
        let found = of(&routed, "[app]\nserves = \"tcp\"\nport = 25");
        assert_eq!(found.tcp, [(ServiceName::parse("app").unwrap(), 25)]);
        assert_eq!(of("  app:\n    image: x\n", "[app]\nport = 8080").serves, Serves::Http);
        let check = "[[check]]\ntier = \"custom\"\nname = \"page\"\nhttp = {}";
        assert_eq!(of("  app:\n    image: x\n", check).serves, Serves::Http);
    }

    #[test]
    fn of_several_routers_the_one_of_the_apps_own_name_leads_to_the_port() {
        let own = format!("traefik.http.routers.site.rule=Host(`{DOMAIN}`)");
        let part = format!("traefik.http.routers.api.rule=Host(`{DOMAIN}`) && PathPrefix(`/api`)");
        let labels = [
            "traefik.enable=true",
            "traefik.http.routers.admin.rule=Host(`admin.other.example`)",
            "traefik.http.routers.admin.service=admin",
            own.as_str(),
            "traefik.http.routers.site.service=front@swarm",
            part.as_str(),
            "traefik.http.routers.api.service=api",
            "traefik.http.services.admin.loadbalancer.server.port=9000",
            "traefik.http.services.api.loadbalancer.server.port=9001",
            "traefik.http.services.front.loadbalancer.server.port=8443",
            "traefik.http.services.front.loadbalancer.server.scheme=https",
        ];
        let found = of(&service("app", &labels), "");
        assert_eq!((found.web.port, found.web.is_tls), (Some(8443), true));
    }

    #[test]
    fn the_web_facing_service_is_the_one_whose_router_names_the_domain() {
        let other = ["traefik.enable=true", "traefik.http.routers.a.rule=Host(`other.example`)"];
        let rule = format!("traefik.http.routers.b.rule=Host(`{DOMAIN}`)");
        let web =
            ["traefik.enable=true", rule.as_str(), "traefik.http.services.b.loadbalancer.server.port=80"];
        let found = of(&format!("{}{}", service("app", &other), service("web", &web)), "");
        assert_eq!((found.web.service.as_str(), found.web.port), ("web", Some(80)));
        let found =
            of(&format!("{}{}", service("app", &other), service("web", &web)), "[app]\nservice = \"app\"");
        assert_eq!((found.web.service.as_str(), found.web.port), ("app", None));
    }
}
