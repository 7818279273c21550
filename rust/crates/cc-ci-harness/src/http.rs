//! The one HTTP client: asks the app through its door, follows no redirect, and bounds time and size.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use cc_ci_model::recipe_toml::{HttpLook, Placeholders};
use cc_ci_process::mask::Masker;

/// Bytes of a body that are kept.
pub const LONGEST_BODY: usize = 1 << 20;
/// Time for one answer, from the connection to its last byte.
pub const ONE_ANSWER: Duration = Duration::from_secs(30);

/// How the app is spoken to.
#[derive(Debug, Clone)]
pub enum Scheme {
    /// Plain HTTP, straight to the task.
    Http,
    /// TLS, straight to a task that speaks it itself. Its certificate is made for the proxy alone, which does not look at it.
    HttpsOfTask,
    /// TLS with a certificate for the domain, by the authority in this PEM text; by the public ones without it.
    Https {
        /// PEM text of the authority.
        ca: Option<Vec<u8>>,
    },
}

/// A client for one domain, whose name leads to one address.
#[derive(Debug, Clone)]
pub struct Client {
    inner: reqwest::Client,
    base: String,
}

/// An answer as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Headers in order, names in lower case, bytes that are no text replaced.
    pub headers: Vec<(String, String)>,
    /// The first [`LONGEST_BODY`] bytes of the body.
    pub body: Vec<u8>,
    /// Whether more of the body was left out.
    pub is_cut: bool,
    /// From the request to the last byte kept.
    pub took: Duration,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody took the connection, it broke off, or the time was up: it may be different the next time.
    #[error("asking {url}: {cause}")]
    NoAnswer {
        /// What was asked for.
        url: String,
        /// The chain of causes on one line.
        cause: String,
        /// Whether nobody took the connection, or nothing came in time; else it broke off later.
        is_unreachable: bool,
    },
    /// The certificate is not valid for the domain under the given authority.
    #[error(
        "asking {url}: the certificate is not accepted: {cause}; it has to name the domain and come from the authority in the settings (proxy.ca)"
    )]
    Certificate {
        /// What was asked for.
        url: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The client or the request could not be made.
    #[error("preparing to ask {url}: {cause}")]
    Unusable {
        /// What was to be asked for.
        url: String,
        /// Why.
        cause: String,
    },
}

impl Answer {
    /// The first value of a header; the name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The answer without the values the masker knows.
    #[must_use]
    pub fn masked(mut self, masker: &Masker) -> Self {
        for (_, value) in &mut self.headers {
            *value = masker.mask(value);
        }
        self.body = masker.mask(&self.text()).into_bytes();
        self
    }

    /// The answer as a person reads it: status, headers, the start of the body.
    #[must_use]
    pub fn shown(&self) -> String {
        let headers: String = self.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
        let body: String = self.text().chars().take(8000).collect();
        format!("HTTP status {}\n{headers}\n{body}\n", self.status)
    }

    /// The body as text, bytes that are no UTF-8 replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    /// A client for `domain`, which is found at `address` whatever the name service says.
    ///
    /// # Errors
    /// [`AskError::Unusable`] for an authority that cannot be read.
    pub fn new(domain: &str, address: SocketAddr, scheme: &Scheme) -> Result<Self, AskError> {
        prepare_tls();
        let name = match scheme {
            Scheme::Http => "http",
            Scheme::Https { .. } | Scheme::HttpsOfTask => "https",
        };
        let base = format!("{name}://{domain}");
        let unusable =
            |cause: &dyn std::error::Error| AskError::Unusable { url: base.clone(), cause: chain(cause) };
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .http1_only()
            .resolve(domain, address)
            .timeout(ONE_ANSWER)
            // A connection that is kept could lead to the task of an earlier deploy.
            .pool_max_idle_per_host(0)
            .user_agent("cc-ci");
        if let Scheme::Https { ca: Some(pem) } = scheme {
            let authorities = reqwest::Certificate::from_pem_bundle(pem).map_err(|error| unusable(&error))?;
            if authorities.is_empty() {
                let cause = "the file of the authority holds no certificate".to_owned();
                return Err(AskError::Unusable { url: base, cause });
            }
            builder = builder.tls_certs_only(authorities);
        }
        if matches!(scheme, Scheme::HttpsOfTask) {
            builder = builder.tls_danger_accept_invalid_certs(true);
        }
        let inner = builder.build().map_err(|error| unusable(&error))?;
        Ok(Self { inner, base })
    }

    /// What stands before every path.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The host name it asks for.
    #[must_use]
    pub fn host(&self) -> &str {
        self.base.split_once("://").map_or(self.base.as_str(), |(_, host)| host)
    }

    /// One plain GET.
    ///
    /// # Errors
    /// [`AskError`] where no answer came.
    pub async fn get(&self, path: &str) -> Result<Answer, AskError> {
        let url = format!("{}{path}", self.base);
        self.send(&url, self.inner.get(&url)).await
    }

    /// The request of a check, with its placeholders filled in.
    ///
    /// # Errors
    /// [`AskError`] where no answer came.
    pub async fn ask(&self, look: &HttpLook, values: &Placeholders<'_>) -> Result<Answer, AskError> {
        let url = format!("{}{}", self.base, values.fill(look.path.as_str()));
        let unusable =
            |cause: &dyn std::error::Error| AskError::Unusable { url: url.clone(), cause: chain(cause) };
        let method =
            reqwest::Method::from_bytes(look.method.as_str().as_bytes()).map_err(|error| unusable(&error))?;
        let mut request = self.inner.request(method, &url);
        for (name, value) in &look.headers {
            request = request.header(name.as_str(), values.fill(value.as_str()));
        }
        if let Some(body) = &look.body {
            request = request.body(values.fill(body));
        }
        self.send(&url, request).await
    }

    async fn send(&self, url: &str, request: reqwest::RequestBuilder) -> Result<Answer, AskError> {
        let start = Instant::now();
        let mut response = request.send().await.map_err(|error| explain(url, &error))?;
        let headers = response.headers().iter().map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        });
        let (status, headers) = (response.status().as_u16(), headers.collect());
        let mut body = Vec::new();
        let mut is_cut = false;
        while let Some(chunk) = response.chunk().await.map_err(|error| explain(url, &error))? {
            let room = LONGEST_BODY - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if chunk.len() > room {
                is_cut = true;
                break;
            }
        }
        Ok(Answer { status, headers, body, is_cut, took: start.elapsed() })
    }
}

fn explain(url: &str, error: &reqwest::Error) -> AskError {
    let (url, cause) = (url.to_owned(), chain(error));
    if error.is_builder() {
        AskError::Unusable { url, cause }
    } else if let Some(certificate) = certificate_error(error) {
        AskError::Certificate { url, cause: certificate }
    } else {
        AskError::NoAnswer { url, cause, is_unreachable: error.is_connect() || error.is_timeout() }
    }
}

/// What rustls says of the certificate, wherever it stands in the chain of causes.
fn certificate_error(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    if let Some(tls) = error.downcast_ref::<rustls::Error>() {
        return matches!(tls, rustls::Error::InvalidCertificate(_)).then(|| tls.to_string());
    }
    // An I/O error shows the source of what it wraps, not what it wraps.
    let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    match wrapped {
        Some(inner) => certificate_error(inner),
        None => certificate_error(error.source()?),
    }
}

/// Chooses who does the arithmetic of TLS for this process.
pub(crate) fn prepare_tls() {
    // Fails where another client has done it, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

pub(crate) fn chain(error: &dyn std::error::Error) -> String {
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
