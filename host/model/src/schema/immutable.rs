//! Properties that may not change after creation (`x-gantry-immutable`).

use serde_json::Value;

use super::node::Arena;
use crate::path::Path;
use crate::status::Cause;

type Pair<'a> = (Option<&'a Value>, Option<&'a Value>);

pub(super) fn walk(arena: &Arena, index: usize, (new, old): Pair<'_>, path: &Path<'_>, causes: &mut Vec<Cause>) {
    let Some(node) = arena.node(index) else { return };
    if node.immutable && new != old {
        causes.push(Cause::invalid(path, new.unwrap_or(&Value::Null), "field is immutable"));
        return;
    }
    // Only what both have can be compared further down: what is new as a whole had nothing to keep.
    match (new, old) {
        (Some(Value::Object(new)), Some(Value::Object(old))) => {
            for (name, child) in &node.properties {
                let pair = (new.get(&**name), old.get(&**name));
                if pair.0.is_some() || pair.1.is_some() {
                    walk(arena, *child, pair, &path.field(name), causes);
                }
            }
        }
        (Some(Value::Array(new)), Some(Value::Array(old))) => {
            let Some(child) = node.items else { return };
            for (n, (new, old)) in new.iter().zip(old).enumerate() {
                walk(arena, child, (Some(new), Some(old)), &path.index(n), causes);
            }
        }
        _ => {}
    }
}
