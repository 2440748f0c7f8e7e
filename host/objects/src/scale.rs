//! The scale subresource: an `autoscaling/v1` Scale made from the fields that the kind names.

use gantry_model::status::{Cause, Reason};
use gantry_model::{Kind, Record, Status};
use serde_json::{Map, Value, json};

use crate::next::{self, ATTEMPTS, By};
use crate::options::{Patch, WriteOptions, Written};
use crate::verbs::Objects;
use crate::{fault, metadata, patch as patches};

/// The Scale of an object; `None` when the kind has none.
pub fn scale_of(kind: &Kind, object: &Value) -> Option<Value> {
    let paths = kind.scale.as_ref()?;
    let replicas = |path: &str| at(object, path).and_then(Value::as_i64).unwrap_or(0);
    let mut status = json!({ "replicas": replicas(&paths.status_replicas_path) });
    let selector = paths.label_selector_path.as_deref().and_then(|path| at(object, path)).map(selector);
    if let (Some(map), Some(selector)) = (status.as_object_mut(), selector) {
        map.insert("selector".to_owned(), json!(selector));
    }
    let metadata: Map<String, Value> = ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"]
        .into_iter()
        .filter_map(|field| Some((field.to_owned(), object.get("metadata")?.get(field)?.clone())))
        .collect();
    Some(json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        "spec": { "replicas": replicas(&paths.spec_replicas_path) },
        "status": status,
    }))
}

/// Replaces the Scale.
pub(crate) async fn update(
    objects: &Objects,
    kind: &Kind,
    namespace: &str,
    name: &str,
    scale: Value,
    options: &WriteOptions,
) -> Result<Written, Status> {
    change(objects, kind, namespace, name, options, |_| Ok(scale.clone())).await
}

/// Patches the Scale.
pub(crate) async fn patch(
    objects: &Objects,
    kind: &Kind,
    namespace: &str,
    name: &str,
    patch: &Patch,
    options: &WriteOptions,
) -> Result<Written, Status> {
    // A Scale has two fields and no lists, so a strategic patch is a merge patch.
    let patch = match patch {
        Patch::Strategic(value) => &Patch::Merge(value.clone()),
        Patch::Apply(_) => {
            let message = "a Scale can't be applied: patch it, or apply the object itself";
            return Err(Status::new(Reason::UnsupportedMediaType, message));
        }
        other => other,
    };
    change(objects, kind, namespace, name, options, |mut scale| {
        patches::change(objects.kinds(), kind, &mut scale, patch)?;
        Ok(scale)
    })
    .await
}

async fn change(
    objects: &Objects,
    kind: &Kind,
    namespace: &str,
    name: &str,
    options: &WriteOptions,
    wanted: impl Fn(Value) -> Result<Value, Status>,
) -> Result<Written, Status> {
    let none = || Status::new(Reason::NotFound, "the server could not find the requested resource");
    let path = kind.scale.as_ref().map(|paths| paths.spec_replicas_path.as_str()).ok_or_else(none)?;
    for _ in 0..ATTEMPTS {
        let record = objects.get(kind, namespace, name)?;
        let old = record.value();
        let scale = wanted(scale_of(kind, &old).ok_or_else(none)?)?;
        same_object(kind, &record, &scale)?;
        let mut new = old.clone();
        set(&mut new, path, json!(replicas(name, &scale)?));
        let next = next::next(objects, kind, &record, old, new, options, By::Update).await?;
        // A Scale that names a resourceVersion fails in `same_object` once that is not the newest any more.
        match next::put(objects, kind, record, next, options).await {
            Err(status) if status.reason == Reason::Conflict => {}
            other => return other,
        }
    }
    Err(fault::modified(kind, name))
}

fn same_object(kind: &Kind, record: &Record, scale: &Value) -> Result<(), Status> {
    let named = metadata::text(scale, "name");
    if !named.is_empty() && named != record.meta.name {
        return Err(Status::bad_request(format!("the scale is named {named}, the object {}", record.meta.name)));
    }
    metadata::up_to_date(kind, record, scale)
}

fn replicas(name: &str, scale: &Value) -> Result<i64, Status> {
    let wanted = scale.pointer("/spec/replicas").cloned().unwrap_or_else(|| json!(0));
    let detail = "must be a whole number that is greater than or equal to 0";
    match wanted.as_i64().filter(|n| (0..=i64::from(i32::MAX)).contains(n)) {
        Some(number) => Ok(number),
        None => {
            let cause = Cause::invalid("spec.replicas", &wanted, detail);
            Err(Status::invalid("autoscaling", "Scale", name, vec![cause]))
        }
    }
}

/// The value at `.spec.replicas`.
fn at<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').filter(|part| !part.is_empty()).try_fold(object, |at, part| at.get(part))
}

/// Sets the value at `.spec.replicas`, making the objects on the way.
fn set(object: &mut Value, path: &str, value: Value) {
    let mut at = object;
    for part in path.split('.').filter(|part| !part.is_empty()) {
        if !at.is_object() {
            *at = json!({});
        }
        let Some(map) = at.as_object_mut() else { return };
        at = map.entry(part).or_insert(Value::Null);
    }
    *at = value;
}

/// A selector as text: some kinds hold it so, others as a LabelSelector.
fn selector(value: &Value) -> String {
    match value.as_str() {
        Some(text) => text.to_owned(),
        None => gantry_model::selector::LabelSelector::from_value(value).map(|s| s.to_string()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_of_both_forms() {
        let structured = json!({
            "matchLabels": {"app": "web"},
            "matchExpressions": [
                {"key": "tier", "operator": "In", "values": ["a", "b"]},
                {"key": "x", "operator": "DoesNotExist"},
            ],
        });
        assert_eq!(selector(&structured), "app=web,tier in (a,b),!x");
        assert_eq!(selector(&json!("app=web")), "app=web");
    }

    #[test]
    fn paths_are_read_and_set() {
        let mut object = json!({"spec": {"a": 1}});
        set(&mut object, ".spec.deep.replicas", json!(3));
        assert_eq!(at(&object, ".spec.deep.replicas"), Some(&json!(3)));
        assert_eq!(object["spec"]["a"], 1);
    }
}
