//! The command line of `cc-ci-activate`.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use cc_ci_model::settings_file::read_strict;
use cc_ci_process::cancel::Cancellation;
use cc_ci_process::exit::ExitStatus;
use cc_ci_process::mask::Masker;
use cc_ci_process::printer::{Printer, Style};
use cc_ci_process::wait::{Look, Waiting, wait_for};
use clap::{Args, Parser, Subcommand};

use crate::secrets;
use crate::swarm::Activation;
use crate::swarm_plan::SwarmSettings;

/// Another activation pulls and loads meanwhile.
const OTHERS: Waiting = Waiting { deadline: Duration::from_secs(600), interval: Duration::from_millis(500) };

/// Brings a host into its declared state; each verb may be repeated at any time.
#[derive(Debug, Parser)]
#[command(name = "cc-ci-activate", version, propagate_version = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make this engine a swarm of one node with the networks and the image that runs need.
    ///
    /// Exit status: 0 all is as declared, 2 it is not, and the sentence says what to do.
    Swarm(SwarmArgs),
    /// Look at the secrets of this host; prints no value.
    Secrets {
        #[command(subcommand)]
        verb: SecretsVerb,
    },
}

#[derive(Debug, Args)]
struct SwarmArgs {
    /// What is declared.
    #[arg(long, value_name = "FILE", default_value = "/etc/cc-ci/activate-swarm.toml")]
    config: PathBuf,
    /// Say what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
    /// Only read the file and say what is wrong with it.
    #[arg(long, conflicts_with = "dry_run")]
    check_config: bool,
    /// Folder for what cannot be asked of the engine.
    #[arg(
        long,
        env = "STATE_DIRECTORY",
        hide_env_values = true,
        value_name = "DIR",
        default_value = "/var/lib/cc-ci/activate"
    )]
    state: PathBuf,
}

#[derive(Debug, Subcommand)]
enum SecretsVerb {
    /// Say which secrets are missing, or do not decrypt with this host's key.
    ///
    /// Exit status: 0 all are there, 2 not, with one line each.
    Check {
        /// The SOPS file.
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
        /// The private SSH key of this host.
        #[arg(long, value_name = "FILE", default_value = "/etc/ssh/ssh_host_ed25519_key")]
        key: PathBuf,
        /// The secrets that have to be there.
        names: Vec<String>,
    },
    /// Print the age recipient of this host's SSH key, for .sops.yaml.
    HostKey {
        /// The private SSH key of this host.
        #[arg(long, value_name = "FILE", default_value = "/etc/ssh/ssh_host_ed25519_key")]
        key: PathBuf,
    },
}

/// Parses the command line and does what it says.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitStatus {
    let masker = Masker::new();
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let is_asked = !error.use_stderr();
            let mut printer = if is_asked { Printer::stdout(&masker) } else { Printer::stderr(&masker) };
            printer.line(error.render().to_string().trim_end());
            return if is_asked { ExitStatus::Good } else { ExitStatus::Usage };
        }
    };
    carry_out(cli.verb, &masker).unwrap_or_else(|error| {
        let mut printer = Printer::stderr(&masker);
        let word = printer.style(Style::Fail, "cc-ci-activate:");
        printer.line(&format!("{word} {error:#}"));
        ExitStatus::Trouble
    })
}

fn carry_out(verb: Verb, masker: &Masker) -> Result<ExitStatus> {
    cc_ci_process::logging::start(masker)?;
    let cancellation = Cancellation::new();
    let _signals = cancellation.install_signals()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the activation's thread")?;
    let mut printer = Printer::stdout(masker);
    let status = match verb {
        Verb::Swarm(args) => runtime.block_on(swarm(&args, &mut printer, masker, &cancellation))?,
        Verb::Secrets { verb: SecretsVerb::HostKey { key } } => {
            printer.line(&runtime.block_on(secrets::host_key(&key, masker, &cancellation))?);
            ExitStatus::Good
        }
        Verb::Secrets { verb: SecretsVerb::Check { file, key, names } } => {
            let faults = runtime.block_on(secrets::check(&file, &key, &names, masker, &cancellation))?;
            for fault in &faults {
                printer.line(fault);
            }
            if faults.is_empty() {
                printer.line(&format!("{} secrets are there and decrypt with this host's key", names.len()));
            }
            if faults.is_empty() { ExitStatus::Good } else { ExitStatus::Trouble }
        }
    };
    printer.finish()?;
    Ok(status)
}

async fn swarm(
    args: &SwarmArgs,
    printer: &mut Printer,
    masker: &Masker,
    cancellation: &Cancellation,
) -> Result<ExitStatus> {
    let path = args.config.display();
    let text = std::fs::read_to_string(&args.config)
        .with_context(|| format!("reading {path}; name the file with --config"))?;
    let settings: SwarmSettings = read_strict(&path.to_string(), &text)?;
    if args.check_config {
        printer.line(&format!("{path}: ok"));
        return Ok(ExitStatus::Good);
    }
    let _lock = lock(&args.state, cancellation).await?;
    let activation = Activation { settings: &settings, state: &args.state, masker, cancellation };
    let steps = activation.run(args.dry_run).await?;
    for step in &steps {
        printer.line(&format!("{}{step}", if args.dry_run { "would " } else { "" }));
    }
    if steps.is_empty() {
        printer.line("the swarm is as declared");
    }
    Ok(ExitStatus::Good)
}

/// Two at once would make the same network twice; the second one waits, and finds nothing to do.
async fn lock(state: &Path, cancellation: &Cancellation) -> Result<File> {
    std::fs::create_dir_all(state).with_context(|| format!("making {}", state.display()))?;
    let path = state.join("lock");
    let file = File::create(&path).with_context(|| format!("opening {}", path.display()))?;
    let look = || async {
        match fs2::FileExt::try_lock_exclusive(&file) {
            Ok(()) => Ok(Look::There(())),
            Err(error) if error.kind() == fs2::lock_contended_error().kind() => {
                Ok(Look::NotYet("another activation is at work".to_owned()))
            }
            Err(error) => Err(error),
        }
    };
    wait_for("waiting for another activation to end", OTHERS, None, cancellation, look).await?;
    Ok(file)
}
