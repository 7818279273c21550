//! Static twins of failures seen in runs: C001, C002 and C005 to C013.

use std::collections::BTreeSet;

use crate::compose::used::Otherwise;
use crate::compose::{Compose, Service, names};
use crate::names::quoted;

use super::facts::{Facts, refused};
use super::findings::{Checked, Finding};
use super::shared_names::shared_names;

/// C001: what nobody can read, and what the deploy refuses though the files can be read.
pub(super) fn can_be_deployed(facts: &Facts<'_>) -> Checked {
    let mut found = facts.unreadable.clone();
    if let Some(compose) = facts.default() {
        // A service without image is R011's.
        let fault = compose
            .deploy_fault()
            .filter(|_| compose.services.values().all(|service| service.image.is_some()));
        found.extend(fault.iter().map(Finding::of_error));
        let configs = compose.configs.iter().map(|(key, config)| (key, &config.file, &config.at));
        let secrets = compose.secrets.iter().map(|(key, secret)| (key, &secret.file, &secret.at));
        for (key, file, at) in configs.chain(secrets) {
            // A path that leaves the recipe is the gate's.
            let path = file.as_ref().and_then(|file| compose.path_in_recipe(file));
            if let Some(path) = path.filter(|path| facts.head.text(path).is_none()) {
                found.push(Finding::at(
                    at,
                    format!("{key} names {}, which is not in the recipe", quoted(&path)),
                ));
            }
        }
    }
    Checked::Found(found)
}

/// C002.
pub(super) fn names_fit(facts: &Facts<'_>) -> Checked {
    facts.in_each_view(|compose| {
        let long = names::too_long(compose, facts.stack).into_iter().map(|long| {
            let text = long.to_string();
            Finding::at(&long.at, text.strip_prefix(&format!("{}: ", long.at)).unwrap_or(&text))
        });
        long.collect::<Vec<_>>()
    })
}

/// C005.
pub(super) fn no_shared_alias(facts: &Facts<'_>) -> Checked {
    facts.in_each_view(|compose| {
        let text = |path: &str| facts.head.text(path).map(str::to_owned);
        let found = shared_names(compose, facts.stack, &text).into_iter();
        found.map(|shared| Finding::at(&shared.at, shared.to_string())).collect::<Vec<_>>()
    })
}

/// Keys after `backupbot.` that mean something (abra.md 4.5); labels of volumes are looked at by their parts.
const BACKUP_KEYS: [&str; 6] = [
    "backupbot.backup",
    "backupbot.backup.path",
    "backupbot.backup.pre-hook",
    "backupbot.backup.post-hook",
    "backupbot.restore.pre-hook",
    "backupbot.restore.post-hook",
];

const VOLUMES: &str = "backupbot.backup.volumes.";

/// C006.
pub(super) fn backup_labels_are_known(facts: &Facts<'_>) -> Checked {
    facts.in_each_view(|compose| {
        let mut found = Vec::new();
        for service in compose.services.values() {
            for (key, label) in service.deploy_labels.iter().filter(|(key, _)| key.starts_with("backupbot")) {
                if let Some(what) = without_effect(compose, service, key) {
                    found.push(Finding::at(&label.at, format!("the label {key} has no effect: {what}")));
                }
            }
        }
        found
    })
}

fn without_effect(compose: &Compose, service: &Service, key: &str) -> Option<String> {
    if BACKUP_KEYS.contains(&key) {
        return None;
    }
    if let Some(rest) = key.strip_prefix(VOLUMES) {
        let volume = rest.strip_suffix(".path").unwrap_or(rest);
        if service.mounts.iter().any(|mount| mount.source == volume) {
            return None;
        }
        let whose =
            if compose.volumes.contains_key(volume) { "this service does not mount" } else { "there is no" };
        return Some(format!("{whose} volume {}", quoted(volume)));
    }
    // The bare switch is the start of every key, and near to none of them.
    let others = BACKUP_KEYS.into_iter().filter(|known| !key.starts_with(&format!("{known}.")));
    let nearest = others.max_by(|a, b| {
        strsim::normalized_levenshtein(a, key).total_cmp(&strsim::normalized_levenshtein(b, key))
    });
    Some(format!("no such label is known; the nearest is {}", nearest.unwrap_or_default()))
}

/// C007.
pub(super) fn dumps_have_restores(facts: &Facts<'_>) -> Checked {
    facts.in_each_view(|compose| {
        let dumping = compose.services.iter().filter_map(|(name, service)| {
            let dump = service.deploy_labels.get("backupbot.backup.pre-hook")?;
            let has_restore =
                service.deploy_labels.keys().any(|key| key.starts_with("backupbot.restore."));
            let what = format!(
                "service {name} runs a hook before its backup and none at restore: files would be put back under a running service"
            );
            (!has_restore).then(|| Finding::at(&dump.at, what))
        });
        dumping.collect::<Vec<_>>()
    })
}

/// C008.
pub(super) fn no_hidden_rollback(facts: &Facts<'_>) -> Checked {
    facts.in_each_view(|compose| {
        let hiding = compose.services.iter().filter_map(|(name, service)| {
            let update = service.update.as_ref()?;
            let hides = update.failure_action.as_deref() == Some("rollback")
                && update.order.as_deref() == Some("start-first");
            let what = format!(
                "service {name} rolls back and starts the new task beside the old: it needs memory for both, and an update that failed looks well"
            );
            hides.then(|| Finding::at(&update.at, what))
        });
        hiding.collect::<Vec<_>>()
    })
}

/// C009.
pub(super) fn no_nested_defaults(facts: &Facts<'_>) -> Checked {
    let nested = facts.uses.iter().flat_map(|(_, uses)| uses).filter(|it| it.is_nested());
    nested
        .map(|it| {
            let default = match &it.otherwise {
                Otherwise::Default(default) => default.as_str(),
                Otherwise::Nothing | Otherwise::Error => "",
            };
            let what = format!(
                "{}: where {} is not set, the app gets {} as it is written",
                it.property,
                it.name,
                quoted(default)
            );
            Finding::at(&it.at, what)
        })
        .collect()
}

/// C010.
pub(super) fn one_backup_switch(facts: &Facts<'_>) -> Checked {
    facts.in_each_view(|compose| {
        let switches: Vec<_> = compose
            .services
            .iter()
            .filter_map(|(name, service)| Some((name, service.deploy_labels.get("backupbot.backup")?)))
            .collect();
        let names: BTreeSet<&str> = switches.iter().map(|(name, _)| name.as_str()).collect();
        let names: Vec<&str> = names.into_iter().collect();
        let rest = switches.iter().skip(1).map(|(name, label)| {
            let all = names.join(", ");
            Finding::at(&label.at, format!("service {name} switches the backup on too; all that do: {all}"))
        });
        rest.collect::<Vec<_>>()
    })
}

/// C011.
pub(super) fn labels_are_on_services(facts: &Facts<'_>) -> Checked {
    facts.in_each_view(|compose| {
        let mut found = Vec::new();
        for (name, service) in &compose.services {
            let lost = service.container_labels.iter().filter(|(key, _)| {
                ["traefik.", "backupbot.", "coop-cloud."].iter().any(|prefix| key.starts_with(prefix))
            });
            found.extend(lost.map(|(key, label)| {
                let what = format!("service {name}: the label {key} lies on containers, where nobody looks");
                Finding::at(&label.at, what)
            }));
        }
        found
    })
}

/// C012.
pub(super) fn required_have_values(facts: &Facts<'_>) -> Checked {
    Checked::Found(facts.missing.clone())
}

/// C013. What every app has is the gate's own; this is about what an operator may switch on.
pub(super) fn overlays_pass_the_gate(facts: &Facts<'_>) -> Checked {
    let by_default: Vec<Finding> =
        facts.default().map(|compose| refused(compose, facts.stack)).unwrap_or_default();
    let overlays = facts.views.iter().filter(|view| view.overlay.is_some());
    overlays
        .flat_map(|view| refused(&view.compose, facts.stack))
        .filter(|finding| !by_default.contains(finding))
        .collect()
}
