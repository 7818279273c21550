//! `cc-ci check-config`: the host's settings, read as a run would read them.

use anyhow::{Context, Result};
use cc_ci_model::settings::Settings;
use cc_ci_process::exit::ExitStatus;
use cc_ci_process::mask::Masker;
use cc_ci_process::printer::Printer;

use crate::args::CheckConfigArgs;

pub(super) fn check_config(args: &CheckConfigArgs, masker: &Masker) -> Result<ExitStatus> {
    let path = args.config.display();
    let text = std::fs::read_to_string(&args.config)
        .with_context(|| format!("reading the host's settings {path}; name the file with --config"))?;
    let settings = Settings::parse(&path.to_string(), &text)?;
    let mut printer = Printer::stdout(masker);
    printer.line(&format!("{path}: ok, zone {}", settings.zone));
    printer.finish()?;
    Ok(ExitStatus::Good)
}
