//! SOPS documents with one value per key, as far as reading goes (<https://github.com/getsops/sops>, "How it works").
//!
//! Each value is AES-256-GCM under one data key, with the key's path as associated data; the data key is in the document
//! once per recipient, encrypted with age.

use std::collections::BTreeMap;

use aes_gcm::aead::consts::U32;
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{AesGcm, Nonce, aes::Aes256};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A document, with its values still encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Encrypted values by key.
    pub values: BTreeMap<String, String>,
    /// Who can decrypt it, and the data key for each.
    pub recipients: Vec<Recipient>,
}

/// One who can decrypt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// Their public age key.
    pub name: String,
    /// The data key, as an armoured age file.
    pub data_key: String,
}

/// What is wrong with a document or a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SopsError {
    /// There is no `sops:` block with recipients.
    #[error("is no SOPS file: encrypt it with sops")]
    NotEncrypted,
    /// A value lies there in plain text.
    #[error(
        "lies there in plain text: take it for known to others, make another one, and encrypt it with sops"
    )]
    Plain,
    /// A value has not the form that sops writes.
    #[error("has not the form that sops writes: set it again with sops")]
    Form,
    /// The value does not belong to this key or data key.
    #[error("does not decrypt: it was changed or moved by hand; set it again with sops")]
    Damaged,
}

impl Document {
    /// Reads a document. Only top-level keys count: a host's secrets have no tree.
    ///
    /// # Errors
    /// [`SopsError::NotEncrypted`].
    pub fn parse(text: &str) -> Result<Self, SopsError> {
        let mut values = BTreeMap::new();
        let mut recipients: Vec<Recipient> = Vec::new();
        let mut is_inside = false;
        let mut is_armour = false;
        for line in text.lines() {
            let inner = line.trim_start();
            if inner == line && !line.is_empty() && !line.starts_with('#') {
                is_inside = line.trim_end() == "sops:";
                if let Some((key, value)) = line.split_once(':').filter(|_| !is_inside) {
                    values.insert(key.trim_matches('"').to_owned(), value.trim().to_owned());
                }
            } else if is_inside {
                let name = inner.strip_prefix("- recipient: ").or_else(|| inner.strip_prefix("recipient: "));
                if let Some(name) = name {
                    recipients.push(Recipient { name: name.trim().to_owned(), data_key: String::new() });
                }
                is_armour |= inner.starts_with("-----BEGIN");
                if let Some(recipient) = recipients.last_mut().filter(|_| is_armour) {
                    recipient.data_key.push_str(inner.trim_end());
                    recipient.data_key.push('\n');
                }
                is_armour &= !inner.starts_with("-----END");
            }
        }
        if recipients.is_empty() { Err(SopsError::NotEncrypted) } else { Ok(Self { values, recipients }) }
    }

    /// Whether the value of a key decrypts with this data key; the value itself goes no further.
    ///
    /// # Errors
    /// It is in plain text, has another form, or does not decrypt.
    pub fn verify(&self, key: &str, data_key: &[u8]) -> Result<(), SopsError> {
        let value = self.values.get(key).ok_or(SopsError::Form)?;
        let body = value
            .strip_prefix("ENC[AES256_GCM,")
            .ok_or(SopsError::Plain)?
            .strip_suffix(']')
            .ok_or(SopsError::Form)?;
        let field = |name: &str| {
            let found = body.split(',').find_map(|part| part.strip_prefix(name)).ok_or(SopsError::Form)?;
            STANDARD.decode(found).map_err(|_| SopsError::Form)
        };
        let (mut sealed, iv, tag) = (field("data:")?, field("iv:")?, field("tag:")?);
        sealed.extend(tag);
        let cipher = AesGcm::<Aes256, U32>::new_from_slice(data_key).map_err(|_| SopsError::Damaged)?;
        let nonce = Nonce::<U32>::try_from(iv.as_slice()).map_err(|_| SopsError::Form)?;
        let path = format!("{key}:");
        let payload = Payload { msg: &sealed, aad: path.as_bytes() };
        cipher.decrypt(&nonce, payload).map(|_| ()).map_err(|_| SopsError::Damaged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(value: &str) -> String {
        format!(
            "# names are not encrypted\na: {value}\n\"b.c\": plain\nsops:\n    age:\n        - recipient: age1x\n          enc: |\n\
            \x20           -----BEGIN AGE ENCRYPTED FILE-----\n            AAAA\n            -----END AGE ENCRYPTED FILE-----\n\
            \x20   mac: ENC[x]\n"
        )
    }

    fn sealed(key: &str, data_key: &[u8; 32]) -> String {
        let cipher = AesGcm::<Aes256, U32>::new_from_slice(data_key).unwrap();
        let nonce = Nonce::<U32>::try_from([7; 32].as_slice()).unwrap();
        let aad = format!("{key}:");
        let mut whole =
            cipher.encrypt(&nonce, Payload { msg: b"secret-value", aad: aad.as_bytes() }).unwrap();
        let tag = whole.split_off(whole.len() - 16);
        let text = |bytes: &[u8]| STANDARD.encode(bytes);
        format!("ENC[AES256_GCM,data:{},iv:{},tag:{},type:str]", text(&whole), text(&[7; 32]), text(&tag))
    }

    #[test]
    fn names_and_recipients_are_read_and_the_rest_of_the_block_is_not() {
        let document = Document::parse(&document("ENC[x]")).unwrap();
        assert_eq!(document.values.keys().collect::<Vec<_>>(), ["a", "b.c"]);
        assert_eq!(document.recipients.len(), 1);
        assert_eq!(document.recipients[0].name, "age1x");
        assert!(document.recipients[0].data_key.ends_with("-----END AGE ENCRYPTED FILE-----\n"));
        assert_eq!(Document::parse("a: b\n"), Err(SopsError::NotEncrypted));
    }

    #[test]
    fn a_value_counts_only_under_its_own_key_and_data_key() {
        let key = [b'k'; 32];
        let whole = |value: &str| Document::parse(&document(value)).unwrap();
        assert_eq!(whole(&sealed("a", &key)).verify("a", &key), Ok(()));
        assert_eq!(whole(&sealed("b", &key)).verify("a", &key), Err(SopsError::Damaged));
        assert_eq!(whole(&sealed("a", &[b'x'; 32])).verify("a", &key), Err(SopsError::Damaged));
        assert_eq!(whole("secret-value").verify("a", &key), Err(SopsError::Plain));
        assert_eq!(whole("ENC[AES256_GCM,data:x]").verify("a", &key), Err(SopsError::Form));
    }
}
