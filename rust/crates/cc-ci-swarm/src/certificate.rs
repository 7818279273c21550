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

/// Whole days until the certificate for `name` ends that a server shows; negative once it has ended.
///
/// # Errors
/// Nobody answers there, or not with TLS and a certificate.
pub fn days_left(address: SocketAddr, name: &str, now: jiff::Timestamp) -> Result<i64, CertificateError> {
    let failed = |reason: String| CertificateError { address, name: name.to_owned(), reason };
    let shown = shown(address, name).map_err(failed)?;
    let (_, certificate) = X509Certificate::from_der(&shown).map_err(|error| failed(error.to_string()))?;
    let left = certificate.validity().not_after.timestamp() - now.as_second();
    Ok(left.div_euclid(86_400))
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

    #[test]
    fn a_certificate_says_how_many_whole_days_it_holds_and_one_that_ended_too() {
        let now: jiff::Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let day = 86_400;
        for (seconds, days) in [(10 * day, 10), (10 * day - 1, 9), (0, 0), (-1, -1), (-3 * day, -3)] {
            let address = server(now.as_second() + seconds);
            assert_eq!(days_left(address, "anything.ci.test", now).unwrap(), days, "{seconds} s");
        }
    }

    #[test]
    fn nobody_there_is_an_error_that_names_the_address() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let error = days_left(address, "x.ci.test", jiff::Timestamp::UNIX_EPOCH).unwrap_err().to_string();
        assert!(error.contains(&address.to_string()), "{error}");
    }
}
