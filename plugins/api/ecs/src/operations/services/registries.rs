//! Service registries: here each is a Service without a selector, in the namespace of all that is ECS's. The tasks that run
//! are its EndpointSlices, and discovery plugins name those.

use gantry_sdk::api::Service as Named;
use gantry_sdk::{Value, json};

use super::balancers;
use crate::fault::{Fault, Result};
use crate::object::{Definition, Service, items, text};
use crate::operations::Context;
use crate::page::page;

/// Registries of one service.
const MOST: usize = 1;
/// In which namespace of names a Service is: see `discovery-cloudmap`.
const NAMESPACE: &str = "servicediscovery.gantry.dev/namespace";

/// Where tasks are registered, as the controller gets it.
pub fn targets(context: &Context<'_>, asked: &Value, definition: &Definition) -> Result<Vec<Value>> {
    let all = items(asked, "serviceRegistries");
    if all.len() > MOST {
        return Err(Fault::parameter(format!("serviceRegistries cannot have more than {MOST} element.")));
    }
    all.iter().map(|given| target(context, given, definition)).collect()
}

fn target(context: &Context<'_>, given: &Value, definition: &Definition) -> Result<Value> {
    let arn = text(given, "registryArn");
    let name = name(context, arn)?;
    let registry = context.get::<Named>(name)?;
    let registry = registry.ok_or_else(|| Fault::parameter(format!("Service registry {arn} does not exist.")))?;
    if !registry.spec.selector.is_empty() {
        return Err(Fault::parameter(format!(
            "Service registry {arn} is not one of tasks: its Service has a selector."
        )));
    }
    Ok(json!({"registry": name, "arn": arn, "port": port(given, definition)?}))
}

/// `arn:aws:servicediscovery:REGION:ACCOUNT:service/NAME`
fn name<'a>(context: &Context<'_>, arn: &'a str) -> Result<&'a str> {
    let (region, account) = (&context.options.region, &context.options.account);
    let name = arn.strip_prefix(&format!("arn:aws:servicediscovery:{region}:{account}:service/")).unwrap_or_default();
    let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    match !name.is_empty() && name.len() <= 63 && name.bytes().all(good) {
        true => Ok(name),
        false => Err(Fault::parameter(format!("Service registry {arn:?} is not one of this account and region."))),
    }
}

/// The port that SRV records say; none: 0. Without a network of its own a task must name it.
fn port(given: &Value, definition: &Definition) -> Result<u64> {
    let own = text(&definition.spec, "networkMode") == "awsvpc";
    let container = !text(given, "containerName").is_empty() || given.get("containerPort").is_some();
    match (given.get("port").and_then(Value::as_u64), container) {
        (Some(_), true) => {
            Err(Fault::parameter("A service registry can have a port, or a container's name and port, and not both."))
        }
        (Some(port), false) if own && (1..=65_535).contains(&port) => Ok(port),
        (Some(port), false) => Err(Fault::parameter(format!("The port {port} of the service registry is not valid."))),
        (None, true) => balancers::port(given, definition),
        (None, false) if own => Ok(0),
        (None, false) => Err(Fault::parameter(
            "When the network mode is bridge or host, a service registry needs containerName and containerPort.",
        )),
    }
}

/// ListServicesByNamespace: those that are found by a name in it, of all clusters.
pub fn list(context: &Context<'_>, request: &Value) -> Result<Value> {
    let wanted = text(request, "namespace").rsplit('/').next().unwrap_or_default();
    let rows: Vec<(String, Value)> = context.rows::<Named, _>("", ["/metadata/name", "/metadata/annotations"])?;
    let mut registries =
        rows.iter().filter(|(_, notes)| !wanted.is_empty() && text(notes, NAMESPACE) == wanted).peekable();
    if registries.peek().is_none() {
        return Err(Fault::new("NamespaceNotFoundException", "The specified namespace was not found."));
    }
    let names: Vec<&str> = registries.map(|(name, _)| name.as_str()).collect();
    let services: Vec<(Value, Option<String>)> = context.rows::<Service, _>("", ["/spec", "/status/status"])?;
    let here = |of: &Value| items(of, "targets").iter().any(|target| names.contains(&text(target, "registry")));
    let found = services.iter().filter(|(spec, status)| {
        let templates = items(spec, "taskSets").iter().chain(std::iter::once(spec));
        status.as_deref() != Some("INACTIVE") && templates.filter_map(|of| of.get("template")).any(here)
    });
    let arn = |(spec, _): &(Value, Option<String>)| {
        let arn = context.options.service_arn(text(spec, "cluster"), text(spec, "serviceName"));
        (arn.clone(), json!(arn))
    };
    page(request, "serviceArns", found.map(arn).collect())
}
