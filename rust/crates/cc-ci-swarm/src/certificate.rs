//! Until when the certificate holds that a TLS server shows: asked of the server itself, whoever signed it.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};
use x509_parser::prelude::{FromDer, X509Certificate};

/// A proxy on this host answers at once.
const LIMIT: Duration = Duration::from_secs(5);

/// Why it is not known.
#[derive(Debug, thiserror::Error)]
#[error("asking {address} for the certificate of {name}: {reason}")]
pub struct CertificateError {
    /// Where.
    pub address: SocketAddr,
    /// For which name.
    pub name: String,
    /// What went wrong.
    pub reason: String,
}

/// The end of the certificate for `name` that a server shows. It is read, not trusted: one that has ended has an end too.
///
/// # Errors
/// Nobody answers there, or not with TLS and a certificate that can be read.
pub async fn valid_until(name: &str, address: SocketAddr) -> Result<jiff::Timestamp, CertificateError> {
    let (own, name) = (name.to_owned(), name.to_owned());
    let failed = move |reason: String| CertificateError { address, name, reason };
    // Reads and writes of the standard library: a thread for them, each bounded by itself.
    let asked = tokio::task::spawn_blocking(move || ends(&shown(address, &own)?)).await;
    asked.map_err(|error| error.to_string()).and_then(|ends| ends).map_err(failed)
}

/// Whole days until then; negative once it is over.
#[must_use]
pub fn days_left(until: jiff::Timestamp, now: jiff::Timestamp) -> i64 {
    (until.as_second() - now.as_second()).div_euclid(86_400)
}

fn ends(shown: &CertificateDer<'_>) -> Result<jiff::Timestamp, String> {
    let (_, certificate) = X509Certificate::from_der(shown).map_err(|error| error.to_string())?;
    let seconds = certificate.validity().not_after.timestamp();
    jiff::Timestamp::from_second(seconds).map_err(|error| error.to_string())
}

fn shown(address: SocketAddr, name: &str) -> Result<CertificateDer<'static>, String> {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    let server = ServerName::try_from(name.to_owned()).map_err(|error| error.to_string())?;
    let mut connection =
        ClientConnection::new(Arc::new(config), server).map_err(|error| error.to_string())?;
    let shake = |connection: &mut ClientConnection| -> io::Result<()> {
        let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        connection.send_close_notify();
        let _ = connection.complete_io(&mut stream).and_then(|_| stream.flush());
        Ok(())
    };
    shake(&mut connection).map_err(|error| error.to_string())?;
    let first = connection.peer_certificates().and_then(|chain| chain.first());
    first.map(|certificate| certificate.clone().into_owned()).ok_or_else(|| "it showed none".to_owned())
}

/// Takes any certificate: nothing is said to the server that a secret depends on, and one that has ended is what is
/// looked for.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use rustls::pki_types::PrivateKeyDer;
    use rustls::{ServerConfig, ServerConnection};

    use super::*;

    /// A server that shows one certificate, once; it ends at this second.
    fn server(ends: i64) -> SocketAddr {
        let mut leaf = rcgen::CertificateParams::new(vec!["*.ci.test".to_owned()]).unwrap();
        leaf.not_before = rcgen::date_time_ymd(2001, 1, 1);
        leaf.not_after = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(u64::try_from(ends).unwrap());
        let key = rcgen::KeyPair::generate().unwrap();
        let shown = leaf.self_signed(&key).unwrap().der().clone();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![shown], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut connection = ServerConnection::new(Arc::new(config)).unwrap();
            while connection.is_handshaking() && connection.complete_io(&mut stream).is_ok() {}
        });
        address
    }

    #[tokio::test]
    async fn a_certificate_says_when_it_ends_and_one_that_ended_too() {
        let now: jiff::Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let day = 86_400;
        for (seconds, days) in [(10 * day, 10), (10 * day - 1, 9), (0, 0), (-1, -1), (-3 * day, -3)] {
            let until = valid_until("anything.ci.test", server(now.as_second() + seconds)).await.unwrap();
            assert_eq!(until.as_second(), now.as_second() + seconds);
            assert_eq!(days_left(until, now), days, "{seconds} s");
        }
    }

    #[tokio::test]
    async fn nobody_there_is_an_error_that_names_the_address() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let error = valid_until("x.ci.test", address).await.unwrap_err().to_string();
        assert!(error.contains(&address.to_string()), "{error}");
    }
}
