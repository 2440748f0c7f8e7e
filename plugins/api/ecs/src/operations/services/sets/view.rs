//! Task sets as they are shown, and DescribeTaskSets.

use gantry_sdk::{Value, json};

use super::{id, present, service};
use crate::fault::Result;
use crate::object::{Service, copy, items, moments, text, texts};
use crate::operations::Context;
use crate::operations::describe::{Included, missing};
use crate::operations::services::view::{capacity, definition, network};

/// DescribeTaskSets: those that are named, or all.
pub fn describe(context: &Context<'_>, request: &Value) -> Result<Value> {
    let (_, service) = service(context, request)?;
    let (sets, tags) = (present(&service), Included::of(request).tags);
    if items(request, "taskSets").is_empty() {
        return Ok(json!({"taskSets": all(context, &service, tags), "failures": []}));
    }
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for given in texts(request, "taskSets") {
        let id = id(context, given)?;
        match sets.iter().find(|set| text(set, "id") == id) {
            Some(set) => found.push(one(context, &service, set, tags)),
            None => failures.push(missing(arn(context, &service, &id))),
        }
    }
    Ok(json!({"taskSets": found, "failures": failures}))
}

/// All of a service.
pub fn all(context: &Context<'_>, service: &Service, tags: bool) -> Vec<Value> {
    present(service).iter().map(|set| one(context, service, set, tags)).collect()
}

fn arn(context: &Context<'_>, service: &Service, id: &str) -> String {
    let (cluster, name) = (text(&service.spec, "cluster"), text(&service.spec, "serviceName"));
    context.options.arn(&format!("task-set/{cluster}/{name}/{id}"))
}

/// One, with what the controller knows of it.
pub fn one(context: &Context<'_>, service: &Service, set: &Value, tags: bool) -> Value {
    let (cluster, name, id) = (text(&service.spec, "cluster"), text(&service.spec, "serviceName"), text(set, "id"));
    let none = json!({});
    let known = items(&service.status, "deployments").iter().find(|known| text(known, "id") == id).unwrap_or(&none);
    let number = |key: &str| known.get(key).and_then(Value::as_u64).unwrap_or(0);
    let task = set.pointer("/template/spec").cloned().unwrap_or_default();
    let asked = set.pointer("/template/asked").cloned().unwrap_or_default();
    let steady = text(known, "stability") == "STEADY_STATE" && number("desiredCount") == desired(service, set);
    let mut shown = json!({
        "id": id,
        "taskSetArn": arn(context, service, id),
        "serviceArn": context.options.service_arn(cluster, name),
        "clusterArn": context.options.cluster_arn(cluster),
        "status": status(service, set),
        "taskDefinition": definition(context, &task),
        "computedDesiredCount": desired(service, set),
        "pendingCount": number("pendingCount"),
        "runningCount": number("runningCount"),
        "launchType": "EC2",
        "loadBalancers": items(&asked, "loadBalancers"),
        "serviceRegistries": items(&asked, "serviceRegistries"),
        "stabilityStatus": if steady { "STEADY_STATE" } else { "STABILIZING" },
        "tags": if tags { items(set, "tags") } else { &[] },
    });
    copy(set, &["externalId", "scale"], &mut shown);
    let updated = [text(set, "updatedAt"), text(known, "updatedAt"), text(set, "createdAt")].into_iter().max();
    let times = json!({
        "createdAt": text(set, "createdAt"),
        "updatedAt": updated,
        "stabilityStatusAt": text(known, "stabilityAt"),
    });
    moments(&times, &["createdAt", "updatedAt", "stabilityStatusAt"], &mut shown);
    capacity(set, &mut shown);
    network(&task, &mut shown);
    shown
}

fn status(service: &Service, set: &Value) -> &'static str {
    match (set.get("deletedAt").is_some(), text(&service.spec, "primaryTaskSet") == text(set, "id")) {
        (true, _) => "DRAINING",
        (false, true) => "PRIMARY",
        (false, false) => "ACTIVE",
    }
}

/// Its part of the service's count, rounded up.
fn desired(service: &Service, set: &Value) -> u64 {
    if set.get("deletedAt").is_some() {
        return 0;
    }
    ecs_common::scale::tasks(
        service.spec.get("desiredCount").and_then(Value::as_u64).unwrap_or(0),
        set.pointer("/scale/value").and_then(Value::as_f64).unwrap_or(0.0),
    )
}
