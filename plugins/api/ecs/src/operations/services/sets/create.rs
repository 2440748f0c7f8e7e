//! CreateTaskSet.

use gantry_sdk::{Value, json};

use super::{TRIES, present, raced, service, view, write};
use crate::fault::{Fault, Result};
use crate::object::{Cluster, Service, copy, items, text};
use crate::operations::services::create::request_digest;
use crate::operations::services::{check, template};
use crate::operations::{Context, capacity, run};

/// Task sets of one service.
const MOST: usize = 5;

/// CreateTaskSet: the same `clientToken` makes one.
pub fn create(context: &Context<'_>, request: &Value) -> Result<Value> {
    run::launch(request)?;
    let scale = scale(request)?.unwrap_or(0.0);
    let (_, cluster) = context.cluster(request.get("cluster").and_then(Value::as_str))?;
    for _ in 0..TRIES {
        let (name, mut service) = service(context, request)?;
        let mut sets = present(&service);
        let token = text(request, "clientToken");
        if let Some(made) = sets.iter().find(|set| !token.is_empty() && text(set, "clientToken") == token) {
            if text(made, "requestDigest") != request_digest(request) {
                return Err(Fault::parameter("Creation of TaskSet was not idempotent."));
            }
            return Ok(json!({"taskSet": view::one(context, &service, made, true)}));
        }
        if sets.len() >= MOST {
            return Err(Fault::parameter(format!(
                "{MOST} deployments exist on the service. Unable to create new TaskSet since this exceeds the maximum limit."
            )));
        }
        let set = set(context, request, (&name, &cluster), &service, scale)?;
        sets.push(set.clone());
        if write(context, &mut service, sets, None)? {
            return Ok(json!({"taskSet": view::one(context, &service, &set, true)}));
        }
    }
    Err(raced())
}

fn set(
    context: &Context<'_>,
    request: &Value,
    (name, cluster): (&str, &Cluster),
    service: &Service,
    scale: f64,
) -> Result<Value> {
    // Where tasks go, and what tags they get, the service says for all of its sets.
    let mut asked = service.spec.pointer("/template/asked").cloned().unwrap_or_else(|| json!({}));
    copy(request, &["loadBalancers", "networkConfiguration", "serviceRegistries"], &mut asked);
    if let Some(map) = asked.as_object_mut() {
        map.insert("taskDefinition".to_owned(), json!(text(request, "taskDefinition")));
    }
    let mut set = json!({
        "template": template::first(context, &asked, (name, text(&service.spec, "serviceName")))?,
        "capacityProviders": capacity::asked(context, request, cluster)?,
        "scale": {"value": scale, "unit": "PERCENT"},
        "tags": items(request, "tags"),
    });
    copy(request, &["externalId", "clientToken"], &mut set);
    copy(&json!({"requestDigest": request_digest(request)}), &["requestDigest"], &mut set);
    copy(&template::deployment(context), &["id", "createdAt"], &mut set);
    Ok(set)
}

/// A percentage, if one is given.
pub fn scale(request: &Value) -> Result<Option<f64>> {
    let Some(given) = request.get("scale") else { return Ok(None) };
    let value = given.get("value").and_then(Value::as_f64).unwrap_or(0.0);
    match (0.0..=100.0).contains(&value) {
        true => Ok(Some(value)),
        false => Err(Fault::parameter("The scale of a task set must be between 0 and 100 percent.")),
    }
}

/// What CreateService may say of a service whose deployments somebody else makes.
pub fn alone(request: &Value, daemon: bool) -> Result<()> {
    if daemon {
        return Err(Fault::parameter(
            "The daemon scheduling strategy is not supported with the EXTERNAL deployment controller.",
        ));
    }
    check::blank(request, &[("taskDefinition", "TaskDefinition"), ("launchType", "LaunchType")])?;
    check::blank(request, &[("networkConfiguration", "NetworkConfiguration"), ("loadBalancers", "LoadBalancers")])?;
    check::blank(request, &[("serviceRegistries", "ServiceRegistries")])?;
    check::blank(request, &[("serviceConnectConfiguration", "ServiceConnectConfiguration")])?;
    check::blank(request, &[("capacityProviderStrategy", "CapacityProviderStrategy")])
}
