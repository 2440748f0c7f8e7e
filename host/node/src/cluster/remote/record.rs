//! Objects of the API as the rest of the node has them.

use gantry_model::key::Resource;
use gantry_model::{Draft, Key, Record, Status};
use serde_json::Value;

/// An object that the API server gave.
pub fn record(group: &str, plural: &str, object: Value) -> Result<Record, Status> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let revision = text("/metadata/resourceVersion").parse().map_err(|_| {
        Status::internal(format!(
            "the control plane sent one of its {plural} without a resourceVersion that is a number"
        ))
    })?;
    let key = Key::new(Resource::new(group, plural), text("/metadata/namespace"), text("/metadata/name"));
    let selectable = match (group, plural) {
        ("", "pods") => vec!["spec.nodeName".to_owned()],
        _ => Vec::new(),
    };
    Ok(Draft::new(key, object, &selectable).commit(revision))
}
