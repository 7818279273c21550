//! Rules that compare the commit under test with the release before it: C003 and C004.

use std::collections::{BTreeMap, BTreeSet};

use crate::abra_sh;
use crate::compose::Compose;
use crate::compose::used::{self, Otherwise};
use crate::config_drift::config_drift;
use crate::env_file::EnvFile;
use crate::names::StackName;

use super::facts::{Facts, default_files, environment, read, unread};
use super::findings::{Checked, Finding};
use super::recipe_files::RecipeFiles;

fn no_base() -> Checked {
    Checked::Skipped("there is no release before it to compare with".to_owned())
}

/// C003. A secret's version is no such variable: a new secret is asked for by the release note.
pub(super) fn new_keys_have_defaults(facts: &Facts<'_>) -> Checked {
    let Some(base) = facts.base else { return no_base() };
    let mut known: BTreeSet<String> = facts.exports.keys().cloned().collect();
    known.insert("STACK_NAME".to_owned());
    known.extend(EnvFile::parse(base.text(".env.sample").unwrap_or_default()).values().into_keys());
    known.extend(abra_sh::exports(base.text("abra.sh").unwrap_or_default()).into_keys());
    for source in base.compose_files().filter_map(|path| base.source(path)) {
        // What already did without a value or a default there works; a base that cannot be read uses nothing.
        let uses = used::variables(&source).unwrap_or_default().into_iter();
        known.extend(uses.filter(|it| !matches!(it.otherwise, Otherwise::Default(_))).map(|it| it.name));
    }
    let uses = facts.uses.iter().flat_map(|(_, uses)| uses);
    let new = uses.filter(|it| {
        let is_secret = it.name.starts_with("SECRET_") && it.name.ends_with("_VERSION");
        !is_secret && !known.contains(&it.name) && !matches!(it.otherwise, Otherwise::Default(_))
    });
    new.map(|it| {
        let what = format!("{} has no default, and apps that exist do not set it", it.name);
        Finding::at(&it.at, what)
    })
    .collect()
}

/// C004.
pub(super) fn changed_configs_are_raised(facts: &Facts<'_>) -> Checked {
    let Some(base) = facts.base else { return no_base() };
    let Some(head) = facts.default() else { return unread() };
    let env = environment(base, facts.stack, false);
    let sample = base.text(".env.sample").map(EnvFile::parse);
    let Ok(before) = read(base, &default_files(sample.as_ref()), env, &mut Vec::new()) else {
        return Checked::Skipped("the release before it cannot be read".to_owned());
    };
    let drift = config_drift(&configs(base, &before, facts.stack), &configs(facts.head, head, facts.stack));
    let found = drift.into_iter().map(|drift| match head.configs.get(&drift.key) {
        Some(config) => Finding::at(&config.at, drift.to_string()),
        None => Finding::nowhere(drift.to_string()),
    });
    found.collect()
}

/// Key and content of each config, by its full name.
fn configs(files: &RecipeFiles, compose: &Compose, stack: &StackName) -> BTreeMap<String, (String, Vec<u8>)> {
    let configs = compose.configs.iter().filter_map(|(key, config)| {
        let path = compose.path_in_recipe(config.file.as_deref()?)?;
        let name = config.name.clone().unwrap_or_else(|| format!("{}{key}", stack.prefix()));
        Some((name, (key.clone(), files.text(&path)?.as_bytes().to_vec())))
    });
    configs.collect()
}
