//! Who watches a run at a terminal or in a log: lines that stay, and one line that moves.

use std::sync::{Mutex, PoisonError};

use cc_ci_harness::report::{Line, Mark, Watcher};
use cc_ci_process::mask::Masker;
use cc_ci_process::printer::{Colour, Printer, Style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Prints a run's progress: a spinner with what is waited for on a terminal, plain lines in a log.
pub(super) struct Console {
    printer: Mutex<Printer>,
    spinner: Option<ProgressBar>,
    last: Mutex<String>,
}

impl Console {
    /// To standard output, or to standard error where standard output is for a program.
    pub(super) fn new(masker: &Masker, to_stderr: bool) -> Self {
        use std::io::IsTerminal;
        let terminal =
            if to_stderr { std::io::stderr().is_terminal() } else { std::io::stdout().is_terminal() };
        let printer = if to_stderr { Printer::stderr(masker) } else { Printer::stdout(masker) };
        let spinner = terminal.then(|| {
            let target = if to_stderr { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::stdout() };
            let bar = ProgressBar::with_draw_target(None, target);
            let template = if printer.colour() == Colour::Yes {
                "{spinner:.cyan} {wide_msg:.dim}"
            } else {
                "{spinner} {wide_msg}"
            };
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.enable_steady_tick(std::time::Duration::from_millis(120));
            bar
        });
        Self { printer: Mutex::new(printer), spinner, last: Mutex::new(String::new()) }
    }

    /// Takes the moving line away; what follows is printed below the lines that stay.
    pub(super) fn close(&self) {
        if let Some(spinner) = &self.spinner {
            spinner.finish_and_clear();
        }
    }
}

impl Watcher for Console {
    fn line(&self, line: &Line) {
        let mut printer = self.printer.lock().unwrap_or_else(PoisonError::into_inner);
        let style = match line.mark {
            Mark::Good => Style::Ok,
            Mark::Bad => Style::Fail,
            Mark::Warn => Style::Warn,
            Mark::Note | Mark::Skip => Style::Dim,
        };
        let sign = printer.style(style, line.mark.sign());
        let text = format!("{}{sign} {}", "  ".repeat(line.depth), line.text);
        match &self.spinner {
            Some(spinner) => spinner.suspend(|| printer.line(&text)),
            None => printer.line(&text),
        }
    }

    fn progress(&self, text: &str) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if *last == text {
            return;
        }
        text.clone_into(&mut last);
        match &self.spinner {
            Some(spinner) => spinner.set_message(text.to_owned()),
            None => {
                let mut printer = self.printer.lock().unwrap_or_else(PoisonError::into_inner);
                let text = printer.style(Style::Dim, &format!("  … {text}"));
                printer.line(&text);
            }
        }
    }
}
