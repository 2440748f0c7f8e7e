//! Attributes of container instances. They are labels of nodes (`ecs_common::attributes`), for every cluster.

use ecs_common::attributes;
use gantry_sdk::{Value, json};

use super::Context;
use super::instances::{self, Instance};
use crate::fault::{Fault, Result};
use crate::object::{items, text};
use crate::page::page;

/// Attributes of one request.
const MOST: usize = 10;
const TARGET: &str = "container-instance";

/// PutAttributes: one that is there gets the new value.
pub fn put(context: &Context<'_>, request: &Value) -> Result<Value> {
    change(context, request, |given| {
        let (name, value) = (text(given, "name"), text(given, "value"));
        let label = attributes::label(name, value).map_err(Fault::parameter)?;
        Ok((label.to_owned(), json!(value)))
    })
}

/// DeleteAttributes: those that are not there are gone too.
pub fn delete(context: &Context<'_>, request: &Value) -> Result<Value> {
    change(context, request, |given| {
        let label = attributes::label(text(given, "name"), "").map_err(Fault::parameter)?;
        Ok((label.to_owned(), Value::Null))
    })
}

fn change(context: &Context<'_>, request: &Value, label: impl Fn(&Value) -> Result<(String, Value)>) -> Result<Value> {
    let (cluster, _) = context.cluster(request.get("cluster").and_then(Value::as_str))?;
    let given = items(request, "attributes");
    if given.is_empty() || given.len() > MOST {
        return Err(Fault::parameter(format!("attributes must have between 1 and {MOST} elements.")));
    }
    let nodes = instances::all(context)?;
    let mut writes: Vec<(&Instance, Value)> = Vec::new();
    // All are looked at before the first is written.
    for given in given {
        let (key, value) = label(given)?;
        let node = target(context, &cluster, given, &nodes)?;
        let at = writes.iter().position(|(other, _)| other.uid == node.uid);
        match at.and_then(|at| writes.get_mut(at)).and_then(|(_, labels)| labels.as_object_mut()) {
            Some(labels) => drop(labels.insert(key, value)),
            None => writes.push((node, json!({key: value}))),
        }
    }
    for (node, labels) in writes {
        if !context.patch_node(&node.name, &node.uid, &json!({"metadata": {"labels": labels}}))? {
            return Err(missing(&context.options.instance_arn(&cluster, &node.uid)));
        }
    }
    Ok(json!({"attributes": given}))
}

fn target<'a>(context: &Context<'_>, cluster: &str, given: &Value, nodes: &'a [Instance]) -> Result<&'a Instance> {
    kind(text(given, "targetType"))?;
    let id = text(given, "targetId");
    if id.is_empty() {
        return Err(Fault::parameter("A target ID must be specified."));
    }
    instances::find(context, cluster, id, nodes)?.ok_or_else(|| missing(id))
}

fn missing(id: &str) -> Fault {
    Fault::new("TargetNotFoundException", format!("Unable to find target {id}."))
}

fn kind(given: &str) -> Result<()> {
    match given {
        "" | TARGET => Ok(()),
        other => Err(Fault::parameter(format!("The target type {other} is not {TARGET}."))),
    }
}

/// ListAttributes: those of ECS's own too.
pub fn list(context: &Context<'_>, request: &Value) -> Result<Value> {
    let (cluster, _) = context.cluster(request.get("cluster").and_then(Value::as_str))?;
    kind(text(request, "targetType"))?;
    let (name, value) = (text(request, "attributeName"), request.get("attributeValue").and_then(Value::as_str));
    if name.is_empty() && value.is_some() {
        return Err(Fault::parameter("attributeValue needs an attributeName."));
    }
    let mut all = Vec::new();
    for node in instances::all(context)? {
        let arn = context.options.instance_arn(&cluster, &node.uid);
        let wanted = |(own, has): &(&String, &String)| {
            (name.is_empty() || name == own.as_str()) && value.is_none_or(|value| value == has.as_str())
        };
        for (name, value) in node.attributes.iter().filter(wanted) {
            let shown = json!({"name": name, "value": value, "targetId": arn});
            all.push((format!("{arn} {name}"), shown));
        }
    }
    page(request, "attributes", all)
}
