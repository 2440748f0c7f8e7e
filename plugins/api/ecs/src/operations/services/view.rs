//! A service as it is shown.

use gantry_sdk::{Value, json};

use super::{check, connect, history, sets, template};
use crate::object::{Service, copy, items, moments, text};
use crate::operations::Context;
use crate::operations::describe::Included;

/// `ACTIVE`, `DRAINING` once it was deleted, and `INACTIVE` when its last task has stopped.
pub fn status(service: &Service) -> &'static str {
    match (service.spec.get("deletedAt").is_some(), text(&service.status, "status")) {
        (false, _) => "ACTIVE",
        (true, "INACTIVE") => "INACTIVE",
        (true, _) => "DRAINING",
    }
}

/// The whole of it.
pub fn service(context: &Context<'_>, service: &Service, included: Included) -> Value {
    let spec = &service.spec;
    let (cluster, name) = (text(spec, "cluster"), text(spec, "serviceName"));
    let current = template::current(service);
    let task = current.get("spec").cloned().unwrap_or_default();
    let asked = current.get("asked").cloned().unwrap_or_default();
    let number = |key: &str| service.status.get(key).and_then(Value::as_u64).unwrap_or(0);
    let mut shown = json!({
        "serviceArn": context.options.service_arn(cluster, name),
        "serviceName": name,
        "clusterArn": context.options.cluster_arn(cluster),
        "status": status(service),
        "desiredCount": desired(service),
        "runningCount": number("runningCount"),
        "pendingCount": number("pendingCount"),
        "launchType": "EC2",
        "taskDefinition": definition(context, &task),
        "deploymentController": {"type": "ECS"},
        "deployments": deployments(context, service),
        "events": items(&service.status, "events").iter().map(event).collect::<Vec<_>>(),
        "loadBalancers": items(&asked, "loadBalancers"),
        "serviceRegistries": items(&asked, "serviceRegistries"),
        "placementConstraints": items(&asked, "placementConstraints"),
        "placementStrategy": items(&asked, "placementStrategy"),
        "enableECSManagedTags": false,
        "enableExecuteCommand": false,
        "availabilityZoneRebalancing": "DISABLED",
        "tags": if included.tags { items(spec, "tags") } else { &[] },
        "propagateTags": if text(&asked, "propagateTags").is_empty() { "NONE" } else { text(&asked, "propagateTags") },
    });
    if !items(&asked, "loadBalancers").is_empty() {
        copy(&json!({check::GRACE: 0}), &[check::GRACE], &mut shown);
    }
    copy(spec, &["schedulingStrategy", "deploymentConfiguration", "createdBy", check::GRACE], &mut shown);
    network(&task, &mut shown);
    capacity(&json!({"capacityProviders": template::shares(service)}), &mut shown);
    moments(spec, &["createdAt"], &mut shown);
    if sets::is_external(service) {
        external(context, service, included, &mut shown);
    } else {
        history::current(context, service, &mut shown);
    }
    shown
}

/// What is another thing where somebody else makes the deployments.
fn external(context: &Context<'_>, service: &Service, included: Included, shown: &mut Value) {
    let Some(map) = shown.as_object_mut() else { return };
    map.insert("deploymentController".to_owned(), json!({"type": "EXTERNAL"}));
    map.insert("deployments".to_owned(), json!([]));
    let all = if status(service) == "INACTIVE" { Vec::new() } else { sets::all(context, service, included.tags) };
    // What leads is what the service shows.
    let parts = [
        "launchType",
        "taskDefinition",
        "capacityProviderStrategy",
        "networkConfiguration",
        "loadBalancers",
        "serviceRegistries",
    ];
    parts.iter().for_each(|part| drop(map.remove(*part)));
    for none in ["loadBalancers", "serviceRegistries"] {
        map.insert(none.to_owned(), json!([]));
    }
    if let Some(primary) = all.iter().find(|set| text(set, "status") == "PRIMARY") {
        map.extend(parts.iter().filter_map(|part| Some(((*part).to_owned(), primary.get(*part)?.clone()))));
    }
    map.insert("taskSets".to_owned(), json!(all));
}

/// Of a daemon the controller knows it, once it has looked.
fn desired(service: &Service) -> u64 {
    let number = |of: &Value| of.get("desiredCount").and_then(Value::as_u64).unwrap_or(0);
    let counted = !text(&service.status, "status").is_empty();
    match (status(service), text(&service.spec, "schedulingStrategy") == "DAEMON" && counted) {
        ("ACTIVE", false) => number(&service.spec),
        ("ACTIVE", true) => number(&service.status),
        _ => 0,
    }
}

/// The ARN of what a task is made from.
pub fn definition(context: &Context<'_>, task: &Value) -> String {
    let revision = task.get("revision").and_then(Value::as_u64).unwrap_or_default();
    context.options.definition_arn(text(task, "family"), revision)
}

/// The network of a task that has one of its own.
pub fn network(task: &Value, shown: &mut Value) {
    if task.get("networkConfiguration").and_then(Value::as_object).is_some_and(|network| !network.is_empty()) {
        copy(task, &["networkConfiguration"], shown);
    }
}

/// A strategy stands in the place of a launch type.
pub fn capacity(spec: &Value, shown: &mut Value) {
    let shares = items(spec, "capacityProviders");
    let Some(map) = shown.as_object_mut().filter(|_| !shares.is_empty()) else { return };
    let one = |share: &Value| {
        let mut shown = json!({});
        copy(share, &["capacityProvider", "base", "weight"], &mut shown);
        shown
    };
    map.remove("launchType");
    map.insert("capacityProviderStrategy".to_owned(), json!(shares.iter().map(one).collect::<Vec<_>>()));
}

fn event(event: &Value) -> Value {
    let mut shown = json!({});
    copy(event, &["id", "message"], &mut shown);
    moments(event, &["createdAt"], &mut shown);
    shown
}

/// Those that there are, and before them one that was asked for and has not begun.
fn deployments(context: &Context<'_>, service: &Service) -> Vec<Value> {
    if status(service) == "INACTIVE" {
        return Vec::new();
    }
    let known = items(&service.status, "deployments").iter().map(|known| deployment(context, known));
    if !template::is_pending(service) || status(service) != "ACTIVE" {
        return known.collect();
    }
    let wanted = service.spec.get("deployment").cloned().unwrap_or_default();
    let id = text(&wanted, "id").to_owned();
    let asked = json!({
        "id": id,
        "status": "PRIMARY",
        "template": service.spec.get("template"),
        "capacityProviders": service.spec.get("capacityProviders"),
        "createdAt": text(&wanted, "createdAt"),
        "updatedAt": text(&wanted, "createdAt"),
        "desiredCount": service.spec.get("desiredCount"),
        "rolloutState": "IN_PROGRESS",
        "rolloutStateReason": format!("ECS deployment {id} in progress."),
    });
    let waiting = known.map(|mut known| {
        if let Some(map) = known.as_object_mut() {
            map.insert("status".to_owned(), json!("ACTIVE"));
        }
        known
    });
    std::iter::once(deployment(context, &asked)).chain(waiting).collect()
}

fn deployment(context: &Context<'_>, given: &Value) -> Value {
    let task = given.pointer("/template/spec").cloned().unwrap_or_default();
    let number = |key: &str| given.get(key).and_then(Value::as_u64).unwrap_or(0);
    let mut shown = json!({
        "taskDefinition": definition(context, &task),
        "desiredCount": number("desiredCount"),
        "pendingCount": number("pendingCount"),
        "runningCount": number("runningCount"),
        "failedTasks": number("failedTasks"),
        "launchType": "EC2",
    });
    copy(given, &["id", "status", "rolloutState", "rolloutStateReason"], &mut shown);
    moments(given, &["createdAt", "updatedAt"], &mut shown);
    capacity(given, &mut shown);
    let asked = given.pointer("/template/asked").cloned().unwrap_or_default();
    connect::shown(&asked, given.get("template").map(|of| items(of, "targets")).unwrap_or_default(), &mut shown);
    network(&task, &mut shown);
    shown
}
