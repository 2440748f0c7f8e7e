//! The paths of kinds and what may be done at each: clients learn from them which kind a path serves and whether it
//! validates fields and does dry runs.

use std::sync::Arc;

use gantry_model::Kind;
use serde_json::{Map, Value, json};

use super::schemas::{self, V3};

/// Method and what Kubernetes calls it.
type Operation = (&'static str, &'static str);

const COLLECTION: [Operation; 3] = [("get", "list"), ("post", "post"), ("delete", "deletecollection")];
const OBJECT: [Operation; 4] = [("get", "get"), ("put", "put"), ("patch", "patch"), ("delete", "delete")];
const PART: [Operation; 3] = [("get", "get"), ("put", "put"), ("patch", "patch")];
const PATCH_PARAMETERS: [(&str, &str); 4] =
    [("dryRun", "string"), ("fieldManager", "string"), ("fieldValidation", "string"), ("force", "boolean")];
const PATCHES: [&str; 4] = [
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];

pub(super) fn of(kinds: &[Arc<Kind>]) -> Value {
    let mut paths = Map::new();
    for kind in kinds {
        let root = if kind.group.is_empty() { "/api" } else { "/apis" };
        let base = format!("{root}/{}", kind.api_version());
        let collection = match kind.namespaced() {
            true => format!("{base}/namespaces/{{namespace}}/{}", kind.plural),
            false => format!("{base}/{}", kind.plural),
        };
        if kind.namespaced() {
            paths.insert(format!("{base}/{}", kind.plural), item(kind, &COLLECTION[..1], false));
        }
        paths.insert(collection.clone(), item(kind, &COLLECTION, kind.namespaced()));
        let object = format!("{collection}/{{name}}");
        for part in [kind.status.then_some("status"), kind.scale.is_some().then_some("scale")].into_iter().flatten() {
            paths.insert(format!("{object}/{part}"), item(kind, &PART, kind.namespaced()));
        }
        paths.insert(object, item(kind, &OBJECT, kind.namespaced()));
    }
    Value::Object(paths)
}

/// The paths of OpenAPI v2: only what clients look up there, which is what PATCH of an object takes.
pub(super) fn of_v2(kinds: &[Arc<Kind>]) -> Value {
    let mut paths = Map::new();
    for kind in kinds {
        let root = if kind.group.is_empty() { "/api" } else { "/apis" };
        let namespaces = if kind.namespaced() { "/namespaces/{namespace}" } else { "" };
        let path = format!("{root}/{}{namespaces}/{}/{{name}}", kind.api_version(), kind.plural);
        let parameters: Vec<Value> = PATCH_PARAMETERS
            .iter()
            .map(|(name, type_)| json!({ "name": name, "in": "query", "type": type_, "uniqueItems": true }))
            .collect();
        let operation = json!({
            "operationId": format!("patch{}{}{}", kind.group.replace('.', ""), kind.version, kind.kind),
            "parameters": parameters,
            "responses": { "200": { "description": "OK" } },
            "x-kubernetes-action": "patch",
            "x-kubernetes-group-version-kind": schemas::gvk(kind),
        });
        paths.insert(path, json!({ "patch": operation }));
    }
    Value::Object(paths)
}

fn item(kind: &Kind, operations: &[Operation], namespaced: bool) -> Value {
    let mut item: Map<String, Value> =
        operations.iter().map(|(method, action)| ((*method).to_owned(), operation(kind, method, action))).collect();
    if namespaced {
        item.insert("parameters".to_owned(), json!([parameter("namespace", "path", "string")]));
    }
    Value::Object(item)
}

fn operation(kind: &Kind, method: &str, action: &str) -> Value {
    let reference = json!({ "$ref": format!("{V3}{}", kind.definition) });
    let answer = match action {
        "list" | "deletecollection" => json!({ "$ref": format!("{V3}{}List", kind.definition) }),
        _ => reference.clone(),
    };
    let mut operation = json!({
        "operationId": format!("{action}{}{}{}", kind.group.replace('.', ""), kind.version, kind.kind),
        "parameters": parameters(method, action),
        "responses": { "200": { "description": "OK", "content": { "application/json": { "schema": answer } } } },
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": schemas::gvk(kind),
    });
    let body = match method {
        "post" | "put" => Some(json!({ "content": { "application/json": { "schema": reference } } })),
        "patch" => {
            let content: Map<String, Value> =
                PATCHES.iter().map(|media| ((*media).to_owned(), json!({ "schema": { "type": "object" } }))).collect();
            Some(json!({ "content": content }))
        }
        _ => None,
    };
    if let (Some(map), Some(body)) = (operation.as_object_mut(), body) {
        map.insert("requestBody".to_owned(), body);
    }
    operation
}

fn parameters(method: &str, action: &str) -> Vec<Value> {
    let names: &[(&str, &str)] = match (method, action) {
        ("get", "list") => &[
            ("allowWatchBookmarks", "boolean"),
            ("continue", "string"),
            ("fieldSelector", "string"),
            ("labelSelector", "string"),
            ("limit", "integer"),
            ("resourceVersion", "string"),
            ("resourceVersionMatch", "string"),
            ("sendInitialEvents", "boolean"),
            ("timeoutSeconds", "integer"),
            ("watch", "boolean"),
        ],
        ("post" | "put", _) => &[("dryRun", "string"), ("fieldManager", "string"), ("fieldValidation", "string")],
        ("patch", _) => &PATCH_PARAMETERS,
        ("delete", _) => &[("dryRun", "string"), ("gracePeriodSeconds", "integer"), ("propagationPolicy", "string")],
        _ => &[],
    };
    names.iter().chain(&[("pretty", "string")]).map(|(name, kind)| parameter(name, "query", kind)).collect()
}

fn parameter(name: &str, place: &str, kind: &str) -> Value {
    json!({
        "name": name, "in": place, "required": place == "path", "schema": { "type": kind, "uniqueItems": true },
    })
}
