//! Markers are written to and read from the volume's own folder, whatever the app put there.
#![allow(clippy::unwrap_used, reason = "a test ends where something it needs is not there")]

use std::io::Write;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn helper(arguments: &[&str], stdin: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_cc-ci-helper"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that refuses early does not read its input.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    child.wait_with_output().unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn what_was_planted_is_read_back_and_listed() {
    let volume = tempfile::tempdir().unwrap();
    let folder = text(volume.path());
    std::fs::create_dir(volume.path().join("app")).unwrap();
    for content in ["longer than the next", "short"] {
        let planted = helper(&["volume", "plant", folder, ".cc-ci-marker"], content.as_bytes());
        assert!(planted.status.success(), "{}", String::from_utf8_lossy(&planted.stderr));
        assert_eq!(helper(&["volume", "read", folder, ".cc-ci-marker"], b"").stdout, content.as_bytes());
    }
    let list = helper(&["volume", "list", folder], b"");
    let list: serde_json::Value = serde_json::from_slice(&list.stdout).unwrap();
    let expected = serde_json::json!([
        { "name": ".cc-ci-marker", "kind": "file" }, { "name": "app", "kind": "folder" }
    ]);
    assert_eq!(list, expected);
}

#[test]
fn a_marker_belongs_to_the_owner_of_the_volume() {
    let volume = tempfile::tempdir().unwrap();
    if std::os::unix::fs::chown(volume.path(), Some(12_345), Some(12_346)).is_err() {
        println!("SKIP: giving a folder away needs root");
        return;
    }
    assert!(helper(&["volume", "plant", text(volume.path()), "m"], b"x").status.success());
    let metadata = std::fs::metadata(volume.path().join("m")).unwrap();
    assert_eq!((metadata.uid(), metadata.gid()), (12_345, 12_346));
}

#[test]
fn names_that_leave_the_folder_are_refused() {
    let volume = tempfile::tempdir().unwrap();
    let inner = volume.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    for name in ["..", ".", "", "../x", "a/b", "/etc/passwd", "x/..", "./x"] {
        for verb in ["plant", "read"] {
            let output = helper(&["volume", verb, text(&inner), name], b"x");
            assert_eq!(output.status.code(), Some(3), "{verb} {name:?}");
        }
    }
    assert_eq!(std::fs::read_dir(&inner).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(volume.path()).unwrap().count(), 1);
}

#[test]
fn links_pipes_and_second_names_are_neither_followed_nor_touched() {
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("secret");
    std::fs::write(&secret, "host secret").unwrap();
    let volume = tempfile::tempdir_in(outside.path()).unwrap();
    symlink(&secret, volume.path().join("link")).unwrap();
    symlink(outside.path().join("new"), volume.path().join("dangling")).unwrap();
    std::fs::hard_link(&secret, volume.path().join("second-name")).unwrap();
    nix::unistd::mkfifo(&volume.path().join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    std::fs::create_dir(volume.path().join("folder")).unwrap();
    for name in ["link", "dangling", "second-name", "pipe", "folder"] {
        for verb in ["plant", "read"] {
            let output = helper(&["volume", verb, text(volume.path()), name], b"overwritten");
            assert_eq!(
                output.status.code(),
                Some(3),
                "{verb} {name}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            assert!(output.stdout.is_empty(), "{verb} {name}");
        }
    }
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), "host secret");
    assert!(!outside.path().join("new").exists());
    let linked = outside.path().join("linked-volume");
    symlink(volume.path(), &linked).unwrap();
    assert_eq!(helper(&["volume", "list", text(&linked)], b"").status.code(), Some(3));
}

#[test]
fn a_missing_marker_is_told_apart_from_a_refused_one() {
    let volume = tempfile::tempdir().unwrap();
    assert_eq!(helper(&["volume", "read", text(volume.path()), "m"], b"").status.code(), Some(1));
    assert_eq!(helper(&["volume", "read", "/nowhere", "m"], b"").status.code(), Some(1));
}

#[test]
fn more_than_a_marker_is_refused_before_anything_is_lost() {
    let volume = tempfile::tempdir().unwrap();
    assert!(helper(&["volume", "plant", text(volume.path()), "m"], b"kept").status.success());
    let big = vec![b'x'; (1 << 20) + 1];
    assert_eq!(helper(&["volume", "plant", text(volume.path()), "m"], &big).status.code(), Some(3));
    assert_eq!(std::fs::read_to_string(volume.path().join("m")).unwrap(), "kept");
}
