//! The command line of `cc-ci-bridge`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cc_ci_forge::drone::Drone;
use cc_ci_forge::gitea::Gitea;
use cc_ci_model::duration;
use cc_ci_process::cancel::Cancellation;
use cc_ci_process::exit::ExitStatus;
use cc_ci_process::mask::Masker;
use cc_ci_process::printer::Printer;
use cc_ci_process::program;
use cc_ci_process::state::StatePaths;
use clap::{Parser, Subcommand};

use crate::pages;
use crate::script;
use crate::service::Bridge;
use crate::settings::{Settings, secret};

/// Comment in, build started, verdict out.
#[derive(Debug, Parser)]
#[command(name = "cc-ci-bridge", version, propagate_version = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    /// The bridge's settings.
    #[arg(
        long,
        global = true,
        env = "CCCI_BRIDGE_SETTINGS",
        hide_env_values = true,
        value_name = "FILE",
        default_value = "/etc/cc-ci/bridge.toml"
    )]
    config: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Poll, start builds, report; until TERM. What is open then goes on with the next start.
    Serve,
    /// Poll once, bring everything as far as it gets, and end.
    Once {
        /// Do so this many times, one after the other, without a pause: for measuring.
        #[arg(long, value_name = "N", default_value_t = 1, hide_default_value = true)]
        times: u32,
    },
    /// Read the settings and say what is wrong with them; asks nobody.
    CheckConfig,
    /// Post the trigger on a pull request, wait, and print `VERDICT=GREEN`, `RED`, `TROUBLE` or `PENDING` with the link.
    ///
    /// Exit status: 0 green, 1 red, 2 anything else.
    Say {
        /// The pull request, such as `gitea#12`.
        #[arg(value_name = "RECIPE#N")]
        target: String,
        /// The comment.
        #[arg(long, value_name = "TEXT", default_value = "!testme")]
        text: String,
        /// How long to wait for the verdict.
        #[arg(long, value_name = "TIME", default_value = "90m")]
        within: String,
    },
}

/// Parses the command line and does what it says.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitStatus {
    program::run(arguments, |cli: Cli, masker| carry_out(&cli, masker))
}

fn carry_out(cli: &Cli, masker: &Masker) -> Result<ExitStatus> {
    let settings = Settings::read(&cli.config)?;
    if matches!(cli.verb, Verb::CheckConfig) {
        let mut printer = Printer::stdout(masker);
        printer.line(&format!("{}: ok", cli.config.display()));
        return Ok(ExitStatus::Good);
    }
    cc_ci_process::logging::start(masker)?;
    let cancellation = Cancellation::new();
    let _signals = cancellation.install_signals()?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the bridge")?;
    runtime.block_on(work(cli, settings, masker, &cancellation))
}

async fn work(
    cli: &Cli,
    settings: Settings,
    masker: &Masker,
    cancellation: &Cancellation,
) -> Result<ExitStatus> {
    let token = |file: Option<&Path>, name: &str| -> Result<_> {
        let value = secret(file, name)?;
        masker.add(name, &value)?;
        Ok(value)
    };
    let gitea = Gitea::new(&settings.gitea, token(settings.gitea_token_file.as_deref(), "gitea-token")?)?;
    if let Verb::Say { target, text, within } = &cli.verb {
        let mut printer = Printer::stdout(masker);
        let request = script::Request {
            organisation: &settings.organisations[0],
            target,
            text,
            within: duration::parse(within)?,
            link: settings.gitea.trim_end_matches('/').to_owned(),
        };
        return script::say(&gitea, &request, &mut printer, cancellation).await;
    }
    let drone = token(settings.drone_token_file.as_deref(), "drone-token")?;
    let drone = Drone::new(&settings.drone, drone, &settings.pipeline, &settings.branch)?;
    let paths = StatePaths::from_environment();
    paths.create()?;
    // One bridge per state folder: two would both answer.
    let _lock = lock(&paths)?;
    let me = crate::start::who(&gitea, cancellation).await?;
    let mut bridge = Bridge::new(settings, gitea, drone, me, paths)?;
    if let Verb::Once { times } = cli.verb {
        for _ in 0..times {
            bridge.once().await?;
        }
        return Ok(ExitStatus::Good);
    }
    if let Some(listener) = crate::socket::listener(bridge.settings.listen, &cli.config)? {
        let secret = secret(bridge.settings.webhook_secret_file.as_deref(), "webhook-secret");
        if let Ok(secret) = &secret {
            masker.add("webhook-secret", secret)?;
        } else if bridge.settings.webhook_secret_file.is_some() {
            // Named and not readable is an error; not named and not there means no webhook.
            secret.as_ref().map_err(|error| anyhow::anyhow!("{error}"))?;
        }
        let token = cancellation.token();
        let (health, hints) = (bridge.health.clone(), bridge.hints.clone());
        tokio::spawn(async move {
            let ended = async move { token.cancelled().await };
            if let Err(error) = pages::serve(listener, health, hints, secret.ok(), ended).await {
                tracing::error!(code = "pages-ended", "{error}");
            }
        });
    }
    bridge.serve(cancellation).await;
    // A stop in order is what TERM asks for.
    Ok(ExitStatus::Good)
}

fn lock(paths: &StatePaths) -> Result<std::fs::File> {
    let folder = paths.state.join("bridge");
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let path = folder.join("lock");
    let file = std::fs::File::create(&path).with_context(|| format!("opening {}", path.display()))?;
    fs2::FileExt::try_lock_exclusive(&file)
        .with_context(|| format!("another bridge works in {}: stop it first", folder.display()))?;
    Ok(file)
}
