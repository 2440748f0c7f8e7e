//! What the substrate's own kinds need beyond their schema: Namespaces, Pods, Secrets.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gantry_model::quantity::Quantity;
use gantry_model::status::Cause;
use gantry_model::{Key, Kind, Status};
use serde_json::{Map, Value, json};

use crate::fault;
use crate::verbs::Objects;

/// The kinds that are special.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Special {
    Namespace,
    Pod,
    Secret,
    No,
}

/// Namespaces without which the control plane makes no sense.
const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

impl Special {
    pub(crate) fn of(kind: &Kind) -> Self {
        match (kind.group.as_str(), kind.plural.as_str()) {
            ("", "namespaces") => Special::Namespace,
            ("", "pods") => Special::Pod,
            ("", "secrets") => Special::Secret,
            _ => Special::No,
        }
    }

    /// Before defaults and validation of a new object. Its status is gone already.
    pub(crate) fn begin(self, object: &mut Value) {
        match self {
            Special::Namespace => {
                label_with_name(object);
                set(object, "spec", "finalizers", json!(["kubernetes"]));
                set(object, "status", "phase", json!("Active"));
            }
            Special::Pod => {
                default_account(object);
                set(object, "status", "phase", json!("Pending"));
                let class = qos_class(object);
                set(object, "status", "qosClass", json!(class));
            }
            Special::Secret => encode_strings(object),
            Special::No => {}
        }
    }

    /// Before defaults and validation of a changed object.
    pub(crate) fn change(self, old: &Value, object: &mut Value) {
        match self {
            Special::Namespace => {
                label_with_name(object);
                // Only the end of a namespace takes its finalizers away.
                let ending = old.pointer("/metadata/deletionTimestamp").is_some();
                if let (false, Some(finalizers)) = (ending, old.pointer("/spec/finalizers")) {
                    set(object, "spec", "finalizers", finalizers.clone());
                }
            }
            Special::Pod => default_account(object),
            Special::Secret => encode_strings(object),
            Special::No => {}
        }
    }

    /// Whether something besides `metadata.finalizers` keeps a deleted object.
    pub(crate) fn held(self, object: &Value) -> bool {
        self == Special::Namespace
            && object.pointer("/spec/finalizers").and_then(Value::as_array).is_some_and(|list| !list.is_empty())
    }

    /// 403 for what must not be deleted.
    pub(crate) fn deletable(self, kind: &Kind, name: &str) -> Result<(), Status> {
        match self == Special::Namespace && IMMORTAL.contains(&name) {
            true => Err(fault::forbidden(kind, name, "this namespace may not be deleted")),
            false => Ok(()),
        }
    }
}

/// The namespace of a new object must be there, and be there to stay.
pub(crate) fn namespace_takes(objects: &Objects, kind: &Kind, namespace: &str, name: &str) -> Result<(), Status> {
    if !kind.namespaced() {
        return Ok(());
    }
    let namespaces = gantry_model::key::Resource::new("", "namespaces");
    let Some(found) = objects.store().get(&Key::new(namespaces, "", namespace)) else {
        return Err(Status::not_found("", "namespaces", namespace));
    };
    if found.meta.deletion_timestamp.is_none() {
        return Ok(());
    }
    let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
    let cause = Cause {
        reason: "NamespaceTerminating".to_owned(),
        message: format!("namespace {namespace} is being terminated"),
        field: "metadata.namespace".to_owned(),
    };
    let status = fault::forbidden(kind, name, &why);
    Err(Status { causes: vec![cause], ..status })
}

/// Sets a field of a part of an object.
pub(crate) fn set(object: &mut Value, part: &str, field: &str, value: Value) {
    let Some(map) = object.as_object_mut() else { return };
    let part = map.entry(part).or_insert_with(|| json!({}));
    if part.is_null() {
        *part = json!({});
    }
    if let Some(part) = part.as_object_mut() {
        part.insert(field.to_owned(), value);
    }
}

fn label_with_name(object: &mut Value) {
    let name = crate::metadata::text(object, "name").to_owned();
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    let labels = metadata.entry("labels").or_insert_with(|| json!({}));
    if labels.is_null() {
        *labels = json!({});
    }
    if let Some(labels) = labels.as_object_mut() {
        labels.insert(NAME_LABEL.to_owned(), json!(name));
    }
}

fn default_account(object: &mut Value) {
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else { return };
    let named =
        |spec: &Map<String, Value>, field: &str| spec.get(field).and_then(Value::as_str).is_some_and(|s| !s.is_empty());
    if !named(spec, "serviceAccountName") {
        let account = match named(spec, "serviceAccount") {
            true => spec.get("serviceAccount").cloned().unwrap_or_default(),
            false => json!("default"),
        };
        spec.insert("serviceAccountName".to_owned(), account);
    }
    if let Some(account) = spec.get("serviceAccountName").cloned() {
        spec.insert("serviceAccount".to_owned(), account);
    }
}

/// `stringData` is a convenience for writers; what is kept is `data`.
fn encode_strings(object: &mut Value) {
    let Some(map) = object.as_object_mut() else { return };
    let strings = match map.get("stringData") {
        Some(Value::Object(strings)) if strings.values().all(Value::is_string) => strings.clone(),
        Some(Value::Null) => Map::new(),
        // Of a wrong type: validation says so.
        _ => return,
    };
    map.remove("stringData");
    if strings.is_empty() {
        return;
    }
    let data = map.entry("data").or_insert_with(|| json!({}));
    if data.is_null() {
        *data = json!({});
    }
    if let Some(data) = data.as_object_mut() {
        for (name, text) in strings {
            data.insert(name, json!(STANDARD.encode(text.as_str().unwrap_or_default())));
        }
    }
}

/// How much a pod's resources are promised to it.
fn qos_class(pod: &Value) -> &'static str {
    let list = |path: &str| pod.pointer(path).and_then(Value::as_array).into_iter().flatten();
    let containers: Vec<&Value> = list("/spec/containers").chain(list("/spec/initContainers")).collect();
    let amount = |container: &Value, which: &str, resource: &str| {
        let value = container.get("resources")?.get(which)?.get(resource)?;
        Quantity::from_json(value).ok().filter(|q| !q.is_zero())
    };
    let mut anything = false;
    let mut guaranteed = true;
    for container in containers {
        for resource in ["cpu", "memory"] {
            let limit = amount(container, "limits", resource);
            let request = amount(container, "requests", resource);
            anything |= limit.is_some() || request.is_some();
            guaranteed &= limit.is_some() && (request.is_none() || request == limit);
        }
    }
    match (anything, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_follow_requests_and_limits() {
        let pod = |resources: Value| json!({"spec": {"containers": [{"name": "a", "resources": resources}]}});
        for (resources, want) in [
            (json!({}), "BestEffort"),
            (json!({"requests": {"cpu": "1"}}), "Burstable"),
            (json!({"limits": {"cpu": "1"}}), "Burstable"),
            (json!({"limits": {"cpu": "1", "memory": "1Gi"}}), "Guaranteed"),
            (json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m"}}), "Guaranteed"),
            (json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}), "Burstable"),
            (json!({"requests": {"cpu": "0"}}), "BestEffort"),
        ] {
            assert_eq!(qos_class(&pod(resources.clone())), want, "{resources}");
        }
    }

    #[test]
    fn strings_of_secrets_are_encoded_over_data() {
        let mut secret = json!({"data": {"a": "eA==", "b": "eQ=="}, "stringData": {"b": "z"}});
        encode_strings(&mut secret);
        assert_eq!(secret, json!({"data": {"a": "eA==", "b": "eg=="}}));
    }
}
