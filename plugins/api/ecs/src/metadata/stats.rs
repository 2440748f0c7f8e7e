//! What containers use, in the form of Docker's stats: as much of it as their node says.

use gantry_sdk::{Value, json};

use super::view::{View, set};

/// Of the container that asks; none if its node says nothing of it.
pub fn of(view: &View<'_>) -> Option<Value> {
    one(view, view.asks)
}

/// Of all that have begun, by the names that their runtime has for them; null for one that does not run.
pub fn all(view: &View<'_>) -> Value {
    let mut all = json!({});
    for index in 0..view.containers().len() {
        if let Some(id) = view.runtime_id(index) {
            set(&mut all, id, Some(one(view, index).unwrap_or(Value::Null)));
        }
    }
    all
}

fn one(view: &View<'_>, index: usize) -> Option<Value> {
    let usage = view.usage(index)?;
    let mut memory = json!({"usage": usage.memory_bytes});
    set(&mut memory, "limit", usage.memory_limit_bytes.map(|limit| json!(limit)));
    Some(json!({
        "read": view.caller.usage.as_ref().map(|usage| usage.at.as_str()),
        "name": format!("/{}", usage.id),
        "id": usage.id,
        "cpu_stats": {"cpu_usage": {"total_usage": usage.cpu_nanoseconds}},
        "memory_stats": memory,
    }))
}
