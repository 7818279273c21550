//! `cc-ci-activate secrets`: whether every secret is there and decrypts with this host's key, before a switch begins.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use cc_ci_process::cancel::Cancellation;
use cc_ci_process::mask::{Masker, SecretValue};
use cc_ci_swarm::programs::Programs;

use crate::age_key;
use crate::sops::{Document, SopsError};

/// age needs a fraction of a second.
const LIMIT: Duration = Duration::from_secs(30);

/// The recipient that others encrypt for, of a private SSH key.
pub(crate) async fn host_key(key: &Path, masker: &Masker, cancellation: &Cancellation) -> Result<String> {
    let secret = age_key::of_host_key(key)?;
    masker.add("the host's age key", &secret)?;
    recipient(&secret, masker, cancellation).await
}

/// What is wrong, one sentence per secret; nothing if all is well.
pub(crate) async fn check(
    file: &Path,
    key: &Path,
    names: &[String],
    masker: &Masker,
    cancellation: &Cancellation,
) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("reading the secrets {}; name the file with --file", file.display()))?;
    let document = Document::parse(&text).with_context(|| file.display().to_string())?;
    let secret = age_key::of_host_key(key)?;
    masker.add("the host's age key", &secret)?;
    let me = recipient(&secret, masker, cancellation).await?;
    let Some(mine) = document.recipients.iter().find(|recipient| recipient.name == me) else {
        bail!(
            "{} is not encrypted for this host, whose key {} stands for {me}: put that into .sops.yaml, then run `sops updatekeys {}` where the recovery key is",
            file.display(),
            key.display(),
            file.display()
        );
    };
    let data_key = open(&mine.data_key, &secret, masker, cancellation).await?;
    Ok(faults(&document, names, &data_key, file))
}

fn faults(document: &Document, names: &[String], data_key: &[u8], file: &Path) -> Vec<String> {
    let fault = |name: &String| {
        let at = file.display();
        if !document.values.contains_key(name) {
            return Some(format!("{name} is missing in {at}: add it with `sops {at}`"));
        }
        let refused = document.verify(name, data_key).err()?;
        Some(format!("{name} in {at} {refused}"))
    };
    let asked = names.iter().filter_map(fault);
    // Also one that nobody reads must not lie there in plain text.
    let plain = document.values.keys().filter(|name| !names.contains(name)).filter_map(|name| {
        let refused = document.verify(name, data_key).err()?;
        (refused == SopsError::Plain).then(|| format!("{name} in {} {refused}", file.display()))
    });
    asked.chain(plain).collect()
}

/// The public half, by age's own program.
async fn recipient(secret: &SecretValue, masker: &Masker, cancellation: &Cancellation) -> Result<String> {
    let output = programs(masker, cancellation)
        .run_with_input(
            "asking age for the recipient of the host key",
            "age-keygen",
            &["-y"],
            Path::new("/"),
            LIMIT,
            format!("{}\n", secret.expose()).into_bytes(),
        )
        .await
        .context("age is needed: install the package age")?;
    if !output.success() {
        bail!("age-keygen does not take the host key: {}", output.last_line());
    }
    Ok(output.stdout.trim().to_owned())
}

/// Opens the data key. What age prints is bytes, so it goes into a file of our own and not through a text.
async fn open(
    armour: &str,
    secret: &SecretValue,
    masker: &Masker,
    cancellation: &Cancellation,
) -> Result<Vec<u8>> {
    let folder =
        tempfile::Builder::new().prefix("cc-ci-secrets-").tempdir().context("making a temporary folder")?;
    let (sealed, opened) = (folder.path().join("sealed"), folder.path().join("opened"));
    std::fs::write(&sealed, armour).context("writing the sealed data key")?;
    let arguments = [
        "--decrypt",
        "--identity",
        "-",
        "--output",
        opened.to_str().context("the temporary folder's name is no text")?,
        sealed.to_str().context("the temporary folder's name is no text")?,
    ];
    let output = programs(masker, cancellation)
        .run_with_input(
            "opening the data key of the secrets",
            "age",
            &arguments,
            Path::new("/"),
            LIMIT,
            format!("{}\n", secret.expose()).into_bytes(),
        )
        .await?;
    if !output.success() {
        bail!("the data key of the secrets does not open: {}; run `sops updatekeys`", output.last_line());
    }
    std::fs::read(&opened).context("reading the opened data key")
}

fn programs(masker: &Masker, cancellation: &Cancellation) -> Programs {
    let home = PathBuf::from("/");
    Programs::new(&home, &home, cancellation, masker)
}
