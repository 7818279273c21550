//! Why an order was not carried out, and with which exit status that ends.

use std::fmt;
use std::io;

/// Why an order was not carried out.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The words are no order.
    Usage(String),
    /// What was looked for is not so: nobody listens, no such file.
    NotSo(String),
    /// A name would lead out of the folder it was given for, or to something that is no plain file.
    Refused(String),
    /// The machine did not let us look.
    Ours(String),
    /// A signal came first.
    Ended,
}

impl Fault {
    pub(crate) fn ours(what: &str, error: io::Error) -> Self {
        Self::Ours(format!("{what}: {error}"))
    }

    /// 1 not so · 2 could not look · 3 refused · 64 no order · 143 ended by a signal.
    pub(crate) fn exit_status(&self) -> u8 {
        match self {
            Self::NotSo(_) => 1,
            Self::Ours(_) => 2,
            Self::Refused(_) => 3,
            Self::Usage(_) => 64,
            Self::Ended => 143,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(what) => write!(f, "{what}\n{}", crate::order::USAGE),
            Self::NotSo(what) | Self::Refused(what) | Self::Ours(what) => f.write_str(what),
            Self::Ended => f.write_str("ended by a signal"),
        }
    }
}
