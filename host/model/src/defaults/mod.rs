//! Defaults that depend on other fields, by definition: whatever kind refers to a definition gets them. Those that
//! are plain values stand in the definitions themselves.

mod cluster;
mod pod;

pub(crate) use pod::priority_of;

use serde_json::{Map, Value};

/// Fills in an object of a definition. Runs before the defaults that the schema states.
pub(crate) type Hook = fn(&mut Map<String, Value>);

/// The hook of a definition.
pub(crate) fn of(definition: &str) -> Option<Hook> {
    if let Some(name) = definition.strip_prefix("io.k8s.api.core.v1.") {
        return Some(match name {
            "Pod" => pod::pod,
            "PodSpec" => pod::spec,
            "Container" | "EphemeralContainer" => pod::container,
            "ResourceRequirements" => pod::resources,
            "Volume" => pod::volume,
            "Namespace" => cluster::namespace,
            "Secret" => cluster::secret,
            "ServicePort" => cluster::service_port,
            _ => return None,
        });
    }
    Some(match definition {
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition" => cluster::definition,
        _ => return None,
    })
}

/// The object at a key, made if there is nothing.
fn object<'a>(map: &'a mut Map<String, Value>, key: &str) -> Option<&'a mut Map<String, Value>> {
    let value = map.entry(key).or_insert_with(|| Value::Object(Map::new()));
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut()
}

/// Puts a value where there is none.
fn put(map: &mut Map<String, Value>, key: &str, value: impl Into<Value>) {
    let slot = map.entry(key).or_insert(Value::Null);
    if slot.is_null() {
        *slot = value.into();
    }
}

#[cfg(test)]
mod tests;
