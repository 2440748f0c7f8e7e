//! Rules of `metadata`, wherever it is: of objects and of templates of objects.

use serde_json::{Map, Value};

use super::names;
use crate::kind::{Kind, Origin};
use crate::path::Path;
use crate::status::Cause;

/// All keys and values of annotations together may have this many bytes.
const ANNOTATIONS_LIMIT: usize = 256 * 1024;
/// Finalizers that the API server itself takes away.
const STANDARD_FINALIZERS: [&str; 3] = ["kubernetes", "orphan", "foregroundDeletion"];

/// Finalizers without a domain: Kubernetes' own, and any on custom resources, of which it only warns, and on their
/// definitions, whose own finalizer has none.
pub(super) fn finalizers(kind: &Kind, object: &Value, causes: &mut Vec<Cause>) {
    if matches!(kind.origin, Origin::Definition(_)) || kind.group == "apiextensions.k8s.io" {
        return;
    }
    let all = object.pointer("/metadata/finalizers").and_then(Value::as_array).into_iter().flatten();
    let path = Path::ROOT.field("metadata");
    let path = path.field("finalizers");
    for (n, finalizer) in all.enumerate() {
        let name = finalizer.as_str().unwrap_or_default();
        if !name.contains('/') && !STANDARD_FINALIZERS.contains(&name) {
            let problem = "name is neither a standard finalizer name nor is it fully qualified";
            causes.push(Cause::invalid(path.index(n), finalizer, problem));
        }
    }
}

/// `ObjectMeta`. Names are the kind's to judge.
pub(super) fn object_meta(path: &Path<'_>, value: &Value, causes: &mut Vec<Cause>) {
    if let Some(map) = value.get("labels").and_then(Value::as_object) {
        labels(&path.field("labels"), map, causes);
    }
    if let Some(map) = value.get("annotations").and_then(Value::as_object) {
        annotations(&path.field("annotations"), map, causes);
    }
    let list = |name: &str| value.get(name).and_then(Value::as_array).into_iter().flatten();
    let finalizers = path.field("finalizers");
    for (n, finalizer) in list("finalizers").enumerate() {
        for problem in names::qualified_name(finalizer.as_str().unwrap_or_default()) {
            causes.push(Cause::invalid(finalizers.index(n), finalizer, problem));
        }
    }
    let owners = path.field("ownerReferences");
    let mut controllers = 0;
    for (n, owner) in list("ownerReferences").enumerate() {
        owner_reference(&owners.index(n), owner, causes);
        controllers += usize::from(owner.get("controller") == Some(&Value::Bool(true)));
    }
    if controllers > 1 {
        let all = value.get("ownerReferences").unwrap_or(&Value::Null);
        causes.push(Cause::invalid(owners, all, "Only one reference can have Controller set to true"));
    }
}

/// Labels, and the `matchLabels` of selectors.
pub(super) fn labels(path: &Path<'_>, map: &Map<String, Value>, causes: &mut Vec<Cause>) {
    for (key, value) in map {
        for problem in names::qualified_name(key) {
            causes.push(Cause::invalid(path, &Value::from(key.as_str()), problem));
        }
        for problem in names::label_value(value.as_str().unwrap_or_default()) {
            causes.push(Cause::invalid(path.key(key), value, problem));
        }
    }
}

fn annotations(path: &Path<'_>, map: &Map<String, Value>, causes: &mut Vec<Cause>) {
    let mut size = 0;
    for (key, value) in map {
        size += key.len() + value.as_str().map_or(0, str::len);
        // The case of an annotation's key does not matter.
        for problem in names::qualified_name(&key.to_ascii_lowercase()) {
            causes.push(Cause::invalid(path, &Value::from(key.as_str()), problem));
        }
    }
    if size > ANNOTATIONS_LIMIT {
        causes.push(too_long(path, ANNOTATIONS_LIMIT));
    }
}

/// A value has more bytes than it may have.
pub(super) fn too_long(path: &Path<'_>, limit: usize) -> Cause {
    let message = format!("Too long: may not be more than {limit} bytes");
    Cause { reason: "FieldValueTooLong".into(), message, field: path.into() }
}

fn owner_reference(path: &Path<'_>, owner: &Value, causes: &mut Vec<Cause>) {
    for name in ["apiVersion", "kind", "name", "uid"] {
        let text = owner.get(name).and_then(Value::as_str);
        if text.is_some_and(str::is_empty) {
            causes.push(Cause::invalid(path.field(name), &Value::from(""), "must not be empty"));
        }
    }
    if owner.get("kind").and_then(Value::as_str) == Some("Event") {
        causes.push(Cause::invalid(path, owner, "v1, Kind=Event is disallowed from being an owner"));
    }
}

/// The rule that names of a kind follow.
pub(super) fn name_rule(kind: &Kind) -> fn(&str) -> Vec<String> {
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "Namespace") => names::dns_label,
        ("", "Service") => names::dns_1035_label,
        ("rbac.authorization.k8s.io", _) => names::path_segment,
        _ => names::dns_subdomain,
    }
}

/// Name and namespace, which an object has by its kind.
pub(super) fn named(kind: &Kind, object: &Value, causes: &mut Vec<Cause>) {
    let meta = object.get("metadata").unwrap_or(&Value::Null);
    let text = |name: &str| meta.get(name).and_then(Value::as_str).unwrap_or_default();
    let (name, namespace) = (text("name"), text("namespace"));
    if name.is_empty() {
        causes.push(Cause::required("metadata.name", "name or generateName is required"));
    } else {
        let problems = name_rule(kind)(name).into_iter();
        causes.extend(problems.map(|problem| Cause::invalid("metadata.name", &name.into(), problem)));
    }
    match (kind.namespaced(), namespace) {
        (true, "") => causes.push(Cause::required("metadata.namespace", "")),
        (true, _) => {
            let problems = names::dns_label(namespace).into_iter();
            causes.extend(problems.map(|problem| Cause::invalid("metadata.namespace", &namespace.into(), problem)));
        }
        (false, "") => {}
        (false, _) => causes.push(Cause::forbidden("metadata.namespace", "not allowed on this type")),
    }
}
