//! `[[ready]]`: what has to be there before the checks of a tier begin.

use std::num::{NonZeroU8, NonZeroU16};

use schemars::JsonSchema;
use serde::Deserialize;

use super::check::TcpLook;
use super::keys::schema_of_table;
use super::values::{HttpStatus, Title, UrlPath};
use crate::names::ServiceName;

/// One thing that is waited for, at most for `app.timeouts.http`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "ReadyTable")]
pub struct Ready {
    /// Its name in the result.
    pub name: Title,
    /// What has to be there.
    pub look: ReadyLook,
}
schema_of_table!(Ready, ReadyTable);

/// What has to be there.
#[derive(Debug, Clone, PartialEq)]
pub enum ReadyLook {
    /// An answer over HTTP.
    Http(HttpReady),
    /// Connections in a row.
    Tcp(TcpLook),
}

/// `[[ready]]` as it stands in the file: exactly one of http and tcp.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReadyTable {
    /// Name in the result.
    name: Title,
    /// Wait for an HTTP answer.
    http: Option<HttpReady>,
    /// Wait until a port accepts connections.
    tcp: Option<TcpLook>,
}

/// An HTTP answer that is waited for: of the app at its own address, or of another service's task.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(inline)]
pub struct HttpReady {
    /// Path that is asked.
    pub path: UrlPath,
    /// Statuses that count.
    pub status: Vec<HttpStatus>,
    /// Service whose task is asked, in its own network namespace; the app at its own address where it is missing.
    pub service: Option<ServiceName>,
    /// Port that task listens on.
    pub port: Option<NonZeroU16>,
    /// So many answers in a row have to be right.
    pub stable: NonZeroU8,
}

impl Default for HttpReady {
    fn default() -> Self {
        let stable = NonZeroU8::new(1).expect("one is not zero");
        Self {
            path: UrlPath::root(),
            status: vec![HttpStatus::known(200)],
            service: None,
            port: None,
            stable,
        }
    }
}

impl TryFrom<ReadyTable> for Ready {
    type Error = String;
    fn try_from(table: ReadyTable) -> Result<Self, String> {
        let ReadyTable { name, http, tcp } = table;
        let look = match (http, tcp) {
            (Some(look), None) if look.service.is_some() != look.port.is_some() => {
                return Err(format!("ready {name}: http needs service and port together, or neither"));
            }
            (Some(look), None) => ReadyLook::Http(look),
            (None, Some(look)) => ReadyLook::Tcp(look),
            _ => return Err(format!("ready {name} needs exactly one of http and tcp")),
        };
        Ok(Self { name, look })
    }
}
