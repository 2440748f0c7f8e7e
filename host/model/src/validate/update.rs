//! What an update may not change.

use serde_json::{Map, Value};

use super::{list, number, text};
use crate::kind::Kind;
use crate::status::Cause;

pub(super) fn object(kind: &Kind, new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    metadata(new, old, causes);
    match kind.definition.as_str() {
        "io.k8s.api.core.v1.Pod" => pod(new, old, causes),
        "io.k8s.api.core.v1.ConfigMap" => sealed(new, old, &["data", "binaryData"], causes),
        "io.k8s.api.core.v1.Secret" => {
            sealed(new, old, &["data"], causes);
            same(new, old, "type", causes);
        }
        "io.k8s.api.scheduling.v1.PriorityClass" if new.get("value") != old.get("value") => {
            causes.push(Cause::forbidden("value", "may not be changed in an update."));
        }
        "io.k8s.api.discovery.v1.EndpointSlice" => same(new, old, "addressType", causes),
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition" => {
            for path in ["/spec/group", "/spec/scope", "/spec/names/plural", "/spec/names/kind"] {
                if new.pointer(path) != old.pointer(path) {
                    let field = path.trim_start_matches('/').replace('/', ".");
                    causes.push(Cause::invalid(field, new.pointer(path).unwrap_or(&Value::Null), IMMUTABLE));
                }
            }
        }
        _ => {}
    }
}

const IMMUTABLE: &str = "field is immutable";

fn same(new: &Value, old: &Value, field: &str, causes: &mut Vec<Cause>) {
    if new.get(field) != old.get(field) {
        causes.push(Cause::invalid(field, new.get(field).unwrap_or(&Value::Null), IMMUTABLE));
    }
}

fn metadata(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    let (Some(new), Some(old)) = (new.get("metadata"), old.get("metadata")) else { return };
    for field in ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        // What an update leaves out stays as it was.
        let given = new.get(field).filter(|v| !v.is_null() && v.as_str() != Some(""));
        if let Some(given) = given.filter(|given| old.get(field) != Some(*given)) {
            causes.push(Cause::invalid(format!("metadata.{field}"), given, IMMUTABLE));
        }
    }
    if old.get("deletionTimestamp").is_some_and(|v| !v.is_null()) {
        let had = list(old, "finalizers");
        let added: Vec<String> =
            list(new, "finalizers").iter().filter(|f| !had.contains(f)).map(Value::to_string).collect();
        if !added.is_empty() {
            let why = "no new finalizers can be added if the object is being deleted, found new finalizers";
            let why = format!("{why} []string{{{}}}", added.join(", "));
            causes.push(Cause::forbidden("metadata.finalizers", why));
        }
    }
}

/// A ConfigMap or Secret that was made immutable stays as it is.
fn sealed(new: &Value, old: &Value, fields: &[&str], causes: &mut Vec<Cause>) {
    if old.get("immutable") != Some(&Value::Bool(true)) {
        return;
    }
    for field in fields.iter().chain(&["immutable"]) {
        if new.get(field) != old.get(field) {
            causes.push(Cause::forbidden(*field, "field is immutable when `immutable` is set"));
        }
    }
}

const MAY_CHANGE: &str = "pod updates may not change fields other than `spec.containers[*].image`,\
                          `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions \
                          to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was \
                          previously negative)";

fn pod(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    let (Some(Value::Object(new)), Some(Value::Object(old))) = (new.get("spec"), old.get("spec")) else { return };
    deadline(new, old, causes);
    let (have, had) = (tolerations(new), tolerations(old));
    if !had.iter().all(|toleration| have.contains(toleration)) {
        let why = "existing toleration can not be modified except its tolerationSeconds";
        causes.push(Cause::forbidden("spec.tolerations", why));
    }
    gates(new, old, causes);
    let (new, old) = (comparable(new, old), comparable(old, old));
    let names = new.keys().chain(old.keys());
    let mut changed: Vec<&str> = names.filter(|n| new.get(*n) != old.get(*n)).map(String::as_str).collect();
    changed.sort_unstable();
    changed.dedup();
    if !changed.is_empty() {
        let changed = changed.iter().map(|name| format!("spec.{name}")).collect::<Vec<_>>().join(", ");
        causes.push(Cause::forbidden("spec", format!("{MAY_CHANGE}\nchanged: {changed}")));
    }
}

/// Tolerations without their seconds, which may change.
fn tolerations(spec: &Map<String, Value>) -> Vec<Value> {
    let mut all = spec.get("tolerations").and_then(Value::as_array).cloned().unwrap_or_default();
    for toleration in all.iter_mut().filter_map(Value::as_object_mut) {
        toleration.remove("tolerationSeconds");
    }
    all
}

/// Gates open; none is put up in front of a pod that may be on its way already.
fn gates(new: &Map<String, Value>, old: &Map<String, Value>, causes: &mut Vec<Cause>) {
    let gates = |spec: &Map<String, Value>| spec.get("schedulingGates").and_then(Value::as_array).cloned();
    let had = gates(old).unwrap_or_default();
    let added: Vec<Value> = gates(new).unwrap_or_default().into_iter().filter(|gate| !had.contains(gate)).collect();
    if !added.is_empty() {
        let names: Vec<&str> = added.iter().map(|gate| text(gate, "name")).collect();
        let why = format!("only deletion is allowed, but found new scheduling gates '{}'", names.join(", "));
        causes.push(Cause::forbidden("spec.schedulingGates", why));
    }
}

/// It may be set, and come nearer.
fn deadline(new: &Map<String, Value>, old: &Map<String, Value>, causes: &mut Vec<Cause>) {
    let seconds = |spec: &Map<String, Value>| spec.get("activeDeadlineSeconds").and_then(Value::as_i64);
    match (seconds(new), seconds(old)) {
        (None, Some(old)) => {
            let why = "must not update from a positive integer to nil value";
            causes.push(Cause::invalid("spec.activeDeadlineSeconds", &old.into(), why));
        }
        (Some(new), Some(old)) if new > old => {
            let why = format!("must be less than or equal to previous value {old}");
            causes.push(Cause::invalid("spec.activeDeadlineSeconds", &new.into(), why));
        }
        _ => {}
    }
}

/// A pod's spec without what may change. `old` says what was not decided yet. The node is none of it: a pod has it from
/// the start, or gets it by a binding.
fn comparable(spec: &Map<String, Value>, old: &Map<String, Value>) -> Map<String, Value> {
    let mut spec = spec.clone();
    for field in ["activeDeadlineSeconds", "tolerations", "schedulingGates"] {
        spec.remove(field);
    }
    let gated = old.get("schedulingGates").and_then(Value::as_array).is_some_and(|g| !g.is_empty());
    for (field, open) in [("nodeSelector", gated), ("affinity", gated)] {
        if open {
            spec.remove(field);
        }
    }
    let grace = number(&Value::Object(old.clone()), "terminationGracePeriodSeconds");
    if grace.is_some_and(|n| n < 0) {
        spec.remove("terminationGracePeriodSeconds");
    }
    for field in ["containers", "initContainers"] {
        for container in spec.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(container) = container.as_object_mut() {
                container.remove("image");
            }
        }
    }
    spec.retain(|_, value| !value.is_null());
    spec
}
