//! Changes by reviewers.

use gantry_model::patch;
use serde_json::Value;

use super::{Down, Subject};
use crate::conform;
use crate::options::FieldValidation;
use crate::verbs::Objects;

/// The parts of `metadata` that a reviewer may change; the rest says which object it is and is the host's.
const OPEN: [&str; 4] = ["labels", "annotations", "finalizers", "ownerReferences"];

/// Takes away what reviewers are not shown.
pub(crate) fn strip(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
        metadata.remove("resourceVersion");
    }
}

/// Applies a patch. Whatever is wrong with the outcome is the reviewer's fault: the object was good before.
pub(super) fn apply(
    objects: &Objects,
    subject: &Subject<'_>,
    operations: &Value,
    object: &mut Value,
    warnings: &mut Vec<String>,
) -> Result<(), Down> {
    let mut changed = object.clone();
    patch::json(&mut changed, operations).map_err(|e| Down::Fault(format!("its patch can't be applied: {e}")))?;
    if let Some(part) = touched(subject, object, &changed) {
        return Err(Down::Fault(format!("its patch changes {part}, which no review may")));
    }
    let (kinds, kind) = (objects.kinds(), subject.kind);
    conform::prune(kinds, kind, &mut changed, (FieldValidation::Warn, &[]), warnings)
        .and_then(|()| conform::complete(kinds, kind, &mut changed, subject.old, &mut Vec::new()))
        .map_err(|status| Down::Fault(format!("its patch makes the object invalid: {status}")))?;
    *object = changed;
    Ok(())
}

/// What a patch changed that is not a reviewer's to change.
fn touched(subject: &Subject<'_>, before: &Value, after: &Value) -> Option<String> {
    let fixed = ["apiVersion", "kind"].into_iter().chain(subject.kind.status.then_some("status"));
    if let Some(name) = fixed.into_iter().find(|name| before.get(*name) != after.get(*name)) {
        return Some(name.to_owned());
    }
    let metadata = |object: &Value| object.get("metadata").and_then(Value::as_object).cloned().unwrap_or_default();
    let (before, after) = (metadata(before), metadata(after));
    let mut names = before.keys().chain(after.keys()).filter(|name| !OPEN.contains(&name.as_str()));
    names.find(|name| before.get(*name) != after.get(*name)).map(|name| format!("metadata.{name}"))
}
