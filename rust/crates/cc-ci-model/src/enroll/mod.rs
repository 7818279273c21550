//! A first `recipe.toml`, guessed from what a recipe itself declares; each guess stands with its reason.
//!
//! Words of the recipe are strangers' words: into a value they come only through the type that the strict reader
//! demands there, into a comment only quoted, on one line.

mod examples;
mod guesses;
mod page;
#[cfg(test)]
mod tests;

use crate::compose::{self, Compose, ComposeError};
use crate::env_file::{EnvFile, steers_programs};
use crate::lint::{RecipeFiles, default_files, environment};
use crate::names::{Recipe, StackName, quoted};
use crate::recipe_toml::EnvName;

use page::Page;

/// What the recipe declares, as far as it can be read.
struct Seen<'a> {
    files: &'a RecipeFiles,
    stack: &'a StackName,
    compose: Option<Compose>,
    /// Why the compose files cannot be read.
    unreadable: Option<String>,
    /// Variables that have to be set and that the sample leaves without value, with the recipe's own words about them.
    missing: Vec<(EnvName, String)>,
}

/// More variables than this without value, and reading gives up.
const MOST_MISSING: usize = 100;

/// Writes the file's text. It is valid whatever the recipe says, and holds only guesses that can be given a reason.
#[must_use]
pub fn draft(files: &RecipeFiles, recipe: &Recipe, stack: &StackName) -> String {
    let seen = Seen::of(files, stack);
    let mut page = Page::default();
    page.says(&format!(
        "What cc-ci knows about {recipe}. These are guesses from the recipe's own files, each with its"
    ));
    page.says("reason: correct what is wrong and take out what is not needed. All keys: docs/using.md.");
    page.line("schema = 1");
    if let Some(why) = &seen.unreadable {
        page.blank();
        page.says(&format!(
            "Little could be guessed, since the compose files cannot be read: {}",
            shown(why)
        ));
    }
    guesses::app(&seen, &mut page);
    guesses::backups(&seen, &mut page);
    guesses::neighbours(&seen, &mut page);
    examples::check(&seen, &mut page);
    examples::seed(&seen, &mut page);
    page.text()
}

impl<'a> Seen<'a> {
    fn of(files: &'a RecipeFiles, stack: &'a StackName) -> Self {
        let mut seen = Self { files, stack, compose: None, unreadable: None, missing: Vec::new() };
        let sample = files.text(".env.sample").map(EnvFile::parse);
        let mut sources = Vec::new();
        for path in default_files(sample.as_ref()) {
            match files.source(&path) {
                Some(source) => sources.push(source),
                None => {
                    seen.unreadable = Some(format!("{path} is not in the recipe"));
                    return seen;
                }
            }
        }
        let mut env = environment(files, stack, false);
        for _ in 0..MOST_MISSING {
            match compose::read(&sources, &env, &|path| files.text(path).map(str::to_owned)) {
                Ok(compose) => {
                    seen.compose = Some(compose);
                    return seen;
                }
                Err(ComposeError::MissingVariable { variable, message, .. }) => {
                    if !steers_programs(&variable)
                        && let Ok(name) = EnvName::parse(&variable)
                    {
                        seen.missing.push((name, message));
                    }
                    env.insert(variable, "example".to_owned());
                }
                Err(error) => {
                    seen.unreadable = Some(error.to_string());
                    return seen;
                }
            }
        }
        seen.unreadable = Some("too many required variables have no value".to_owned());
        seen
    }

    /// What the README says behind one of its bullets, such as `* **Backups**: Yes`.
    fn readme(&self, bullet: &str) -> Option<&str> {
        let text = self.files.text("README.md")?;
        let value = text.lines().find_map(|line| crate::lint::bullet(line.trim(), bullet))?;
        Some(value).filter(|value| !value.is_empty())
    }
}

/// A recipe's words in a comment, shortened.
fn shown(words: &str) -> String {
    quoted(words)
}
