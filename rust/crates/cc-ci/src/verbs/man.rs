//! `cc-ci man`: one page per verb, made from the command line itself.

use anyhow::{Context, Result};
use cc_ci_process::exit::ExitStatus;
use cc_ci_process::mask::Masker;
use cc_ci_process::printer::Printer;
use clap::CommandFactory;

use crate::args::{Cli, ManArgs};

pub(super) fn man(args: &ManArgs, masker: &Masker) -> Result<ExitStatus> {
    let folder = &args.folder;
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    // Of each verb's own `help` verb there is nothing to say.
    let command = Cli::command().disable_help_subcommand(true);
    clap_mangen::generate_to(command, folder)
        .with_context(|| format!("writing man pages into {}", folder.display()))?;
    let mut printer = Printer::stdout(masker);
    printer.line(&format!("wrote the pages into {}; read one with: man {0}/cc-ci.1", folder.display()));
    printer.finish()?;
    Ok(ExitStatus::Good)
}
