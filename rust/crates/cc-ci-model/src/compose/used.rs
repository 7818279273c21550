//! The variables a compose file uses, each where it stands, read as the Docker CLI reads them.

use super::document;
use super::error::{ComposeError, Position};
use super::interpolate::variable;
use super::reading::ComposeSource;
use super::service::Placed;
use super::tree::{self, Node, Value};

/// What happens where the variable has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Otherwise {
    /// Nothing stands in its place.
    Nothing,
    /// This text, as the CLI takes it: up to the first closing brace.
    Default(String),
    /// The files cannot be read.
    Error,
}

/// One use of a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariableUse {
    /// The line of the value.
    pub at: Position,
    /// The property, e.g. `configs.site_conf.name`.
    pub property: String,
    /// The variable.
    pub name: String,
    /// What stands in its place without a value.
    pub otherwise: Otherwise,
}

impl VariableUse {
    /// Whether its default holds another variable. The CLI does not know nesting: it ends the default at the first brace and
    /// hands the inner variable on as it is written.
    pub fn is_nested(&self) -> bool {
        matches!(&self.otherwise, Otherwise::Default(default) if default.contains('$'))
    }
}

/// All uses of variables in the values of a file, in the order of its keys.
///
/// # Errors
/// The file is not YAML.
pub fn variables(source: &ComposeSource) -> Result<Vec<VariableUse>, ComposeError> {
    let names = [source.path.clone()];
    let tree = tree::parse(&source.text, 0).map_err(|problem| problem.named(&names))?;
    let mut uses = Vec::new();
    walk(&tree, "", &names, &mut uses);
    Ok(uses)
}

/// The version of the format that a file states, with its place.
///
/// # Errors
/// The file is not YAML.
pub fn stated_version(source: &ComposeSource) -> Result<Option<Placed<String>>, ComposeError> {
    let names = [source.path.clone()];
    let tree = tree::parse(&source.text, 0).map_err(|problem| problem.named(&names))?;
    let at = tree.get("version").map(|node| node.place.named(&names));
    Ok(at.map(|at| Placed { at, value: document::version(&tree) }))
}

fn walk(node: &Node, property: &str, names: &[String], uses: &mut Vec<VariableUse>) {
    match &node.value {
        Value::Text(text) => {
            uses.extend(of_text(text).into_iter().map(|(name, otherwise)| VariableUse {
                at: node.place.named(names),
                property: property.to_owned(),
                name,
                otherwise,
            }));
        }
        Value::Map(map) => {
            for (key, value) in map {
                let inner = if property.is_empty() { key.clone() } else { format!("{property}.{key}") };
                walk(value, &inner, names, uses);
            }
        }
        Value::List(items) => items.iter().for_each(|item| walk(item, property, names, uses)),
        _ => {}
    }
}

fn of_text(text: &str) -> Vec<(String, Otherwise)> {
    let mut uses = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            rest = after;
        } else if let Some((inside, after)) = variable(rest) {
            rest = after;
            uses.push(parts(inside));
        }
    }
    uses
}

/// Name and modifier of one substitution.
fn parts(inside: &str) -> (String, Otherwise) {
    let end = inside.find([':', '-', '?']).unwrap_or(inside.len());
    let (name, modifier) = inside.split_at(end);
    let modifier = modifier.strip_prefix(':').unwrap_or(modifier);
    let otherwise = match (modifier.strip_prefix('-'), modifier.strip_prefix('?')) {
        (Some(default), _) => Otherwise::Default(default.to_owned()),
        // The CLI looks for a hyphen first, so such a message becomes a default.
        (None, Some(message)) if message.contains('-') => {
            Otherwise::Default(message.split_once('-').unwrap_or_default().1.to_owned())
        }
        (None, Some(_)) => Otherwise::Error,
        (None, None) => Otherwise::Nothing,
    };
    (name.to_owned(), otherwise)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_are_found_where_they_stand_and_comments_are_none() {
        let text = "version: \"3.8\"\n# ${NOT}\nservices:\n  app:\n    image: a:${TAG:-1}\n    command: \"$$x $A ${B:?say it} ${C:-${D}}\"\n";
        let source = ComposeSource { path: "compose.yml".into(), text: text.into() };
        let uses = variables(&source).unwrap();
        let found: Vec<_> = uses.iter().map(|it| (it.at.line, it.name.as_str(), &it.otherwise)).collect();
        assert_eq!(
            found,
            [
                (6, "A", &Otherwise::Nothing),
                (6, "B", &Otherwise::Error),
                (6, "C", &Otherwise::Default("${D".into())),
                (5, "TAG", &Otherwise::Default("1".into())),
            ]
        );
        assert_eq!(uses.iter().filter(|it| it.is_nested()).count(), 1);
        assert_eq!(uses[0].property, "services.app.command");
        assert_eq!(
            stated_version(&source).unwrap().map(|it| (it.at.line, it.value)),
            Some((1, "3.8".into()))
        );
    }
}
