//! The Task objects of a service.

use gantry_sdk::api::{ObjectMeta, Resource, Time};
use gantry_sdk::{Value, json};

use super::object::{Deployment, Service};
use super::plan::Start;

/// A task of a deployment: its template, and what only this one has.
pub fn task(now: Time, service: &Service, deployment: &Deployment, start: &Start) -> Value {
    let mut metadata = ObjectMeta::named(&service.metadata.namespace, &start.id);
    metadata.labels.clone_from(&deployment.template.labels);
    metadata.owner_references.push(service.controller_reference());
    let mut spec = match &deployment.template.spec {
        Value::Object(spec) => spec.clone(),
        _ => gantry_sdk::serde_json::Map::new(),
    };
    let own = json!({
        "group": format!("service:{}", service.spec.service_name),
        "startedBy": deployment.id,
        "serial": start.serial,
        "desiredStatus": "RUNNING",
        "createdAt": now,
    });
    spec.extend(own.as_object().cloned().unwrap_or_default());
    if !start.node.is_empty() {
        spec.insert("node".to_owned(), json!(start.node));
    }
    if let Some(share) = &start.share {
        spec.insert("capacityProvider".to_owned(), json!(share.capacity_provider));
        spec.insert("autoScalingGroup".to_owned(), json!(share.group));
    }
    if spec.get("propagateTags").and_then(Value::as_str) == Some("SERVICE") {
        spec.insert("tags".to_owned(), json!(service.spec.tags));
    }
    json!({"apiVersion": "ecs.gantry.dev/v1", "kind": "Task", "metadata": metadata, "spec": spec})
}
