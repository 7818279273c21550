//! Docker's limits on names: which objects of a compose file would get a name that is too long for a stack.

use std::fmt;

use crate::names::StackName;

use super::error::Position;
use super::reading::Compose;

/// What has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// At most 63 bytes.
    Service,
    /// At most 63 bytes.
    Network,
    /// At most 64 bytes.
    Secret,
    /// At most 64 bytes.
    Config,
}

impl Named {
    /// Longest name in bytes; the engine answers 400 beyond it (seen with engine 20.10).
    pub const fn limit(self) -> usize {
        match self {
            Named::Service | Named::Network => 63,
            Named::Secret | Named::Config => 64,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Named::Service => "service",
            Named::Network => "network",
            Named::Secret => "secret",
            Named::Config => "config",
        }
    }
}

/// A name the engine would refuse in the middle of a deploy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooLong {
    /// Where the object is declared.
    pub at: Position,
    /// What it is.
    pub kind: Named,
    /// Its full name.
    pub name: String,
}

impl fmt::Display for TooLong {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TooLong { at, kind, name } = self;
        let (word, limit, over) = (kind.word(), kind.limit(), name.len().saturating_sub(kind.limit()));
        write!(
            formatter,
            "{at}: the {word} {name:?} has {} characters, Docker allows {limit}; make its name {over} shorter",
            name.len()
        )
    }
}

/// The full name of every service, network, secret and config in a stack.
pub fn all(compose: &Compose, stack: &StackName) -> Vec<(Position, Named, String)> {
    let own = |key: &str, name: Option<&String>| match name {
        Some(name) => name.clone(),
        None => format!("{}{key}", stack.prefix()),
    };
    let services = compose.services.iter().map(|(key, it)| (it.at.clone(), Named::Service, own(key, None)));
    let networks =
        compose.networks.iter().map(|(key, it)| (it.at.clone(), Named::Network, own(key, it.name.as_ref())));
    let secrets =
        compose.secrets.iter().map(|(key, it)| (it.at.clone(), Named::Secret, own(key, it.name.as_ref())));
    let configs =
        compose.configs.iter().map(|(key, it)| (it.at.clone(), Named::Config, own(key, it.name.as_ref())));
    // A service without networks joins one that no file declares.
    let bare = compose.services.values().find(|service| service.networks.is_empty());
    let default = bare.map(|service| (service.at.clone(), Named::Network, own("default", None)));
    services.chain(networks).chain(default).chain(secrets).chain(configs).collect()
}

/// The names that are too long, which is the recipe's fault where its own part is long, and known before the deploy.
pub fn too_long(compose: &Compose, stack: &StackName) -> Vec<TooLong> {
    let names = all(compose, stack).into_iter().filter(|(_, kind, name)| name.len() > kind.limit());
    names.map(|(at, kind, name)| TooLong { at, kind, name }).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::{ComposeSource, read};
    use super::*;
    use crate::names::{CommitSha, PrNumber, Recipe, RunDomain, Zone};

    fn compose(texts: &[&str], stack: &StackName) -> Compose {
        let sources: Vec<ComposeSource> = texts
            .iter()
            .enumerate()
            .map(|(index, text)| ComposeSource {
                path: format!("compose.{index}.yml"),
                text: (*text).to_owned(),
            })
            .collect();
        let env: BTreeMap<String, String> = [
            ("STACK_NAME", stack.as_str()),
            ("SECRET_COOKIE_KEY_VERSION", "v10"),
            ("SECRET_SMTP_PASS_VERSION", "v10"),
            ("SECRET_DB_PASSWORD_VERSION", "v10"),
            ("APP_CONF_VERSION", "v10"),
            ("PG_BACKUP_VERSION", "v10"),
        ]
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
        read(&sources, &env, &|_| None).unwrap()
    }

    fn stack(recipe: &str, pr: u32, zone: &str) -> StackName {
        let commit = CommitSha::parse("0123456789abcdef0123456789abcdef01234567").unwrap();
        let zone = Zone::parse(zone).unwrap();
        RunDomain::of(&Recipe::parse(recipe).unwrap(), PrNumber(pr), &commit, &zone).stack()
    }

    /// Recipes as they are enrolled: name and compose files.
    const ENROLLED: &[(&str, &[&str])] = &[
        (
            "notebin",
            &[
                include_str!("../../tests/compose/corpus/recipe-notebin/compose.yml"),
                include_str!("../../tests/compose/corpus/recipe-notebin/compose.over.yml"),
            ],
        ),
        ("wiki", &[include_str!("../../tests/compose/corpus/recipe-wiki-shared-blocks/compose.yml")]),
        ("a-recipe-with-quite-a-long-name", &["services: {app: {image: a}, worker: {image: a}}"]),
    ];

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

        #[test]
        fn docker_names_of_every_enrolled_recipe_fit_64_characters(pr in any::<u32>(), zone in "[a-z]{2,8}\\.[a-z]{2,10}\\.[a-z]{2,6}") {
            for (recipe, files) in ENROLLED {
                let stack = stack(recipe, pr, &zone);
                let compose = compose(files, &stack);
                prop_assert!(all(&compose, &stack).len() >= compose.services.len());
                prop_assert_eq!(too_long(&compose, &stack), vec![]);
            }
        }
    }

    #[test]
    fn a_name_that_cannot_fit_is_told_before_the_deploy() {
        let stack = stack("notebin", 1, "ci.example.org");
        let long = "x".repeat(64 - stack.prefix().len());
        let fits = format!(
            "services: {{app: {{image: a}}}}\nconfigs: {{c: {{name: \"${{STACK_NAME}}_{long}\", file: c}}}}\n"
        );
        assert_eq!(too_long(&compose(&[&fits], &stack), &stack), []);
        let over = fits.replace(&long, &format!("{long}yy"));
        let told = too_long(&compose(&[&over], &stack), &stack);
        assert_eq!(
            told.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [format!(
                "compose.0.yml:2: the config \"{}{long}yy\" has 66 characters, Docker allows 64; make its name 2 shorter",
                stack.prefix()
            )]
        );
    }

    #[test]
    fn services_and_networks_have_one_character_less() {
        let stack = stack("notebin", 1, "ci.example.org");
        let key = "x".repeat(64 - stack.prefix().len());
        let text = format!(
            "services: {{{key}: {{image: a}}}}\nnetworks: {{{key}: {{}}}}\nsecrets: {{{key}: {{file: f}}}}\n"
        );
        let kinds: Vec<Named> =
            too_long(&compose(&[&text], &stack), &stack).iter().map(|name| name.kind).collect();
        assert_eq!(kinds, [Named::Service, Named::Network]);
    }
}
