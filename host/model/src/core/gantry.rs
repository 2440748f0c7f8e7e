//! The host's own kinds: Plugin and Bundle.

use serde_json::{Value, json};

/// Their definitions.
pub(super) fn definitions() -> [(String, Value); 2] {
    [("dev.gantry.v1alpha1.Plugin".to_owned(), plugin()), ("dev.gantry.v1alpha1.Bundle".to_owned(), bundle())]
}

const META: &str = "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const CONDITION: &str = "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.Condition";

fn text(description: &str) -> Value {
    json!({ "type": "string", "description": description })
}

fn number(description: &str) -> Value {
    json!({ "type": "integer", "format": "int64", "description": description })
}

fn texts(description: &str) -> Value {
    json!({ "type": "array", "items": { "type": "string" }, "x-kubernetes-list-type": "set", "description": description })
}

fn free(description: &str) -> Value {
    json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true, "description": description })
}

fn conditions() -> Value {
    json!({
        "type": "array", "items": { "$ref": CONDITION }, "description": "What holds now.",
        "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"],
        "x-kubernetes-patch-merge-key": "type", "x-kubernetes-patch-strategy": "merge",
    })
}

fn object(description: &str, spec: Value, status: Value) -> Value {
    json!({
        "type": "object", "description": description,
        "properties": {
            "apiVersion": text("The group and version of this representation of the object."),
            "kind": text("The kind of object that this is."),
            "metadata": { "$ref": META, "description": "Standard object metadata." },
            "spec": { "type": "object", "description": "What the bundle asks for.", "properties": spec },
            "status": { "type": "object", "description": "What is so now.", "properties": status },
        },
    })
}

fn plugin() -> Value {
    let spec = json!({
        "bundle": text("The bundle that names the plugin."),
        "source": text("Where the component comes from: a file, or an oci:// reference."),
        "digest": text("The digest that the component must have."),
        "required": { "type": "boolean", "description": "Whether the host refuses to start without it." },
        "onFault": free("What happens when the plugin keeps failing."),
        "memory": text("The memory that one instance may have."),
        "deadlineMs": number("How long one call may take, in milliseconds."),
        "instances": number("How many instances may run at once."),
        "config": free("The plugin's configuration."),
        "grants": free("What the bundle lets the plugin do."),
    });
    let status = json!({
        "version": text("The version that is running."),
        "apiVersion": text("The version of the plugin contract that it was built for."),
        "digest": text("The digest of the component that is running."),
        "description": text("What the plugin says it is."),
        "families": texts("What the plugin is for."),
        "kinds": texts("The kinds that it declares."),
        "reviews": { "type": "array", "items": free("One rule."), "description": "Which writes it reviews." },
        "phase": text("Pending, Ready, Degraded or Failed."),
        "message": text("Why it is so, for people."),
        "calls": number("Calls since it was loaded."),
        "faults": number("Traps, timeouts and broken limits since it was loaded."),
        "lastFault": free("The last of them."),
        "loadedAt": { "type": "string", "format": "date-time", "description": "When it was loaded." },
        "conditions": conditions(),
    });
    preserving(object("Plugin is one WebAssembly component that the host has loaded, and its health.", spec, status))
}

fn bundle() -> Value {
    let item = json!({
        "type": "object", "required": ["name"], "x-kubernetes-preserve-unknown-fields": true, "properties": {
            "name": text("The plugin's name."),
            "source": text("Where its component comes from."),
            "digest": text("The digest that it must have."),
        },
    });
    let spec = json!({
        "plugins": {
            "type": "array", "items": item, "description": "The plugins, by name.",
            "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
            "x-kubernetes-patch-merge-key": "name", "x-kubernetes-patch-strategy": "merge",
        },
    });
    let status = json!({
        "ready": number("How many plugins run."),
        "total": number("How many plugins the bundle names."),
        "message": text("What is wrong, for people."),
        "conditions": conditions(),
    });
    preserving(object("Bundle is the set of plugins that this control plane runs.", spec, status))
}

/// The engine reports more as it learns more: what a status says beyond the schema stays.
fn preserving(mut schema: Value) -> Value {
    if let Some(Value::Object(status)) = schema.pointer_mut("/properties/status") {
        status.insert("x-kubernetes-preserve-unknown-fields".to_owned(), Value::Bool(true));
    }
    schema
}
