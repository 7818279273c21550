//! Where the operator's log goes: stderr, masked, without time stamps where the journal adds its own.

use std::io::{self, IsTerminal, Write};

use thiserror::Error;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::environment::{CCCI_LOG, JOURNAL_STREAM};
use crate::mask::Masker;
use crate::printer::Colour;

/// What is shown where [`CCCI_LOG`] says nothing.
const DEFAULT_LEVEL: &str = "info";

/// Why there is no log.
#[derive(Debug, Error)]
pub enum LoggingError {
    /// The filter cannot be read.
    #[error(
        "setting up the log: {CCCI_LOG}={text:?} is no filter: {reason}; write for example \"info\" or \"cc_ci_swarm=debug\""
    )]
    Filter {
        /// The text of the variable.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A log was set up before.
    #[error("setting up the log: this program has one already")]
    Twice,
}

/// Sets the log of this program up. Everything in it goes through `masker`.
pub fn start(masker: &Masker) -> Result<(), LoggingError> {
    let text = std::env::var(CCCI_LOG).ok().filter(|text| !text.is_empty());
    let text = text.unwrap_or_else(|| DEFAULT_LEVEL.to_owned());
    let filter = EnvFilter::try_new(&text)
        .map_err(|error| LoggingError::Filter { text: text.clone(), reason: error.to_string() })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(Colour::wanted(io::stderr().is_terminal()) == Colour::Yes)
        .with_writer(MaskedStderr { masker: masker.clone() });
    // systemd sets the variable where stderr is the journal, which stamps each line itself.
    let set = if std::env::var_os(JOURNAL_STREAM).is_some() {
        builder.without_time().try_init()
    } else {
        builder.try_init()
    };
    set.map_err(|_| LoggingError::Twice)
}

struct MaskedStderr {
    masker: Masker,
}

impl<'a> MakeWriter<'a> for MaskedStderr {
    type Writer = MaskedEvent<'a>;
    fn make_writer(&'a self) -> MaskedEvent<'a> {
        MaskedEvent { masker: &self.masker }
    }
}

/// Writes one event, which the subscriber hands over in one piece.
struct MaskedEvent<'a> {
    masker: &'a Masker,
}

impl Write for MaskedEvent<'_> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let mut stream = self.masker.stream();
        let mut shown = stream.push(event);
        shown.extend(stream.finish());
        io::stderr().write_all(&shown)?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
