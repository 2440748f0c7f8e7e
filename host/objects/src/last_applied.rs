//! The annotation in which `kubectl apply` keeps what it applied, so that a user can go from client-side to
//! server-side apply and back: what kubectl itself applied before is no conflict, and the annotation stays true.

use gantry_model::managed::{self, Conflicts, Writer};
use gantry_model::schema::Schema;
use serde_json::Value;

use crate::special;

const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";
const KUBECTL: &str = "kubectl";

fn annotation(object: &Value) -> Option<&str> {
    object.get("metadata")?.get("annotations")?.get(ANNOTATION)?.as_str()
}

/// Whether all conflicts are about fields that kubectl applied before.
pub(crate) fn allows(schema: &Schema, live: &Value, writer: &Writer<'_>, conflicts: &Conflicts) -> bool {
    let last = annotation(live).filter(|_| writer.manager == KUBECTL);
    let Some(last) = last.and_then(|text| serde_json::from_str::<Value>(text).ok()) else { return false };
    let allowed = managed::owned(schema, &last).paths();
    conflicts.0.iter().all(|conflict| allowed.contains(&conflict.path))
}

/// Brings the annotation, if there is one, up to date with what kubectl applied now.
pub(crate) fn renew(new: &mut Value, live: &Value, writer: &Writer<'_>, mut config: Value) {
    if writer.manager != KUBECTL || annotation(live).is_none() {
        return;
    }
    if let Some(annotations) = config.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.remove(ANNOTATION);
    }
    let mut annotations = new.pointer("/metadata/annotations").cloned().unwrap_or_default();
    if let Some(map) = annotations.as_object_mut() {
        map.insert(ANNOTATION.to_owned(), Value::String(format!("{config}\n")));
        special::set(new, "metadata", "annotations", annotations);
    }
}
