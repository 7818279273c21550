//! Rules about services, their labels and secrets: R001, R002, R009 to R011, R015 and C014.

use crate::compose::used;
use crate::names::quoted;
use crate::serves::Serves;
use crate::version::RecipeVersion;

use super::facts::Facts;
use super::findings::{Checked, Finding};

/// Longest name of a secret (abra.md 5, R015).
const LONGEST_SECRET: usize = 12;

/// R001.
pub(super) fn states_version(facts: &Facts<'_>) -> Checked {
    let found = facts.uses.iter().filter_map(|(source, _)| match used::stated_version(source) {
        Ok(Some(stated)) if stated.value == "3.8" => None,
        Ok(Some(stated)) => {
            Some(Finding::at(&stated.at, format!("states version {}", quoted(&stated.value))))
        }
        Ok(None) => Some(Finding::in_line(&source.path, 1, "states no version")),
        // C001 says so.
        Err(_) => None,
    });
    found.collect()
}

/// R002.
pub(super) fn has_healthchecks(facts: &Facts<'_>) -> Checked {
    facts.in_each_view(|compose| {
        let without = compose.services.iter().filter_map(|(name, service)| match &service.healthcheck {
            None => Some(Finding::at(&service.at, format!("service {name} has no healthcheck"))),
            Some(check) if check.is_disabled => {
                Some(Finding::at(&check.at, format!("service {name} has its healthcheck switched off")))
            }
            Some(_) => None,
        });
        without.collect::<Vec<_>>()
    })
}

/// R009.
pub(super) fn has_app(facts: &Facts<'_>) -> Checked {
    facts.by_default(|compose| {
        let names: Vec<&str> = compose.services.keys().map(String::as_str).collect();
        let what = format!("there is no service called app; there are: {}", names.join(", "));
        (!compose.services.contains_key("app")).then(|| Finding::in_file("compose.yml", what))
    })
}

/// R010.
pub(super) fn is_proxied(facts: &Facts<'_>) -> Checked {
    if facts.sample.as_ref().is_none_or(|sample| sample.get("DOMAIN").is_none()) {
        return Checked::Skipped("the sample has no DOMAIN".to_owned());
    }
    if let Some(serves @ (Serves::Tcp | Serves::None)) = facts.serves {
        return Checked::Skipped(format!("app.serves is {}: there is no page to show", serves.word()));
    }
    facts.by_default(|compose| {
        let is_shown = compose.services.values().any(|service| {
            service.deploy_labels.get("traefik.enable").is_some_and(|label| label.value == "true")
        });
        (!is_shown).then(|| Finding::in_file("compose.yml", "no service has the label traefik.enable=true"))
    })
}

/// R011.
pub(super) fn name_images(facts: &Facts<'_>) -> Checked {
    facts.in_each_view(|compose| {
        let without = compose
            .services
            .iter()
            .filter(|(_, service)| service.image.as_ref().is_none_or(|image| image.value.is_empty()));
        without
            .map(|(name, service)| Finding::at(&service.at, format!("service {name} names no image")))
            .collect::<Vec<_>>()
    })
}

/// R015.
pub(super) fn short_secrets(facts: &Facts<'_>) -> Checked {
    facts.in_each_view(|compose| {
        let long = compose.secrets.iter().filter(|(name, _)| name.chars().count() > LONGEST_SECRET);
        long.map(|(name, secret)| {
            let count = name.chars().count();
            Finding::at(&secret.at, format!("the secret {name} has {count} characters"))
        })
        .collect::<Vec<_>>()
    })
}

/// C014.
pub(super) fn has_version_label(facts: &Facts<'_>) -> Checked {
    let label = format!("coop-cloud.{}.version", facts.stack);
    facts.by_default(|compose| {
        let app = compose.services.get("app")?;
        let Some(stated) = app.deploy_labels.get(&label) else {
            return Some(Finding::at(&app.at, "service app has no label coop-cloud.${STACK_NAME}.version"));
        };
        let what = format!("the version label says {}, which is no version", quoted(&stated.value));
        RecipeVersion::parse(&stated.value).is_none().then(|| Finding::at(&stated.at, what))
    })
}
