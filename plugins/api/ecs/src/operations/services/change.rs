//! UpdateService and DeleteService.

use gantry_sdk::api::Time;
use gantry_sdk::{Value, json, merge};

use super::list::unknown;
use super::{check, sets, template, view};
use crate::fault::{Fault, Result};
use crate::object::{Cluster, Service, copy, items, text};
use crate::operations::Context;
use crate::operations::describe::Included;

/// Of a race for the next version.
const TRIES: u32 = 8;

/// What may make another deployment of a request, beside what tasks get of it.
const RENEW: &[&str] = &["forceNewDeployment", "taskDefinition"];

fn renewing() -> impl Iterator<Item = &'static &'static str> {
    RENEW.iter().chain(template::PASSED)
}

/// UpdateService: another definition, network or placement is another deployment, and so is whatever is forced.
pub fn update(context: &Context<'_>, request: &Value) -> Result<Value> {
    let (cluster, object) = context.cluster(request.get("cluster").and_then(Value::as_str))?;
    check::common(request)?;
    for _ in 0..TRIES {
        let mut service = context.service(&cluster, text(request, "service"))?.ok_or_else(unknown)?;
        if view::status(&service) != "ACTIVE" {
            return Err(Fault::new("ServiceNotActiveException", "Service was not ACTIVE."));
        }
        if sets::is_external(&service) {
            check::unwatched(request.get("deploymentConfiguration"))?;
            alone(request)?;
        }
        let change = change(context, request, (&cluster, &object), &service)?;
        // A merge would leave what the new template has no more.
        let mut patch = change.clone();
        if let (Some(map), Some(new)) = (patch.as_object_mut(), change.get("template")) {
            let old = service.spec.get("template").cloned().unwrap_or_default();
            map.insert("template".to_owned(), merge::diff(&old, new).unwrap_or_else(|| json!({})));
        }
        if context.patch_unchanged(&service, &patch)? {
            let parts = [
                "capacityProviders",
                "deploymentConfiguration",
                "desiredCount",
                "deployment",
                "template",
                check::GRACE,
            ];
            copy(&change, &parts, &mut service.spec);
            return Ok(json!({"service": view::service(context, &service, Included::default())}));
        }
    }
    Err(Fault::client("Too many concurrent attempts to change the service."))
}

/// What only task sets have where somebody else makes the deployments.
fn alone(request: &Value) -> Result<()> {
    let own = renewing().chain(&["capacityProviderStrategy"]);
    match own.copied().find(|name| request.get(*name).is_some_and(|value| *value != json!(false))) {
        Some(name) => Err(Fault::parameter(format!(
            "Unable to update {name} on services with an EXTERNAL deployment controller. Create a task set instead."
        ))),
        None => Ok(()),
    }
}

fn change(
    context: &Context<'_>,
    request: &Value,
    (cluster, object): (&str, &Cluster),
    service: &Service,
) -> Result<Value> {
    let daemon = text(&service.spec, "schedulingStrategy") == "DAEMON";
    let before = service.spec.get("deploymentConfiguration");
    let mut change = json!({
        "deploymentConfiguration": check::configuration(request.get("deploymentConfiguration"), before, daemon)?,
    });
    let count = check::count(request, daemon)?;
    let wanted = if !sets::is_external(service) && renewing().any(|name| request.get(*name).is_some()) {
        template::changed(context, request, (cluster, text(&service.spec, "serviceName")), &template::current(service))?
    } else {
        None
    };
    copy(request, &[check::GRACE], &mut change);
    let asks = request.get("capacityProviderStrategy").is_some();
    // Where another deployment has come back, the strategy of the one that was wanted is not what is there.
    let wanted = match (asks && !template::leads(service) && !sets::is_external(service), wanted) {
        (true, None) => Some(template::current(service)),
        (_, wanted) => wanted,
    };
    let Some(map) = change.as_object_mut() else { return Ok(change) };
    if wanted.is_some() && !asks {
        map.insert("capacityProviders".to_owned(), template::shares(service));
    }
    if asks {
        // An empty list is back to the launch type. Tasks that there are stay where they are.
        let none = items(request, "capacityProviderStrategy").is_empty();
        let shares = if none { json!([]) } else { check::capacity(context, request, object, daemon)? };
        map.insert("capacityProviders".to_owned(), shares);
    }
    map.extend(count.map(|count| ("desiredCount".to_owned(), json!(count))));
    if let Some(wanted) = wanted {
        map.insert("deployment".to_owned(), template::deployment(context));
        map.insert("template".to_owned(), wanted);
    }
    Ok(change)
}

/// DeleteService: it drains, and is seen for an hour.
pub fn delete(context: &Context<'_>, request: &Value) -> Result<Value> {
    let (cluster, _) = context.cluster(request.get("cluster").and_then(Value::as_str))?;
    let mut service = context.service(&cluster, text(request, "service"))?.ok_or_else(unknown)?;
    match view::status(&service) {
        "INACTIVE" => return Err(unknown()),
        "DRAINING" => {}
        _ => {
            let forced = request.get("force").and_then(Value::as_bool) == Some(true);
            let count = service.spec.get("desiredCount").and_then(Value::as_i64).unwrap_or_default();
            let daemon = text(&service.spec, "schedulingStrategy") == "DAEMON";
            if count > 0 && !forced && !daemon {
                return Err(Fault::parameter("The service cannot be stopped while it is scaled above 0."));
            }
            let change = json!({"deletedAt": Time::from_millis(context.call.now_ms)});
            context.patch(&service, &change)?;
            copy(&change, &["deletedAt"], &mut service.spec);
        }
    }
    Ok(json!({"service": view::service(context, &service, Included::default())}))
}
