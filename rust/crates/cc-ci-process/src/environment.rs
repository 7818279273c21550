//! The names of all environment variables that the project reads or hands to others.

// --- where things are ------------------------------------------------------------------------

/// Folder of all state; default `/var/lib/cc-ci`, as a normal user `$XDG_STATE_HOME/cc-ci`.
pub const CCCI_STATE_DIR: &str = "CCCI_STATE_DIR";
/// Folder of the run folders; default `<state>/runs`.
pub const CCCI_RUNS_DIR: &str = "CCCI_RUNS_DIR";
/// Folder of the lock files; default `/run/lock/cc-ci`.
pub const CCCI_APP_LOCK_DIR: &str = "CCCI_APP_LOCK_DIR";
/// The host's settings file; default `/etc/cc-ci/settings.toml`.
pub const CCCI_SETTINGS: &str = "CCCI_SETTINGS";
/// Checkout of this repository that the sweep works from.
pub const CCCI_REPO: &str = "CCCI_REPO";
/// What the operator's log shows, in the syntax of `tracing` filters; default `info`.
pub const CCCI_LOG: &str = "CCCI_LOG";

// --- what to run: parameters of a build -------------------------------------------------------

/// Name of the recipe.
pub const RECIPE: &str = "RECIPE";
/// Git address of the recipe.
pub const SRC: &str = "SRC";
/// Commit to test.
pub const REF: &str = "REF";
/// Number of the pull request.
pub const PR: &str = "PR";
/// Tiers to run, separated by commas.
pub const STAGES: &str = "STAGES";
/// Version the upgrade starts from.
pub const VERSION: &str = "VERSION";
/// `run` or `plan`: what the build is to do.
pub const CCCI_MODE: &str = "CCCI_MODE";
/// `1`: the quick lane.
pub const CCCI_QUICK: &str = "CCCI_QUICK";
/// Number of the comment that asked for the build.
pub const CCCI_COMMENT: &str = "CCCI_COMMENT";
/// Which attempt for that comment this is, from 1.
pub const CCCI_ATTEMPT: &str = "CCCI_ATTEMPT";
/// Who asked, as a numeric user id with login.
pub const CCCI_BY: &str = "CCCI_BY";
/// By which right they may ask.
pub const CCCI_RIGHT: &str = "CCCI_RIGHT";
/// When they asked, as a time stamp in UTC.
pub const CCCI_AT: &str = "CCCI_AT";

/// Process id of the caller that a run is bound to, for one that may be gone before the run has looked (`$$` in a shell).
pub const CCCI_PARENT: &str = "CCCI_PARENT";

// --- what a run does differently for local work ------------------------------------------------

/// `1`: leave the generic checks out of every tier.
pub const CCCI_SKIP_GENERIC: &str = "CCCI_SKIP_GENERIC";
/// Followed by the name of a tier in capitals: leave the generic checks out of that tier.
pub const CCCI_SKIP_GENERIC_PREFIX: &str = "CCCI_SKIP_GENERIC_";
/// `1`: copy the staged checkout of the recipe instead of cloning it.
pub const CCCI_SKIP_FETCH: &str = "CCCI_SKIP_FETCH";

// --- what a recipe's own tests are given --------------------------------------------------------

/// Address of the app under test, with scheme.
pub const CCCI_BASE_URL: &str = "CCCI_BASE_URL";
/// Host name of the app under test.
pub const CCCI_APP_DOMAIN: &str = "CCCI_APP_DOMAIN";
/// Tier in which the test runs.
pub const CCCI_TIER: &str = "CCCI_TIER";
/// Id of the run.
pub const CCCI_RUN_ID: &str = "CCCI_RUN_ID";
/// File with the versions and artefacts of the operations done so far.
pub const CCCI_OP_STATE_FILE: &str = "CCCI_OP_STATE_FILE";
/// File with the credentials of dependencies.
pub const CCCI_DEPS_FILE: &str = "CCCI_DEPS_FILE";
/// `0` where the wiring of a dependency failed.
pub const CCCI_DEPS_READY: &str = "CCCI_DEPS_READY";
/// File that counts the deploys of this run.
pub const CCCI_DEPLOY_COUNT_FILE: &str = "CCCI_DEPLOY_COUNT_FILE";
/// Socket of `cc-ci app exec`, in the run's folder.
pub const CCCI_APP_SOCKET: &str = "CCCI_APP_SOCKET";

// --- of the outside world -----------------------------------------------------------------------

/// Home of the abra tool; each run has its own.
pub const ABRA_DIR: &str = "ABRA_DIR";
/// Home folder; set for each child on purpose, because services have none.
pub const HOME: &str = "HOME";
/// Where programs are looked for.
pub const PATH: &str = "PATH";
/// Language of messages; children get one whose output does not depend on the host.
pub const LANG: &str = "LANG";
/// Kind of terminal; children get `dumb`.
pub const TERM: &str = "TERM";
/// Certificate resolver of a recipe; emptied in every app's `.env`.
pub const LETS_ENCRYPT_ENV: &str = "LETS_ENCRYPT_ENV";
/// Which Docker engine the CLI talks to.
pub const DOCKER_HOST: &str = "DOCKER_HOST";
/// Folder of the Docker CLI's settings and registry logins.
pub const DOCKER_CONFIG: &str = "DOCKER_CONFIG";
/// `true` in every step of a Drone build.
pub const DRONE: &str = "DRONE";
/// Number of the Drone build that this process belongs to.
pub const DRONE_BUILD_NUMBER: &str = "DRONE_BUILD_NUMBER";
/// Set and not empty: no colour (<https://no-color.org>).
pub const NO_COLOR: &str = "NO_COLOR";
/// Set by systemd where stderr goes to the journal (`systemd.exec(5)`).
pub const JOURNAL_STREAM: &str = "JOURNAL_STREAM";
/// Folder of the credentials that systemd hands to a unit (`systemd.exec(5)`).
pub const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";
/// A normal user's folder for state (XDG base directories).
pub const XDG_STATE_HOME: &str = "XDG_STATE_HOME";
