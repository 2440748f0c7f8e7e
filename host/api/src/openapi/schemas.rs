//! The schemas of a set of kinds and of everything that these refer to.

use std::collections::BTreeMap;
use std::sync::Arc;

use gantry_model::Kind;
use serde_json::{Map, Value, json};

/// Where a document keeps its schemas.
pub(super) const V3: &str = "#/components/schemas/";
pub(super) const V2: &str = "#/definitions/";

const OWN: &str = "#/definitions/";
const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";

/// Every schema that a document about these kinds needs, by name.
pub(super) fn of(kinds: &[Arc<Kind>], definitions: &BTreeMap<String, Arc<Value>>, root: &str) -> Value {
    let mut out = Map::new();
    let mut wanted: Vec<String> = vec![OBJECT_META.to_owned(), LIST_META.to_owned()];
    for kind in kinds {
        let mut schema = resolved(kind, definitions);
        complete(kind, &mut schema);
        rewrite(&mut schema, root, &mut wanted);
        out.insert(kind.definition.clone(), schema);
        let mut list = list_of(kind);
        rewrite(&mut list, root, &mut wanted);
        out.insert(format!("{}List", kind.definition), list);
    }
    while let Some(name) = wanted.pop() {
        if out.contains_key(&name) {
            continue;
        }
        // A reference to nothing would break clients: anything goes instead.
        let mut schema = definitions.get(&name).map_or_else(|| json!({}), |schema| Value::clone(schema));
        rewrite(&mut schema, root, &mut wanted);
        out.insert(name, schema);
    }
    Value::Object(out)
}

/// A kind's schema; one that only names a definition is replaced by it.
fn resolved(kind: &Kind, definitions: &BTreeMap<String, Arc<Value>>) -> Value {
    let named = kind.schema.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix(OWN));
    let definition = named.and_then(|name| definitions.get(name));
    Value::clone(definition.unwrap_or(&kind.schema))
}

/// Adds what every object has and says which kind this is.
fn complete(kind: &Kind, schema: &mut Value) {
    let Some(map) = schema.as_object_mut() else { return };
    map.entry("type").or_insert_with(|| json!("object"));
    map.insert("x-kubernetes-group-version-kind".to_owned(), json!([gvk(kind)]));
    let Some(properties) = map.entry("properties").or_insert_with(|| json!({})).as_object_mut() else { return };
    properties.entry("apiVersion").or_insert_with(|| json!({ "type": "string", "description": API_VERSION }));
    properties.entry("kind").or_insert_with(|| json!({ "type": "string", "description": KIND }));
    let metadata = properties.get("metadata");
    // Definitions of custom kinds say no more than that it is an object.
    if metadata.is_none_or(|m| m.get("properties").is_none() && m.get("$ref").is_none() && m.get("allOf").is_none()) {
        let reference = format!("{OWN}{OBJECT_META}");
        properties
            .insert("metadata".to_owned(), json!({ "$ref": reference, "description": "Standard object metadata." }));
    }
}

const API_VERSION: &str = "The group and version of this representation of the object.";
const KIND: &str = "The kind of object that this is.";

pub(super) fn gvk(kind: &Kind) -> Value {
    json!({ "group": kind.group, "version": kind.version, "kind": kind.kind })
}

fn list_of(kind: &Kind) -> Value {
    json!({
        "type": "object",
        "description": format!("A list of {}.", kind.kind),
        "required": ["items"],
        "properties": {
            "apiVersion": { "type": "string", "description": API_VERSION },
            "kind": { "type": "string", "description": KIND },
            "metadata": { "$ref": format!("{OWN}{LIST_META}"), "description": "Standard list metadata." },
            "items": { "type": "array", "items": { "$ref": format!("{OWN}{}", kind.definition) } },
        },
        "x-kubernetes-group-version-kind": [{ "group": kind.group, "version": kind.version, "kind": kind.list_kind() }],
    })
}

/// Points references to where the document keeps its schemas, and notes what they name.
fn rewrite(schema: &mut Value, root: &str, wanted: &mut Vec<String>) {
    match schema {
        Value::Object(map) => {
            let name = map.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix(OWN)).map(str::to_owned);
            if let Some(name) = name {
                let reference = json!({ "$ref": format!("{root}{name}") });
                map.remove("$ref");
                // OpenAPI 3.0 ignores everything beside a `$ref`; version 2 readers take it as it is.
                if map.is_empty() || root == V2 {
                    map.extend(reference.as_object().cloned().unwrap_or_default());
                } else {
                    map.insert("allOf".to_owned(), json!([reference]));
                }
                wanted.push(name);
                return;
            }
            map.values_mut().for_each(|value| rewrite(value, root, wanted));
        }
        Value::Array(items) => items.iter_mut().for_each(|value| rewrite(value, root, wanted)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_moved_and_followed() {
        let mut wanted = Vec::new();
        let mut schema = json!({"properties": {
            "a": {"$ref": "#/definitions/A", "description": "x"}, "b": {"items": {"$ref": "#/definitions/B"}},
        }});
        rewrite(&mut schema, V3, &mut wanted);
        wanted.sort();
        assert_eq!(wanted, ["A", "B"]);
        assert_eq!(
            schema["properties"]["a"],
            json!({"description": "x", "allOf": [{"$ref": "#/components/schemas/A"}]})
        );
        assert_eq!(schema["properties"]["b"]["items"], json!({"$ref": "#/components/schemas/B"}));
    }
}
