//! Container instances: nodes of the fleet as ECS sees them. Each is one of every cluster.

use gantry_sdk::api::{Condition, Quantity, Time};
use gantry_sdk::{Value, json};

use super::Context;
use super::describe::missing;
use crate::fault::{Fault, Result};
use crate::object::{items, seconds, text, texts};
use crate::page::page;

/// A node's columns: name, uid, making, labels, cordon, allocatable, conditions, info.
type Row = (String, String, Option<Time>, Value, Option<bool>, Value, Option<Vec<Condition>>, Value);

const FIELDS: [&str; 8] = [
    "/metadata/name",
    "/metadata/uid",
    "/metadata/creationTimestamp",
    "/metadata/labels",
    "/spec/unschedulable",
    "/status/allocatable",
    "/status/conditions",
    "/status/nodeInfo",
];

/// ListContainerInstances
pub fn list(context: &Context<'_>, request: &Value) -> Result<Value> {
    let (cluster, _) = context.cluster(request.get("cluster").and_then(Value::as_str))?;
    if !text(request, "filter").is_empty() {
        return Err(Fault::unsupported("The cluster query language"));
    }
    let nodes: Vec<Row> = context.nodes(FIELDS)?;
    let wanted = |row: &&Row| text(request, "status").is_empty() || text(request, "status") == status(row);
    let all = nodes.iter().filter(wanted).map(|row| {
        let arn = context.options.instance_arn(&cluster, &row.1);
        (arn.clone(), json!(arn))
    });
    page(request, "containerInstanceArns", all.collect())
}

/// DescribeContainerInstances
pub fn describe(context: &Context<'_>, request: &Value) -> Result<Value> {
    let (cluster, _) = context.cluster(request.get("cluster").and_then(Value::as_str))?;
    if items(request, "containerInstances").is_empty() {
        return Err(Fault::parameter("Container instances cannot be empty."));
    }
    let nodes: Vec<Row> = context.nodes(FIELDS)?;
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for given in texts(request, "containerInstances") {
        let id = id(context, &cluster, given)?;
        match nodes.iter().find(|row| row.1.replace('-', "") == id) {
            Some(row) => found.push(view(context, &cluster, row)),
            None => failures.push(missing(context.options.instance_arn(&cluster, &id))),
        }
    }
    Ok(json!({"containerInstances": found, "failures": failures}))
}

/// The name of the node that is meant.
pub fn node(context: &Context<'_>, cluster: &str, given: &str) -> Result<String> {
    let id = id(context, cluster, given)?;
    let nodes: Vec<(String, String)> = context.nodes(["/metadata/name", "/metadata/uid"])?;
    let found = nodes.into_iter().find(|(_, uid)| uid.replace('-', "") == id).map(|(name, _)| name);
    found.ok_or_else(|| Fault::parameter("The referenced container instance was not found."))
}

/// The ARN of a node.
pub fn arn(context: &Context<'_>, cluster: &str, node: &str) -> Result<Option<String>> {
    let nodes: Vec<(String, String)> = context.nodes(["/metadata/name", "/metadata/uid"])?;
    let found = nodes.into_iter().find(|(name, _)| name == node);
    Ok(found.map(|(_, uid)| context.options.instance_arn(cluster, &uid)))
}

fn id(context: &Context<'_>, cluster: &str, given: &str) -> Result<String> {
    let Some(resource) = context.options.resource(given)? else { return Ok(given.to_ascii_lowercase()) };
    let id =
        resource.strip_prefix("container-instance/").and_then(|rest| rest.strip_prefix(cluster)?.strip_prefix('/'));
    Ok(id.unwrap_or_default().to_ascii_lowercase())
}

fn status(row: &Row) -> &'static str {
    if row.4 == Some(true) { "DRAINING" } else { "ACTIVE" }
}

fn view(context: &Context<'_>, cluster: &str, row: &Row) -> Value {
    let (name, uid, made, labels, _, allocatable, conditions, info) = row;
    let ready = Condition::find(conditions.as_deref().unwrap_or_default(), "Ready").is_some_and(Condition::holds);
    let label = |key: &str| labels.get(key).and_then(Value::as_str).unwrap_or_default();
    let attribute = |name: &str, value: &str| json!({"name": name, "value": value});
    let mut shown = json!({
        "containerInstanceArn": context.options.instance_arn(cluster, uid),
        "ec2InstanceId": name,
        "status": status(row),
        "agentConnected": ready,
        "registeredResources": resources(allocatable),
        "version": 1,
        "versionInfo": {"agentVersion": text(info, "kubeletVersion")},
        "attributes": [
            attribute("ecs.os-type", label("kubernetes.io/os")),
            attribute("ecs.cpu-architecture", label("kubernetes.io/arch")),
            attribute("ecs.availability-zone", label("topology.kubernetes.io/zone")),
        ],
        "attachments": [],
        "tags": [],
    });
    if let (Some(made), Some(map)) = (made, shown.as_object_mut()) {
        map.insert("registeredAt".to_owned(), seconds(*made));
    }
    shown
}

/// CPU units, and MiB.
fn resources(allocatable: &Value) -> Value {
    let amount = |key: &str| {
        allocatable.get(key).and_then(|value| gantry_sdk::serde_json::from_value::<Quantity>(value.clone()).ok())
    };
    let cpu = amount("cpu").and_then(|cpu| cpu.milli().ok()).map_or(0, |cpu| cpu.saturating_mul(1024) / 1000);
    let memory = amount("memory").and_then(|memory| memory.value().ok()).map_or(0, |memory| memory >> 20);
    let number = |name: &str, value: u64| json!({"name": name, "type": "INTEGER", "integerValue": value, "doubleValue": 0.0, "longValue": 0});
    json!([number("CPU", cpu), number("MEMORY", memory)])
}
