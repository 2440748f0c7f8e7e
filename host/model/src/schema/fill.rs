//! Filling in defaults: those that a schema states, and those that a definition computes from other fields.

use serde_json::Value;

use super::node::Arena;

pub(super) fn walk(arena: &Arena, index: usize, value: &mut Value) {
    let Some(node) = arena.node(index).filter(|n| n.fills) else { return };
    match value {
        Value::Object(map) => {
            if let Some(hook) = node.hook {
                hook(map);
            }
            for (name, default) in &node.defaulted {
                // `null` is nothing, unless it is a value.
                match map.get(&**name) {
                    Some(Value::Null) if !default.is_null() => {
                        let nullable =
                            node.properties.get(name).and_then(|c| arena.node(*c)).is_some_and(|n| n.nullable);
                        if !nullable {
                            map.insert(name.to_string(), default.clone());
                        }
                    }
                    Some(_) => {}
                    None => {
                        map.insert(name.to_string(), default.clone());
                    }
                }
            }
            for (name, value) in map.iter_mut() {
                if let Some(child) = node.properties.get(name.as_str()).copied().or(node.additional) {
                    walk(arena, child, value);
                }
            }
        }
        Value::Array(items) => {
            if let Some(child) = node.items {
                items.iter_mut().for_each(|item| walk(arena, child, item));
            }
        }
        _ => {}
    }
}
