//! Guesses that take effect: how the app answers, how long it may take, what it needs, what makes no sense for it.

use crate::compose::{Compose, Service};
use crate::names::{ServiceName, quoted};
use crate::recipe_toml::UrlPath;

use super::page::{Page, text};
use super::{Seen, shown};

/// `[app]`.
pub(super) fn app(seen: &Seen<'_>, page: &mut Page) {
    page.blank();
    page.line("[app]");
    let Some(compose) = &seen.compose else { return };
    let (name, is_labelled) = web_service(compose);
    let Some(service) = compose.services.get(name) else { return };
    health(service, page);
    if is_labelled {
        page.says(&format!("The web-facing service is {}: it has traefik.enable=true.", quoted(name)));
    } else if name == "app" {
        page.says("The web-facing service is \"app\", by its name; no service has traefik.enable=true.");
    } else if ServiceName::parse(name).is_ok() {
        page.says("No service is called app and none has traefik.enable=true; this is the first one:");
        page.line(&format!("service = {}", text(name)));
    }
    port(seen, service, page);
    if let Some(seconds) = timeout(seen, compose) {
        page.says("The label coop-cloud.<stack>.timeout gives the deploy so many seconds:");
        page.line(&format!("timeouts = {{ deploy = \"{seconds}s\" }}"));
    }
    if let Some(mebibytes) = memory(compose) {
        page.says(
            "Memory limits of all tasks (where there is none, reservations), added up from deploy.resources:",
        );
        page.line(&format!("memory = \"{mebibytes}MiB\""));
    }
    if !seen.missing.is_empty() {
        page.blank();
        page.line("[app.env]");
        for (name, words) in &seen.missing {
            let why = if words.is_empty() { String::new() } else { format!(" ({})", shown(words)) };
            page.says(&format!("The compose file demands {name}{why}, and .env.sample gives it no value:"));
            page.line(&format!("{name} = \"example\""));
        }
    }
}

/// The service that faces the web, as a run finds it, and whether the proxy's label says so.
pub(super) fn web_service(compose: &Compose) -> (&str, bool) {
    let names = || std::iter::once("app").chain(compose.services.keys().map(String::as_str));
    let is_shown = |name: &&str| {
        let service = compose.services.get(*name);
        service.is_some_and(|service| label(service, "traefik.enable").is_some_and(|value| value == "true"))
    };
    match names().find(is_shown) {
        Some(name) => (name, true),
        None => (names().find(|name| compose.services.contains_key(*name)).unwrap_or("app"), false),
    }
}

fn label<'a>(service: &'a Service, key: &str) -> Option<&'a str> {
    service.deploy_labels.get(key).map(|label| label.value.as_str())
}

/// A label whose key begins and ends like this.
fn label_between<'a>(service: &'a Service, start: &str, end: &str) -> Option<&'a str> {
    let mut labels = service.deploy_labels.iter();
    labels
        .find(|(key, _)| key.starts_with(start) && key.ends_with(end))
        .map(|(_, label)| label.value.as_str())
}

fn health(service: &Service, page: &mut Page) {
    let by_proxy = label_between(service, "traefik.http.services.", ".loadbalancer.healthcheck.path")
        .and_then(plain_path);
    let by_container = || asked(service).and_then(|(_, path)| path);
    let (path, whose) = match (by_proxy, by_container()) {
        (Some(path), _) => (path, "the proxy asks there (label …loadbalancer.healthcheck.path)"),
        (None, Some(path)) => (path, "the container's own health check asks there"),
        (None, None) => {
            page.says(
                "Health is asked at /, the default: neither a health check nor a label names another path.",
            );
            return;
        }
    };
    if path == UrlPath::root() {
        page.says(&format!("Health is asked at /, the default: {whose} too."));
        return;
    }
    page.says(&format!("Where the app says that it is healthy: {whose}."));
    page.line(&format!("health = {{ path = {} }}", text(path.as_str())));
}

/// A path without anything that a shell or the CLI would still replace.
fn plain_path(words: &str) -> Option<UrlPath> {
    UrlPath::parse(words).ok().filter(|path| !path.as_str().contains(['$', '{', '`', '\\', '\'', '"']))
}

/// Port and path of the first address that the service's health check asks, as far as they are plain.
fn asked(service: &Service) -> Option<(Option<u16>, Option<UrlPath>)> {
    let check = service.healthcheck.as_ref().filter(|check| !check.is_disabled)?;
    check.test.iter().find_map(|words| {
        let start =
            ["http://", "https://"].iter().find_map(|scheme| Some(words.find(scheme)? + scheme.len()))?;
        let end = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '|' | ';' | '&' | ')' | '>' | '<');
        let address = words[start..].split(end).next().unwrap_or_default();
        let (host, path) = address.find('/').map_or((address, "/"), |at| address.split_at(at));
        let port = host.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        Some((port, plain_path(path.split('#').next().unwrap_or_default())))
    })
}

fn port(seen: &Seen<'_>, service: &Service, page: &mut Page) {
    let own = format!("traefik.http.services.{}", seen.stack);
    let end = ".loadbalancer.server.port";
    let labelled =
        label_between(service, &own, end).or_else(|| label_between(service, "traefik.http.services.", end));
    if let Some(port) = labelled.and_then(|port| port.parse::<u16>().ok()).filter(|port| *port > 0) {
        page.says(&format!(
            "Its port is {port}, by the label …loadbalancer.server.port; a key would replace that."
        ));
        return;
    }
    let published = || service.ports.iter().find(|port| port.protocol == "tcp").map(|port| port.target);
    let guess = match asked(service).and_then(|(port, _)| port).map(u32::from) {
        Some(port) => Some((port, "its health check asks there")),
        None => published().map(|port| (port, "it publishes that")),
    };
    match guess.and_then(|(port, why)| Some((u16::try_from(port).ok().filter(|port| *port > 0)?, why))) {
        Some((port, why)) => {
            page.says(&format!("No proxy label names its port; {why}:"));
            page.line(&format!("port = {port}"));
        }
        None => page.says("Nothing names its port. If it is not the one that its image exposes: port = 8080"),
    }
}

/// The deploy's time limit in seconds; longer than a day is no limit.
fn timeout(seen: &Seen<'_>, compose: &Compose) -> Option<u32> {
    let key = format!("coop-cloud.{}.timeout", seen.stack);
    let value = compose.services.values().find_map(|service| label(service, &key))?;
    value.trim().parse::<u32>().ok().filter(|seconds| (1..=86_400).contains(seconds))
}

/// What all tasks together may take, in whole MiB; none where no service says anything.
fn memory(compose: &Compose) -> Option<u64> {
    let of = |service: &Service| {
        let one = service.limits.memory.as_ref().or(service.reservations.memory.as_ref())?.value;
        let replicas = service.replicas.as_ref().map_or(1, |replicas| replicas.value);
        Some(one.saturating_mul(replicas))
    };
    let bytes = compose.services.values().filter_map(of).fold(0_u64, u64::saturating_add);
    // More than this is a slip of the pen, and no host would ever have room.
    (bytes > 0 && bytes < 1 << 50).then(|| bytes.div_ceil(1 << 20))
}

/// Whether backup and restore make sense.
pub(super) fn backups(seen: &Seen<'_>, page: &mut Page) {
    let Some(compose) = &seen.compose else { return };
    page.blank();
    let on = compose.services.iter().find(|(_, service)| label(service, "backupbot.backup") == Some("true"));
    let said = seen.readme("Backups");
    let is_no = |words: &str| {
        let word = words.split(|c: char| !c.is_ascii_alphanumeric() && c != '/').next().unwrap_or_default();
        ["no", "none", "n/a", "0"].contains(&word.to_ascii_lowercase().as_str())
    };
    match (on, said) {
        (Some((name, _)), _) => {
            page.says(&format!(
                "Backup and restore are tested: service {} has backupbot.backup=true.",
                quoted(name)
            ));
        }
        (None, Some(words)) if is_no(words) => {
            page.says(&format!(
                "No service has backupbot.backup=true, and the README says Backups: {}.",
                shown(words)
            ));
            page.line("[not_applicable]");
            page.line("backup = \"the README says that there are no backups\"");
            page.line("restore = \"the README says that there are no backups\"");
        }
        (None, Some(words)) => {
            page.says(&format!(
                "The README says Backups: {}, but no service has backupbot.backup=true: nothing can be tested.",
                shown(words)
            ));
        }
        (None, None) => {
            page.says("No service has backupbot.backup=true, so backup and restore do not apply.")
        }
    }
}

/// Recipes beside this one: only hints, since a wrong guess would be deployed.
pub(super) fn neighbours(seen: &Seen<'_>, page: &mut Page) {
    let says_no = |words: &str| {
        let lower = words.to_ascii_lowercase();
        lower.starts_with("no")
            || lower.starts_with("n/a")
            || lower.starts_with('?')
            || lower.starts_with('0')
    };
    if let Some(words) = seen.readme("SSO").filter(|words| !says_no(words)) {
        page.blank();
        page.says(&format!("The README says SSO: {}. If the app cannot start without it:", shown(words)));
        page.example("[[needs]]");
        page.example("recipe = \"keycloak\"");
    }
}
