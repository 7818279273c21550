//! `cargo xtask docs`: pages that are generated from the code, written or compared.

use anyhow::{Context, bail};

use crate::{dependency_table, out, workspace};

/// One generated page: its path in the repository, and what it should hold.
struct Page {
    path: &'static str,
    text: String,
}

fn pages() -> anyhow::Result<Vec<Page>> {
    let schema = schemars::schema_for!(cc_ci_model::result::RunResult);
    let text = serde_json::to_string_pretty(&schema).context("writing the schema of result.json")? + "\n";
    Ok(vec![Page { path: "docs/result.schema.json", text }])
}

/// Writes every generated page anew.
pub(crate) fn write() -> anyhow::Result<()> {
    for page in pages()? {
        let path = workspace::root().join(page.path);
        if std::fs::read_to_string(&path).is_ok_and(|text| text == page.text) {
            continue;
        }
        std::fs::write(&path, page.text).with_context(|| format!("writing {}", path.display()))?;
        out::line(format!("wrote {}", page.path));
    }
    Ok(())
}

/// Compares every generated page, and the dependency table, with what the code says.
pub(crate) fn check() -> anyhow::Result<()> {
    let mut drifted = Vec::new();
    for page in pages()? {
        let path = workspace::root().join(page.path);
        if !std::fs::read_to_string(&path).is_ok_and(|text| text == page.text) {
            drifted.push(format!("{} is not what the code says; run cargo xtask docs", page.path));
        }
    }
    drifted.extend(dependency_table::drift()?);
    if !drifted.is_empty() {
        bail!("{}", drifted.join("; "));
    }
    Ok(())
}
