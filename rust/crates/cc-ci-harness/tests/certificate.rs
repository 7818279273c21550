//! The end of a certificate is read from a real TLS server, also where the certificate has ended.

#![allow(clippy::unwrap_used, reason = "a test ends where something it needs is not there")]

use std::net::SocketAddr;
use std::sync::Arc;

use cc_ci_harness::certificate::valid_until;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto::ring};

/// A server that shows a certificate which ended with the year 2020, and answers once.
async fn ended() -> SocketAddr {
    let mut parameters = rcgen::CertificateParams::new(vec!["*.zone.test".to_owned()]).unwrap();
    parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(2021, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = parameters.self_signed(&key).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = TlsAcceptor::from(Arc::new(config)).accept(stream).await.unwrap();
        let mut head = [0; 1024];
        let _ = stream.read(&mut head).await;
        let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await;
        let _ = stream.shutdown().await;
    });
    address
}

#[tokio::test]
async fn a_certificate_that_has_ended_still_says_when() {
    let until = valid_until("doctor.zone.test", ended().await).await.unwrap();
    assert_eq!(until.to_string(), "2021-01-01T00:00:00Z");
}

#[tokio::test]
async fn where_nobody_listens_there_is_no_certificate() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = valid_until("doctor.zone.test", address).await.unwrap_err();
    assert!(error.to_string().starts_with("asking https://doctor.zone.test/: "), "{error}");
}
