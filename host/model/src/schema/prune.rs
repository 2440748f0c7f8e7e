//! Dropping what a schema does not know.

use serde_json::Value;

use super::node::Arena;
use crate::path::Path;

pub(super) fn walk(arena: &Arena, index: usize, value: &mut Value, path: &Path<'_>, unknown: &mut Vec<String>) {
    let Some(node) = arena.node(index) else { return };
    match value {
        Value::Object(map) => map.retain(|name, value| {
            let child = node.properties.get(name.as_str()).copied();
            if value.is_null() && child.is_some_and(|c| arena.node(c).is_some_and(|n| !n.nullable)) {
                return false;
            }
            match child.or(node.additional) {
                Some(child) => walk(arena, child, value, &path.field(name), unknown),
                None if node.preserves => {}
                None => {
                    unknown.push(path.field(name).to_string());
                    return false;
                }
            }
            true
        }),
        Value::Array(items) => {
            let Some(child) = node.items else { return };
            for (n, item) in items.iter_mut().enumerate() {
                walk(arena, child, item, &path.index(n), unknown);
            }
        }
        _ => {}
    }
}
