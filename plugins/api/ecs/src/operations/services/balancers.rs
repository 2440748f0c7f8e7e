//! Load balancers of services: target groups, which here are names that a Frontend selects EndpointSlices by.

use ecs_common::TARGET_GROUP;
use gantry_sdk::{Value, json};

use crate::fault::{Fault, Result};
use crate::object::{Definition, Frontend, items, text};
use crate::operations::Context;
use crate::operations::refused::{self, refuse};

/// Target groups of one service.
const MOST: usize = 5;

/// Where tasks take requests, as the controller gets it.
pub fn targets(context: &Context<'_>, asked: &Value, definition: &Definition) -> Result<Vec<Value>> {
    let all = items(asked, "loadBalancers");
    if all.len() > MOST {
        return Err(Fault::parameter(format!("loadBalancers cannot have more than {MOST} elements.")));
    }
    if all.is_empty() {
        return Ok(Vec::new());
    }
    let frontends: Vec<(Value,)> = context.rows::<Frontend, _>("", ["/spec"])?;
    let one = |given: &Value| -> Result<Value> {
        refuse(given, refused::BALANCER, "loadBalancers.")?;
        let (arn, port) = (text(given, "targetGroupArn"), port(given, definition)?);
        let group = group(context, arn)?;
        if !frontends.iter().any(|(spec,)| selects(spec, group)) {
            return Err(Fault::parameter(format!(
                "The target group with targetGroupArn {arn} does not have an associated load balancer."
            )));
        }
        Ok(json!({"group": group, "arn": arn, "port": port}))
    };
    all.iter().map(one).collect()
}

/// `arn:aws:elasticloadbalancing:REGION:ACCOUNT:targetgroup/NAME/ID`
fn group<'a>(context: &Context<'_>, arn: &'a str) -> Result<&'a str> {
    let (region, account) = (&context.options.region, &context.options.account);
    let ours = format!("arn:aws:elasticloadbalancing:{region}:{account}:targetgroup/");
    let name = arn.strip_prefix(&ours).and_then(|rest| rest.split('/').next()).unwrap_or_default();
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    let ends = name.starts_with('-') || name.ends_with('-');
    match !name.is_empty() && name.len() <= 32 && name.bytes().all(good) && !ends {
        true => Ok(name),
        false => Err(Fault::parameter(format!("Target group {arn:?} is not one of this account and region."))),
    }
}

/// The port of a container that there is.
pub fn port(given: &Value, definition: &Definition) -> Result<u64> {
    let (name, port) = (text(given, "containerName"), given.get("containerPort").and_then(Value::as_u64).unwrap_or(0));
    let containers = items(&definition.spec, "containerDefinitions");
    let container = containers.iter().find(|container| text(container, "name") == name);
    let container = container
        .ok_or_else(|| Fault::parameter(format!("The container {name} does not exist in the task definition.")))?;
    let has = |mapping: &Value| mapping.get("containerPort").and_then(Value::as_u64) == Some(port);
    match items(container, "portMappings").iter().any(has) {
        true => Ok(port),
        false => Err(Fault::parameter(format!("The container {name} did not have a container port {port} defined."))),
    }
}

/// Whether a Frontend leads to a target group, anywhere in it.
fn selects(spec: &Value, group: &str) -> bool {
    match spec {
        Value::Object(members) => {
            members.get(TARGET_GROUP).and_then(Value::as_str) == Some(group)
                || members.values().any(|v| selects(v, group))
        }
        Value::Array(all) => all.iter().any(|one| selects(one, group)),
        _ => false,
    }
}
