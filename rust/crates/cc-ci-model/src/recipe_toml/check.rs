//! `[[check]]`: one look at the app, with what is expected.

use std::collections::BTreeMap;
use std::num::{NonZeroU8, NonZeroU16};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::keys::schema_of_table;
use super::values::{HeaderName, HeaderValue, HttpStatus, Title, UrlPath};
use crate::duration::HumanDuration;
use crate::names::ServiceName;
use crate::tier::Tier;

/// One check of a recipe.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "CheckTable")]
pub struct Check {
    /// The tier it belongs to.
    pub tier: Tier,
    /// Its name in the result.
    pub name: Title,
    /// How long the app may take to be ready to be asked. Wrong content is never asked for again.
    pub within: HumanDuration,
    /// What is looked at.
    pub look: Look,
}
schema_of_table!(Check, CheckTable);

/// What a check looks at.
#[derive(Debug, Clone, PartialEq)]
pub enum Look {
    /// An HTTP request through the door.
    Http(HttpLook),
    /// A TCP connection to a task.
    Tcp(TcpLook),
    /// A command in a task's container.
    Exec(ExecLook),
    /// A page in a browser.
    Browser(BrowserLook),
}

/// `[[check]]` as it stands in the file: exactly one of http, tcp, exec and browser.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CheckTable {
    /// Tier the check belongs to: install, upgrade, backup, restore or custom.
    tier: Tier,
    /// Name in the result.
    name: Title,
    /// How long the app may take to be ready to be asked; wrong content is never asked for again (default 30s).
    within: Option<HumanDuration>,
    /// Look at an HTTP answer.
    http: Option<HttpLook>,
    /// Look whether a port accepts connections.
    tcp: Option<TcpLook>,
    /// Look at the output of a command in a container.
    exec: Option<ExecLook>,
    /// Look at a page in a browser.
    browser: Option<BrowserLook>,
}

impl TryFrom<CheckTable> for Check {
    type Error = String;
    fn try_from(table: CheckTable) -> Result<Self, String> {
        if table.tier == Tier::Lint {
            return Err(
                "lint has no checks of its own; use install, upgrade, backup, restore or custom".into()
            );
        }
        let look = match (table.http, table.tcp, table.exec, table.browser) {
            (Some(look), None, None, None) => Look::Http(look),
            (None, Some(look), None, None) => Look::Tcp(look),
            (None, None, Some(look), None) => Look::Exec(look),
            (None, None, None, Some(look)) => Look::Browser(look),
            _ => {
                return Err(format!(
                    "check {} needs exactly one of http, tcp, exec and browser",
                    crate::names::quoted(table.name.as_str())
                ));
            }
        };
        let within = table.within.unwrap_or(HumanDuration::seconds(30));
        Ok(Self { tier: table.tier, name: table.name, within, look })
    }
}

/// An HTTP request and what its answer must be. Redirects are looked at, never followed.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(inline)]
pub struct HttpLook {
    /// Path on the app.
    pub path: UrlPath,
    /// Method of the request.
    pub method: Method,
    /// Headers of the request.
    pub headers: BTreeMap<HeaderName, HeaderValue>,
    /// Body of the request.
    pub body: Option<String>,
    /// Statuses that are right.
    pub status: Vec<HttpStatus>,
    /// Texts that the body must contain, each of them.
    pub contains: Vec<String>,
    /// What the first redirect's target must start with.
    pub location: Option<String>,
    /// Values in a JSON answer, by JSON pointer (RFC 6901), e.g. `{ "/status" = "ok" }`.
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub json: BTreeMap<String, toml::Value>,
}

impl Default for HttpLook {
    fn default() -> Self {
        Self {
            path: UrlPath::root(),
            method: Method::Get,
            headers: BTreeMap::new(),
            body: None,
            status: vec![HttpStatus::known(200)],
            contains: Vec::new(),
            location: None,
            json: BTreeMap::new(),
        }
    }
}

/// Methods a check may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schemars(inline)]
pub enum Method {
    /// GET
    #[default]
    Get,
    /// HEAD
    Head,
    /// POST
    Post,
    /// PUT
    Put,
    /// PATCH
    Patch,
    /// DELETE
    Delete,
    /// OPTIONS
    Options,
    /// PROPFIND, as WebDAV servers know it
    Propfind,
}

impl Method {
    /// The method as HTTP writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            Self::Propfind => "PROPFIND",
        }
    }
}

/// A port that must accept connections.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct TcpLook {
    /// Service whose task is asked, in its own network namespace; the web-facing one where it is missing.
    pub service: Option<ServiceName>,
    /// Port the task listens on.
    pub port: NonZeroU16,
    /// So many connections in a row must succeed.
    #[serde(default = "three_times")]
    pub stable: NonZeroU8,
}

fn three_times() -> NonZeroU8 {
    NonZeroU8::new(3).expect("three is not zero")
}

/// A command in a running container and what it must print.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "ExecTable")]
pub struct ExecLook {
    /// Service in whose container the command runs.
    pub service: ServiceName,
    /// The command as an argument vector; no shell is added.
    pub command: Vec<String>,
    /// Text for the command's standard input.
    pub stdin: Option<String>,
    /// The exit status that is right.
    pub exit: u8,
    /// Texts that standard output must contain, each of them.
    pub contains: Vec<String>,
}
schema_of_table!(ExecLook, ExecTable);

/// A command as it stands in the file.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ExecTable {
    /// Service in whose container the command runs.
    service: ServiceName,
    /// The command as an argument vector; no shell is added.
    command: Vec<String>,
    /// Text for the command's standard input.
    stdin: Option<String>,
    /// The exit status that is right.
    #[serde(default)]
    exit: u8,
    /// Texts that standard output must contain, each of them.
    #[serde(default)]
    contains: Vec<String>,
}

impl TryFrom<ExecTable> for ExecLook {
    type Error = &'static str;
    fn try_from(table: ExecTable) -> Result<Self, Self::Error> {
        let ExecTable { service, command, stdin, exit, contains } = table;
        if command.first().is_none_or(String::is_empty) {
            return Err(
                "command is empty: write the program and its arguments, e.g. [\"cat\", \"/etc/motd\"]",
            );
        }
        if command.iter().any(|word| word.contains('\0')) {
            return Err("command holds a NUL character, which no program can be given");
        }
        Ok(Self { service, command, stdin, exit, contains })
    }
}

/// A page that is opened in a browser.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(inline)]
pub struct BrowserLook {
    /// Path on the app.
    pub path: UrlPath,
    /// Texts that the page shows, each of them.
    pub contains: Vec<String>,
    /// CSS selector of an element that must be there.
    pub selector: Option<String>,
}

impl Default for BrowserLook {
    fn default() -> Self {
        Self { path: UrlPath::root(), contains: Vec::new(), selector: None }
    }
}
