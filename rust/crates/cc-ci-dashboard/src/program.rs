//! The command line of `cc-ci-dashboard`: its settings, its socket, and a stop that lets answers end.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use cc_ci_model::dashboard::DashboardSettings;
use cc_ci_process::cancel::Cancellation;
use cc_ci_process::exit::ExitStatus;
use cc_ci_process::mask::Masker;
use cc_ci_process::printer::Printer;
use cc_ci_process::program;
use cc_ci_process::state::StatePaths;
use clap::{Args, Parser, Subcommand};
use tokio::sync::Semaphore;

use crate::folder::Roots;
use crate::index::Index;
use crate::kept_page::KeptPage;
use crate::routes::{self, Site};
use crate::watch;

/// Where settings lie unless the command line says otherwise; missing is fine.
const SETTINGS: &str = "/etc/cc-ci/dashboard.toml";

/// People who follow runs at the same time; each holds a connection, a folder and a watch.
const MOST_READERS: usize = 64;

/// Answers that are under way at a stop get this long.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// Read-only pages, badges and metrics of run folders.
#[derive(Debug, Parser)]
#[command(name = "cc-ci-dashboard", version, propagate_version = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Serve pages on the socket that was inherited (LISTEN_FDS), else on an address.
    ///
    /// Exit status: 0 after TERM or INT, 2 if it cannot serve.
    Serve {
        #[command(flatten)]
        config: Config,
        /// Listen here instead; ADDRESS:0 takes a free port. Not used with an inherited socket.
        #[arg(long, value_name = "ADDRESS")]
        listen: Option<SocketAddr>,
    },
    /// Read the settings and say what is wrong with them.
    CheckConfig {
        #[command(flatten)]
        config: Config,
    },
}

#[derive(Debug, Args)]
struct Config {
    /// File with the settings; default /etc/cc-ci/dashboard.toml, or none.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Parses the command line and serves.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitStatus {
    program::run(arguments, |cli: Cli, masker| match cli.verb {
        Verb::Serve { config, listen } => serve(&config, listen, masker),
        Verb::CheckConfig { config } => check(&config, masker),
    })
}

fn settings(config: &Config) -> Result<DashboardSettings> {
    let path = config.config.as_deref().unwrap_or(Path::new(SETTINGS));
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(DashboardSettings::parse(&path.to_string_lossy(), &text)?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && config.config.is_none() => {
            Ok(DashboardSettings::default())
        }
        Err(error) => {
            Err(error).with_context(|| format!("reading the dashboard's settings {}", path.display()))
        }
    }
}

fn check(config: &Config, masker: &Masker) -> Result<ExitStatus> {
    let settings = settings(config)?;
    let mut printer = Printer::stdout(masker);
    printer.line(&format!("the settings are valid: {} on {}", settings.title, settings.listen));
    printer.finish()?;
    Ok(ExitStatus::Good)
}

fn serve(config: &Config, listen: Option<SocketAddr>, masker: &Masker) -> Result<ExitStatus> {
    let settings = settings(config)?;
    cc_ci_process::logging::start(masker)?;
    let cancellation = Cancellation::new();
    let _signals = cancellation.install_signals()?;
    let listener = socket(listen.unwrap_or(settings.listen))?;
    let address = listener.local_addr().context("asking for the address that is listened on")?;
    let paths = StatePaths::from_environment();
    let roots = Roots(vec![paths.runs, paths.state.join("imported")]);
    let index = Arc::new(Index::new(roots, settings.recipes, settings.private));
    index.scan();
    let rescan = settings.rescan.0;
    let watching = watch::start(Arc::clone(&index), rescan).context("starting to follow run folders")?;
    let count = index.look().count();
    let readers = Arc::new(Semaphore::new(MOST_READERS));
    let site = Arc::new(Site {
        index,
        title: settings.title,
        state: paths.state,
        kept: KeptPage::default(),
        readers,
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("starting the dashboard's threads")?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener).context("taking the socket over")?;
        let ended = cancellation.clone();
        let stop = async move {
            ended.cancelled().await;
        };
        let serving = axum::serve(listener, routes::router(site)).with_graceful_shutdown(stop);
        let serving = tokio::spawn(serving.into_future());
        tracing::info!(code = "serving", "serving {count} runs on {address}");
        cancellation.cancelled().await;
        if let Ok(ended) = tokio::time::timeout(LAST_ANSWERS, serving).await {
            ended.context("serving broke off")?.context("serving")?;
        }
        anyhow::Ok(())
    })?;
    drop(watching);
    tracing::info!(code = "stopped", "stopped");
    Ok(ExitStatus::Good)
}

/// The socket that systemd opened, else one of our own.
fn socket(address: SocketAddr) -> Result<std::net::TcpListener> {
    let inherited =
        listenfd::ListenFd::from_env().take_tcp_listener(0).context("taking the inherited socket")?;
    let listener = match inherited {
        Some(listener) => listener,
        None => std::net::TcpListener::bind(address)
            .with_context(|| format!("listening on {address}; choose another `listen`"))?,
    };
    listener.set_nonblocking(true).context("making the socket fit for waiting")?;
    Ok(listener)
}
