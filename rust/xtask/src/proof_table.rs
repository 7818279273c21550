//! The table of what holds and the tests that prove it: every test that it names is there.

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use crate::workspace;

    /// Names of all functions in the sources below a folder.
    fn functions(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                functions(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let names = text.lines().filter_map(|line| line.trim_start().split_once("fn "));
                found.extend(names.filter_map(|(_, rest)| Some(rest.split_once('(')?.0.to_owned())));
            }
        }
    }

    #[test]
    fn every_test_that_the_table_names_is_there() {
        let page = workspace::root().join("docs/concurrency-tests.md");
        let text = std::fs::read_to_string(page).unwrap();
        let rows = text.lines().filter(|line| line.starts_with("| "));
        let proofs = rows.filter_map(|row| row.split(" | ").nth(1));
        let named: BTreeSet<&str> = proofs.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
        assert!(named.len() > 25, "the table could not be read: {named:?}");
        let mut there = BTreeSet::new();
        functions(&workspace::folder().join("crates"), &mut there);
        let missing: Vec<&&str> = named.iter().filter(|name| !there.contains(**name)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
