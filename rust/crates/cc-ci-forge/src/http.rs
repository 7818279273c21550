//! One HTTP client for both servers: no redirect is followed, time and size are bounded, every failure says whether it may pass.

use std::time::Duration;

use cc_ci_process::mask::SecretValue;
use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Time for one answer, from the connection to its last byte.
const ONE_ANSWER: Duration = Duration::from_secs(20);
/// Longest body that is read: the log of a step is cut by Drone at 5 MB, and JSON adds to that.
const LONGEST_BODY: usize = 12 << 20;

/// Why a server did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ForgeError {
    /// The address in the settings is none.
    #[error("{address} is no address of a server: {cause}; give one such as https://git.example.org")]
    Address {
        /// As given.
        address: String,
        /// What is wrong.
        cause: String,
    },
    /// Nobody answered, the answer broke off, or the time was up.
    #[error("{what}: {cause}")]
    NoAnswer {
        /// What was asked.
        what: String,
        /// The chain of causes.
        cause: String,
    },
    /// It answered that it cannot answer (429, 5xx, a forge behind it that is down).
    #[error("{what}: answered {status}: {text}")]
    Busy {
        /// What was asked.
        what: String,
        /// The status.
        status: u16,
        /// The start of the body.
        text: String,
    },
    /// A redirect. It is never followed: a membership question would become another one.
    #[error("{what}: was sent elsewhere with {status}")]
    Redirect {
        /// What was asked.
        what: String,
        /// The status.
        status: u16,
    },
    /// 401, 403, 404 and every other no.
    #[error("{what}: answered {status}: {text}")]
    Refused {
        /// What was asked.
        what: String,
        /// The status.
        status: u16,
        /// The start of the body.
        text: String,
    },
    /// An answer in another form than expected.
    #[error("{what}: the answer cannot be read: {cause}")]
    Malformed {
        /// What was asked.
        what: String,
        /// What is wrong with it.
        cause: String,
    },
    /// Drone took the build and made none: no pipeline of the file listens to the event `custom`.
    #[error("{what}: no pipeline of .drone.yml on that branch has `trigger: {{event: [custom]}}`")]
    NoPipeline {
        /// What was asked.
        what: String,
    },
}

impl ForgeError {
    /// Whether asking again may help.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            // Something in front of the server sends everybody elsewhere: a login page, a page about maintenance.
            Self::NoAnswer { .. } | Self::Busy { .. } | Self::Malformed { .. } | Self::Redirect { .. } => {
                true
            }
            Self::Address { .. } | Self::Refused { .. } | Self::NoPipeline { .. } => false,
        }
    }

    /// The status of a no.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } | Self::Redirect { status, .. } | Self::Busy { status, .. } => {
                Some(*status)
            }
            Self::Address { .. }
            | Self::NoAnswer { .. }
            | Self::Malformed { .. }
            | Self::NoPipeline { .. } => None,
        }
    }
}

/// An answer, of whatever status.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) what: String,
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// The server's clock, from its `Date` header.
    pub(crate) date: Option<jiff::Timestamp>,
}

/// One server with one token.
pub(crate) struct Api {
    client: reqwest::Client,
    base: reqwest::Url,
    token: SecretValue,
}

impl Api {
    pub(crate) fn new(address: &str, path: &str, token: SecretValue) -> Result<Self, ForgeError> {
        let bad = |cause: &dyn std::fmt::Display| ForgeError::Address {
            address: address.to_owned(),
            cause: cause.to_string(),
        };
        // Fails where another client has done it, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let text = format!("{}{path}", address.trim_end_matches('/'));
        let base = reqwest::Url::parse(&text).map_err(|error| bad(&error))?;
        if !matches!(base.scheme(), "http" | "https") || base.cannot_be_a_base() {
            return Err(bad(&"the scheme is neither http nor https"));
        }
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(ONE_ANSWER)
            .connect_timeout(Duration::from_secs(5))
            .user_agent("cc-ci-bridge")
            .build()
            .map_err(|error| bad(&error))?;
        Ok(Self { client, base, token })
    }

    /// Asks. The parts of the path are encoded, so a name cannot lead to another page; an answer of any status comes back.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        body: Option<&Value>,
    ) -> Result<Answer, ForgeError> {
        let mut url = self.base.clone();
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.extend(path.iter().flat_map(|part| part.split('/')));
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let what = format!("{method} {}", url.path());
        let failed =
            |error: &reqwest::Error| ForgeError::NoAnswer { what: what.clone(), cause: chain(error) };
        let mut request = self.client.request(method.clone(), url).bearer_auth(self.token.expose());
        if let Some(body) = body {
            request = request.header("Content-Type", "application/json").body(body.to_string());
        }
        let mut response = request.send().await.map_err(|error| failed(&error))?;
        let status = response.status().as_u16();
        let date = response.headers().get("date").and_then(|value| value.to_str().ok());
        let date = date.and_then(|text| jiff::fmt::rfc2822::parse(text).ok()).map(|zoned| zoned.timestamp());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| failed(&error))? {
            if body.len() + chunk.len() > LONGEST_BODY {
                let cause = format!("it is longer than {} MiB", LONGEST_BODY >> 20);
                return Err(ForgeError::Malformed { what, cause });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { what, status, body, date })
    }
}

impl Answer {
    /// The answer, if it is a yes.
    pub(crate) fn good(self) -> Result<Self, ForgeError> {
        let text =
            || String::from_utf8_lossy(&self.body).chars().filter(|c| !c.is_control()).take(300).collect();
        match self.status {
            200..=299 => Ok(self),
            300..=399 => Err(ForgeError::Redirect { what: self.what, status: self.status }),
            408 | 429 | 500..=599 => {
                Err(ForgeError::Busy { text: text(), what: self.what, status: self.status })
            }
            _ => Err(ForgeError::Refused { text: text(), what: self.what, status: self.status }),
        }
    }

    /// The body of a yes; `null` is an empty list and an absent object where the type allows it.
    pub(crate) fn json<T: DeserializeOwned>(self) -> Result<T, ForgeError> {
        let good = self.good()?;
        serde_json::from_slice(&good.body)
            .map_err(|error| ForgeError::Malformed { what: good.what, cause: error.to_string() })
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let more = cause.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        next = cause.source();
    }
    text
}
