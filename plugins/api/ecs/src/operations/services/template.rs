//! What the tasks of a deployment are made from: a Task as RunTask would make it, without what each has of its own.

use ecs_common::ids::digest;
use gantry_sdk::{Value, json};

use super::{balancers, connect, registries};
use crate::fault::Result;
use crate::object::{Definition, Service, copy, items, text};
use crate::operations::{Context, definitions, placement, run};

/// What of a request its tasks get.
pub const PASSED: &[&str] = &[
    "loadBalancers",
    "networkConfiguration",
    "placementConstraints",
    "placementStrategy",
    "propagateTags",
    "serviceConnectConfiguration",
    "serviceRegistries",
];
/// What each task has of its own.
const OWN: &[&str] = &["createdAt", "createdBy", "desiredStatus", "group", "startedBy"];

/// A template that a request asks for, over the one that there was: none if it asks for nothing else than that has. `of`
/// names the cluster and the service.
pub fn changed(context: &Context<'_>, request: &Value, of: (&str, &str), before: &Value) -> Result<Option<Value>> {
    let old = before.get("spec").cloned().unwrap_or_default();
    let mut asked = before.get("asked").cloned().unwrap_or_else(|| json!({}));
    copy(request, PASSED, &mut asked);
    let definition = match text(request, "taskDefinition") {
        // It may be inactive by now.
        "" => definitions::of(context, text(&old, "family"), revision(&old))?,
        given => run::definition(context, given)?,
    };
    let same = definition.metadata.name == text(&old, "taskDefinition") && before.get("asked") == Some(&asked);
    let forced = request.get("forceNewDeployment").and_then(Value::as_bool) == Some(true);
    if same && !forced { Ok(None) } else { made(context, asked, of, &definition).map(Some) }
}

/// The first one.
pub fn first(context: &Context<'_>, request: &Value, of: (&str, &str)) -> Result<Value> {
    let mut asked = json!({});
    copy(request, PASSED, &mut asked);
    made(context, asked, of, &run::definition(context, text(request, "taskDefinition"))?)
}

/// Of a service that makes no tasks of its own: what its task sets have in common.
pub fn none(request: &Value) -> Value {
    let mut asked = json!({});
    copy(request, PASSED, &mut asked);
    json!({"labels": {}, "targets": [], "asked": asked, "spec": {}})
}

fn made(context: &Context<'_>, asked: Value, of: (&str, &str), definition: &Definition) -> Result<Value> {
    run::network(text(&definition.spec, "networkMode"), asked.get("networkConfiguration"))?;
    let (constraints, strategy) = placement::of_service(&asked, &definition.spec)?;
    let mut task = run::task(context, &asked, of.0, "", definition);
    copy(&asked, &["propagateTags"], &mut task.spec);
    if let Some(spec) = task.spec.as_object_mut() {
        OWN.iter().for_each(|name| drop(spec.remove(*name)));
        spec.insert("placementConstraints".to_owned(), constraints);
        spec.insert("placementStrategy".to_owned(), strategy);
    }
    let mut targets = balancers::targets(context, &asked, definition)?;
    targets.extend(registries::targets(context, &asked, definition)?);
    targets.extend(connect::targets(context, &asked, of, definition)?);
    Ok(json!({"labels": task.metadata.labels, "targets": targets, "asked": asked, "spec": task.spec}))
}

fn revision(task: &Value) -> u64 {
    task.get("revision").and_then(Value::as_u64).unwrap_or_default()
}

/// That of the deployment that leads now: another than the last one that was asked for when that one has failed.
pub fn current(service: &Service) -> Value {
    let wanted = service.spec.get("template").cloned().unwrap_or_default();
    if is_pending(service) {
        return wanted;
    }
    primary(service).and_then(|primary| primary.get("template")).cloned().unwrap_or(wanted)
}

/// How the tasks of that one are shared among capacity providers.
pub fn shares(service: &Service) -> Value {
    let wanted = service.spec.get("capacityProviders").cloned().unwrap_or_else(|| json!([]));
    match leads(service) {
        true => wanted,
        false => {
            primary(service).and_then(|primary| primary.get("capacityProviders")).cloned().unwrap_or_else(|| json!([]))
        }
    }
}

/// Whether the deployment that was asked for last leads, or will: no other has come back in its place.
pub fn leads(service: &Service) -> bool {
    let wanted = service.spec.get("deployment").map(|deployment| text(deployment, "id"));
    is_pending(service) || primary(service).is_none_or(|primary| Some(text(primary, "id")) == wanted)
}

fn primary(service: &Service) -> Option<&Value> {
    items(&service.status, "deployments").iter().find(|deployment| text(deployment, "status") == "PRIMARY")
}

/// Whether the deployment that was asked for last has not begun.
pub fn is_pending(service: &Service) -> bool {
    let wanted = service.spec.get("deployment").map(|deployment| text(deployment, "id")).unwrap_or_default();
    wanted != text(&service.status, "seen")
}

/// A deployment to ask for: each request has its own.
pub fn deployment(context: &Context<'_>) -> Value {
    let number = u64::from_str_radix(&digest(&format!("deployment {}", context.call.id), 15), 16).unwrap_or_default();
    json!({
        "id": format!("ecs-svc/{number:019}"),
        "createdAt": gantry_sdk::api::Time::from_millis(context.call.now_ms),
    })
}
