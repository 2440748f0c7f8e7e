//! Task definitions: families of revisions, which never change and are never used again.

use std::collections::BTreeMap;

use gantry_sdk::api::{ObjectMeta, Time};
use gantry_sdk::{Value, json};

use super::describe::Included;
use super::refused::{self, refuse, refuse_word};
use super::{Context, files, health, linux, naming, numbers, order, placement, secrets, ulimits, volumes};
use crate::fault::{Fault, Result};
use crate::names::{identifier, label, revision_name};
use crate::object::{Definition, copy, items, moments, seconds, text, texts};
use crate::page::page;

/// Of a race for the next revision.
const TRIES: u32 = 8;
/// Containers of a definition: <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-quotas.html>
const CONTAINERS: usize = 10;
const FAMILY: &str = "ecs.gantry.dev/family";
/// What is kept of a registration, and shown again.
const KEPT: &[&str] = &[
    "family",
    "containerDefinitions",
    "cpu",
    "executionRoleArn",
    "memory",
    "networkMode",
    "placementConstraints",
    "requiresCompatibilities",
    "runtimePlatform",
    "volumes",
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
    placement::of_definition(request)?;
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
    if all.len() > CONTAINERS {
        return Err(Fault::client(format!("A task definition can have {CONTAINERS} containers at most.")));
    }
    let containers: Vec<Value> =
        all.iter().map(|container| self::container(container, request)).collect::<Result<_>>()?;
    naming::check(request)?;
    together(all)?;
    let volumes = volumes::of_definition(request)?;
    numbers::task(request)?;
    numbers::shares(request)?;
    let mut spec = json!({
        "status": "ACTIVE",
        "registeredAt": Time::from_millis(context.call.now_ms),
        "registeredBy": context.caller,
        "tags": items(request, "tags"),
    });
    copy(request, KEPT, &mut spec);
    if let Some(map) = spec.as_object_mut() {
        map.insert("containerDefinitions".to_owned(), json!(containers));
        map.insert("volumes".to_owned(), json!(volumes));
    }
    Ok(spec)
}

/// Whether they can be containers of one task.
fn together(containers: &[Value]) -> Result<()> {
    let essential = |container: &Value| container.get("essential").and_then(Value::as_bool).unwrap_or(true);
    if !containers.iter().any(essential) {
        return Err(Fault::client("At least one container must be essential."));
    }
    order::check(containers)?;
    let mut names: Vec<&str> = containers.iter().map(|container| text(container, "name")).collect();
    names.sort_unstable();
    match names.array_windows().find(|[one, two]| one == two) {
        Some([name, _]) => Err(Fault::client(format!("Container.name contains duplicate value: {name}."))),
        None => Ok(()),
    }
}

/// Whether a container can be had.
fn check(given: &Value, task: &Value) -> Result<()> {
    let name = text(given, "name");
    identifier(name, "container")?;
    if text(given, "image").is_empty() {
        return Err(Fault::client("Container.image should not be null or empty."));
    }
    let path = format!("containerDefinitions[{name}].");
    refuse(given, refused::CONTAINER, &path)?;
    // Nothing looks a tag's digest up, so that only the other word is true.
    refuse_word(given, "versionConsistency", "enabled", &path)?;
    logs(given, &path)?;
    numbers::container(given, &path).map_err(Fault::client)?;
    linux::check(given, &path)?;
    volumes::of_container(given, task, &path)?;
    health::check(given, &path)?;
    secrets::check(given, &path)?;
    files::check(given, &path)?;
    ulimits::check(given, &path)?;
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
        return Err(Fault::client(format!("{path}user: only numbers of users and groups are supported.")));
    }
    Ok(())
}

/// A container as it is shown again, with what ECS fills in.
fn container(given: &Value, task: &Value) -> Result<Value> {
    check(given, task)?;
    let mut shown = given.clone();
    let empty = ["environment", "mountPoints", "volumesFrom", "systemControls"];
    if let Some(map) = shown.as_object_mut() {
        for key in empty {
            map.entry(key).or_insert_with(|| json!([]));
        }
        map.entry("cpu").or_insert_with(|| json!(0));
        map.entry("essential").or_insert_with(|| json!(true));
        map.get_mut("healthCheck").map(health::complete);
        let ports = items(given, "portMappings").iter().map(|port| mapping(port, text(task, "networkMode")));
        map.insert("portMappings".to_owned(), json!(ports.collect::<Result<Vec<_>>>()?));
    }
    Ok(shown)
}

fn logs(container: &Value, path: &str) -> Result<()> {
    let Some(given) = container.get("logConfiguration") else { return Ok(()) };
    refuse(given, refused::LOG, &format!("{path}logConfiguration."))?;
    match text(given, "logDriver") {
        "" | "awslogs" | "json-file" => Ok(()),
        driver => Err(Fault::client(format!(
            "The log driver {driver} is not supported: no plugin of this control plane acts on it."
        ))),
    }
}

fn mapping(given: &Value, mode: &str) -> Result<Value> {
    refuse(given, refused::PORT, "portMappings.")?;
    numbers::whole(given, &["containerPort", "hostPort"], "portMappings.").map_err(Fault::client)?;
    let port = |key: &str| given.get(key).and_then(Value::as_u64);
    let container = port("containerPort").filter(|port| (1..=65535).contains(port));
    let container = container.ok_or_else(|| Fault::client("Container port must be between 1 and 65535."))?;
    let host = port("hostPort").unwrap_or(if matches!(mode, "awsvpc" | "host") { container } else { 0 });
    if matches!(mode, "awsvpc" | "host") && host != container {
        return Err(Fault::client(format!(
            "When networkMode={mode}, the host ports and container ports in port mappings must match."
        )));
    }
    if host > 65535 {
        return Err(Fault::client("Host port must be between 0 and 65535."));
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
    if matches!(text(&definition.spec, "status"), "" | "ACTIVE") {
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

/// A revision that was found before.
pub fn of(context: &Context<'_>, family: &str, revision: u64) -> Result<Definition> {
    let found = context.get(&revision_name(family, revision))?;
    found.ok_or_else(|| Fault::client("TaskDefinition not found."))
}

struct Row {
    family: String,
    revision: u64,
    active: bool,
    /// Whether it is being deleted, and no more than that.
    leaves: bool,
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
        active: matches!(status.as_deref(), None | Some("ACTIVE")),
        leaves: status.as_deref() == Some("DELETE_IN_PROGRESS"),
    };
    Ok(rows.into_iter().map(row).collect())
}

/// ListTaskDefinitions: those of a family in the order of their revisions.
pub fn list(context: &Context<'_>, request: &Value) -> Result<Value> {
    let status = text(request, "status");
    let wanted = |row: &Row| match status {
        "DELETE_IN_PROGRESS" => row.leaves,
        "INACTIVE" => !row.active && !row.leaves,
        _ => row.active,
    };
    let family = text(request, "familyPrefix");
    let all = rows(context, "")?.into_iter().filter(|row| wanted(row) && (family.is_empty() || row.family == family));
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
    for row in rows(context, "")?.into_iter().filter(|row| !row.leaves) {
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
pub fn view(context: &Context<'_>, definition: &Definition) -> Value {
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
