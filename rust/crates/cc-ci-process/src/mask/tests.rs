//! What the mask must hide, in which forms, and what it must not hold back.

use proptest::prelude::*;

use super::*;

fn masker(values: &[&str]) -> Masker {
    let masker = Masker::new();
    for value in values {
        masker.add("test", &SecretValue::new(*value)).unwrap();
    }
    masker
}

/// Base64 written down independently of the patterns, bit by bit over the whole text.
fn encode(bytes: &[u8], alphabet: &[u8; 64]) -> String {
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let word =
            group.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..=group.len() {
            text.push(char::from(alphabet[(word >> (18 - 6 * place) & 63) as usize]));
        }
        text.push_str(&"=".repeat(3 - group.len()));
    }
    text
}

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#[test]
fn secret_is_masked_across_chunk_borders_while_output_streams() {
    let masker = masker(&["hunter2-hunter2"]);
    let mut stream = masker.stream();
    // A line before the secret is visible at once, and so is the part of its own line before it.
    assert_eq!(stream.push(b"deploying app\nlogging in with hunt"), b"deploying app\nlogging in with ");
    assert_eq!(stream.push(b"er2-hun"), b"");
    assert_eq!(stream.push(b"ter2 now"), b"[masked] now");
    assert_eq!(stream.held_back(), 0);
    // What only looked like a beginning comes out as soon as it is none.
    assert_eq!(stream.push(b" hunter2-"), b" ");
    assert_eq!(stream.push(b"x\n"), b"hunter2-x\n");
    assert_eq!(stream.push(b" hunter"), b" ");
    assert_eq!(stream.finish(), b"hunter");
    assert_eq!(masker.masked(), 1);
    // A shorter value is refused, so that nobody believes it is masked.
    let short = masker.add("the pin", &SecretValue::new("  1234567\n"));
    assert_eq!(short, Err(MaskError::TooShort { name: "the pin".to_owned(), length: 7 }));
}

#[test]
fn each_long_line_of_a_secret_is_masked_alone() {
    let masker = masker(&["-----BEGIN KEY-----\nabcdefghijkl\n  0123456789ab  \nshort\n-----END KEY-----\n"]);
    assert_eq!(masker.mask("1 abcdefghijkl 2 0123456789ab 3 short"), "1 [masked] 2 [masked] 3 short");
}

#[test]
fn a_secret_of_short_lines_is_masked_as_a_whole() {
    assert_eq!(masker(&["one\ntwo\nthree"]).mask("<one\ntwo\nthree> one"), "<[masked]> one");
}

#[test]
fn whichever_characters_an_encoder_escapes_the_secret_is_masked() {
    let masker = masker(&["p\"a/s <s>&w+ö%🔑\\"]);
    for written in [
        "p\"a/s <s>&w+ö%🔑\\",
        r#"p\"a/s <s>&w+ö%🔑\\"#,
        r#"p\"a\/s \u003cs\u003e\u0026w+\u00f6%\uD83D\uDD11\\"#,
        "p%22a%2Fs%20%3Cs%3E%26w%2B%C3%B6%25%F0%9F%94%91%5C",
        "p%22a/s+%3cs%3e&w%2b%c3%b6%25%f0%9f%94%91%5c",
        "p&quot;a/s &lt;s&gt;&amp;w+ö%🔑\\",
    ] {
        assert_eq!(masker.mask(&format!("a{written}b")), "a[masked]b", "{written}");
    }
}

#[test]
fn base64_is_masked_where_its_lines_are_wrapped() {
    let secret = "correct-horse-battery";
    let masker = masker(&[secret]);
    for before in 40..60 {
        let text = encode(format!("{}{secret} and more", "x".repeat(before)).as_bytes(), STANDARD);
        let (first, second) = text.split_at(64);
        let shown = masker.mask(&format!("{first}\n{second}"));
        assert!(shown.contains(MASK), "{before}: {shown}");
        // At most three characters before a wrap stay, which hold two of the secret's.
        let joined = encode(secret.as_bytes(), STANDARD);
        for window in joined.as_bytes().windows(4) {
            let window = std::str::from_utf8(window).unwrap();
            assert!(!shown.contains(window), "{before}: {shown}");
        }
    }
}

#[test]
fn secrets_that_overlap_leave_nothing_of_either() {
    let masker = masker(&["abcdefgh1234", "efgh12345678", "gh123456"]);
    assert_eq!(masker.mask("<abcdefgh12345678>"), "<[masked]>");
    assert_eq!(masker.mask("abcdefgh1234abcdefgh1234"), "[masked][masked]");
    assert_eq!(masker.masked(), 3);
}

#[test]
fn a_value_added_in_the_middle_of_a_stream_is_masked_from_there_on() {
    let masker = Masker::new();
    let mut stream = masker.stream();
    assert_eq!(stream.push(b"hunter2-hunter2 "), b"hunter2-hunter2 ");
    masker.add("late", &SecretValue::new("hunter2-hunter2")).unwrap();
    assert_eq!(stream.push(b"hunter2-hunter2"), b"[masked]");
}

#[test]
fn a_search_names_the_files_with_secrets_and_counts_them() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("tiers/install");
    std::fs::create_dir_all(&deep).unwrap();
    // The find lies across the border of what is read at once.
    std::fs::write(deep.join("log.txt"), format!("{}hunter2-hunter2 hunter2-hunter2", "x".repeat(65_530)))
        .unwrap();
    std::fs::write(folder.path().join("clean.txt"), "hunter2").unwrap();
    std::os::unix::fs::symlink("/proc/self/environ", folder.path().join("link")).unwrap();
    let masker = masker(&["hunter2-hunter2"]);
    let leaks = scan_folder(folder.path(), &masker).unwrap();
    assert_eq!(leaks, Leaks { count: 2, files: vec![deep.join("log.txt")] });
    assert_eq!(masker.masked(), 0);
    assert!(scan_folder(&folder.path().join("missing"), &masker).is_err());
}

#[test]
fn a_masked_writer_hands_on_the_rest_at_its_end() {
    use std::io::Write;
    let mut writer = MaskedWriter::new(&masker(&["hunter2-hunter2"]), Vec::new());
    writer.write_all(b"a hunter2-hunter2 b hun").unwrap();
    assert_eq!(writer.finish().unwrap(), b"a [masked] b hun");
}

/// Texts made of pieces of secrets, so that beginnings, overlaps and whole secrets are all frequent.
fn text_of_pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "abcabcabcd",
        "abcabc",
        "abc",
        "a",
        "\\",
        "\\u0061bcabcabcd",
        "%61",
        "%6",
        "bcabcabcdxyz",
        "xyz",
        "YWJjYWJjYWJjZA==",
        "YWJjYW\nJjYWJjZA",
        "YWJj",
        "\n",
        "ö",
        " ",
    ]);
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #[test]
    fn any_split_gives_the_same_masked_text(
        text in text_of_pieces(),
        cuts in prop::collection::vec(0usize..120, 0..8),
    ) {
        let masker = masker(&["abcabcabcd", "bcabcabcdxyz"]);
        let mut whole = masker.stream();
        let mut expected = whole.push(&text);
        expected.extend(whole.finish());

        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        let mut split = masker.stream();
        let mut shown = Vec::new();
        for pair in cuts.windows(2) {
            shown.extend(split.push(&text[pair[0]..pair[1]]));
        }
        shown.extend(split.finish());
        prop_assert_eq!(String::from_utf8_lossy(&shown), String::from_utf8_lossy(&expected));
    }

    #[test]
    fn no_form_of_a_secret_survives(
        secret in "[ -~]{8,24}",
        before in "[ -~]{0,5}",
        after in "[ -~]{0,5}",
        url_safe in any::<bool>(),
    ) {
        prop_assume!(secret.trim().len() >= SHORTEST);
        // Else the text around the secret could hold parts of it on its own.
        prop_assume!(!MASK.contains(secret.trim()));
        let masker = masker(&[&secret]);
        let text = format!("{before}{secret}{after}");
        prop_assert!(!masker.mask(&text).contains(secret.trim()));
        let json = serde_json::to_string(&text).unwrap();
        prop_assert!(masker.mask(&json).contains(MASK));
        let escaped: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        prop_assert!(masker.mask(&escaped).contains(MASK));

        let alphabet = if url_safe { URL_SAFE } else { STANDARD };
        let shown = masker.mask(&encode(text.as_bytes(), alphabet));
        prop_assert!(shown.contains(MASK), "{shown}");
        // What stays are whole groups that hold nothing of the secret.
        let begin = before.len() + (secret.len() - secret.trim_start().len());
        prop_assert_eq!(shown.find(MASK).unwrap(), begin * 8 / 6);
    }

    #[test]
    fn a_line_without_a_secret_is_visible_at_once(line in "[b-gi-z ]{0,60}") {
        let mut stream = masker(&["hunter2-hunter2"]).stream();
        let line = format!("{line}\n");
        prop_assert_eq!(stream.push(line.as_bytes()), line.as_bytes());
    }
}
