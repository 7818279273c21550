//! The table of rules: what each asks, how much it weighs, what it needs, how to mend it.

use serde::Serialize;

use super::facts::Facts;
use super::findings::Checked;
use super::{images, metadata, services, twins, upgrades};

/// How much a violated rule weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth a look; the recipe is clean all the same.
    Warn,
    /// The recipe is not clean.
    Error,
}

impl Severity {
    /// The word in tables.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// One rule.
#[derive(Debug, Serialize)]
pub struct Rule {
    /// `R…` as abra numbers it (abra.md 5, mostly unconfirmed there), `C…` for rules of our own.
    pub reference: &'static str,
    /// How much it weighs.
    pub severity: Severity,
    /// What is to hold.
    pub what: &'static str,
    /// What it looks at: `files`, `git`, `base` (the release before), `catalogue`, `network`.
    pub needs: &'static str,
    /// How to mend it.
    pub fix: &'static str,
    #[serde(skip)]
    pub(super) check: fn(&Facts<'_>) -> Checked,
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.reference == other.reference
    }
}

impl Eq for Rule {}

const fn rule(
    reference: &'static str,
    severity: Severity,
    needs: &'static str,
    what: &'static str,
    fix: &'static str,
    check: fn(&Facts<'_>) -> Checked,
) -> Rule {
    Rule { reference, severity, what, needs, fix, check }
}

use Severity::{Error, Warn};

/// All rules, in the order they are shown.
#[rustfmt::skip]
pub static RULES: [Rule; 30] = [
    rule("R001", Warn, "files", "each compose file states version 3.8", "write version: \"3.8\" at the top", services::states_version),
    rule("R002", Warn, "files", "every service has a healthcheck", "add a healthcheck, or say in the README why there is none", services::has_healthchecks),
    rule("R003", Warn, "files", "every image carries a tag", "write image: name:tag", images::are_tagged),
    rule("R004", Warn, "files", "no image has a moving tag", "name a release of the image", images::are_pinned),
    rule("R005", Warn, "files", "tags resemble versions", "name a release of the image", images::resemble_versions),
    rule("R006", Warn, "catalogue", "a version is in the catalogue", "publish a release", not_judged_catalogue),
    rule("R007", Warn, "files", "the README's metadata is filled in", "fill the block between the metadata comments", metadata::is_filled_in),
    rule("R008", Error, "files", ".env.sample exists", "add it, with TYPE, DOMAIN and LETS_ENCRYPT_ENV", metadata::has_sample),
    rule("R009", Error, "files", "there is a service called app", "name the web-facing service app", services::has_app),
    rule("R010", Error, "files", "some service is shown by the proxy", "add the label traefik.enable=true under deploy", services::is_proxied),
    rule("R011", Error, "files", "every service names an image", "add an image to the service", services::name_images),
    rule("R012", Error, "files", "each config's version is exported by abra.sh", "export the variable in abra.sh", metadata::exports_versions),
    rule("R013", Warn, "network", "the repository exists on git.coopcloud.tech", "publish the repository", not_judged_repository),
    rule("R014", Error, "git", "all version tags are annotated", "make the tag again: git tag -a -f", metadata::tags_are_annotated),
    rule("R015", Warn, "files", "secret names have at most 12 characters", "shorten the secret's name", services::short_secrets),
    rule("C001", Error, "files", "the compose files can be read and deployed", "mend the line that is named", twins::can_be_deployed),
    rule("C002", Error, "files", "all names fit Docker's limits", "shorten the name in the compose file", twins::names_fit),
    rule("C003", Warn, "base", "new variables have a default", "write ${NAME:-default}, for existing apps do not set it", upgrades::new_keys_have_defaults),
    rule("C004", Error, "base", "changed configs have a new version", "raise the config's version in abra.sh", upgrades::changed_configs_are_raised),
    rule("C005", Warn, "files", "no name is shared with other apps on the proxy's network", "say ${STACK_NAME}_service there, or use a network of the stack", twins::no_shared_alias),
    rule("C006", Warn, "files", "backup labels are known and alive", "correct the label, and put it under deploy", twins::backup_labels_are_known),
    rule("C007", Warn, "files", "what is dumped can be loaded again", "add backupbot.restore.post-hook", twins::dumps_have_restores),
    rule("C008", Warn, "files", "a failed update is not hidden by the old task", "set order: stop-first, or failure_action: pause", twins::no_hidden_rollback),
    rule("C009", Warn, "files", "no default holds another variable", "the Docker CLI ends a default at the first brace: set the inner variable in .env.sample", twins::no_nested_defaults),
    rule("C010", Warn, "files", "one service switches the backup on", "keep backupbot.backup on one service", twins::one_backup_switch),
    rule("C011", Warn, "files", "labels of proxy and backup stand under deploy", "move the label to deploy.labels", twins::labels_are_on_services),
    rule("C012", Warn, "files", "required variables have a value in the sample", "give the variable a value in .env.sample", twins::required_have_values),
    rule("C013", Warn, "files", "optional overlays pass the gate", "such an overlay cannot be tested here", twins::overlays_pass_the_gate),
    rule("C014", Warn, "files", "the version label is a version", "write coop-cloud.${STACK_NAME}.version=x.y.z+app", services::has_version_label),
    rule("C015", Warn, "files", ".env.sample holds only settings and comments", "mend the line that is named", metadata::sample_is_sound),
];

fn not_judged_catalogue(_: &Facts<'_>) -> Checked {
    Checked::Skipped("shown, not judged: the catalogue says nothing about a change".to_owned())
}

fn not_judged_repository(_: &Facts<'_>) -> Checked {
    Checked::Skipped("shown, not judged: a mirror is as good".to_owned())
}
