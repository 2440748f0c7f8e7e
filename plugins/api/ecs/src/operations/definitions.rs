//! Task definitions: families of revisions, which never change and are never used again.

use std::collections::BTreeMap;

use gantry_sdk::api::{ObjectMeta, Time};
use gantry_sdk::{Value, json};

use super::Context;
use super::describe::Included;
use super::refused::{self, refuse};
use crate::fault::{Fault, Result};
use crate::names::{identifier, label, revision_name};
use crate::object::{Definition, copy, items, moments, seconds, text, texts};
use crate::page::page;

/// Of a race for the next revision.
const TRIES: u32 = 8;
const FAMILY: &str = "ecs.gantry.dev/family";
/// What is kept of a registration, and shown again.
const KEPT: &[&str] = &[
    "family",
    "containerDefinitions",
    "cpu",
    "executionRoleArn",
    "memory",
    "networkMode",
    "requiresCompatibilities",
    "runtimePlatform",
];

/// RegisterTaskDefinition
pub fn register(context: &Context<'_>, request: &Value) -> Result<Value> {
    let family = text(request, "family");
    identifier(family, "task definition family")?;
    let spec = spec(context, request)?;
    for _ in 0..TRIES {
        let revision = revisions(context, family)?.into_iter().map(|row| row.revision).max().unwrap_or(0) + 1;
        let mut metadata = ObjectMeta::named(&context.options.namespace, revision_name(family, revision));
        metadata.labels.insert(FAMILY.to_owned(), label(family));
        let mut spec = spec.clone();
        if let Some(map) = spec.as_object_mut() {
            map.insert("revision".to_owned(), json!(revision));
        }
        let definition = Definition { metadata, spec, status: Value::Null };
        if context.create(&definition)? {
            return Ok(json!({"taskDefinition": view(context, &definition), "tags": items(request, "tags")}));
        }
    }
    Err(Fault::client(format!("Too many concurrent attempts to create a new revision of the family {family}.")))
}

fn spec(context: &Context<'_>, request: &Value) -> Result<Value> {
    refuse(request, refused::DEFINITION, "")?;
    let mode = text(request, "networkMode");
    if mode == "none" {
        return Err(Fault::client(
            "The network mode none is not supported: pods of this control plane have a network.",
        ));
    }
    let known = |given: &&str| matches!(*given, "EC2" | "EXTERNAL");
    if let Some(given) = texts(request, "requiresCompatibilities").find(|given| !known(given)) {
        return Err(Fault::unsupported(&format!("The launch type {given}")));
    }
    let all = items(request, "containerDefinitions");
    if all.is_empty() {
        return Err(Fault::client("Container list cannot be empty."));
    }
    let containers: Vec<Value> =
        all.iter().map(|container| self::container(container, request)).collect::<Result<_>>()?;
    let mut names: Vec<&str> = all.iter().map(|container| text(container, "name")).collect();
    names.sort_unstable();
    if let Some([name, _]) = names.array_windows().find(|[one, two]| one == two) {
        return Err(Fault::client(format!("Container.name contains duplicate value: {name}.")));
    }
    let essential = |container: &Value| container.get("essential").and_then(Value::as_bool).unwrap_or(true);
    if !all.iter().any(essential) {
        return Err(Fault::client("At least one container must be essential."));
    }
    for size in ["cpu", "memory"] {
        let given = text(request, size);
        if !given.is_empty() && given.parse::<u64>().is_err() {
            return Err(Fault::client(format!("Invalid '{size}' setting for task: {given}. Give a number.")));
        }
    }
    let mut spec = json!({
        "status": "ACTIVE",
        "registeredAt": Time::from_millis(context.call.now_ms),
        "registeredBy": context.caller,
        "tags": items(request, "tags"),
    });
    copy(request, KEPT, &mut spec);
    if let Some(map) = spec.as_object_mut() {
        map.insert("containerDefinitions".to_owned(), json!(containers));
    }
    Ok(spec)
}

/// A container as it is shown again, with what ECS fills in.
fn container(given: &Value, task: &Value) -> Result<Value> {
    let name = text(given, "name");
    identifier(name, "container")?;
    if text(given, "image").is_empty() {
        return Err(Fault::client("Container.image should not be null or empty."));
    }
    refuse(given, refused::CONTAINER, &format!("containerDefinitions[{name}]."))?;
    let number = |key: &str| given.get(key).and_then(Value::as_i64);
    if text(task, "memory").is_empty() && number("memory").is_none() && number("memoryReservation").is_none() {
        return Err(Fault::client(
            "Invalid setting for container. At least one of 'memory' or 'memoryReservation' must be specified.",
        ));
    }
    if number("memory").is_some_and(|memory| memory < 6) {
        return Err(Fault::client("Memory limit below 6 MiB is not allowed."));
    }
    let user = text(given, "user");
    if !user.is_empty() && !user.split(':').all(|id| id.parse::<u32>().is_ok()) {
        return Err(Fault::client(format!(
            "containerDefinitions[{name}].user: only numbers of users and groups are supported."
        )));
    }
    let driver = given.get("logConfiguration").map(|log| text(log, "logDriver")).unwrap_or_default();
    if !matches!(driver, "" | "awslogs" | "json-file") {
        return Err(Fault::client(format!(
            "The log driver {driver} is not supported: no plugin of this control plane acts on it."
        )));
    }
    let mut shown = given.clone();
    let empty = ["environment", "mountPoints", "volumesFrom", "systemControls"];
    if let Some(map) = shown.as_object_mut() {
        for key in empty {
            map.entry(key).or_insert_with(|| json!([]));
        }
        map.entry("cpu").or_insert_with(|| json!(0));
        map.entry("essential").or_insert_with(|| json!(true));
        let ports = items(given, "portMappings").iter().map(|port| mapping(port, text(task, "networkMode")));
        map.insert("portMappings".to_owned(), json!(ports.collect::<Result<Vec<_>>>()?));
    }
    Ok(shown)
}

fn mapping(given: &Value, mode: &str) -> Result<Value> {
    if given.get("containerPortRange").is_some() {
        return Err(Fault::client("containerPortRange is not supported: no plugin of this control plane acts on it."));
    }
    let port = |key: &str| given.get(key).and_then(Value::as_u64);
    let container = port("containerPort").filter(|port| (1..=65535).contains(port));
    let container = container.ok_or_else(|| Fault::client("Container port must be between 1 and 65535."))?;
    let host = port("hostPort").unwrap_or(if matches!(mode, "awsvpc" | "host") { container } else { 0 });
    if matches!(mode, "awsvpc" | "host") && host != container {
        return Err(Fault::client(format!(
            "When networkMode={mode}, the host ports and container ports in port mappings must match."
        )));
    }
    if host == 0 || host > 65535 {
        return Err(Fault::client("A port mapping needs a hostPort here: ports of the host are not chosen yet."));
    }
    let mut shown = given.clone();
    if let Some(map) = shown.as_object_mut() {
        map.insert("hostPort".to_owned(), json!(host));
        map.entry("protocol").or_insert_with(|| json!("tcp"));
    }
    Ok(shown)
}

/// DeregisterTaskDefinition: tasks that there are go on.
pub fn deregister(context: &Context<'_>, request: &Value) -> Result<Value> {
    let (family, revision) = context.options.definition(text(request, "taskDefinition"))?;
    let revision =
        revision.ok_or_else(|| Fault::client("Task definition should be in the format family:revision or its ARN."))?;
    let found = context.get::<Definition>(&revision_name(family, revision))?;
    let mut definition = found.ok_or_else(|| Fault::client("The specified task definition does not exist."))?;
    if text(&definition.spec, "status") != "INACTIVE" {
        let change = json!({"status": "INACTIVE", "deregisteredAt": Time::from_millis(context.call.now_ms)});
        context.patch(&definition, &change)?;
        copy(&change, &["status", "deregisteredAt"], &mut definition.spec);
    }
    Ok(json!({"taskDefinition": view(context, &definition)}))
}

/// DescribeTaskDefinition
pub fn describe(context: &Context<'_>, request: &Value) -> Result<Value> {
    let found = find(context, text(request, "taskDefinition"))?;
    let definition = found.ok_or_else(|| Fault::client("Unable to describe task definition."))?;
    let tags = if Included::of(request).tags { items(&definition.spec, "tags") } else { &[] };
    Ok(json!({"taskDefinition": view(context, &definition), "tags": tags}))
}

/// A revision, or the last active one of a family.
pub fn find(context: &Context<'_>, given: &str) -> Result<Option<Definition>> {
    let (family, revision) = context.options.definition(given)?;
    let revision = match revision {
        Some(revision) => Some(revision),
        None => revisions(context, family)?.into_iter().filter(|row| row.active).map(|row| row.revision).max(),
    };
    revision.map_or(Ok(None), |revision| context.get(&revision_name(family, revision)))
}

struct Row {
    family: String,
    revision: u64,
    active: bool,
}

fn revisions(context: &Context<'_>, family: &str) -> Result<Vec<Row>> {
    rows(context, &format!("{FAMILY}={}", label(family)))
}

fn rows(context: &Context<'_>, labels: &str) -> Result<Vec<Row>> {
    let fields = ["/spec/family", "/spec/revision", "/spec/status"];
    let rows: Vec<(String, u64, Option<String>)> = context.rows::<Definition, _>(labels, fields)?;
    let row = |(family, revision, status): (String, u64, Option<String>)| Row {
        family,
        revision,
        active: status.as_deref() != Some("INACTIVE"),
    };
    Ok(rows.into_iter().map(row).collect())
}

/// ListTaskDefinitions: those of a family in the order of their revisions.
pub fn list(context: &Context<'_>, request: &Value) -> Result<Value> {
    let active = match text(request, "status") {
        "" | "ACTIVE" => true,
        "INACTIVE" => false,
        other => return Err(Fault::parameter(format!("Task definitions of the status {other} can't be listed here."))),
    };
    let family = text(request, "familyPrefix");
    let all = rows(context, "")?
        .into_iter()
        .filter(|row| row.active == active && (family.is_empty() || row.family == family));
    let descending = text(request, "sort") == "DESC";
    let keyed = all.map(|row| {
        let order = if descending { u64::MAX - row.revision } else { row.revision };
        (format!("{} {order:020}", row.family), json!(context.options.definition_arn(&row.family, row.revision)))
    });
    page(request, "taskDefinitionArns", keyed.collect())
}

/// ListTaskDefinitionFamilies
pub fn families(context: &Context<'_>, request: &Value) -> Result<Value> {
    let mut families: BTreeMap<String, bool> = BTreeMap::new();
    for row in rows(context, "")? {
        *families.entry(row.family).or_default() |= row.active;
    }
    let prefix = text(request, "familyPrefix");
    let wanted = |active: bool| match text(request, "status") {
        "ALL" => true,
        "INACTIVE" => !active,
        _ => active,
    };
    let all = families.into_iter().filter(|(family, active)| family.starts_with(prefix) && wanted(*active));
    page(request, "families", all.map(|(family, _)| (family.clone(), json!(family))).collect())
}

/// A definition as it is shown.
fn view(context: &Context<'_>, definition: &Definition) -> Value {
    let spec = &definition.spec;
    let revision = spec.get("revision").and_then(Value::as_u64).unwrap_or_default();
    let mut shown = json!({
        "taskDefinitionArn": context.options.definition_arn(text(spec, "family"), revision),
        "volumes": [],
        "requiresAttributes": [],
        "placementConstraints": [],
        "compatibilities": ["EXTERNAL", "EC2"],
    });
    copy(spec, KEPT, &mut shown);
    copy(spec, &["revision", "status", "registeredBy"], &mut shown);
    moments(spec, &["registeredAt", "deregisteredAt"], &mut shown);
    if shown.get("registeredAt").is_none()
        && let (Some(time), Some(map)) = (definition.metadata.creation_timestamp, shown.as_object_mut())
    {
        map.insert("registeredAt".to_owned(), seconds(time));
    }
    shown
}
