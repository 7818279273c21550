//! `cc-ci app`: the hands of a test inside a run, through the run's socket.

use std::io::{IsTerminal, Read, Write};

use anyhow::{Context, Result};
use cc_ci_harness::app_socket::{CHANNEL_FAILED, Reply, Wanted, ask};
use cc_ci_model::names::ServiceName;
use cc_ci_process::mask::Masker;
use cc_ci_process::printer::{Printer, Style};

use super::BadArgument;
use crate::args::{AppArgs, AppVerb};

/// Asks the run; the status is the command's own, or 125 when the channel failed.
pub(super) fn app(args: AppArgs, masker: &Masker) -> Result<u8> {
    let Some(socket) = args.socket else {
        let what = "there is no run: `cc-ci app` works inside a run's tests, where CCCI_APP_SOCKET is set";
        return Err(BadArgument(what.to_owned()).into());
    };
    let wanted = wanted(args.verb)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match runtime.block_on(ask(&socket, wanted)) {
        Ok(reply) => pass_on(&reply),
        Err(error) => {
            let mut printer = Printer::stderr(masker);
            let word = printer.style(Style::Fail, "cc-ci app:");
            printer.line(&format!("{word} {error}"));
            Ok(CHANNEL_FAILED)
        }
    }
}

fn wanted(verb: AppVerb) -> Result<Wanted> {
    let service = |text: String| ServiceName::parse(&text).map_err(|error| BadArgument(error.to_string()));
    Ok(match verb {
        AppVerb::Exec { service: name, command } => {
            let mut input = Vec::new();
            // A person at a terminal would wait for nothing; a test that pipes something in means it.
            if !std::io::stdin().is_terminal() {
                std::io::stdin().read_to_end(&mut input).context("reading standard input")?;
            }
            Wanted::Exec { service: service(name)?, command, stdin: cc_ci_harness::app_socket::Bytes(input) }
        }
        AppVerb::Logs { service: name } => Wanted::Logs { service: service(name)? },
        AppVerb::Env => Wanted::Env,
    })
}

/// Bytes go through as they are: they are the command's, not ours.
fn pass_on(reply: &Reply) -> Result<u8> {
    let broken_pipe = |error: &std::io::Error| error.kind() == std::io::ErrorKind::BrokenPipe;
    for (result, what) in [
        (std::io::stdout().write_all(&reply.stdout.0), "standard output"),
        (std::io::stderr().write_all(&reply.stderr.0), "standard error"),
    ] {
        match result {
            Err(error) if !broken_pipe(&error) => {
                return Err(error).with_context(|| format!("writing to {what}"));
            }
            _ => {}
        }
    }
    Ok(u8::try_from(reply.exit.rem_euclid(256)).unwrap_or(1))
}
