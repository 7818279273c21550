//! `cc-ci doctor`: is this host fit for runs.

use anyhow::{Context, Result};
use cc_ci_model::doctor::{Line, Sign, fatal};
use cc_ci_model::settings::Settings;
use cc_ci_process::cancel::Cancellation;
use cc_ci_process::exit::ExitStatus;
use cc_ci_process::mask::Masker;
use cc_ci_process::printer::{Cell, Printer, Style, Table};
use cc_ci_process::state::StatePaths;
use cc_ci_swarm::programs::Programs;

use super::setup;
use crate::args::DoctorArgs;
use crate::doctor::{Host, examine};

pub(super) fn doctor(args: &DoctorArgs, masker: &Masker) -> Result<ExitStatus> {
    let (settings, line) = settings();
    let paths = StatePaths::from_environment();
    let cancellation = Cancellation::new();
    let _signals = cancellation.install_signals()?;
    let home =
        tempfile::Builder::new().prefix("cc-ci-doctor-").tempdir().context("making a home for programs")?;
    let programs = Programs::new(home.path(), &home.path().join("abra"), &cancellation, masker);
    let host = Host { paths: &paths, settings: &settings, programs: &programs };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let lines = runtime.block_on(async {
        tokio::select! {
            lines = examine(&host, line) => Ok(lines),
            cause = cancellation.cancelled() => Err(cause),
        }
    });
    // A name service that does not answer is asked on a thread of its own, which is not waited for.
    runtime.shutdown_background();
    let lines = match lines {
        Ok(lines) => lines,
        Err(cause) => return Ok(cause.exit_status()),
    };
    let fatal = fatal(&lines);
    let mut printer = Printer::stdout(masker);
    if args.json {
        let object = serde_json::json!({ "fit": fatal.is_empty(), "fatal": fatal, "lines": lines });
        printer.line(&serde_json::to_string_pretty(&object)?);
    } else {
        print(&mut printer, &lines, &fatal);
    }
    let status = if fatal.is_empty() { ExitStatus::Good } else { ExitStatus::Trouble };
    printer.finish()?;
    Ok(status)
}

/// The host's settings, or the defaults and what is wrong with the file.
fn settings() -> (Settings, Line) {
    let checked = "settings file";
    match (setup::settings(), setup::settings_file()) {
        (Ok(settings), Some(path)) => (settings, Line::ok(checked, path.display().to_string())),
        (Ok(settings), None) => (settings, Line::ok(checked, "none: defaults hold")),
        (Err(error), _) => {
            let todo = "mend it; the other lines go by the defaults meanwhile";
            (Settings::default(), Line::bad(checked, format!("{error:#}"), todo))
        }
    }
}

fn style(sign: Sign) -> Style {
    match sign {
        Sign::Ok => Style::Ok,
        Sign::Warn => Style::Warn,
        Sign::Bad => Style::Fail,
        Sign::Skipped => Style::Dim,
    }
}

fn print(printer: &mut Printer, lines: &[Line], fatal: &[&str]) {
    let mut table = Table::new(["", "checked", "found"]);
    for line in lines {
        let mark = Cell::styled(style(line.sign), line.sign.mark());
        table.row([mark, line.checked.as_str().into(), line.found.as_str().into()]);
        if let Some(todo) = &line.todo {
            table.row(["".into(), "".into(), Cell::styled(style(line.sign), format!("→ {todo}"))]);
        }
    }
    printer.table(&table);
    printer.line("");
    let warnings = lines.iter().filter(|line| line.sign == Sign::Warn).count();
    let text = if fatal.is_empty() {
        let fit = printer.style(Style::Ok, "fit for runs");
        format!("{fit}; warnings: {warnings}")
    } else {
        let unfit = printer.style(Style::Fail, "not fit for runs");
        format!("{unfit}: {}; warnings: {warnings}", fatal.join(", "))
    };
    printer.line(&text);
}
