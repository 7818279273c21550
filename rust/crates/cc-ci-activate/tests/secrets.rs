//! Whether the secrets of a host are there, seen through the program: real age, a real SSH key, a file as sops writes it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use aes_gcm::aead::consts::U32;
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{AesGcm, Nonce, aes::Aes256};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cc_ci_testkit::program::Program;

const DATA_KEY: [u8; 32] = [9; 32];
const VALUE: &str = "the-value-that-nobody-may-see";

fn activate(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cc-ci-activate"))
        .args(arguments)
        .env("NO_COLOR", "1")
        .output()
        .expect("the program starts")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn host_key(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    let arguments = ["-q", "-t", "ed25519", "-N", "", "-C", "host", "-f"];
    Program::new("ssh-keygen").args(arguments).arg(&path).run().expect("the real program works");
    path
}

fn recipient(key: &Path) -> String {
    let output = activate(&["secrets", "host-key", "--key", key.to_str().expect("paths of tests are text")]);
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8(output.stdout).expect("a recipient is text").trim().to_owned()
}

/// A value as sops encrypts it.
fn sealed(key: &str) -> String {
    let iv = [3; 32];
    let cipher = AesGcm::<Aes256, U32>::new_from_slice(&DATA_KEY).expect("the sizes are constants");
    let nonce = Nonce::<U32>::try_from(iv.as_slice()).expect("the sizes are constants");
    let aad = format!("{key}:");
    let mut data = cipher
        .encrypt(&nonce, Payload { msg: VALUE.as_bytes(), aad: aad.as_bytes() })
        .expect("the sizes are constants");
    let tag = data.split_off(data.len() - 16);
    let text = |bytes: &[u8]| STANDARD.encode(bytes);
    format!("{key}: ENC[AES256_GCM,data:{},iv:{},tag:{},type:str]\n", text(&data), text(&iv), text(&tag))
}

/// A SOPS file for one recipient.
fn document(folder: &Path, recipient: &str, lines: &[String]) -> PathBuf {
    let plain = folder.join("data-key");
    std::fs::write(&plain, DATA_KEY).expect("the folder is ours");
    let armour = Program::new("age")
        .args(["--encrypt", "--armor", "--recipient", recipient])
        .arg(&plain)
        .run()
        .expect("the sizes are constants");
    let armour = armour.lines().map(|line| format!("            {line}\n")).collect::<String>();
    let path = folder.join("ci.yaml");
    let text = format!(
        "{}sops:\n    age:\n        - recipient: {recipient}\n          enc: |\n{armour}",
        lines.concat()
    );
    std::fs::write(&path, text).expect("the folder is ours");
    path
}

fn check(file: &Path, key: &Path, names: &[&str]) -> Output {
    let mut arguments = vec![
        "secrets",
        "check",
        "--file",
        file.to_str().expect("paths of tests are text"),
        "--key",
        key.to_str().expect("paths of tests are text"),
    ];
    arguments.extend(names);
    activate(&arguments)
}

#[test]
fn a_host_reads_what_was_encrypted_for_its_ssh_key_and_shows_none_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let key = host_key(folder.path(), "key");
    let file = document(folder.path(), &recipient(&key), &[sealed("gitea-token"), sealed("config.json")]);
    let output = check(&file, &key, &["gitea-token", "config.json"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(said(&output).trim(), "2 secrets are there and decrypt with this host's key");
}

#[test]
fn every_missing_moved_or_plain_secret_is_named_at_once_without_its_value() {
    let folder = tempfile::tempdir().unwrap();
    let key = host_key(folder.path(), "key");
    let moved = sealed("gitea-token").replace("gitea-token:", "drone-token:");
    let plain = format!("webhook-secret: {VALUE}\n");
    let file = document(folder.path(), &recipient(&key), &[moved, plain]);
    let output = check(&file, &key, &["gitea-token", "drone-token"]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    for words in
        ["gitea-token is missing", "drone-token in", "does not decrypt", "webhook-secret in", "in plain text"]
    {
        assert!(text.contains(words), "{words} is not in: {text}");
    }
    assert!(!text.contains(VALUE), "{text}");
}

#[test]
fn missing_bootstrap_key_fails_with_a_plain_message() {
    let folder = tempfile::tempdir().unwrap();
    let key = host_key(folder.path(), "key");
    let file = document(folder.path(), &recipient(&key), &[sealed("gitea-token")]);
    let output = check(&file, &folder.path().join("nothing"), &["gitea-token"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("ssh-keygen -t ed25519"), "{}", said(&output));
    let output = check(&file, &host_key(folder.path(), "other"), &["gitea-token"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("is not encrypted for this host"), "{}", said(&output));
    assert!(said(&output).contains("sops updatekeys"), "{}", said(&output));
}

#[test]
fn a_key_that_age_cannot_use_is_refused_by_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("locked");
    let arguments = ["-q", "-t", "ed25519", "-N", "a passphrase", "-f"];
    Program::new("ssh-keygen").args(arguments).arg(&path).run().unwrap();
    let output = activate(&["secrets", "host-key", "--key", path.to_str().unwrap()]);
    assert!(said(&output).contains("has a passphrase"), "{}", said(&output));
    std::fs::write(&path, "ssh-ed25519 AAAA host").unwrap();
    let output = activate(&["secrets", "host-key", "--key", path.to_str().unwrap()]);
    assert!(said(&output).contains("is no private key"), "{}", said(&output));
}
