//! No test is decoration: a defect that is put back turns the test red that is there for it.
//!
//! A sample is put back with every change; `CCCI_TEST_DEFECTS=all` (`cargo xtask test long`) puts back all of them.

#![allow(clippy::unwrap_used, reason = "a test ends where something it needs is not there")]

mod table;
mod workspace;

use std::path::Path;

use table::{DEFECTS, Defect};
use workspace::{Copied, TestEnd};

/// So many are put back with every change: the first ones, of a room that is compiled in seconds.
const SAMPLE: usize = 1;

fn source() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

#[test]
fn each_recorded_defect_fits_the_code_and_names_a_test() {
    for Defect { package, test, file, text, defect, .. } in DEFECTS {
        let code = std::fs::read_to_string(source().join(file)).unwrap();
        assert_eq!(code.matches(text).count(), 1, "{file} does not hold this once: {text}");
        assert_ne!(text, defect, "{file}");
        let function = format!("fn {}(", test.rsplit("::").next().unwrap());
        let is_there = workspace::files(&source().join(package)).any(|path| {
            path.extension().is_some_and(|end| end == "rs")
                && std::fs::read_to_string(path).unwrap().contains(&function)
        });
        assert!(is_there, "{package} has no {function}");
    }
}

#[test]
fn putting_a_defect_back_makes_its_test_fail() {
    let is_all = std::env::var("CCCI_TEST_DEFECTS").is_ok_and(|value| value == "all");
    let wanted = if is_all { DEFECTS.len() } else { SAMPLE };
    let copied = Copied::of(source().parent().unwrap().parent().unwrap());
    let mut wrong = Vec::new();
    for Defect { package, program, test, file, text, defect } in DEFECTS.iter().take(wanted) {
        let path = copied.folder().join("rust/crates").join(file);
        let sound = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, sound.replacen(text, defect, 1)).unwrap();
        let end = copied.build(package, *program).map(|tests| tests.run(test));
        std::fs::write(&path, sound).unwrap();
        match end {
            Ok(TestEnd::Red) => {}
            Ok(end) => wrong.push(format!("{test}: {end:?} with {defect:?} in {file}")),
            // A defect that the compiler finds is none that a test has to find.
            Err(said) => wrong.push(format!("{test}: {defect:?} in {file} does not compile:\n{said}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
