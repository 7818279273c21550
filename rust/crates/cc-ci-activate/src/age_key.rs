//! The age key that an SSH host key stands for, as sops-nix derives it (ssh-to-age): X25519 from the same seed as Ed25519.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bech32::{Bech32, Hrp};
use cc_ci_process::mask::SecretValue;
use sha2::{Digest, Sha512};

/// Why a host key cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    /// It cannot be read.
    #[error(
        "reading the host key {}: {reason}; sshd makes it at its first start, else: ssh-keygen -t ed25519 -N '' -f {}",
        path.display(), path.display()
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        reason: std::io::Error,
    },
    /// It is something else.
    #[error("the host key {} {what}; make one with: ssh-keygen -t ed25519 -N '' -f FILE", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        what: &'static str,
    },
}

/// The secret age key of a private SSH key in OpenSSH's form (PROTOCOL.key of OpenSSH), without a passphrase.
///
/// # Errors
/// The file cannot be read, or is no such key.
pub(crate) fn of_host_key(path: &Path) -> Result<SecretValue, KeyError> {
    let text =
        std::fs::read_to_string(path).map_err(|reason| KeyError::Read { path: path.to_owned(), reason })?;
    let seed = seed(&text).map_err(|what| KeyError::Form { path: path.to_owned(), what })?;
    // RFC 8032, 5.1.5: the lower half of the hash is the scalar, clamped.
    let hash = Sha512::digest(seed);
    let mut scalar = [0; 32];
    scalar.copy_from_slice(&hash[..32]);
    scalar[0] &= 248;
    scalar[31] &= 127;
    scalar[31] |= 64;
    let prefix = Hrp::parse("age-secret-key-").expect("the prefix is a constant");
    let text = bech32::encode::<Bech32>(prefix, &scalar).expect("32 bytes are short enough for bech32");
    Ok(SecretValue::new(text.to_uppercase()))
}

/// The seed of an Ed25519 key.
fn seed(text: &str) -> Result<[u8; 32], &'static str> {
    let body: String = text.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect();
    if !text.starts_with("-----BEGIN OPENSSH PRIVATE KEY-----") {
        return Err("is no private key in OpenSSH's form");
    }
    let bytes = STANDARD.decode(body).map_err(|_| "is damaged")?;
    let broken = "is damaged";
    let mut rest = Reader(bytes.strip_prefix(b"openssh-key-v1\0").ok_or(broken)?);
    if rest.string().ok_or(broken)? != b"none" {
        return Err("has a passphrase, which nobody types at boot");
    }
    // Key derivation, its options, the number of keys, the public key.
    for _ in 0..2 {
        rest.string().ok_or(broken)?;
    }
    rest.number().ok_or(broken)?;
    rest.string().ok_or(broken)?;
    let mut private = Reader(rest.string().ok_or(broken)?);
    // The same random number twice.
    private.number().ok_or(broken)?;
    private.number().ok_or(broken)?;
    if private.string().ok_or(broken)? != b"ssh-ed25519" {
        return Err("is of another kind than ed25519, which age cannot use");
    }
    private.string().ok_or(broken)?;
    let key = private.string().ok_or(broken)?;
    key.get(..32).and_then(|seed| seed.try_into().ok()).ok_or(broken)
}

/// Length-prefixed fields (RFC 4251, 5).
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn number(&mut self) -> Option<usize> {
        let (head, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        usize::try_from(u32::from_be_bytes(*head)).ok()
    }

    fn string(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }
}
