//! Task sets: what somebody else than ECS makes of a service's deployments. They lie in the service, so that one write
//! changes one of them and nothing else.

mod change;
mod create;
mod view;

pub use change::{delete, lead, update};
pub use create::{alone, create};
pub use view::{all, describe};

use gantry_sdk::{Value, json};

use super::list::unknown;
use super::view::status;
use crate::fault::{Fault, Result};
use crate::object::{Service, items, text};
use crate::operations::Context;

/// Of a race for the next version.
const TRIES: u32 = 8;

/// Whether somebody else makes a service's deployments.
pub fn is_external(service: &Service) -> bool {
    text(&service.spec, "deploymentController") == "EXTERNAL"
}

/// The service that a request names, which must have task sets.
fn service(context: &Context<'_>, request: &Value) -> Result<(String, Service)> {
    let (cluster, _) = context.cluster(request.get("cluster").and_then(Value::as_str))?;
    let service = context.service(&cluster, text(request, "service"))?.ok_or_else(unknown)?;
    if status(&service) != "ACTIVE" {
        return Err(Fault::new("ServiceNotActiveException", "Service was not ACTIVE."));
    }
    match is_external(&service) {
        true => Ok((cluster, service)),
        false => Err(Fault::parameter(
            "Amazon ECS only supports task set management on services configured to use external deployment controllers.",
        )),
    }
}

/// The id of a task set, given as that or as its ARN, which ends with it.
fn id(context: &Context<'_>, given: &str) -> Result<String> {
    let id = match context.options.resource(given)? {
        Some(resource) => match resource.strip_prefix("task-set/").and_then(|rest| rest.split_once("/ecs-svc/")) {
            Some((_, digits)) => format!("ecs-svc/{digits}"),
            None => return Err(Fault::parameter(format!("Invalid identifier: {given} is not the ARN of a task set."))),
        },
        None => given.to_owned(),
    };
    Ok(id)
}

fn unknown_set() -> Fault {
    Fault::new("TaskSetNotFoundException", "The specified task set was not found.")
}

/// Those that are not on their way out, or still have tasks.
fn present(service: &Service) -> Vec<Value> {
    let runs = |id: &str| items(&service.status, "deployments").iter().any(|known| text(known, "id") == id);
    let there = |set: &&Value| set.get("deletedAt").is_none() || runs(text(set, "id"));
    items(&service.spec, "taskSets").iter().filter(there).cloned().collect()
}

/// Writes the sets of a service, if it is still the one that was read.
fn write(context: &Context<'_>, service: &mut Service, sets: Vec<Value>, primary: Option<&str>) -> Result<bool> {
    let mut change = json!({"taskSets": sets});
    if let (Some(primary), Some(map)) = (primary, change.as_object_mut()) {
        map.insert("primaryTaskSet".to_owned(), json!(primary));
    }
    if !context.patch_unchanged(service, &change)? {
        return Ok(false);
    }
    if let (Some(spec), Value::Object(change)) = (service.spec.as_object_mut(), change) {
        spec.extend(change);
    }
    Ok(true)
}

fn raced() -> Fault {
    Fault::client("Too many concurrent attempts to change the service.")
}
