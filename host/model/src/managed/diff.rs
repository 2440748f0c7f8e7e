//! What a write changed, field by field.

use serde_json::{Map, Value};

use super::set::{self, FieldSet};
use super::shape::{self, Shape};
use crate::schema::Schema;

/// The fields in which two states of an object differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// New or with another value.
    pub changed: FieldSet,
    /// Gone.
    pub removed: FieldSet,
}

impl Diff {
    /// Whether the states are the same.
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.removed.is_empty()
    }
}

/// Compares two states of an object. What nobody can own (name, uid, …) is not looked at.
pub fn diff(schema: &Schema, old: &Value, new: &Value) -> Diff {
    let mut out = Sides::default();
    let empty = Map::new();
    let (old, new) = (old.as_object().unwrap_or(&empty), new.as_object().unwrap_or(&empty));
    for name in names(old, new) {
        let (a, b) = (old.get(name), new.get(name));
        match name.as_str() {
            "apiVersion" | "kind" => {}
            "metadata" => {
                let below = shape::field(Some(schema), name);
                let mut inner = Sides::default();
                let (a, b) = (fields(a, &empty), fields(b, &empty));
                for field in names(a, b).into_iter().filter(|field| shape::ownable(field)) {
                    let schema = shape::field(below.as_ref(), field);
                    compare(schema.as_ref(), || shape::field_element(field), a.get(field), b.get(field), &mut inner);
                }
                out.put("f:metadata".to_owned(), inner);
            }
            // Nobody owns these two as such: their absence is the same as their being empty.
            "spec" | "status" if is_fields(a) && is_fields(b) => {
                let below = shape::field(Some(schema), name);
                let mut inner = Sides::default();
                compare_fields(below.as_ref(), fields(a, &empty), fields(b, &empty), &mut inner);
                out.put(shape::field_element(name), inner);
            }
            _ => {
                let below = shape::field(Some(schema), name);
                compare(below.as_ref(), || shape::field_element(name), a, b, &mut out);
            }
        }
    }
    Diff { changed: FieldSet(out.changed), removed: FieldSet(out.removed) }
}

/// The fields of a value, for someone who sets all of it. With `ways`, objects and lists that lead to other fields
/// are members as well.
pub(super) fn all(schema: Option<&Schema>, value: &Value, ways: bool) -> Map<String, Value> {
    let mut out = Map::new();
    match (shape::shape(schema, value), value) {
        (Shape::Fields, Value::Object(map)) => {
            for (name, value) in map.iter().filter(|(_, value)| !value.is_null()) {
                let below = all(shape::field(schema, name).as_ref(), value, ways);
                let member = ways || below.is_empty();
                set::insert(&mut out, shape::field_element(name), member, below);
            }
        }
        (Shape::Keyed(keys), Value::Array(list)) => {
            let items = shape::items(schema);
            for (key, item) in shape::keyed(&keys, list, items.as_ref()).unwrap_or_default() {
                out.insert(key, set::member(all(items.as_ref(), item, ways)));
            }
        }
        (Shape::Values, Value::Array(list)) => {
            out.extend(list.iter().map(|value| (shape::value_element(value), set::member(Map::new()))));
        }
        _ => {}
    }
    out
}

#[derive(Default)]
struct Sides {
    changed: Map<String, Value>,
    removed: Map<String, Value>,
}

impl Sides {
    /// Puts differences below an element.
    fn put(&mut self, element: String, below: Sides) {
        if !below.changed.is_empty() {
            self.changed.insert(element.clone(), Value::Object(below.changed));
        }
        if !below.removed.is_empty() {
            self.removed.insert(element, Value::Object(below.removed));
        }
    }
}

fn is_fields(value: Option<&Value>) -> bool {
    matches!(value, None | Some(Value::Null | Value::Object(_)))
}

fn fields<'a>(value: Option<&'a Value>, empty: &'a Map<String, Value>) -> &'a Map<String, Value> {
    value.and_then(Value::as_object).unwrap_or(empty)
}

/// The names in either map, once each.
fn names<'a>(a: &'a Map<String, Value>, b: &'a Map<String, Value>) -> Vec<&'a String> {
    let mut out: Vec<&String> = b.keys().collect();
    out.extend(a.keys().filter(|name| !b.contains_key(*name)));
    out
}

fn compare(
    schema: Option<&Schema>,
    element: impl FnOnce() -> String,
    old: Option<&Value>,
    new: Option<&Value>,
    out: &mut Sides,
) {
    match (old.filter(|v| !v.is_null()), new.filter(|v| !v.is_null())) {
        (None, None) => {}
        (None, Some(new)) => {
            out.changed.insert(element(), set::member(all(schema, new, true)));
        }
        (Some(old), None) => {
            out.removed.insert(element(), set::member(all(schema, old, true)));
        }
        (Some(old), Some(new)) => {
            if std::ptr::eq(old, new) {
                return;
            }
            let mut below = Sides::default();
            if compare_parts(schema, old, new, &mut below) {
                if !(below.changed.is_empty() && below.removed.is_empty()) {
                    out.put(element(), below);
                }
            } else if old != new {
                let element = element();
                set::insert(&mut out.removed, element.clone(), false, all(schema, old, true));
                out.changed.insert(element, set::member(all(schema, new, true)));
            }
        }
    }
}

/// Compares part by part; false when the values can only be compared as a whole.
fn compare_parts(schema: Option<&Schema>, old: &Value, new: &Value, out: &mut Sides) -> bool {
    match (old, new) {
        (Value::Object(a), Value::Object(b)) => match shape::shape(schema, new) {
            Shape::Fields => compare_fields(schema, a, b, out),
            _ => return false,
        },
        (Value::Array(a), Value::Array(b)) => match shape::shape(schema, new) {
            Shape::Keyed(keys) => return compare_keyed(schema, &keys, a, b, out),
            Shape::Values => {
                let added = b.iter().filter(|v| !a.contains(v));
                out.changed.extend(added.map(|v| (shape::value_element(v), set::member(Map::new()))));
                let gone = a.iter().filter(|v| !b.contains(v));
                out.removed.extend(gone.map(|v| (shape::value_element(v), set::member(Map::new()))));
            }
            _ => return false,
        },
        _ => return false,
    }
    true
}

fn compare_fields(schema: Option<&Schema>, a: &Map<String, Value>, b: &Map<String, Value>, out: &mut Sides) {
    for name in names(a, b) {
        let (old, new) = (a.get(name), b.get(name));
        // Equal parts are the rule and need no schema.
        if old == new {
            continue;
        }
        compare(shape::field(schema, name).as_ref(), || shape::field_element(name), old, new, out);
    }
}

fn compare_keyed(schema: Option<&Schema>, keys: &[String], a: &[Value], b: &[Value], out: &mut Sides) -> bool {
    if a == b {
        return true;
    }
    let items = shape::items(schema);
    let (Some(a), Some(b)) = (shape::keyed(keys, a, items.as_ref()), shape::keyed(keys, b, items.as_ref())) else {
        return false;
    };
    for (key, new) in &b {
        let old = a.iter().find(|(k, _)| k == key).map(|(_, v)| *v);
        compare(items.as_ref(), || key.clone(), old, Some(new), out);
    }
    for (key, old) in a.into_iter().filter(|(key, _)| !b.iter().any(|(k, _)| k == key)) {
        out.removed.insert(key, set::member(all(items.as_ref(), old, true)));
    }
    true
}
