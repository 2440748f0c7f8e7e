//! Tasks that there are.

use ecs_common::ids::digest;
use gantry_sdk::{Value, json};
use serde::Deserialize;

use super::Context;
use super::describe::{Included, missing};
use super::instances::{self, Names};
use super::refused::{self, refuse};
use super::{run, services};
use crate::fault::{Fault, Result};
use crate::object::{Task, copy, items, moments, text, texts};
use crate::page::page;

/// Tasks in one request of DescribeTasks.
const MOST: usize = 100;

/// DescribeTasks
pub fn describe(context: &Context<'_>, request: &Value) -> Result<Value> {
    let (cluster, _) = context.cluster(request.get("cluster").and_then(Value::as_str))?;
    let given = items(request, "tasks");
    if given.is_empty() {
        return Err(Fault::parameter("Tasks cannot be empty."));
    }
    if given.len() > MOST {
        return Err(Fault::parameter(format!("Tasks cannot have more than {MOST} elements.")));
    }
    let included = Included::of(request);
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for given in texts(request, "tasks") {
        let id = context.options.task_id(given)?;
        match find(context, &cluster, id)? {
            Some(task) => found.push(task),
            None => failures.push(missing(context.options.task_arn(&cluster, id))),
        }
    }
    let nodes = Names::of(context, &found)?;
    let tasks: Vec<Value> = found.iter().map(|task| view(context, task, &nodes, included.tags)).collect();
    Ok(json!({"tasks": tasks, "failures": failures}))
}

/// StopTask: what has stopped is the answer too.
pub fn stop(context: &Context<'_>, request: &Value) -> Result<Value> {
    let (cluster, _) = context.cluster(request.get("cluster").and_then(Value::as_str))?;
    let id = context.options.task_id(text(request, "task"))?;
    let found = find(context, &cluster, id)?;
    let mut task = found.ok_or_else(|| Fault::parameter("The referenced task was not found."))?;
    if text(&task.status, "desiredStatus") != "STOPPED" && text(&task.spec, "desiredStatus") != "STOPPED" {
        let reason = match text(request, "reason") {
            "" => "Task stopped by user",
            reason => reason,
        };
        let change = json!({
            "desiredStatus": "STOPPED", "stopCode": "UserInitiated", "stoppedReason": reason, "stoppedBy": context.caller,
        });
        context.patch(&task, &change)?;
        copy(&change, &["desiredStatus", "stopCode", "stoppedReason"], &mut task.spec);
    }
    let nodes = Names::of(context, std::slice::from_ref(&task))?;
    Ok(json!({"task": view(context, &task, &nodes, false)}))
}

fn find(context: &Context<'_>, cluster: &str, id: &str) -> Result<Option<Task>> {
    Ok(context.get::<Task>(&id.to_ascii_lowercase())?.filter(|task| text(&task.spec, "cluster") == cluster))
}

/// Columns of a task that lists look at, in the order of `COLUMNS`.
#[derive(Deserialize)]
struct Row {
    id: String,
    group: Option<String>,
    family: Option<String>,
    started_by: Option<String>,
    launch_type: Option<String>,
    wanted: Option<String>,
    desired: Option<String>,
    node: Option<String>,
}

const COLUMNS: [&str; 8] = [
    "/metadata/name",
    "/spec/group",
    "/spec/family",
    "/spec/startedBy",
    "/spec/launchType",
    "/spec/desiredStatus",
    "/status/desiredStatus",
    "/status/node",
];

impl Row {
    /// Whoever wants its end first has the last word.
    fn desired(&self) -> Option<&str> {
        let wanted = self.wanted.as_deref();
        if wanted == Some("STOPPED") { wanted } else { self.desired.as_deref().or(wanted) }
    }
}

/// ListTasks: those that run or will, unless `desiredStatus` says otherwise.
pub fn list(context: &Context<'_>, request: &Value) -> Result<Value> {
    let (cluster, _) = context.cluster(request.get("cluster").and_then(Value::as_str))?;
    refuse(request, refused::LIST, "")?;
    let group = match text(request, "serviceName") {
        "" => None,
        given => {
            let found = context.service(&cluster, given)?.ok_or_else(services::unknown)?;
            Some(format!("{}{}", run::SERVICE, text(&found.spec, "serviceName")))
        }
    };
    let rows: Vec<Row> = context.rows_in::<Task, _>(&cluster, COLUMNS)?;
    let node = match text(request, "containerInstance") {
        "" => None,
        given => Some(instances::node(context, &cluster, given)?),
    };
    let wanted = match text(request, "desiredStatus") {
        "" => "RUNNING",
        status => status,
    };
    let same =
        |key: &str, has: &Option<String>| text(request, key).is_empty() || Some(text(request, key)) == has.as_deref();
    let fits = |row: &&Row| {
        row.desired() == Some(wanted)
            && (group.is_none() || group == row.group)
            && same("family", &row.family)
            && same("startedBy", &row.started_by)
            && same("launchType", &row.launch_type)
            && (node.is_none() || node == row.node)
    };
    let arn = |row: &Row| (row.id.clone(), json!(context.options.task_arn(&cluster, &row.id)));
    page(request, "taskArns", rows.iter().filter(fits).map(arn).collect())
}

/// A task as it is shown.
pub fn view(context: &Context<'_>, task: &Task, nodes: &Names, tags: bool) -> Value {
    let (spec, status, id) = (&task.spec, &task.status, &task.metadata.name);
    let cluster = text(spec, "cluster");
    let or = |text: &str, other: &str| if text.is_empty() { other.to_owned() } else { text.to_owned() };
    let stopping = text(spec, "desiredStatus") == "STOPPED" || text(status, "desiredStatus") == "STOPPED";
    let revision = spec.get("revision").and_then(Value::as_u64).unwrap_or_default();
    let mut shown = json!({
        "taskArn": context.options.task_arn(cluster, id),
        "clusterArn": context.options.cluster_arn(cluster),
        "taskDefinitionArn": context.options.definition_arn(text(spec, "family"), revision),
        "lastStatus": or(text(status, "lastStatus"), "PROVISIONING"),
        "desiredStatus": if stopping { "STOPPED" } else { "RUNNING" },
        "attachments": attachments(task),
        "attributes": [],
        "containers": containers(context, task),
        "enableExecuteCommand": false,
        "healthStatus": or(text(status, "healthStatus"), "UNKNOWN"),
        "version": status.get("version").and_then(Value::as_u64).unwrap_or(1),
        "tags": if tags { items(spec, "tags") } else { &[] },
        "overrides": overrides(spec),
    });
    copy(spec, &["group", "launchType", "cpu", "memory"], &mut shown);
    moments(spec, &["createdAt"], &mut shown);
    moments(status, &["startedAt", "stoppingAt", "stoppedAt"], &mut shown);
    let said = if text(status, "stopCode").is_empty() { spec } else { status };
    for (from, key) in [(said, "stopCode"), (said, "stoppedReason"), (spec, "startedBy")] {
        if !text(from, key).is_empty() {
            copy(from, &[key], &mut shown);
        }
    }
    if let (name @ Value::String(_), Some(map)) = (&spec["capacityProvider"], shown.as_object_mut()) {
        map.insert("capacityProviderName".to_owned(), name.clone());
    }
    placed(context, task, nodes, &mut shown);
    shown
}

/// On which node.
fn placed(context: &Context<'_>, task: &Task, nodes: &Names, shown: &mut Value) {
    let arn = nodes.arn(context, text(&task.spec, "cluster"), text(&task.status, "node"));
    if let (Some(arn), Some(map)) = (arn, shown.as_object_mut()) {
        map.insert("containerInstanceArn".to_owned(), json!(arn));
        map.insert("connectivity".to_owned(), json!("CONNECTED"));
    }
}

fn overrides(spec: &Value) -> Value {
    let given = spec.get("overrides").cloned().unwrap_or_default();
    let own = items(&given, "containerOverrides");
    let of =
        |name: &str| own.iter().find(|o| text(o, "name") == name).cloned().unwrap_or_else(|| json!({"name": name}));
    let all: Vec<Value> = items(spec, "containers").iter().map(|container| of(text(container, "name"))).collect();
    let mut shown = json!({"containerOverrides": all, "inferenceAcceleratorOverrides": []});
    copy(&given, &["cpu", "memory"], &mut shown);
    shown
}

/// Only tasks with a network of their own have one.
fn attachments(task: &Task) -> Value {
    if text(&task.spec, "networkMode") != "awsvpc" {
        return json!([]);
    }
    let details: Vec<Value> = texts(&task.status, "addresses")
        .map(|ip| json!({"name": if ip.contains(':') { "IPv6Address" } else { "privateIPv4Address" }, "value": ip}))
        .collect();
    let status = match (text(&task.status, "lastStatus"), details.is_empty()) {
        ("STOPPED", _) => "DELETED",
        (_, true) => "PRECREATED",
        (_, false) => "ATTACHED",
    };
    json!([{"id": attachment(&task.metadata.name), "type": "ElasticNetworkInterface", "status": status, "details": details}])
}

fn attachment(id: &str) -> String {
    digest(&format!("attachment {id}"), 32)
}

fn containers(context: &Context<'_>, task: &Task) -> Vec<Value> {
    let one = |container: &Value| {
        let name = text(container, "name");
        let none = json!({});
        let state = items(&task.status, "containers").iter().find(|state| text(state, "name") == name).unwrap_or(&none);
        let cluster = text(&task.spec, "cluster");
        let last = match text(state, "lastStatus") {
            "" => "PENDING",
            last => last,
        };
        let mut shown = json!({
            "containerArn": container_arn(context, task, name),
            "taskArn": context.options.task_arn(cluster, &task.metadata.name),
            "lastStatus": last,
            "healthStatus": if text(state, "healthStatus").is_empty() { "UNKNOWN" } else { text(state, "healthStatus") },
            "networkInterfaces": interfaces(task),
            "networkBindings": if last == "RUNNING" { bindings(task, container) } else { Vec::new() },
        });
        copy(container, &["name", "image", "cpu", "memory", "memoryReservation"], &mut shown);
        copy(state, &["exitCode", "reason", "runtimeId", "imageDigest"], &mut shown);
        shown
    };
    items(&task.spec, "containers").iter().map(one).collect()
}

/// The ARN of a task's container.
pub fn container_arn(context: &Context<'_>, task: &Task, name: &str) -> String {
    let (id, cluster) = (&task.metadata.name, text(&task.spec, "cluster"));
    let own = digest(&format!("container {id} {name}"), 32);
    context.options.arn(&format!("container/{cluster}/{id}/{own}"))
}

fn interfaces(task: &Task) -> Vec<Value> {
    if text(&task.spec, "networkMode") != "awsvpc" {
        return Vec::new();
    }
    let four = texts(&task.status, "addresses").find(|ip| !ip.contains(':'));
    four.map(|ip| json!({"attachmentId": attachment(&task.metadata.name), "privateIpv4Address": ip}))
        .into_iter()
        .collect()
}

/// Ports of a container, and those of the node that lead there; none with a network of the task's own.
pub fn bindings(task: &Task, container: &Value) -> Vec<Value> {
    if text(&task.spec, "networkMode") == "awsvpc" {
        return Vec::new();
    }
    let binding = |port: &Value| {
        let mut shown = json!({"bindIP": "0.0.0.0"});
        copy(port, &["containerPort", "hostPort", "protocol"], &mut shown);
        let same = |chosen: &&Value| {
            text(chosen, "container") == text(container, "name")
                && chosen.get("containerPort") == port.get("containerPort")
                && text(chosen, "protocol") == text(port, "protocol")
        };
        if let Some(chosen) = items(&task.status, "ports").iter().find(same) {
            copy(chosen, &["hostPort"], &mut shown);
        }
        shown
    };
    items(container, "portMappings").iter().map(binding).collect()
}
