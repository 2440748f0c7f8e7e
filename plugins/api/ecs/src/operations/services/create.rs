//! CreateService.

use ecs_common::ids::digest;
use ecs_common::instances;
use gantry_sdk::api::{ObjectMeta, Time};
use gantry_sdk::{Value, json};

use super::{check, sets, template, view};
use crate::fault::{Fault, Result};
use crate::names::{CLUSTER, identifier, label, service_name};
use crate::object::{Cluster, Service, copy, items, text};
use crate::operations::Context;
use crate::operations::describe::Included;

/// Of a race for a name.
const TRIES: u32 = 3;

/// CreateService: the same request twice is once.
pub fn create(context: &Context<'_>, request: &Value) -> Result<Value> {
    let (cluster, object) = context.cluster(request.get("cluster").and_then(Value::as_str))?;
    let service = service(context, request, &cluster, &object)?;
    let made = make(context, service)?;
    // Whoever deletes the cluster looks for services after it has said so.
    if let Err(gone) = context.cluster(Some(&cluster)) {
        // Whoever took it away meanwhile has done more than is wanted here.
        context
            .patch(&made, &json!({"deletedAt": Time::from_millis(context.call.now_ms)}))
            .or_else(|fault| if fault.status.is_server_error() { Err(fault) } else { Ok(()) })?;
        return Err(gone);
    }
    Ok(json!({"service": view::service(context, &made, Included { tags: true, ..Included::default() })}))
}

fn service(context: &Context<'_>, request: &Value, cluster: &str, object: &Cluster) -> Result<Service> {
    let name = text(request, "serviceName");
    identifier(name, "service")?;
    check::common(request)?;
    let daemon = text(request, "schedulingStrategy") == "DAEMON";
    let count = check::count(request, daemon)?;
    if count.is_none() && !daemon {
        return Err(Fault::parameter("desiredCount can not be blank."));
    }
    let external = request.get("deploymentController").is_some_and(|given| text(given, "type") == "EXTERNAL");
    if external {
        check::unwatched(request.get("deploymentConfiguration"))?;
        sets::alone(request, daemon)?;
    } else if text(request, "taskDefinition").is_empty() {
        return Err(Fault::parameter("taskDefinition can not be blank."));
    }
    let configuration = check::configuration(request.get("deploymentConfiguration"), None, daemon)?;
    let mut metadata = ObjectMeta::named(&context.options.namespace, service_name(cluster, name));
    metadata.labels.insert(CLUSTER.to_owned(), label(cluster));
    let mut spec = json!({
        "cluster": cluster,
        "serviceName": name,
        // Of a daemon it is what is shown until the controller has counted.
        "desiredCount": if daemon { json!(instances::open()?.len()) } else { json!(count) },
        "schedulingStrategy": if daemon { "DAEMON" } else { "REPLICA" },
        "deploymentConfiguration": configuration,
        "deploymentController": if external { "EXTERNAL" } else { "ECS" },
        "capacityProviders": check::capacity(context, request, object, daemon || external)?,
        "deployment": template::deployment(context),
        "template": if external { template::none(request) } else { template::first(context, request, (cluster, name))? },
        "tags": items(request, "tags"),
        "createdAt": Time::from_millis(context.call.now_ms),
        "createdBy": context.caller,
        "requestDigest": request_digest(request),
    });
    copy(request, &[check::GRACE], &mut spec);
    Ok(Service { metadata, spec, status: Value::Null })
}

/// The same for the same request, however it is written.
pub fn request_digest(request: &Value) -> String {
    let mut asked = request.clone();
    asked.sort_all_objects();
    digest(&asked.to_string(), 64)
}

/// Makes it, in the place of one that is gone.
fn make(context: &Context<'_>, service: Service) -> Result<Service> {
    for _ in 0..TRIES {
        if context.create(&service)? {
            break;
        }
        let Some(old) = context.get::<Service>(&service.metadata.name)? else { continue };
        match view::status(&old) {
            "INACTIVE" => context.delete(&old)?,
            "DRAINING" => return Err(Fault::parameter("Unable to Start a service that is still Draining.")),
            _ if text(&old.spec, "requestDigest") == text(&service.spec, "requestDigest") => return Ok(old),
            _ => return Err(Fault::parameter("Creation of service was not idempotent.")),
        }
    }
    let made = context.get::<Service>(&service.metadata.name)?;
    made.ok_or_else(|| Fault::client("The service was deleted while it was made."))
}
