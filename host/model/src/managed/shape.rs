//! How a schema says that values are to be taken apart: field by field, item by item, or not at all.

use serde_json::{Map, Value};

use crate::schema::{ListType, Schema};

/// How the parts of a value are told apart.
pub(super) enum Shape {
    /// By name.
    Fields,
    /// A list of records by their keys.
    Keyed(Vec<String>),
    /// A list of values by the values.
    Values,
    /// Not at all.
    Whole,
}

/// What the schema and the value together allow. Unknown objects are taken apart, unknown lists are not.
pub(super) fn shape(schema: Option<&Schema>, value: &Value) -> Shape {
    match value {
        Value::Object(_) if schema.is_some_and(Schema::map_type_atomic) => Shape::Whole,
        Value::Object(_) => Shape::Fields,
        Value::Array(_) => match schema.map(Schema::list_type) {
            Some(ListType::Map(keys)) => Shape::Keyed(keys),
            Some(ListType::Set) => Shape::Values,
            _ => Shape::Whole,
        },
        _ => Shape::Whole,
    }
}

/// The schema of a field of an object.
pub(super) fn field(schema: Option<&Schema>, name: &str) -> Option<Schema> {
    schema?.child(name)
}

/// The schema of a list's items.
pub(super) fn items(schema: Option<&Schema>) -> Option<Schema> {
    schema?.items()
}

/// `k:{"name":"web"}`; `None` when the item has none of its keys. Absent keys have their default value.
pub(super) fn key(keys: &[String], item: &Value, schema: Option<&Schema>) -> Option<String> {
    let item = item.as_object()?;
    let mut parts: Vec<(&str, String)> = Vec::with_capacity(keys.len());
    for key in keys {
        let value = match item.get(key) {
            Some(Value::Null) | None => {
                schema.and_then(|s| s.property(key)).and_then(|s| s.default().map(Value::to_string))
            }
            Some(value) => Some(value.to_string()),
        };
        if let Some(value) = value {
            parts.push((key, value));
        }
    }
    if parts.is_empty() {
        return None;
    }
    parts.sort_unstable();
    let parts: Vec<String> = parts.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    Some(format!("k:{{{}}}", parts.join(",")))
}

/// `v:"x"`
pub(super) fn value_element(value: &Value) -> String {
    format!("v:{value}")
}

/// `f:name`
pub(super) fn field_element(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 2);
    out.push_str("f:");
    out.push_str(name);
    out
}

/// The elements of a list of records, or `None` when one has no key or two have the same: then it is one whole.
pub(super) fn keyed<'a>(
    keys: &[String],
    list: &'a [Value],
    schema: Option<&Schema>,
) -> Option<Vec<(String, &'a Value)>> {
    let mut out: Vec<(String, &Value)> = Vec::with_capacity(list.len());
    for item in list {
        let key = key(keys, item, schema)?;
        if out.iter().any(|(other, _)| *other == key) {
            return None;
        }
        out.push((key, item));
    }
    Some(out)
}

/// Fields of `metadata` that someone can own. The rest is the server's.
pub(super) fn ownable(metadata_field: &str) -> bool {
    matches!(metadata_field, "labels" | "annotations" | "ownerReferences" | "finalizers" | "generateName")
}

/// `metadata` with only what can be owned.
pub(super) fn ownable_metadata(metadata: &Value) -> Map<String, Value> {
    let fields = metadata.as_object().into_iter().flatten();
    fields.filter(|(name, _)| ownable(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}
