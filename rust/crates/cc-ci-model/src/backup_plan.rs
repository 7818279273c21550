//! What the backup labels of a stack ask for: who takes part, which volumes and paths, which hooks (abra.md 4.5, 7.1).

use std::collections::{BTreeMap, BTreeSet};

use crate::compose::{Compose, MountKind, rules};
use crate::names::StackName;

mod dump;
mod snapshot;

pub use dump::{DumpEnd, judge_dump};
pub use snapshot::{Archived, ExpectedMarker, Fault, NodeKind, faults};

/// The switch.
const SWITCH: &str = "backupbot.backup";
/// Begins all keys about one volume.
const VOLUMES: &str = "backupbot.backup.volumes.";
/// The older way to name paths. The bot takes the whole volume in spite of it, so it has no effect here either.
const OLD_PATH: &str = "backupbot.backup.path";
/// Keys with an effect; `<volume>` stands for a volume's name without the stack's.
pub const KNOWN_KEYS: [&str; 7] = [
    SWITCH,
    "backupbot.backup.pre-hook",
    "backupbot.backup.post-hook",
    "backupbot.backup.volumes.<volume>",
    "backupbot.backup.volumes.<volume>.path",
    "backupbot.restore.pre-hook",
    "backupbot.restore.post-hook",
];

/// Where the bot, and so every snapshot, sees a volume's content.
#[must_use]
pub fn folder_of(volume: &str) -> String {
    format!("/var/lib/docker/volumes/{volume}/_data")
}

/// What is known of one service: its labels and the named volumes it mounts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServiceFacts {
    /// Labels of the service, not of its containers.
    pub labels: BTreeMap<String, String>,
    /// The named volumes it mounts.
    pub volumes: Vec<MountedVolume>,
}

/// A named volume that a service mounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountedVolume {
    /// As labels name it: without the stack's name.
    pub key: String,
    /// Its whole name on the engine.
    pub name: String,
    /// Whether it belongs to the stack and lies on this machine.
    pub is_own: bool,
    /// Whether it lies in memory, and is empty again once nobody mounts it.
    pub is_in_memory: bool,
}

/// What of a volume is archived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// All of it.
    Whole,
    /// These paths, from its top.
    Paths(Vec<String>),
}

/// One volume that is archived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackedUp {
    /// What of it.
    pub selection: Selection,
    /// Whether a service that mounts it has a hook before the backup: what lies there may be a dump.
    pub is_dumped: bool,
}

/// The hooks of one service, each a line for `sh -c` in its running container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hooks {
    /// Before files are archived.
    pub before_backup: Option<String>,
    /// After they were.
    pub after_backup: Option<String>,
    /// Before files are put back.
    pub before_restore: Option<String>,
    /// After they were.
    pub after_restore: Option<String>,
}

/// What a backup of a stack does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BackupPlan {
    /// Volumes by their whole names.
    pub volumes: BTreeMap<String, BackedUp>,
    /// Hooks by service, without the stack's name; services without any are not there.
    pub hooks: BTreeMap<String, Hooks>,
    /// Volumes that are mounted and not archived, each with the reason.
    pub left_out: Vec<(String, String)>,
    /// Labels that cannot be obeyed: sentences. A plan with one is the recipe's fault.
    pub faults: Vec<String>,
    /// Labels without effect and the like: sentences for a person.
    pub warnings: Vec<String>,
}

/// Reads the labels of a stack's services; `None` where no service has the switch on, so that backup and restore have
/// no meaning.
#[must_use]
pub fn backup_plan(services: &BTreeMap<String, ServiceFacts>) -> Option<BackupPlan> {
    let on = |facts: &ServiceFacts| facts.labels.get(SWITCH).is_some_and(|value| value == "true");
    if !services.values().any(on) {
        return None;
    }
    let mut plan = BackupPlan::default();
    let switches: Vec<&str> =
        services.iter().filter(|(_, facts)| on(facts)).map(|(name, _)| name.as_str()).collect();
    if switches.len() > 1 {
        let named = switches.join(", ");
        plan.warnings.push(format!("{SWITCH} is on at {named}: one service is enough, it holds for all"));
    }
    let mut wishes: BTreeMap<&str, Wish> = BTreeMap::new();
    for (service, facts) in services {
        for (key, value) in facts.labels.iter().filter(|(key, _)| key.starts_with("backupbot.")) {
            if let Err(warning) = read_label(key, value, &mut wishes) {
                plan.warnings.push(format!("service {service}: {warning}"));
            }
        }
        let hook = |key: &str| facts.labels.get(key).filter(|line| !line.trim().is_empty()).cloned();
        let hooks = Hooks {
            before_backup: hook("backupbot.backup.pre-hook"),
            after_backup: hook("backupbot.backup.post-hook"),
            before_restore: hook("backupbot.restore.pre-hook"),
            after_restore: hook("backupbot.restore.post-hook"),
        };
        if hooks != Hooks::default() {
            plan.hooks.insert(service.clone(), hooks);
        }
    }
    plan.take_volumes(services, &wishes);
    let known: BTreeSet<&str> =
        services.values().flat_map(|facts| &facts.volumes).map(|volume| volume.key.as_str()).collect();
    for key in wishes.keys().filter(|key| !known.contains(*key)) {
        plan.warnings
            .push(format!("labels name a volume {key}, which no service mounts: they have no effect"));
    }
    let lacking = plan.without_restore_hook().map(|service| {
        format!(
            "service {service} has a hook before the backup and none for the restore: its files return, and what it dumped does not"
        )
    });
    let lacking: Vec<String> = lacking.collect();
    plan.warnings.extend(lacking);
    Some(plan)
}

/// What labels say of one volume.
#[derive(Debug, Default)]
struct Wish {
    is_left_out: bool,
    paths: Option<Result<Vec<String>, String>>,
}

fn read_label<'a>(key: &'a str, value: &str, wishes: &mut BTreeMap<&'a str, Wish>) -> Result<(), String> {
    if KNOWN_KEYS.contains(&key) {
        return Ok(());
    }
    if key == OLD_PATH {
        return Err(format!(
            "label {key} has no effect, the volumes are archived whole; name paths with backupbot.backup.volumes.<volume>.path"
        ));
    }
    if let Some(rest) = key.strip_prefix(VOLUMES).filter(|rest| !rest.is_empty()) {
        match rest.strip_suffix(".path") {
            Some(volume) => {
                wishes.entry(volume).or_default().paths =
                    Some(paths(value).map_err(|what| format!("label {key}: {what}")));
                return Ok(());
            }
            // Volume names may hold points, so a rest with one may still be a name.
            None if value == "true" || value == "false" => {
                wishes.entry(rest).or_default().is_left_out |= value == "false";
                return Ok(());
            }
            None => {}
        }
    }
    Err(format!("label {key} has no effect; did you mean {}?", nearest(key)))
}

/// The known key that shares the longest beginning.
fn nearest(key: &str) -> &'static str {
    let shared =
        |known: &&&str| known.bytes().zip(key.bytes()).take_while(|(left, right)| left == right).count();
    // Of equals the shortest, which comes first.
    KNOWN_KEYS.iter().rev().max_by_key(shared).copied().unwrap_or(SWITCH)
}

fn paths(value: &str) -> Result<Vec<String>, String> {
    let paths: Vec<String> = value
        .split(',')
        .map(|path| path.trim().trim_start_matches("./").trim_end_matches('/').to_owned())
        .filter(|path| !path.is_empty())
        .collect();
    if paths.is_empty() {
        return Err("names no path, so nothing would be archived".to_owned());
    }
    for path in &paths {
        if path.starts_with('/') || path.split('/').any(|part| part == "..") {
            return Err(format!("{path:?} is no path inside the volume; write it from the volume's top"));
        }
    }
    Ok(paths)
}

impl BackupPlan {
    fn take_volumes(&mut self, services: &BTreeMap<String, ServiceFacts>, wishes: &BTreeMap<&str, Wish>) {
        for (service, facts) in services {
            let is_dumped = self.hooks.get(service).is_some_and(|hooks| hooks.before_backup.is_some());
            for MountedVolume { key, name, is_own, is_in_memory } in &facts.volumes {
                let wish = wishes.get(key.as_str());
                let left_out = match wish {
                    Some(wish) if wish.is_left_out => Some("left out by its label"),
                    _ if !is_own => Some("not a volume of this stack on this machine"),
                    _ if *is_in_memory => Some("in memory, and nothing in it lasts"),
                    _ => None,
                };
                if let Some(reason) = left_out {
                    let entry = (name.clone(), reason.to_owned());
                    if !self.left_out.contains(&entry) {
                        self.left_out.push(entry);
                    }
                    continue;
                }
                let selection = match wish.and_then(|wish| wish.paths.as_ref()) {
                    None => Selection::Whole,
                    Some(Ok(paths)) => Selection::Paths(paths.clone()),
                    Some(Err(fault)) => {
                        if !self.faults.contains(fault) {
                            self.faults.push(fault.clone());
                        }
                        continue;
                    }
                };
                let entry = self.volumes.entry(name.clone());
                entry.or_insert(BackedUp { selection, is_dumped: false }).is_dumped |= is_dumped;
            }
        }
        if self.volumes.is_empty() && self.faults.is_empty() {
            let why = match self.left_out.as_slice() {
                [] => "no service mounts a named volume".to_owned(),
                left_out => left_out
                    .iter()
                    .map(|(volume, reason)| format!("{volume} is {reason}"))
                    .collect::<Vec<_>>()
                    .join(", "),
            };
            self.faults
                .push(format!("the stack takes part in backups, and nothing would be archived: {why}"));
        }
    }

    /// Services that have a hook before the backup and none for the restore.
    pub fn without_restore_hook(&self) -> impl Iterator<Item = &str> {
        let lacks = |hooks: &Hooks| {
            hooks.before_backup.is_some() && hooks.before_restore.is_none() && hooks.after_restore.is_none()
        };
        self.hooks.iter().filter(move |(_, hooks)| lacks(hooks)).map(|(service, _)| service.as_str())
    }

    /// The paths that a snapshot is made of.
    #[must_use]
    pub fn archived_paths(&self) -> Vec<String> {
        let of = |(volume, backed_up): (&String, &BackedUp)| -> Vec<String> {
            let folder = folder_of(volume);
            match &backed_up.selection {
                Selection::Whole => vec![folder],
                Selection::Paths(paths) => paths.iter().map(|path| format!("{folder}/{path}")).collect(),
            }
        };
        self.volumes.iter().flat_map(of).collect()
    }

    /// Volumes that are archived whole and that no hook dumps into, so that a foreign file in them is kept by backup and
    /// restore, and harms nobody. Elsewhere a file of ours would be wrong, or would prove nothing.
    #[must_use]
    pub fn whole_volumes(&self) -> Vec<String> {
        let is_whole = |backed_up: &BackedUp| backed_up.selection == Selection::Whole && !backed_up.is_dumped;
        self.volumes.iter().filter(|(_, one)| is_whole(one)).map(|(name, _)| name.clone()).collect()
    }
}

/// [`BackupPlan::whole_volumes`] of a compose file; none where the stack takes no part in backups.
#[must_use]
pub fn whole_volumes(compose: &Compose, stack: &StackName) -> Vec<String> {
    backup_plan(&facts_of(compose, stack)).map(|plan| plan.whole_volumes()).unwrap_or_default()
}

/// The stack's own volumes in which data lasts, by their whole names: what an upgrade has to leave as it is.
#[must_use]
pub fn lasting_volumes(compose: &Compose, stack: &StackName) -> Vec<String> {
    let facts = facts_of(compose, stack);
    let lasting = facts
        .values()
        .flat_map(|facts| &facts.volumes)
        .filter(|volume| volume.is_own && !volume.is_in_memory)
        .map(|volume| volume.name.clone());
    lasting.collect::<BTreeSet<String>>().into_iter().collect()
}

/// What a compose file says about each of its services.
#[must_use]
pub fn facts_of(compose: &Compose, stack: &StackName) -> BTreeMap<String, ServiceFacts> {
    let prefix = stack.prefix();
    let volume = |key: &str| {
        let declared = compose.volumes.get(key)?;
        let name = declared.name.clone().unwrap_or_else(|| format!("{prefix}{key}"));
        let is_local = declared.driver.as_deref().is_none_or(|driver| driver == "local");
        let is_own = !declared.external && is_local;
        let is_in_memory = rules::is_in_memory(declared.driver.as_deref(), &declared.driver_opts);
        Some(MountedVolume { key: key_of(&name, &prefix), name, is_own, is_in_memory })
    };
    let services = compose.services.iter().map(|(name, service)| {
        let mounts = service.mounts.iter().filter(|mount| mount.kind == MountKind::Volume);
        let volumes = mounts.filter_map(|mount| volume(&mount.source)).collect();
        (name.clone(), ServiceFacts { labels: compose.deploy_labels(name), volumes })
    });
    services.collect()
}

/// How labels name a volume: without the stack's name and the line behind it.
#[must_use]
pub fn key_of(volume: &str, prefix: &str) -> String {
    volume.strip_prefix(prefix).unwrap_or(volume).to_owned()
}

#[cfg(test)]
mod tests;
