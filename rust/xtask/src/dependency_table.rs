//! Whether the crates depend on each other as the table in `docs/architecture.md` allows: the direction of
//! dependencies is the split of privileges.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;

use crate::workspace;

/// The rooms a crate may use.
#[derive(Debug, PartialEq, Eq)]
enum Allowed {
    Anything,
    Only(BTreeSet<String>),
}

/// What disagrees between the table and `cargo metadata`, one sentence each.
pub(crate) fn drift() -> anyhow::Result<Vec<String>> {
    let page = workspace::root().join("docs/architecture.md");
    let text = std::fs::read_to_string(&page).with_context(|| format!("reading {}", page.display()))?;
    Ok(compare(&table(&text), &uses(&workspace::metadata()?)))
}

/// The rows `| crate | … | may depend on |` of the page; crates are written in backquotes.
fn table(page: &str) -> BTreeMap<String, Allowed> {
    let rows = page.lines().skip_while(|line| !line.contains("may depend on")).skip(2);
    rows.take_while(|line| line.starts_with('|')).filter_map(row).collect()
}

fn row(line: &str) -> Option<(String, Allowed)> {
    let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
    let name = names(cells.first()?).into_iter().next()?;
    let last = cells.last()?;
    let is_free = last.trim() == "anything";
    Some((name, if is_free { Allowed::Anything } else { Allowed::Only(names(last)) }))
}

/// The words in backquotes.
fn names(cell: &str) -> BTreeSet<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Which crates of the workspace each of them uses, tests left out: they start anything.
fn uses(metadata: &serde_json::Value) -> BTreeMap<String, BTreeSet<String>> {
    let packages = metadata["packages"].as_array().map_or(&[][..], Vec::as_slice);
    let name = |package: &serde_json::Value| package["name"].as_str().unwrap_or_default().to_owned();
    let all: BTreeSet<String> = packages.iter().map(name).collect();
    let used = |package: &serde_json::Value| {
        let dependencies = package["dependencies"].as_array().map_or(&[][..], Vec::as_slice);
        let shipped = dependencies.iter().filter(|dependency| dependency["kind"].as_str() != Some("dev"));
        shipped.map(name).filter(|name| all.contains(name)).collect()
    };
    packages.iter().map(|package| (name(package), used(package))).collect()
}

fn compare(table: &BTreeMap<String, Allowed>, uses: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    const PAGE: &str = "docs/architecture.md";
    let mut found = Vec::new();
    for (name, used) in uses {
        match table.get(name) {
            None => found.push(format!("{PAGE}: the table has no row for {name}")),
            Some(Allowed::Anything) => {}
            Some(Allowed::Only(allowed)) => found.extend(
                used.difference(allowed).map(|other| format!("{PAGE}: {name} must not depend on {other}")),
            ),
        }
    }
    let gone = table.keys().filter(|name| !uses.contains_key(*name));
    found.extend(
        gone.map(|name| format!("{PAGE}: the table names {name}, which the workspace does not have")),
    );
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# x\n\n| crate | what | may depend on |\n|---|---|---|\n| `model` | values | – |\n\
        | `swarm` | `.env`, locks | `model` |\n| `kit` | tests | anything |\n\n| other | table |\n";

    fn used(rows: &[(&str, &[&str])]) -> BTreeMap<String, BTreeSet<String>> {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        rows.iter().map(|(name, names)| ((*name).to_owned(), set(names))).collect()
    }

    #[test]
    fn a_workspace_as_the_table_says_is_no_drift() {
        let uses = used(&[("model", &[]), ("swarm", &["model"]), ("kit", &["model", "swarm"])]);
        assert_eq!(compare(&table(PAGE), &uses), Vec::<String>::new());
    }

    #[test]
    fn a_dependency_the_table_forbids_and_a_crate_it_lacks_are_named() {
        let uses = used(&[("model", &["swarm"]), ("swarm", &[]), ("bridge", &[])]);
        let found = compare(&table(PAGE), &uses).join("\n");
        assert!(found.contains("no row for bridge"), "{found}");
        assert!(found.contains("model must not depend on swarm"), "{found}");
        assert!(found.contains("names kit, which the workspace does not have"), "{found}");
    }
}
