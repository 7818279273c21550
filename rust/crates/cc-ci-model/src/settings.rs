//! The host's settings: which zone, which ways and limits hold on this machine. Every key has a default, so a
//! laptop needs no file.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::HumanDuration;
use crate::names::{Recipe, Zone};
use crate::recipe_toml::{App, Timeouts};
use crate::settings_file::{self, SettingsError};
use crate::size::ByteSize;

/// The whole of `settings.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// DNS zone below which this host's run domains lie; one host per zone.
    pub zone: Zone,
    /// Who deploys where the command line does not say it.
    pub deployer: DeployerChoice,
    /// How checks reach the app where the command line does not say it.
    pub via: ViaChoice,
    /// What one run may take.
    pub limits: Limits,
    /// Recipes whose own tests, from the pull request, are run.
    pub approved_recipe_tests: Vec<Recipe>,
    /// The proxy before the apps, for `via = "proxy"`.
    pub proxy: Proxy,
    /// Folder with the per-recipe test data, `<recipe>/recipe.toml`; the one that came with the program if missing.
    pub recipes: Option<PathBuf>,
    /// Image of the helper container.
    pub helper_image: String,
    /// What the janitor keeps.
    pub keep: Keep,
    /// Files, or folders of files, with secrets of this host: their values are masked in everything a run writes.
    pub secret_files: Vec<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            // `.localhost` never leaves the machine (RFC 6761), so a laptop needs no DNS.
            zone: Zone::parse("ci.localhost").expect("the default zone is made of valid labels"),
            deployer: DeployerChoice::default(),
            via: ViaChoice::default(),
            limits: Limits::default(),
            approved_recipe_tests: Vec::new(),
            proxy: Proxy::default(),
            recipes: None,
            helper_image: "cc-ci-helper:local".to_owned(),
            keep: Keep::default(),
            secret_files: Vec::new(),
        }
    }
}

/// Who deploys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum DeployerChoice {
    /// abra where this host has a record that its version passed, else native.
    #[default]
    Auto,
    /// The abra command.
    Abra,
    /// The steps of abra done on the swarm directly.
    Native,
}

/// How checks reach the app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum ViaChoice {
    /// Through the proxy where one runs on this swarm, else direct.
    #[default]
    Auto,
    /// Through the proxy, with its certificate.
    Proxy,
    /// To the task itself.
    Direct,
}

macro_rules! choice_text {
    ($type:ident { $($variant:ident = $text:literal),+ }, $what:literal, $allowed:literal) => {
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self { $(Self::$variant => $text),+ })
            }
        }
        impl std::str::FromStr for $type {
            type Err = crate::names::NameError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(crate::names::NameError::new($what, text, $allowed)),
                }
            }
        }
    };
}
choice_text!(DeployerChoice { Auto = "auto", Abra = "abra", Native = "native" }, "deployer", "auto, abra or native");
choice_text!(ViaChoice { Auto = "auto", Proxy = "proxy", Direct = "direct" }, "route", "auto, proxy or direct");

/// `[limits]`: what one run may take on this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The whole run, from start to verdict; teardown has a bound of its own.
    pub run: HumanDuration,
    /// Removing everything of a run and proving it, by the run or by the janitor.
    pub teardown: HumanDuration,
    /// Time for all services to converge, where the recipe says nothing.
    pub deploy: HumanDuration,
    /// Time until the app answers after that, where the recipe says nothing.
    pub http: HumanDuration,
    /// How long a run waits for another one of the same domain.
    pub lock_wait: HumanDuration,
    /// How long a run waits for memory, disk and addresses before it gives up as trouble.
    pub admission_wait: HumanDuration,
    /// How long `cc-ci run --keep` leaves the stack of a red run standing.
    pub keep: HumanDuration,
    /// Releases before head that `--from all` climbs at most, the newest ones.
    pub ladder: usize,
    /// Free disk below which nothing starts.
    pub disk_floor: ByteSize,
    /// Available memory below which nothing starts.
    pub memory_floor: ByteSize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            run: HumanDuration::seconds(3600),
            teardown: HumanDuration::seconds(300),
            deploy: HumanDuration::seconds(600),
            http: HumanDuration::seconds(300),
            lock_wait: HumanDuration::seconds(3600),
            admission_wait: HumanDuration::seconds(900),
            keep: HumanDuration::seconds(8 * 3600),
            ladder: 10,
            disk_floor: ByteSize::mebibytes(2048),
            memory_floor: ByteSize::mebibytes(256),
        }
    }
}

/// Time limits of one recipe on one host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecipeLimits {
    /// Time for all services to converge.
    pub deploy: HumanDuration,
    /// Time until the app answers after that.
    pub http: HumanDuration,
}

impl Limits {
    /// The limits that hold for a recipe: its own where it has them, the host's else, and never more than the run.
    #[must_use]
    pub fn for_recipe(&self, own: &Timeouts) -> RecipeLimits {
        RecipeLimits {
            deploy: own.deploy.unwrap_or(self.deploy).min(self.run),
            http: own.http.unwrap_or(self.http).min(self.run),
        }
    }

    /// What a recipe's own limits come to on this host, in sentences for the result; nothing for a recipe that has none.
    #[must_use]
    pub fn in_words(&self, own: &App) -> Vec<String> {
        let times = [("deploy", own.timeouts.deploy, self.deploy), ("http", own.timeouts.http, self.http)];
        let times = times.into_iter().filter_map(|(what, asked, host)| {
            let asked = asked?;
            Some(if asked > self.run {
                format!("time limit {what}: {}, as the whole run has; recipe.toml asks for {asked}", self.run)
            } else {
                format!("time limit {what}: {asked} by recipe.toml, in place of this host's {host}")
            })
        });
        let memory = own.memory.map(|memory| {
            format!("memory: {memory} by recipe.toml (twice for start-first) had to be free, beside this host's floor of {}", self.memory_floor)
        });
        times.chain(memory).collect()
    }
}

/// `[proxy]`: where the proxy listens and whom its certificate is trusted by.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Proxy {
    /// Address of its TLS entry point.
    #[schemars(with = "String")]
    pub address: SocketAddr,
    /// PEM file with the authority of its certificate; the public authorities if missing.
    pub ca: Option<PathBuf>,
}

impl Default for Proxy {
    fn default() -> Self {
        Self { address: SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 443)), ca: None }
    }
}

/// What the janitor keeps of runs that are over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Keep {
    /// Run folders per recipe, the newest ones; the newest green one stays beyond that.
    pub runs_per_recipe: usize,
    /// Run folders that are older go, except the last of a recipe and its newest green one.
    pub runs_for: HumanDuration,
    /// How full the disk of Docker's data may be, in percent, before images of old runs go.
    pub images_below_percent: u8,
}

impl Default for Keep {
    fn default() -> Self {
        Self { runs_per_recipe: 30, runs_for: HumanDuration::seconds(60 * 86_400), images_below_percent: 80 }
    }
}

impl Settings {
    /// Reads a `settings.toml`. `file_name` is only for messages.
    ///
    /// # Errors
    /// The first mistake, with file, line, key and the nearest valid key.
    pub fn parse(file_name: &str, text: &str) -> Result<Self, SettingsError> {
        settings_file::read_strict(file_name, text)
    }

    /// Whether the recipe's own tests, which come with the pull request, may run on this host.
    #[must_use]
    pub fn runs_tests_of(&self, recipe: &Recipe) -> bool {
        self.approved_recipe_tests.contains(recipe)
    }

    /// All keys of `settings.toml` as a Markdown table.
    #[must_use]
    pub fn key_table() -> String {
        crate::recipe_toml::key_table::<Self>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe_toml::RecipeToml;

    #[test]
    fn an_empty_file_is_a_laptop() {
        let settings = Settings::parse("settings.toml", "").unwrap();
        assert_eq!(settings, Settings::default());
        assert!(!settings.runs_tests_of(&Recipe::parse("custom-html").unwrap()));
    }

    #[test]
    fn an_unknown_key_names_file_line_and_the_nearest_key() {
        let error = Settings::parse("/etc/x.toml", "zone = \"ci.example\"\n\n[limits]\nlock_wiat = \"1h\"\n");
        let message = error.unwrap_err().to_string();
        assert!(message.starts_with("/etc/x.toml, line 4: key limits.lock_wiat: "), "{message}");
        assert!(message.ends_with("did you mean `lock_wait`?"), "{message}");
    }

    #[test]
    fn recipes_own_time_limit_wins_over_the_central_default() {
        let settings =
            Settings::parse("s", "[limits]\nrun = \"30m\"\ndeploy = \"5m\"\nhttp = \"60s\"").unwrap();
        let limits_of = |text: &str| {
            let recipe = RecipeToml::parse("recipe.toml", &format!("schema = 1\n{text}")).unwrap();
            settings.limits.for_recipe(&recipe.app.timeouts)
        };
        let central = RecipeLimits { deploy: HumanDuration::seconds(300), http: HumanDuration::seconds(60) };
        assert_eq!(limits_of(""), central);
        assert_eq!(limits_of("app.timeouts.deploy = \"20m\"").deploy, HumanDuration::seconds(1200));
        assert_eq!(limits_of("app.timeouts.deploy = \"20m\"").http, central.http);
        assert_eq!(limits_of("app.timeouts.http = \"5s\"").http, HumanDuration::seconds(5));
        assert_eq!(
            limits_of("app.timeouts.deploy = \"9h\"").deploy,
            HumanDuration::seconds(1800),
            "the run's own end"
        );
    }

    #[test]
    fn a_recipes_own_limits_are_told_as_they_hold_here() {
        let limits = Limits::default();
        let app =
            |text: &str| RecipeToml::parse("recipe.toml", &format!("schema = 1\n[app]\n{text}")).unwrap().app;
        assert_eq!(limits.in_words(&app("")), Vec::<String>::new());
        assert_eq!(
            limits.in_words(&app("timeouts = { deploy = \"20m\", http = \"9h\" }\nmemory = \"512MiB\"")),
            [
                "time limit deploy: 20m by recipe.toml, in place of this host's 10m",
                "time limit http: 1h, as the whole run has; recipe.toml asks for 9h",
                "memory: 512MiB by recipe.toml (twice for start-first) had to be free, beside this host's floor of 256MiB",
            ]
        );
    }
}
