//! Files under a writer that is killed.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::Test;
use crate::stage::{Actor, until};

pub(crate) const TESTS: &[Test] = &[("result_file_is_whole_or_absent", result_file_is_whole_or_absent)];

fn result_file_is_whole_or_absent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("result.json");
    for round in 0..40u64 {
        // Each writer has numbers of its own, so the reader knows whose file it met.
        let first = round * 1_000_000;
        let mut writer = Actor::role(&["writer", path.to_str().unwrap(), &first.to_string()]);
        until("waiting for a file of this writer", || read(&path).filter(|number| *number >= first));
        // Each round kills it a little later, so the kills fall all over its steps.
        let end = Instant::now() + Duration::from_micros(round * 331);
        while Instant::now() < end {
            assert!(read(&path) >= Some(first), "the file went back or away");
        }
        writer.signal(Signal::SIGKILL);
        writer.end();
        assert!(read(&path) >= Some(first), "the file went back or away");
    }
}

/// The number of a file that is whole, nothing where there is no file; panics for anything else.
fn read(path: &std::path::Path) -> Option<u64> {
    let bytes = match std::fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        bytes => bytes.unwrap(),
    };
    let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let number = value["number"].as_u64().unwrap();
    let filling = value["filling"].as_array().unwrap();
    assert_eq!(filling.len() as u64, value["length"].as_u64().unwrap());
    assert!(filling.iter().all(|part| part.as_u64() == Some(number)));
    Some(number)
}
