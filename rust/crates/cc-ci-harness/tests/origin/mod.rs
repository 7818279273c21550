//! A server that gives one answer and remembers every byte it was sent; with and without TLS.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use rcgen::{CertificateParams, KeyPair};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Notify;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// The app of the run.
pub(crate) const OWN: &str = "cust-c95a69.ci.example";
/// The app of another run.
pub(crate) const STRANGER: &str = "cust-000000.ci.example";

/// The server; it ends with the test's runtime.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    pub(crate) certificate: Option<CertificateDer<'static>>,
    memory: Arc<Memory>,
}

#[derive(Default)]
struct Memory {
    seen: Mutex<Vec<u8>>,
    connections: Mutex<usize>,
    changed: Notify,
}

/// How a connection is answered once a request's head is whole; `None`: never.
type Reply = Option<Arc<dyn Fn(&str) -> String + Send + Sync>>;

impl Origin {
    pub(crate) async fn plain(answer: &str) -> Self {
        let answer = answer.to_owned();
        Self::replying(move |_| answer.clone()).await
    }

    /// Answers by the head of the request.
    pub(crate) async fn replying(reply: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self::tcp(Some(Arc::new(reply)), None, None).await
    }

    pub(crate) async fn silent() -> Self {
        Self::tcp(None, None, None).await
    }

    /// TLS with a certificate of its own for these names.
    pub(crate) async fn tls(names: &[&str], answer: &str) -> Self {
        Self::tls_until(names, answer, 4096).await
    }

    /// The same with a certificate that ran out long ago.
    pub(crate) async fn tls_expired(names: &[&str], answer: &str) -> Self {
        Self::tls_until(names, answer, 2001).await
    }

    async fn tls_until(names: &[&str], answer: &str, end: i32) -> Self {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let mut wanted = CertificateParams::new(names).unwrap();
        wanted.not_after = rcgen::date_time_ymd(end, 1, 1);
        let certificate = wanted.self_signed(&key).unwrap().der().clone();
        let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], private)
            .unwrap();
        let answer = answer.to_owned();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Self::tcp(Some(Arc::new(move |_| answer.clone())), Some(acceptor), Some(certificate)).await
    }

    async fn tcp(
        reply: Reply,
        tls: Option<TlsAcceptor>,
        certificate: Option<CertificateDer<'static>>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, memory) = (listener.local_addr().unwrap(), Arc::new(Memory::default()));
        let own = Arc::clone(&memory);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *own.connections.lock().unwrap() += 1;
                let (own, reply, tls) = (Arc::clone(&own), reply.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => own.serve(stream, reply).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                own.serve(stream, reply).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, certificate, memory }
    }

    /// On a unix socket, as a relay has it.
    pub(crate) async fn socket(path: &Path, answer: &str) -> Self {
        let listener = UnixListener::bind(short(path).path.as_path()).unwrap();
        let memory = Arc::new(Memory::default());
        let (own, answer) = (Arc::clone(&memory), answer.to_owned());
        let reply: Reply = Some(Arc::new(move |_| answer.clone()));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *own.connections.lock().unwrap() += 1;
                let (own, reply) = (Arc::clone(&own), reply.clone());
                tokio::spawn(async move { own.serve(stream, reply).await });
            }
        });
        Self { address: SocketAddr::from(([127, 0, 0, 1], 1)), certificate: None, memory }
    }

    /// Everything that was sent, over all connections.
    pub(crate) fn seen(&self) -> String {
        String::from_utf8_lossy(&self.memory.seen.lock().unwrap()).into_owned()
    }

    pub(crate) fn connections(&self) -> usize {
        *self.memory.connections.lock().unwrap()
    }

    pub(crate) async fn wait_until_seen(&self, text: &str) {
        let look = async {
            loop {
                let changed = self.memory.changed.notified();
                if self.seen().contains(text) {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), look).await.unwrap();
    }

    /// A TLS handshake through `address` under a name; the certificate, or the error in words.
    pub(crate) async fn handshake(
        &self,
        address: SocketAddr,
        name: &str,
    ) -> Result<CertificateDer<'static>, String> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone().unwrap()).unwrap();
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
        let stream = stream.map_err(|error| format!("{error:?}"))?;
        let certificates = stream.get_ref().1.peer_certificates().unwrap();
        Ok(certificates[0].clone().into_owned())
    }

    /// The certificate as PEM text, for a client that is to trust it.
    pub(crate) fn pem(&self) -> Vec<u8> {
        use std::fmt::Write;
        let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
        let bytes = self.certificate.as_ref().unwrap().as_ref();
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        for chunk in bytes.chunks(3) {
            let word = chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte))
                << (8 * (3 - chunk.len()));
            for place in 0..4 {
                let letter = alphabet[(word >> (18 - 6 * place) & 63) as usize] as char;
                write!(text, "{}", if place <= chunk.len() { letter } else { '=' }).unwrap();
            }
        }
        text.push_str("\n-----END CERTIFICATE-----\n");
        text.into_bytes()
    }
}

impl Memory {
    async fn serve(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin, reply: Reply) {
        let mut own = Vec::new();
        let mut chunk = [0; 4096];
        let mut reply = reply;
        while let Ok(count @ 1..) = stream.read(&mut chunk).await {
            own.extend_from_slice(&chunk[..count]);
            self.seen.lock().unwrap().extend_from_slice(&chunk[..count]);
            self.changed.notify_waiters();
            let whole = own.windows(4).any(|window| window == b"\r\n\r\n");
            if let Some(answer) = whole.then(|| reply.take()).flatten() {
                let answer = answer(&String::from_utf8_lossy(&own));
                if stream.write_all(answer.as_bytes()).await.is_err() || stream.shutdown().await.is_err() {
                    return;
                }
            }
        }
    }
}

struct Short {
    path: std::path::PathBuf,
    _folder: std::fs::File,
}

fn short(path: &Path) -> Short {
    use std::os::fd::AsRawFd;
    let folder = std::fs::File::open(path.parent().unwrap()).unwrap();
    let path =
        Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(path.file_name().unwrap());
    Short { path, _folder: folder }
}

/// Connects to a unix socket whose path may be long.
pub(crate) async fn connect_unix(path: &Path) -> UnixStream {
    UnixStream::connect(&short(path).path).await.unwrap()
}
