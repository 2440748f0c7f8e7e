//! Stand-ins for what is outside of the agent. They outlive an agent, so that one can be killed and another started
//! over what it left; they check order and arguments, and fail or hang on request.

pub mod cluster;
pub mod mounts;
pub mod network;
pub mod runtime;
pub mod world;

use gantry_model::key::Resource;
use gantry_model::{Draft, Key, Record};
use serde_json::{Value, json};

use super::desired::Desired;

/// A uid of the usual length.
pub const UID: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";

/// A pod `web` in `default`.
pub fn object(uid: &str, spec: Value, status: Value) -> Value {
    let mut spec = spec;
    if spec.get("containers").is_none() {
        spec["containers"] = json!([{"name": "c", "image": "image:1"}]);
    }
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web", "namespace": "default", "uid": uid},
        "spec": spec, "status": status,
    })
}

/// As the store has it.
pub fn record(object: Value, plural: &str, revision: u64) -> Record {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let key = Key::new(Resource::new("", plural), &text("/metadata/namespace"), &text("/metadata/name"));
    Draft::new(key, object, &["spec.nodeName".to_owned()]).commit(revision)
}

/// As the agent reads it.
pub fn desired(uid: &str, spec: Value, status: Value) -> Desired {
    Desired::read(&record(object(uid, spec, status), "pods", 1)).unwrap()
}
