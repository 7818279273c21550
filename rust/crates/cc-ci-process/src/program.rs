//! How a program of ours begins and ends: its command line, its first words where that is wrong, its last where its work is.

use std::ffi::OsString;
use std::fmt::Display;

use clap::Parser;

use crate::exit::ExitStatus;
use crate::mask::Masker;
use crate::printer::{Printer, Style};

/// Parses the command line and does `work` with it; the status the program ends with.
///
/// Help and version go to standard output and are good; a wrong call is said on standard error and is
/// [`ExitStatus::Usage`]. An error of the work is printed once, as a chain on one line (`{:#}`), and is
/// [`ExitStatus::Trouble`].
pub fn run<Call: Parser, Fault: Display>(
    arguments: impl IntoIterator<Item = OsString>,
    work: impl FnOnce(Call, &Masker) -> Result<ExitStatus, Fault>,
) -> ExitStatus {
    let masker = Masker::new();
    let call = match Call::try_parse_from(arguments) {
        Ok(call) => call,
        Err(error) => {
            let is_asked = !error.use_stderr();
            let mut printer = if is_asked { Printer::stdout(&masker) } else { Printer::stderr(&masker) };
            printer.line(error.render().to_string().trim_end());
            return if is_asked { ExitStatus::Good } else { ExitStatus::Usage };
        }
    };
    work(call, &masker).unwrap_or_else(|error| {
        let mut printer = Printer::stderr(&masker);
        let name = printer.style(Style::Fail, &format!("{}:", Call::command().get_name()));
        printer.line(&format!("{name} {error:#}"));
        ExitStatus::Trouble
    })
}
