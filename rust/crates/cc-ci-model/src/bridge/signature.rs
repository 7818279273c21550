//! Whether a webhook was sent by who knows the secret.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Compares, in constant time, the signature in lower-case hex (`X-Gitea-Signature`) with the HMAC-SHA256 of the raw body.
#[must_use]
pub fn is_genuine(secret: &[u8], body: &[u8], signature: &str) -> bool {
    // An empty secret would make everybody genuine.
    if secret.is_empty() {
        return false;
    }
    let Some(given) = from_hex(signature) else { return false };
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else { return false };
    mac.update(body);
    mac.verify_slice(&given).is_ok()
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let bytes = text.as_bytes();
    if bytes.len() != 64 {
        return None;
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut out = [0; 32];
    for (place, pair) in out.iter_mut().zip(bytes.chunks_exact(2)) {
        *place = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_signature_of_this_body_with_this_secret_counts() {
        let mut mac = Hmac::<Sha256>::new_from_slice(b"secret").unwrap();
        mac.update(b"{\"a\":1}");
        let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(is_genuine(b"secret", b"{\"a\":1}", &hex));
        assert!(!is_genuine(b"secret", b"{\"a\":2}", &hex));
        assert!(!is_genuine(b"other", b"{\"a\":1}", &hex));
        assert!(!is_genuine(b"", b"{\"a\":1}", &hex));
        assert!(!is_genuine(b"secret", b"{\"a\":1}", &hex.to_uppercase()));
        assert!(!is_genuine(b"secret", b"{\"a\":1}", &hex[..62]));
    }

    proptest! {
        #[test]
        fn no_signature_panics_and_none_is_genuine_by_chance(signature in any::<String>(), body in any::<Vec<u8>>()) {
            prop_assert!(!is_genuine(b"secret", &body, &signature));
        }
    }
}
