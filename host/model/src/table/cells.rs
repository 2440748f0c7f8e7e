//! Cells that several kinds have.

use jiff::Timestamp;
use serde_json::Value;

use super::age::since;

/// The value at a list of names.
pub(super) fn at<'a>(object: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(object, |at, name| at.get(name)).filter(|v| !v.is_null())
}

pub(super) fn text<'a>(object: &'a Value, path: &[&str]) -> &'a str {
    at(object, path).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn list<'a>(object: &'a Value, path: &[&str]) -> &'a [Value] {
    at(object, path).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

pub(super) fn size(object: &Value, path: &[&str]) -> usize {
    match at(object, path) {
        Some(Value::Object(map)) => map.len(),
        Some(Value::Array(items)) => items.len(),
        _ => 0,
    }
}

/// `<none>` for nothing.
pub(super) fn or_none(text: &str) -> Value {
    Value::from(if text.is_empty() { "<none>" } else { text })
}

pub(super) fn name(object: &Value) -> Value {
    Value::from(text(object, &["metadata", "name"]))
}

pub(super) fn age(object: &Value, now: Timestamp) -> Value {
    let moment = at(object, &["metadata", "creationTimestamp"]).and_then(Value::as_str);
    Value::from(since(moment, now))
}
