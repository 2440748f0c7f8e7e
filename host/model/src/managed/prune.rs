//! Takes away what an applier wanted before and wants no more, unless somebody else wants it.

use serde_json::{Map, Value};

/// Removes the fields of `last` under which nothing of `keep` lies.
pub(super) fn prune(object: &mut Value, last: &Map<String, Value>, keep: &Map<String, Value>) {
    for (element, below) in last {
        let Value::Object(below) = below else { continue };
        match keep.get(element) {
            Some(Value::Object(kept)) => {
                if let Some(child) = child(object, element) {
                    prune(child, below, kept);
                }
            }
            // Metadata has fields that nobody owns and that must stay.
            _ if element == "f:metadata" => {
                if let Some(child) = child(object, element) {
                    prune(child, below, &Map::new());
                }
            }
            _ => remove(object, element),
        }
    }
}

fn child<'a>(value: &'a mut Value, element: &str) -> Option<&'a mut Value> {
    match element.split_once(':')? {
        ("f", name) => value.get_mut(name),
        ("k", key) => {
            let key: Map<String, Value> = serde_json::from_str(key).ok()?;
            value.as_array_mut()?.iter_mut().find(|item| has_key(item, &key))
        }
        _ => None,
    }
}

fn remove(value: &mut Value, element: &str) {
    match (element.split_once(':'), value) {
        (Some(("f", name)), Value::Object(map)) => {
            map.remove(name);
        }
        (Some(("k", key)), Value::Array(list)) => {
            if let Ok(key) = serde_json::from_str::<Map<String, Value>>(key) {
                list.retain(|item| !has_key(item, &key));
            }
        }
        (Some(("v", text)), Value::Array(list)) => {
            if let Ok(gone) = serde_json::from_str::<Value>(text) {
                list.retain(|item| *item != gone);
            }
        }
        _ => {}
    }
}

fn has_key(item: &Value, key: &Map<String, Value>) -> bool {
    key.iter().all(|(name, value)| item.get(name) == Some(value))
}
