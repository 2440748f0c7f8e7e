//! RFC 7386 merge patches.

use serde_json::{Map, Value};

/// Applies `patch` to `target`: `null` removes, objects merge, anything else replaces.
pub fn apply(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(fields) = target else { return };
    for (key, change) in changes {
        if change.is_null() {
            fields.remove(key);
        } else {
            apply(fields.entry(key).or_insert(Value::Null), change);
        }
    }
}

/// The smallest patch that turns `old` into `new`; `None` when they are equal. Lists are replaced whole.
pub fn diff(old: &Value, new: &Value) -> Option<Value> {
    if old == new {
        return None;
    }
    let (Value::Object(before), Value::Object(after)) = (old, new) else { return Some(new.clone()) };
    let gone = before.keys().filter(|k| !after.contains_key(*k)).map(|k| (k.clone(), Value::Null));
    let changed = after.iter().filter_map(|(k, v)| match before.get(k) {
        Some(was) => diff(was, v).map(|d| (k.clone(), d)),
        None => Some((k.clone(), v.clone())),
    });
    Some(Value::Object(gone.chain(changed).collect()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_diff_applied_gives_the_new_value() {
        let cases = [
            (json!({"a": 1, "b": {"c": 2, "d": 3}}), json!({"b": {"c": 2, "d": 4}, "e": [1]})),
            (json!({}), json!({"x": {"y": "z"}})),
            (json!({"x": [1, 2]}), json!({"x": [2]})),
            (json!({"x": 1}), json!({"x": {"y": 1}})),
        ];
        for (old, new) in cases {
            let mut value = old.clone();
            apply(&mut value, &diff(&old, &new).unwrap());
            assert_eq!(value, new);
        }
        assert_eq!(diff(&json!({"a": [1]}), &json!({"a": [1]})), None);
    }

    #[test]
    fn null_removes() {
        let mut value = json!({"a": {"b": 1, "c": 2}});
        apply(&mut value, &json!({"a": {"b": null}}));
        assert_eq!(value, json!({"a": {"c": 2}}));
    }
}
