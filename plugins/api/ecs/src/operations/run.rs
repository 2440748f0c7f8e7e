//! RunTask.

use gantry_sdk::api::{ObjectMeta, Time};
use gantry_sdk::{Value, json};

use super::refused::{self, refuse};
use super::{Context, definitions, tasks};
use crate::fault::{Fault, Result};
use crate::names::{digest, label};
use crate::object::{Definition, Task, items, text};

/// Tasks of one request.
const MOST: i64 = 10;
/// Digits of a task's id.
const ID: usize = 32;

/// Makes tasks; where each goes is decided later. The same `clientToken` makes the same tasks.
pub fn run(context: &Context<'_>, request: &Value) -> Result<Value> {
    let (cluster, _) = context.cluster(request.get("cluster").and_then(Value::as_str))?;
    let definition = definition(context, request)?;
    check(request, &definition)?;
    let count = request.get("count").and_then(Value::as_i64).unwrap_or(1);
    if !(1..=MOST).contains(&count) {
        return Err(Fault::parameter(format!("count must be between 1 and {MOST}.")));
    }
    let seed = match text(request, "clientToken") {
        "" => context.call.id.clone(),
        token => format!("{cluster} {token}"),
    };
    let mut shown = Vec::new();
    for number in 0..count {
        let id = digest(&format!("{seed} {number}"), ID);
        let task = task(context, request, &cluster, &id, &definition);
        let made = context.create(&task)?;
        let task = if made { Some(task) } else { context.get::<Task>(&id)? };
        let task = task.ok_or_else(|| Fault::server("a task was taken away while it was made"))?;
        shown.push(tasks::view(context, &task, true));
    }
    Ok(json!({"tasks": shown, "failures": []}))
}

fn definition(context: &Context<'_>, request: &Value) -> Result<Definition> {
    let found = definitions::find(context, text(request, "taskDefinition"))?;
    let definition = found.ok_or_else(|| Fault::client("TaskDefinition not found."))?;
    match text(&definition.spec, "status") {
        "INACTIVE" => Err(Fault::client("TaskDefinition is inactive")),
        _ => Ok(definition),
    }
}

fn check(request: &Value, definition: &Definition) -> Result<()> {
    refuse(request, refused::RUN, "")?;
    match text(request, "launchType") {
        "" | "EC2" => {}
        other => return Err(Fault::unsupported(&format!("The launch type {other}"))),
    }
    if !text(request, "platformVersion").is_empty() {
        return Err(Fault::parameter("The platform version must be null when specifying an EC2 launch type."));
    }
    let network = request.get("networkConfiguration").filter(|network| !network.is_null());
    match (text(&definition.spec, "networkMode") == "awsvpc", network) {
        (true, None) => {
            return Err(Fault::parameter(
                "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
            ));
        }
        (false, Some(_)) => {
            return Err(Fault::parameter(
                "Network Configuration is not valid for the given networkMode of this task definition.",
            ));
        }
        _ => {}
    }
    overrides(request.get("overrides").unwrap_or(&Value::Null), definition)
}

fn overrides(given: &Value, definition: &Definition) -> Result<()> {
    refuse(given, refused::OVERRIDES, "overrides.")?;
    for one in items(given, "containerOverrides") {
        let name = text(one, "name");
        if !items(&definition.spec, "containerDefinitions").iter().any(|container| text(container, "name") == name) {
            return Err(Fault::parameter(format!(
                "Override for container named {name} is not a container in the TaskDefinition."
            )));
        }
        refuse(one, refused::CONTAINER_OVERRIDES, "overrides.containerOverrides.")?;
    }
    for size in ["cpu", "memory"] {
        let given = text(given, size);
        if !given.is_empty() && given.parse::<u64>().is_err() {
            return Err(Fault::client(format!("Invalid '{size}' setting for task: {given}. Give a number.")));
        }
    }
    Ok(())
}

fn task(context: &Context<'_>, request: &Value, cluster: &str, id: &str, definition: &Definition) -> Task {
    let family = text(&definition.spec, "family");
    let group = match text(request, "group") {
        "" => format!("family:{family}"),
        group => group.to_owned(),
    };
    let mut metadata = ObjectMeta::named(&context.options.namespace, id);
    metadata.labels.insert("ecs.gantry.dev/cluster".to_owned(), label(cluster));
    metadata.labels.insert("ecs.gantry.dev/family".to_owned(), label(family));
    let own = match text(request, "propagateTags") {
        "TASK_DEFINITION" => items(&definition.spec, "tags"),
        _ => &[],
    };
    let replaced = |tag: &&Value| !items(request, "tags").iter().any(|other| text(other, "key") == text(tag, "key"));
    let tags: Vec<&Value> = own.iter().filter(replaced).chain(items(request, "tags")).collect();
    let spec = json!({
        "cluster": cluster,
        "taskDefinition": definition.metadata.name,
        "family": family,
        "revision": definition.spec.get("revision"),
        "group": group,
        "startedBy": text(request, "startedBy"),
        "launchType": "EC2",
        "networkMode": text(&definition.spec, "networkMode"),
        "networkConfiguration": request.get("networkConfiguration").cloned().unwrap_or_else(|| json!({})),
        "overrides": request.get("overrides").cloned().unwrap_or_else(|| json!({})),
        "containers": containers(definition),
        "cpu": size(definition, request, "cpu"),
        "memory": size(definition, request, "memory"),
        "desiredStatus": "RUNNING",
        "createdAt": Time::from_millis(context.call.now_ms),
        "createdBy": context.caller,
        "tags": tags,
    });
    Task { metadata, spec, status: Value::Null }
}

/// What is shown of containers, which the definition may not be there for any more.
fn containers(definition: &Definition) -> Vec<Value> {
    let number = |container: &Value, key: &str| container.get(key).and_then(Value::as_u64).map(|n| n.to_string());
    let shown = |container: &Value| {
        json!({
            "name": text(container, "name"),
            "image": text(container, "image"),
            "cpu": number(container, "cpu").unwrap_or_else(|| "0".to_owned()),
            "memory": number(container, "memory"),
            "memoryReservation": number(container, "memoryReservation"),
            "portMappings": items(container, "portMappings"),
        })
    };
    items(&definition.spec, "containerDefinitions").iter().map(shown).collect()
}

/// Of the task, or of its containers together.
fn size(definition: &Definition, request: &Value, what: &str) -> String {
    let own = request.get("overrides").map(|overrides| text(overrides, what)).filter(|text| !text.is_empty());
    let own = own.or(Some(text(&definition.spec, what)).filter(|text| !text.is_empty()));
    let of = |container: &Value| {
        let reserved = (what == "memory").then(|| container.get("memoryReservation")?.as_u64()).flatten();
        container.get(what).and_then(Value::as_u64).or(reserved).unwrap_or(0)
    };
    let all = || items(&definition.spec, "containerDefinitions").iter().map(of).sum::<u64>().to_string();
    own.map_or_else(all, str::to_owned)
}
