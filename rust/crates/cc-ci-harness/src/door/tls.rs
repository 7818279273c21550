//! The door for TLS: looks at the server name in the ClientHello, then copies.

use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::copy::{self, Activity};
use super::{Inner, Judged};

/// First byte of a TLS record that holds a handshake (RFC 8446, 5.1).
pub(super) const HANDSHAKE: u8 = 22;
/// A ClientHello is not longer than this in practice; with large post-quantum keys it has some 2 KiB.
const LONGEST: usize = 64 * 1024;
/// The fatal alert `unrecognized_name` in a record of its own (RFC 8446, 6.2), which clients show as such.
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// What the bytes so far say.
enum Hello {
    Incomplete,
    Name(Option<String>),
    Broken,
}

impl Inner {
    pub(super) async fn serve_tls(
        &self,
        client: &mut (impl AsyncRead + AsyncWrite + Unpin),
        mut hello: Vec<u8>,
    ) -> Judged {
        let read = tokio::time::timeout(self.patience.head, async {
            loop {
                match server_name(&hello) {
                    Hello::Name(name) => return name,
                    Hello::Incomplete if hello.len() < LONGEST => {
                        copy::more(client, &mut hello).await.ok()?
                    }
                    Hello::Incomplete | Hello::Broken => return None,
                }
            }
        });
        let name = read.await.ok().flatten();
        if !name.is_some_and(|name| self.is_own(&name)) {
            // Whoever sent this may not read the alert.
            let _ = client.write_all(&UNRECOGNIZED_NAME).await;
            return Judged::Refused;
        }
        self.count_passed();
        let Ok(mut target) = self.reach().await else { return Judged::Passed };
        let activity = Activity::new(self.patience.idle);
        if activity.write(&mut target, &hello).await.is_ok() {
            // However the connection ends, its ends are what client and target see.
            let _ = activity.both(client, &mut target).await;
        }
        Judged::Passed
    }
}

fn server_name(bytes: &[u8]) -> Hello {
    let mut acceptor = Acceptor::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        match acceptor.read_tls(&mut rest) {
            Ok(0) | Err(_) => return Hello::Broken,
            Ok(_) => {}
        }
        match acceptor.accept() {
            Ok(Some(accepted)) => {
                return Hello::Name(accepted.client_hello().server_name().map(str::to_owned));
            }
            Ok(None) => {}
            Err(_) => return Hello::Broken,
        }
    }
    Hello::Incomplete
}
