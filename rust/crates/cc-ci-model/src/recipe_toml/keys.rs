//! The table of all keys of a settings file, printed as Markdown from its types.

use schemars::JsonSchema;
use serde_json::Value;

use super::RecipeToml;

/// Gives a type that is read by way of a plain table the schema of that table.
macro_rules! schema_of_table {
    ($type:ty, $table:ty) => {
        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                <$table as schemars::JsonSchema>::json_schema(generator)
            }
        }
    };
}
pub(crate) use schema_of_table;

/// All keys of `recipe.toml` as a Markdown table.
#[must_use]
pub fn recipe_key_table() -> String {
    key_table::<RecipeToml>()
}

/// All keys of a settings type as a Markdown table with the columns key, value and meaning. The meaning is the
/// document comment of the field.
#[must_use]
pub fn key_table<T: JsonSchema>() -> String {
    let root = schemars::SchemaGenerator::default().into_root_schema_for::<T>().to_value();
    let mut rows = vec!["| Key | Value | Meaning |".to_owned(), "|---|---|---|".to_owned()];
    walk(&root, &root, "", &mut rows);
    rows.push(String::new());
    rows.join("\n")
}

fn walk(root: &Value, schema: &Value, prefix: &str, rows: &mut Vec<String>) {
    let schema = resolved(root, schema);
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    for (name, field) in properties {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let target = resolved(root, field);
        let meaning = text(field, "description").or_else(|| text(target, "description")).unwrap_or_default();
        let items = target.get("items").map(|items| resolved(root, items));
        match items.filter(|items| items.get("properties").is_some()) {
            Some(items) => {
                let key = format!("[[{key}]]");
                rows.push(format!("| `{key}` | tables | {} |", cell(&meaning)));
                walk(root, items, &key, rows);
            }
            None if target.get("properties").is_some() => {
                rows.push(format!("| `{key}` | table | {} |", cell(&meaning)));
                walk(root, target, &key, rows);
            }
            None => rows.push(format!(
                "| `{key}` | {} | {} |",
                kind(root, target, field.get("default")),
                cell(&meaning)
            )),
        }
    }
}

fn cell(meaning: &str) -> String {
    meaning.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

/// Follows references, and takes the one real branch of an optional value.
fn resolved<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
        return root.pointer(name.trim_start_matches('#')).map_or(schema, |found| resolved(root, found));
    }
    let real = schema
        .get("anyOf")
        .and_then(Value::as_array)
        .and_then(|branches| branches.iter().find(|branch| branch.get("type") != Some(&"null".into())));
    real.map_or(schema, |branch| resolved(root, branch))
}

fn kind(root: &Value, schema: &Value, default: Option<&Value>) -> String {
    let choices = schema.get("enum").or_else(|| schema.get("oneOf")).and_then(Value::as_array);
    let kind = match (choices, text(schema, "format").as_deref(), type_of(schema)) {
        (Some(choices), _, _) => choices
            .iter()
            .filter_map(|choice| choice.as_str().or_else(|| choice.get("const")?.as_str()))
            .map(|choice| format!("`\"{choice}\"`"))
            .collect::<Vec<_>>()
            .join(", "),
        (None, Some("number with unit, largest first: 90s, 10m, 1h30m"), _) => {
            "time, e.g. `\"90s\"`".to_owned()
        }
        (None, Some("size"), _) => "bytes, e.g. `\"512MiB\"`".to_owned(),
        (None, _, "array") => {
            let items = schema.get("items").map(|items| kind(root, resolved(root, items), None));
            format!("list of {}", items.unwrap_or_else(|| "values".to_owned()))
        }
        (None, _, "object") => "table of values".to_owned(),
        (None, _, "integer") => "number".to_owned(),
        (None, _, "boolean") => "`true` or `false`".to_owned(),
        (None, _, other) => other.to_owned(),
    };
    match default.filter(|value| !value.is_null() && **value != Value::Array(Vec::new())) {
        Some(value) if !value.is_object() => format!("{kind}; default `{value}`"),
        _ => kind,
    }
}

fn type_of(schema: &Value) -> &str {
    match schema.get("type") {
        Some(Value::String(name)) => name,
        Some(Value::Array(names)) => {
            names.iter().filter_map(Value::as_str).find(|name| *name != "null").unwrap_or("value")
        }
        _ => "value",
    }
}

fn text(schema: &Value, key: &str) -> Option<String> {
    schema.get(key).and_then(Value::as_str).map(str::to_owned)
}
