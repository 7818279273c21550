//! The command line of `cc-ci`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

/// Tests Co-op Cloud recipes for real: deploys, upgrades, checks, removes, and proves that nothing is left.
#[derive(Debug, Parser)]
#[command(name = "cc-ci", version, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a recipe once: deploy its last release, upgrade it to a commit, check, remove, prove.
    ///
    /// Exit status: 0 good, 1 the recipe is red, 2 our fault, 3 refused, 64 bad argument, 142 deadline, 143 cancelled.
    Run(RunArgs),
    /// Print what a run with the same arguments would do and why; touches nothing on the swarm.
    Plan(PlanArgs),
    /// Judge recipes by their files alone: lint rules, the compose gate, failures that can be seen before a deploy.
    ///
    /// Needs no Docker. Exit status: 0 clean (there may be warnings), 1 an error rule does not hold, 2 could not lint, 3 the
    /// compose gate refuses, 64 bad argument.
    Lint(LintArgs),
    /// Show a run: tiers, checks, evidence of the teardown, the line that repeats it.
    Show(ShowArgs),
    /// List runs, newest first.
    Runs(RunsArgs),
    /// End a run through its teardown, and wait until it has ended.
    Cancel(CancelArgs),
    /// Let the stack go that a red run with --keep left standing, and wait until it is removed.
    Release(ReleaseArgs),
    /// Let running runs end and start no new ones, as before a rebuild of the host.
    Drain(DrainArgs),
    /// The hands of a test inside a run: reach this run's containers and nothing else.
    App(AppArgs),
    /// Say whether this host is fit for runs: what was looked at, what was found, what to do. Changes nothing.
    ///
    /// Exit status: 0 fit (there may be warnings), 2 not fit: the lines marked ✘ say why.
    Doctor(DoctorArgs),
    /// Write a first recipe.toml from what the recipe itself declares, then print lint and plan.
    ///
    /// Each guess stands with its reason; correct them, they are yours from there on. Exit status: 0 written, whatever lint
    /// says, 2 our fault, 64 bad argument, also where there is a recipe.toml already.
    Enroll(EnrollArgs),
    /// Read the host's settings and say what is wrong with them; asks nobody.
    CheckConfig(CheckConfigArgs),
    /// Print the completions of a shell.
    ///
    /// For bash: cc-ci completions bash > /usr/share/bash-completion/completions/cc-ci
    Completions(CompletionsArgs),
    /// Write one man page per verb into a folder.
    Man(ManArgs),
}

/// What to test. Each option can also come from the environment, as Drone hands its parameters.
#[derive(Debug, Default, Args)]
pub struct RequestArgs {
    /// Name of the recipe.
    #[arg(long, env = "RECIPE", hide_env_values = true, value_name = "NAME")]
    pub recipe: Option<String>,
    /// Where to clone it from: an http(s) address or a path.
    #[arg(long, env = "SRC", hide_env_values = true, value_name = "GIT")]
    pub src: Option<String>,
    /// Commit, branch or tag under test [default: the tip of the default branch].
    #[arg(long = "ref", env = "REF", hide_env_values = true, value_name = "SHA")]
    pub reference: Option<String>,
    /// Number of the pull request, 0 for none.
    #[arg(long, env = "PR", hide_env_values = true, value_name = "N")]
    pub pr: Option<String>,
    /// Tiers to run, separated by commas: lint, install, upgrade, backup, restore, custom [default: all].
    #[arg(long, env = "STAGES", hide_env_values = true, value_name = "A,B")]
    pub tiers: Option<String>,
    /// Release to upgrade from, or `all`: from the oldest through every release [default: the newest older one].
    #[arg(long, env = "VERSION", hide_env_values = true, value_name = "VERSION")]
    pub from: Option<String>,
    /// Who deploys.
    #[arg(long, value_enum, value_name = "WHO")]
    pub deployer: Option<DeployerArg>,
    /// How checks reach the app: through the proxy or straight to its task.
    #[arg(long, value_enum, value_name = "WAY")]
    pub via: Option<ViaArg>,
}

/// Who deploys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DeployerArg {
    /// abra where this host's conformance record allows it, else native.
    Auto,
    /// The CLI that operators use.
    Abra,
    /// The steps of abra done on the swarm; needs nothing but Docker.
    Native,
}

/// How checks reach the app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ViaArg {
    /// Through the proxy where the host has one, else direct.
    Auto,
    /// Through the proxy, with TLS.
    Proxy,
    /// Straight to the app's task.
    Direct,
}

/// `cc-ci run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// What to test.
    #[command(flatten)]
    pub request: RequestArgs,
    /// End the run, through its teardown, when the calling process dies.
    #[arg(long)]
    pub bound_to_parent: bool,
    /// Where the recipe is red, leave its stack standing, to be looked at, until `cc-ci release RUN`, a cancel, or the
    /// limit of the host's settings (`limits.keep`, 8 h). Not in a build of Drone.
    #[arg(long, conflicts_with = "bound_to_parent")]
    pub keep: bool,
    /// Print the result as JSON on standard output; progress goes to standard error.
    #[arg(long)]
    pub json: bool,
}

/// `cc-ci plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// What to test.
    #[command(flatten)]
    pub request: RequestArgs,
    /// Print the plan as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `cc-ci lint`.
#[derive(Debug, Args)]
pub struct LintArgs {
    /// Folder with a recipe, taken as it is, or a git repository, taken at the tip of its default branch.
    #[arg(value_name = "DIR|GIT", required = true)]
    pub recipes: Vec<String>,
    /// Print one row per recipe instead: what an update that fails does to its users.
    #[arg(long)]
    pub blast_radius: bool,
    /// Print one JSON object per recipe.
    #[arg(long)]
    pub json: bool,
}

/// `cc-ci show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Id of the run [default: the newest].
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// Print the stored result as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `cc-ci runs`.
#[derive(Debug, Args)]
pub struct RunsArgs {
    /// Only runs of this recipe.
    #[arg(long, value_name = "NAME")]
    pub recipe: Option<String>,
    /// How many.
    #[arg(long, value_name = "N", default_value_t = 30)]
    pub limit: usize,
    /// Print one JSON object per line.
    #[arg(long)]
    pub json: bool,
}

/// `cc-ci cancel`.
#[derive(Debug, Args)]
pub struct CancelArgs {
    /// Id of the run, as `cc-ci runs` prints it.
    #[arg(value_name = "RUN")]
    pub run: String,
}

/// `cc-ci release`.
#[derive(Debug, Args)]
pub struct ReleaseArgs {
    /// Id of the run, as `cc-ci runs` prints it.
    #[arg(value_name = "RUN")]
    pub run: String,
}

/// `cc-ci drain`.
#[derive(Debug, Args)]
pub struct DrainArgs {
    /// Wait until the last run has ended.
    #[arg(long)]
    pub wait: bool,
    /// Let runs start again.
    #[arg(long, conflicts_with = "wait")]
    pub off: bool,
}

/// `cc-ci doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Print the lines as one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `cc-ci enroll`.
#[derive(Debug, Args)]
pub struct EnrollArgs {
    /// Folder with a recipe, taken as it is, or a git repository, taken at the tip of its default branch.
    #[arg(value_name = "DIR|GIT")]
    pub recipe: String,
    /// Folder of the test data, in which <recipe>/recipe.toml is written [default: as the host's settings say, else ./recipes].
    #[arg(long, value_name = "DIR")]
    pub write: Option<PathBuf>,
    /// Name of the recipe [default: the last part of folder or address].
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Replace a recipe.toml that is there.
    #[arg(long)]
    pub force: bool,
}

/// `cc-ci check-config`.
#[derive(Debug, Args)]
pub struct CheckConfigArgs {
    /// The settings.
    #[arg(
        long,
        env = "CCCI_SETTINGS",
        hide_env_values = true,
        value_name = "FILE",
        default_value = "/etc/cc-ci/settings.toml"
    )]
    pub config: PathBuf,
}

/// `cc-ci completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    pub shell: Shell,
}

/// `cc-ci man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Where to write them; made if it is missing.
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}

/// `cc-ci app`.
#[derive(Debug, Args)]
pub struct AppArgs {
    /// What to do.
    #[command(subcommand)]
    pub verb: AppVerb,
    /// Socket of the run [set for every test].
    #[arg(long, env = "CCCI_APP_SOCKET", hide_env_values = true, global = true, value_name = "PATH")]
    pub socket: Option<PathBuf>,
}

/// The hands.
#[derive(Debug, Subcommand)]
pub enum AppVerb {
    /// Run a command in a service's container; its exit code passes through, 125 when the channel failed.
    Exec {
        /// The service.
        service: String,
        /// The command, after `--`.
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Print the last log lines of a service.
    Logs {
        /// The service.
        service: String,
    },
    /// Print the app's environment.
    Env,
}
