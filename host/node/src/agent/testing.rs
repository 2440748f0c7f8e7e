//! Stand-ins for what is outside of the agent.

use gantry_model::key::Resource;
use gantry_model::{Draft, Key};
use serde_json::{Value, json};

use super::desired::Desired;

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

/// As the agent reads it.
pub fn desired(uid: &str, spec: Value, status: Value) -> Desired {
    let key = Key::new(Resource::new("", "pods"), "default", "web");
    Desired::read(&Draft::new(key, object(uid, spec, status), &[]).commit(1)).unwrap()
}
