//! What an applied configuration makes of the live object, before anything is taken away.

use serde_json::{Map, Value};

use super::shape::{self, Shape};
use crate::schema::Schema;

/// Lays a configuration over a live value.
pub(super) fn merge(schema: Option<&Schema>, live: Value, config: Value) -> Value {
    match (shape::shape(schema, &config), live, config) {
        (Shape::Fields, Value::Object(mut live), Value::Object(config)) => {
            for (name, wanted) in config {
                let merged = match live.remove(&name) {
                    Some(current) => merge(shape::field(schema, &name).as_ref(), current, wanted),
                    None => wanted,
                };
                live.insert(name, merged);
            }
            Value::Object(live)
        }
        (Shape::Keyed(keys), Value::Array(live), Value::Array(config)) => {
            let items = shape::items(schema);
            Value::Array(interleave(
                live,
                config,
                |item| shape::key(&keys, item, items.as_ref()),
                |a, b| merge(items.as_ref(), a, b),
            ))
        }
        (Shape::Values, Value::Array(live), Value::Array(config)) => {
            Value::Array(interleave(live, config, |item| Some(item.to_string()), |_, b| b))
        }
        (_, _, config) => config,
    }
}

/// Drops nulls: in a configuration they say no more than absence.
pub(super) fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let map: Map<String, Value> = map
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (name, without_nulls(value)))
                .collect();
            Value::Object(map)
        }
        Value::Array(list) => Value::Array(list.into_iter().map(without_nulls).collect()),
        other => other,
    }
}

/// Merges two lists: the configuration's order rules among its items, the other items keep their places.
fn interleave(
    live: Vec<Value>,
    config: Vec<Value>,
    key: impl Fn(&Value) -> Option<String>,
    join: impl Fn(Value, Value) -> Value,
) -> Vec<Value> {
    let wanted: Vec<(Option<String>, Value)> = config.into_iter().map(|item| (key(&item), item)).collect();
    let is_wanted = |key: &Option<String>| key.is_some() && wanted.iter().any(|(other, _)| other == key);
    // An item with its key, and whether it waits for its turn in the configuration's order.
    let mut current: Vec<(Option<String>, bool, Option<Value>)> = Vec::with_capacity(live.len());
    for item in live {
        let key = key(&item);
        let waits = is_wanted(&key);
        current.push((key, waits, Some(item)));
    }
    let mut out = Vec::with_capacity(current.len().max(wanted.len()));
    let mut passed = 0;
    for (key, item) in wanted {
        let found = key.is_some().then(|| current.iter().position(|(other, ..)| *other == key)).flatten();
        let Some(at) = found else {
            out.push(item);
            continue;
        };
        for (_, waits, slot) in current.iter_mut().take(at).skip(passed) {
            if !*waits {
                out.extend(slot.take());
            }
        }
        passed = passed.max(at + 1);
        match current.get_mut(at).and_then(|(.., slot)| slot.take()) {
            Some(old) => out.push(join(old, item)),
            None => out.push(item),
        }
    }
    out.extend(current.into_iter().filter_map(|(_, waits, slot)| slot.filter(|_| !waits)));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_keep_both_orders_where_they_can() {
        let list = |items: &[&str]| items.iter().map(|i| json!(i)).collect::<Vec<_>>();
        for (live, config, want) in [
            (vec!["a", "x", "b"], vec!["a", "b"], vec!["a", "x", "b"]),
            (vec!["a", "x", "b"], vec!["b", "a"], vec!["x", "b", "a"]),
            (vec!["a"], vec!["a", "n"], vec!["a", "n"]),
            (vec!["x", "y"], vec!["n"], vec!["n", "x", "y"]),
            (vec![], vec!["n"], vec!["n"]),
            (vec!["x"], vec![], vec!["x"]),
        ] {
            let merged = interleave(list(&live), list(&config), |v| Some(v.to_string()), |_, b| b);
            assert_eq!(merged, list(&want), "{live:?} {config:?}");
        }
    }
}
