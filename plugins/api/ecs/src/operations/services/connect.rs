//! Service Connect, as far as names carry it: tasks of a service are found under `discoveryName.namespace` by all others.
//! There is no proxy between them, so whatever only one could do is refused by its name.

use ecs_common::ids::digest;
use gantry_sdk::{Value, json};

use crate::fault::{Fault, Result};
use crate::names::service_name;
use crate::object::{Definition, items, text};
use crate::operations::Context;
use crate::operations::refused::{self, refuse};
use crate::operations::services::reserve;

const CONFIGURATION: &str = "serviceConnectConfiguration";
/// Aliases of one name.
const MOST: usize = 1;

/// Under which names tasks are found, as the controller gets it.
pub fn targets(
    context: &Context<'_>,
    asked: &Value,
    (cluster, name): (&str, &str),
    definition: &Definition,
) -> Result<Vec<Value>> {
    let Some(given) = asked.get(CONFIGURATION).filter(|given| is_on(given)) else { return Ok(Vec::new()) };
    refuse(given, refused::CONNECT, "serviceConnectConfiguration.")?;
    let usual = match text(given, "namespace") {
        "" => context.cluster(Some(cluster))?.1.spec,
        _ => Value::Null,
    };
    let usual = usual.pointer("/serviceConnectDefaults/namespace").and_then(Value::as_str).unwrap_or_default();
    let namespace = namespace(if usual.is_empty() { text(given, "namespace") } else { usual })?;
    let mut all: Vec<Value> = Vec::new();
    for service in items(given, "services") {
        let target = target(context, service, namespace, definition)?;
        if all.iter().any(|other| text(other, "registry") == text(&target, "registry")) {
            return Err(Fault::parameter("A discoveryName can be that of one port of a service only."));
        }
        reserve::name(context, &target, &service_name(cluster, name))?;
        all.push(target);
    }
    Ok(all)
}

/// A namespace, given by its name or its ARN, which ends with it here.
pub fn namespace(given: &str) -> Result<&str> {
    match given.rsplit('/').next().filter(|name| is_name(name)) {
        Some(name) => Ok(name),
        None => Err(Fault::parameter(format!("The Service Connect namespace {given:?} is not a domain name."))),
    }
}

/// Whether a configuration asks for anything.
fn is_on(given: &Value) -> bool {
    given.get("enabled").and_then(Value::as_bool) == Some(true)
}

fn target(context: &Context<'_>, given: &Value, namespace: &str, definition: &Definition) -> Result<Value> {
    refuse(given, refused::CONNECT_SERVICE, "serviceConnectConfiguration.services.")?;
    let name = text(given, "portName");
    let containers = items(&definition.spec, "containerDefinitions").iter();
    let mut ports = containers.flat_map(|container| items(container, "portMappings"));
    let port = ports.find(|port| text(port, "name") == name).and_then(|port| port.get("containerPort")?.as_u64());
    let port = port.ok_or_else(|| {
        Fault::parameter(format!("The portName {name} is not that of a port mapping in the task definition."))
    })?;
    let called = if text(given, "discoveryName").is_empty() { name } else { text(given, "discoveryName") };
    if called.contains('.') || !is_name(called) {
        return Err(Fault::parameter(format!("The discoveryName {called:?} is not a part of a domain name.")));
    }
    let aliases = items(given, "clientAliases");
    if aliases.len() > MOST {
        return Err(Fault::parameter(format!("clientAliases cannot have more than {MOST} element.")));
    }
    aliases.iter().try_for_each(|alias| self::alias(alias, &format!("{called}.{namespace}"), port))?;
    let id = digest(&format!("{called}.{namespace}"), 12);
    Ok(json!({
        "registry": format!("connect-{id}"),
        "arn": format!("arn:aws:servicediscovery:{}:{}:service/connect-{id}", context.options.region, context.options.account),
        "port": port,
        "name": called,
        "namespace": namespace,
    }))
}

/// What clients may call it is what it is called, where it listens.
fn alias(given: &Value, full: &str, port: u64) -> Result<()> {
    refuse(given, refused::CONNECT_ALIAS, "serviceConnectConfiguration.services.clientAliases.")?;
    let named = text(given, "dnsName");
    if !named.is_empty() && named != full {
        return Err(Fault::client(format!(
            "The dnsName {named} of a client alias is not supported: tasks are found under {full} here."
        )));
    }
    if given.get("port").and_then(Value::as_u64) != Some(port) {
        return Err(Fault::client(format!(
            "The port of a client alias must be the container's, {port}: no proxy is between tasks here."
        )));
    }
    Ok(())
}

/// A domain name of lower-case letters, digits and hyphens.
fn is_name(text: &str) -> bool {
    let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let part = |part: &str| {
        !part.is_empty() && part.len() <= 63 && part.bytes().all(good) && !part.starts_with('-') && !part.ends_with('-')
    };
    text.len() <= 200 && text.split('.').all(part)
}

/// What a deployment, or a revision, shows of it.
pub fn shown(asked: &Value, targets: &[Value], shown: &mut Value) {
    let (Some(given), Some(map)) = (asked.get(CONFIGURATION), shown.as_object_mut()) else { return };
    map.insert(CONFIGURATION.to_owned(), given.clone());
    let named = targets.iter().filter(|target| !text(target, "namespace").is_empty());
    let one = |target: &Value| json!({"discoveryName": text(target, "name"), "discoveryArn": text(target, "arn")});
    map.insert("serviceConnectResources".to_owned(), json!(named.map(one).collect::<Vec<_>>()));
}
