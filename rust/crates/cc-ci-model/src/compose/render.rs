//! The merged files as one JSON value in the shape of `docker stack config`, for comparison and for other programs.

use serde_json::{Map as Object, Number, Value as Json};

use super::mounts;
use super::quantity::Nanoseconds;
use super::schema::{self, Form, Record};
use super::tree::{Node, Value};

/// Prints records in the way of the CLI: what is zero is left out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Render<'a> {
    /// The folder of the first compose file below [`mounts::RECIPE_FOLDER`].
    pub(super) folder: &'a str,
}

impl Render<'_> {
    /// The known properties of a record.
    pub(super) fn record(self, record: &Record, node: &Node) -> Object<String, Json> {
        let mut object = Object::new();
        for property in record.properties {
            let printed = node.get(property.name).and_then(|value| self.form(&property.form, value));
            if let Some(printed) = printed {
                object.insert(property.name.to_owned(), printed);
            }
        }
        object
    }

    /// One property, or `None` where the CLI prints nothing.
    fn form(self, form: &Form, node: &Node) -> Option<Json> {
        match form {
            Form::Text
            | Form::TextOrNothing
            | Form::OneOf(_)
            | Form::Flag
            | Form::Whole(_)
            | Form::Ratio
            | Form::Texts(_)
            | Form::TextOrTexts
            | Form::Command
            | Form::HealthTest
            | Form::Exposed
            | Form::Hosts
            | Form::Labels
            | Form::Environment
            | Form::Options(_) => Some(raw(node)).filter(|printed| !is_zero(printed)),
            Form::Switch | Form::OptionalWhole(_) | Form::OptionalNumber(_) | Form::Resource | Form::Raw => {
                Some(raw(node))
            }
            Form::Duration => {
                length(node).filter(|length| length.0 != 0).map(|length| length.to_string().into())
            }
            Form::OptionalDuration => length(node).map(|length| length.to_string().into()),
            Form::Bytes => match node.value {
                Value::Int(size) if size != 0 => Some(size.to_string().into()),
                _ => None,
            },
            Form::Inner(record) | Form::InnerOrNothing(record) => {
                Some(Json::Object(self.record(record, node))).filter(|printed| !is_zero(printed))
            }
            Form::Build => {
                Some(Json::Object(self.record(&schema::BUILD, node))).filter(|printed| !is_zero(printed))
            }
            Form::OptionalInner(record) => Some(Json::Object(self.record(record, node))),
            Form::Logging => Some(Json::Object(self.record(&schema::LOGGING, node))),
            Form::Records(record) => self.list(node, |item| Json::Object(self.record(record, item))),
            Form::Ports => self.list(node, |item| Json::Object(self.record(&schema::PORT, item))),
            Form::References => self.list(node, |item| Json::Object(self.record(&schema::REFERENCE, item))),
            Form::Mounts => self.list(node, |item| {
                let mut mount = self.record(&schema::MOUNT, item);
                if mount.get("type").and_then(Json::as_str) == Some("bind")
                    && let Some(Json::String(source)) = mount.get_mut("source")
                    && !mounts::is_absolute(source)
                {
                    *source = mounts::resolve(self.folder, source);
                }
                Json::Object(mount)
            }),
            Form::Networks => {
                let networks: Object<String, Json> = node
                    .entries()
                    .map(|(name, place)| {
                        let printed = match place.value {
                            Value::Map(_) => Json::Object(self.record(&schema::ATTACHMENT, place)),
                            _ => Json::Null,
                        };
                        (name.clone(), printed)
                    })
                    .collect();
                Some(Json::Object(networks)).filter(|printed| !is_zero(printed))
            }
            Form::Ulimits => {
                let limits: Object<String, Json> =
                    node.entries().map(|(name, limit)| (name.clone(), limit_of(limit))).collect();
                Some(Json::Object(limits)).filter(|printed| !is_zero(printed))
            }
            Form::External(_) => Some(Json::Bool(true)),
            Form::Forgotten(_) => None,
        }
    }

    fn list(self, node: &Node, print: impl Fn(&Node) -> Json) -> Option<Json> {
        let items: Vec<Json> = node.items().iter().map(print).collect();
        if items.is_empty() { None } else { Some(Json::Array(items)) }
    }
}

/// A limit of one number, or what is not zero of soft and hard.
fn limit_of(limit: &Node) -> Json {
    match limit.value {
        Value::Int(0) => Json::Object(Object::new()),
        Value::Map(_) => Json::Object(
            limit
                .entries()
                .map(|(key, value)| (key.clone(), raw(value)))
                .filter(|(_, value)| !is_zero(value))
                .collect(),
        ),
        _ => raw(limit),
    }
}

fn length(node: &Node) -> Option<Nanoseconds> {
    match node.value {
        Value::Int(length) => Some(Nanoseconds(length)),
        _ => None,
    }
}

fn is_zero(printed: &Json) -> bool {
    match printed {
        Json::Null => true,
        Json::Bool(flag) => !flag,
        Json::Number(number) => number.as_f64() == Some(0.0),
        Json::String(text) => text.is_empty(),
        Json::Array(items) => items.is_empty(),
        Json::Object(object) => object.is_empty(),
    }
}

/// A node as it is.
pub(super) fn raw(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(flag) => Json::Bool(*flag),
        Value::Int(number) => Json::from(*number),
        Value::Unsigned(number) => Json::from(*number),
        // A decimal that is whole is printed without its point.
        Value::Float(number) if number.fract() == 0.0 && number.abs() < 1e15 => Json::from(*number as i64),
        Value::Float(number) => Number::from_f64(*number).map_or(Json::Null, Json::Number),
        Value::Time(text) | Value::Text(text) => Json::String(text.clone()),
        Value::List(items) => Json::Array(items.iter().map(raw).collect()),
        Value::Map(map) => Json::Object(map.iter().map(|(key, value)| (key.clone(), raw(value))).collect()),
    }
}
