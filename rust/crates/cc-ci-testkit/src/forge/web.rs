//! Asking the test servers over HTTP as a test does it: blocking, no redirect followed, cookies where a browser has them.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, LOCATION, SET_COOKIE};
use serde_json::Value;

use super::ForgeError;

/// Time for one answer.
const ONE_ANSWER: Duration = Duration::from_secs(30);

/// A client with a runtime of its own.
#[derive(Debug)]
pub struct Web {
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub enum As<'a> {
    /// Nobody.
    Nobody,
    /// A Gitea or Drone token.
    Token(&'a str),
    /// Name and password.
    Password(&'a str, &'a str),
}

/// What is sent along.
#[derive(Debug)]
pub enum Body<'a> {
    /// Nothing.
    Empty,
    /// A JSON document.
    Json(&'a Value),
    /// A form.
    Form(&'a [(&'a str, &'a str)]),
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Where a redirect leads.
    pub location: Option<String>,
    /// The body.
    pub text: String,
    cookies: Vec<(String, String)>,
}

impl Reply {
    /// The body as JSON; null where it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }
}

/// Cookies by host and port.
#[derive(Debug, Default)]
pub struct Jar(BTreeMap<String, BTreeMap<String, String>>);

impl Web {
    /// A client.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new() -> Result<Self, ForgeError> {
        let made = |error: &dyn std::fmt::Display| ForgeError::Client(error.to_string());
        // Fails where another client has done it, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(ONE_ANSWER)
            // A server that was restarted has closed what is kept.
            .pool_max_idle_per_host(0)
            .build();
        Ok(Self {
            runtime: runtime.map_err(|error| made(&error))?,
            client: client.map_err(|error| made(&error))?,
        })
    }

    /// One request.
    ///
    /// # Errors
    /// Nobody answers.
    pub fn ask(&self, method: &str, url: &str, who: As<'_>, body: &Body<'_>) -> Result<Reply, ForgeError> {
        self.send(method, url, who, body, None)
    }

    /// One request of a browser with its cookies.
    ///
    /// # Errors
    /// Nobody answers.
    pub fn browse(
        &self,
        jar: &mut Jar,
        method: &str,
        url: &str,
        body: &Body<'_>,
    ) -> Result<Reply, ForgeError> {
        let site = site_of(url);
        let cookies = jar.0.entry(site).or_default();
        let line: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let reply = self.send(method, url, As::Nobody, body, Some(line.join("; ")))?;
        cookies.extend(reply.cookies.iter().cloned());
        Ok(reply)
    }

    fn send(
        &self,
        method: &str,
        url: &str,
        who: As<'_>,
        body: &Body<'_>,
        cookies: Option<String>,
    ) -> Result<Reply, ForgeError> {
        let failed = |cause: &dyn std::fmt::Debug| ForgeError::Ask {
            what: format!("{method} {url}"),
            answer: format!("{cause:?}"),
        };
        let method = reqwest::Method::from_bytes(method.as_bytes()).map_err(|error| failed(&error))?;
        let mut request = self.client.request(method.clone(), url);
        request = match who {
            As::Nobody => request,
            As::Token(token) => request.bearer_auth(token),
            As::Password(name, password) => request.basic_auth(name, Some(password)),
        };
        if let Some(cookies) = cookies.filter(|cookies| !cookies.is_empty()) {
            request = request.header("Cookie", cookies);
        }
        request = match body {
            Body::Empty => request,
            Body::Json(value) => request.header(CONTENT_TYPE, "application/json").body(value.to_string()),
            Body::Form(pairs) => {
                request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form(pairs))
            }
        };
        self.runtime.block_on(async {
            let response = request.send().await.map_err(|error| failed(&error))?;
            let headers = response.headers();
            let location =
                headers.get(LOCATION).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
            let cookies = headers.get_all(SET_COOKIE).iter().filter_map(|value| {
                let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
                let (name, value) = text.split(';').next()?.split_once('=')?;
                Some((name.trim().to_owned(), value.trim().to_owned()))
            });
            let (cookies, status) = (cookies.collect(), response.status().as_u16());
            let text = response.text().await.map_err(|error| failed(&error))?;
            Ok(Reply { status, location, text, cookies })
        })
    }
}

/// `name=value&…`, percent-encoded.
#[must_use]
pub fn form(pairs: &[(&str, &str)]) -> String {
    let mut url = reqwest::Url::parse("http://form.invalid/").expect("the address is a constant");
    url.query_pairs_mut().extend_pairs(pairs);
    url.query().unwrap_or_default().to_owned()
}

fn site_of(url: &str) -> String {
    url.split('/').nth(2).unwrap_or_default().to_owned()
}
