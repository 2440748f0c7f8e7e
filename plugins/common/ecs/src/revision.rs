//! What is remembered of a service revision: enough to show it when its deployment, and the definition of its tasks, are
//! gone.

use gantry_sdk::{Value, json};

/// Of a template: the spec that its tasks get, and what the service's caller asked for; and how tasks are shared.
pub fn of(spec: &Value, asked: &Value, providers: &Value) -> Value {
    let containers = spec.get("containers").and_then(Value::as_array).into_iter().flatten();
    let image = |of: &Value| json!({"containerName": of.get("name"), "image": of.get("image")});
    json!({
        "family": spec.get("family"),
        "revision": spec.get("revision"),
        "containerImages": containers.map(image).collect::<Vec<_>>(),
        "asked": asked,
        "capacityProviders": providers,
    })
}
