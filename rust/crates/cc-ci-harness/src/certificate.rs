//! Until when the certificate at an address is valid, also where nobody would accept it.

use std::net::SocketAddr;

use x509_parser::prelude::{FromDer, X509Certificate};

use crate::http::{AskError, ONE_ANSWER, chain, prepare_tls};

/// The end of the certificate that `address` shows for `domain`. It is read, not trusted: an expired one has an end too.
///
/// # Errors
/// [`AskError`]: nobody answers there, or with no certificate that can be read.
pub async fn valid_until(domain: &str, address: SocketAddr) -> Result<jiff::Timestamp, AskError> {
    prepare_tls();
    let url = format!("https://{domain}/");
    let unusable = |cause: String| AskError::Unusable { url: url.clone(), cause };
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .http1_only()
        .resolve(domain, address)
        .timeout(ONE_ANSWER)
        .tls_info(true)
        .tls_danger_accept_invalid_certs(true)
        .user_agent("cc-ci")
        .build()
        .map_err(|error| unusable(chain(&error)))?;
    let response = client.head(&url).send().await;
    let response = response.map_err(|error| AskError::NoAnswer {
        url: url.clone(),
        cause: chain(&error),
        is_unreachable: error.is_connect() || error.is_timeout(),
    })?;
    let shown = response.extensions().get::<reqwest::tls::TlsInfo>();
    let der = shown.and_then(|shown| shown.peer_certificate());
    let der = der.ok_or_else(|| unusable("no certificate was shown".to_owned()))?;
    let (_, certificate) = X509Certificate::from_der(der)
        .map_err(|error| unusable(format!("reading its certificate: {error}")))?;
    let seconds = certificate.validity().not_after.timestamp();
    jiff::Timestamp::from_second(seconds)
        .map_err(|error| unusable(format!("reading the end of its certificate: {error}")))
}
