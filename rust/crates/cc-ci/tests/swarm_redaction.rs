//! A recipe whose app and whose own test print secrets in every encoding: nothing of them stays anywhere, and the run says so.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use cc_ci_model::outcome::VerdictWord;
use cc_ci_testkit::engine_or_skip;
use cc_ci_testkit::recipe_repository::RecipeRepository;
use cc_ci_testkit::run_host::{Ended, RunHost};

const CC_CI: &str = env!("CARGO_BIN_EXE_cc-ci");

/// A secret of the host, with characters that encoders escape.
const OF_HOST: &str = "corr/ct \"horse\" b+ttery";

/// Prints both secrets on its own output and into the app's log, and then fails, so that the logs are kept. Backwards they
/// are no secrets to the mask, which is how the test learns the one that the run made.
const PROGRAM: &str = r#"#!/bin/sh
set -eu
token=$(cc-ci app exec app -- cat /run/secrets/site_token)
host='corr/ct "horse" b+ttery'
say() {
    echo "$1"
    cc-ci app exec app -- sh -c 'printf "app: %s\n" "$1" > /proc/1/fd/1' sh "$1"
}
hex() { printf %s "$1" | od -An -v -tx1 | tr -d ' \n'; }
turned=
rest=$token
while [ -n "$rest" ]; do turned=${rest%"${rest#?}"}$turned; rest=${rest#?}; done
say "backwards $turned"
for secret in "$token" "$host"; do
    say "plain $secret"
    for before in "" x xx; do
        say "base64 $(printf %s "$before$secret and more" | base64 -w0)"
    done
    say "url $(hex "$secret" | sed 's/../%&/g')"
    say "json $(hex "$secret" | sed 's/../\\u00&/g')"
done
say "a line without one"
exit 1
"#;

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder of the run").flatten() {
        let kind = entry.file_type().expect("a kind");
        if kind.is_dir() {
            found.extend(files_below(&entry.path()));
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    found
}

/// The encodings, written down independently of the mask. Of base64 the groups that hold only bytes of the secret count.
fn forms(secret: &str) -> Vec<(String, String)> {
    let bytes = |form: fn(u8) -> String| secret.bytes().map(form).collect::<String>();
    let mut forms = vec![
        ("plain".to_owned(), secret.to_owned()),
        ("url".to_owned(), bytes(|byte| format!("%{byte:02x}"))),
        ("json".to_owned(), bytes(|byte| format!("\\u00{byte:02x}"))),
    ];
    for skipped in 0..3 {
        let whole = &secret.as_bytes()[skipped..];
        let whole = &whole[..whole.len() / 3 * 3];
        forms.push((format!("base64, place {skipped}"), base64(whole)));
    }
    forms
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let groups =
        bytes.chunks(3).map(|group| group.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)));
    let digits = groups.flat_map(|word| [18, 12, 6, 0].map(|place| DIGITS[(word >> place & 63) as usize]));
    digits.map(char::from).collect()
}

fn prepare(host: &RunHost, registry: &str) -> Vec<String> {
    host.set_test_data("custom-html", "schema = 1\napp.health = { path = \"/health\", status = [200] }\n");
    let folder = host.path("recipes/custom-html/tests/custom");
    std::fs::create_dir_all(&folder).expect("a folder");
    let program = folder.join("prints_its_secrets");
    std::fs::write(&program, PROGRAM).expect("a program");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("its rights");
    std::fs::write(host.path("token"), format!("{OF_HOST}\n")).expect("a secret of the host");
    host.write_settings(&format!("secret_files = [{:?}]\n", host.path("token")));
    let folder = host.path("repositories/custom-html");
    let (repository, head) = RecipeRepository::bundled("custom-html", &folder, registry).expect("a recipe");
    let mut arguments = host.arguments_for("custom-html", &repository, &head);
    arguments.extend(["--tiers".to_owned(), "install,custom".to_owned()]);
    arguments
}

fn backwards(ended: &Ended, texts: &[(String, String)]) -> String {
    let line = texts.iter().flat_map(|(_, text)| text.lines()).find_map(|line| line.split_once("backwards "));
    let (_, word) = line.unwrap_or_else(|| panic!("the program's output is kept: {ended}"));
    let word: String = word.chars().take_while(char::is_ascii_alphanumeric).collect();
    word.chars().rev().collect()
}

#[test]
fn secrets_that_app_and_test_print_in_every_encoding_are_nowhere() {
    let engine = engine_or_skip!();
    let host = RunHost::new(CC_CI, &engine);
    let ended = host.run(&prepare(&host, &engine.registry));
    let result = ended.result();
    assert_eq!((ended.code, result.verdict), (1, Some(VerdictWord::Fail)), "{ended}");
    let folder = &host.run_folders()[0];
    let mut texts =
        vec![("stdout".to_owned(), ended.stdout.clone()), ("stderr".to_owned(), ended.stderr.clone())];
    texts.extend(files_below(folder).into_iter().map(|file| {
        let bytes = std::fs::read(&file).expect("a file of the run");
        (file.display().to_string(), String::from_utf8_lossy(&bytes).into_owned())
    }));
    let made = backwards(&ended, &texts);
    assert!(made.len() >= 16, "the secret that was made: {ended}");
    for secret in [made.as_str(), OF_HOST] {
        for (form, written) in forms(secret) {
            assert!(written.len() >= 16, "{form} is long enough to be looked for");
            for (place, text) in &texts {
                assert!(!text.contains(&written), "{form} of a secret stands in {place}");
            }
        }
    }
    // Both places were really kept, so there was something to mask.
    let with = |words: &str| texts.iter().filter(|(_, text)| text.contains(words)).count();
    assert!(with("\nplain [masked]") > 0, "the test's output: {ended}");
    assert!(with("app: plain [masked]") > 0, "the app's log: {ended}");
    assert!(with("app: a line without one") > 0, "what is no secret stays: {ended}");
    assert_eq!(result.redaction.leaks, 0, "{ended}");
    assert!(result.redaction.masked >= 24, "{} finds: {ended}", result.redaction.masked);
}
