//! Defaults of what is not a pod.

use serde_json::{Map, Value, json};

use super::{object, put};

/// A namespace is found by its name as a label, ends only after its contents, and begins active.
pub(super) fn namespace(namespace: &mut Map<String, Value>) {
    let name = namespace.get("metadata").and_then(|m| m.get("name")).cloned();
    if let (Some(name), Some(meta)) = (name, object(namespace, "metadata"))
        && let Some(labels) = object(meta, "labels")
    {
        labels.insert("kubernetes.io/metadata.name".to_owned(), name);
    }
    let leaving = namespace.get("metadata").is_some_and(|m| m.get("deletionTimestamp").is_some());
    if !leaving && let Some(spec) = object(namespace, "spec") {
        put(spec, "finalizers", json!(["kubernetes"]));
    }
    if let Some(status) = object(namespace, "status") {
        put(status, "phase", "Active");
    }
}

/// `stringData` is for writing only: it becomes `data`.
pub(super) fn secret(secret: &mut Map<String, Value>) {
    use base64::Engine;
    // What is not text is left for the check to name.
    let texts = secret.get("stringData").and_then(Value::as_object);
    if texts.is_none_or(|texts| texts.values().any(|v| !v.is_string() && !v.is_null())) {
        return;
    }
    let Some(Value::Object(texts)) = secret.remove("stringData") else { return };
    if let Some(data) = object(secret, "data") {
        for (key, text) in texts {
            let bytes = base64::engine::general_purpose::STANDARD.encode(text.as_str().unwrap_or_default());
            data.insert(key, Value::String(bytes));
        }
    }
}

pub(super) fn service_port(port: &mut Map<String, Value>) {
    if let Some(number) = port.get("port").cloned() {
        put(port, "targetPort", number);
    }
}

/// Names that a CustomResourceDefinition need not say.
pub(super) fn definition(definition: &mut Map<String, Value>) {
    let Some(names) = definition.get_mut("spec").and_then(|s| s.get_mut("names")).and_then(Value::as_object_mut) else {
        return;
    };
    if let Some(kind) = names.get("kind").and_then(Value::as_str).map(str::to_owned) {
        put(names, "singular", kind.to_lowercase());
        put(names, "listKind", format!("{kind}List"));
    }
}
