//! RunTask, and StartTask, which says where.

use ecs_common::capacity::{Share, next};
use ecs_common::ids::digest;
use gantry_sdk::api::{ObjectMeta, Time};
use gantry_sdk::{Value, json};

use super::describe::missing;
use super::instances::Instance;
use super::refused::{self, refuse, refuse_word};
use super::{Context, capacity, definitions, instances, numbers, placement, tasks};
use crate::fault::{Fault, Result};
use crate::names::{CLUSTER, label};
use crate::object::{Definition, Task, items, text, texts};

/// Tasks of one request.
const MOST: i64 = 10;
/// Of a race with whoever takes away what has stopped.
const TRIES: u32 = 3;
/// Digits of a task's id.
const ID: usize = 32;
/// Digits of a request's digest.
const DIGEST: usize = 64;
/// How the group of a service's tasks begins.
pub const SERVICE: &str = "service:";
/// Where a task has it.
const SAME: &str = "requestDigest";

/// Makes tasks; where each goes is decided later. The same `clientToken` makes the same tasks.
pub fn run(context: &Context<'_>, request: &Value) -> Result<Value> {
    let (cluster, object) = context.cluster(request.get("cluster").and_then(Value::as_str))?;
    let definition = definition(context, text(request, "taskDefinition"))?;
    check(request, &definition)?;
    let shares = capacity::asked(context, request, &object)?;
    let count = request.get("count").and_then(Value::as_i64).unwrap_or(1);
    if !(1..=MOST).contains(&count) {
        return Err(Fault::parameter(format!("count must be between 1 and {MOST}.")));
    }
    let placement = placement::of_task(request, &definition.spec)?;
    let asked = Asked { request, cluster, definition, count, placement };
    let mut given = vec![0; shares.len()];
    let made = (0..count).map(|number| {
        let at = next(&shares, &given);
        at.and_then(|at| given.get_mut(at)).into_iter().for_each(|tasks| *tasks += 1);
        asked.make(context, number, at.and_then(|at| shares.get(at)), None)
    });
    let made: Vec<Task> = made.collect::<Result<_>>()?;
    asked.answer(context, &made, &[])
}

/// Makes a task for each of the instances, which goes there as soon as there is room. They have been chosen: no strategy
/// and no constraint has a say.
pub fn start(context: &Context<'_>, request: &Value) -> Result<Value> {
    let (cluster, _) = context.cluster(request.get("cluster").and_then(Value::as_str))?;
    let definition = definition(context, text(request, "taskDefinition"))?;
    check(request, &definition)?;
    let given: Vec<&str> = texts(request, "containerInstances").collect();
    let count = i64::try_from(given.len()).unwrap_or(i64::MAX);
    if !(1..=MOST).contains(&count) {
        return Err(Fault::parameter(format!("containerInstances must have between 1 and {MOST} elements.")));
    }
    let nodes = instances::all(context)?;
    let (mut made, mut failures) = (Vec::new(), Vec::new());
    let asked = Asked { request, cluster, definition, count, placement: (json!([]), json!([])) };
    for (number, given) in (0..).zip(given) {
        match instances::find(context, &asked.cluster, given, &nodes)? {
            None => failures.push(missing(instances::meant(context, &asked.cluster, given)?)),
            Some(node) => match closed(node) {
                None => made.push(asked.make(context, number, None, Some(&node.name))?),
                Some(reason) => {
                    let arn = context.options.instance_arn(&asked.cluster, &node.uid);
                    failures.push(json!({"arn": arn, "reason": reason}));
                }
            },
        }
    }
    asked.answer(context, &made, &failures)
}

/// Why an instance takes no task, in the words of
/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/api_failures_messages.html>. ECS has `INACTIVE` for
/// instances that were deregistered, and no word for those that drain: there, as here, they take no new tasks.
fn closed(node: &Instance) -> Option<&'static str> {
    match (node.draining, node.connected) {
        (true, _) => Some("INACTIVE"),
        (false, false) => Some("AGENT"),
        (false, true) => None,
    }
}

/// A cluster that was taken away meanwhile has no tasks.
fn unless_gone(context: &Context<'_>, made: &[Task], cluster: &str) -> Result<()> {
    let Err(gone) = context.cluster(Some(cluster)) else { return Ok(()) };
    let stop = json!({"desiredStatus": "STOPPED", "stopCode": "TaskFailedToStart", "stoppedReason": "Its cluster was deleted"});
    for made in made {
        if let Some(task) = context.get::<Task>(&made.metadata.name)? {
            // Whoever took it away has done more than is wanted here.
            context
                .patch(&task, &stop)
                .or_else(|fault| if fault.status.is_server_error() { Err(fault) } else { Ok(()) })?;
        }
    }
    Err(gone)
}

/// A request with what it leaves open.
struct Asked<'a> {
    request: &'a Value,
    cluster: String,
    definition: Definition,
    count: i64,
    /// Constraints and strategies.
    placement: (Value, Value),
}

impl Asked<'_> {
    fn answer(&self, context: &Context<'_>, made: &[Task], failures: &[Value]) -> Result<Value> {
        unless_gone(context, made, &self.cluster)?;
        let nodes = instances::Names::of(context, made)?;
        let shown: Vec<Value> = made.iter().map(|task| tasks::view(context, task, &nodes, true)).collect();
        Ok(json!({"tasks": shown, "failures": failures}))
    }

    fn place(&self, spec: &mut Value, share: Option<&Share>, node: Option<&str>) {
        let Some(spec) = spec.as_object_mut() else { return };
        if let Some(share) = share {
            spec.insert("capacityProvider".to_owned(), json!(share.capacity_provider));
            spec.insert("autoScalingGroup".to_owned(), json!(share.group));
        }
        let (constraints, strategy) = &self.placement;
        spec.insert("placementConstraints".to_owned(), constraints.clone());
        spec.insert("placementStrategy".to_owned(), strategy.clone());
        node.and_then(|node| spec.insert("node".to_owned(), json!(node)));
    }

    /// One of its tasks, or the one that the same token has made.
    fn make(&self, context: &Context<'_>, number: i64, share: Option<&Share>, node: Option<&str>) -> Result<Task> {
        let token = text(self.request, "clientToken");
        let seed = if token.is_empty() { context.call.id.clone() } else { format!("{} {token}", self.cluster) };
        let id = digest(&format!("{seed} {number}"), ID);
        let mut task = task(context, self.request, &self.cluster, &id, &self.definition);
        self.place(&mut task.spec, share, node);
        let same = if token.is_empty() { Value::Null } else { json!(self.digest(context)) };
        if let Some(spec) = task.spec.as_object_mut().filter(|_| !same.is_null()) {
            spec.insert(SAME.to_owned(), same.clone());
        }
        let mut found = None;
        for _ in 0..TRIES {
            if context.create(&task)? {
                return Ok(task);
            }
            // One that has stopped may be forgotten just now.
            found = context.get::<Task>(&id)?;
            if found.is_some() {
                break;
            }
        }
        let old = found.ok_or_else(|| Fault::client("Too many concurrent attempts to make the same task."))?;
        if !same.is_null() && old.spec.get(SAME) != Some(&same) {
            let arn = context.options.task_arn(&self.cluster, &id);
            return Err(Fault::new(
                "ConflictException",
                format!("The clientToken is that of another request, which made {arn}. Use another token."),
            ));
        }
        Ok(old)
    }

    /// What it asks for, token apart: the same for the same, however it is written.
    fn digest(&self, context: &Context<'_>) -> String {
        let spec = &self.definition.spec;
        let revision = spec.get("revision").and_then(Value::as_u64).unwrap_or_default();
        let mut asked = self.request.clone();
        if let Some(members) = asked.as_object_mut() {
            members.remove("clientToken");
            members.insert("cluster".to_owned(), json!(self.cluster));
            members.insert("count".to_owned(), json!(self.count));
            let arn = context.options.definition_arn(text(spec, "family"), revision);
            members.insert("taskDefinition".to_owned(), json!(arn));
        }
        asked.sort_all_objects();
        digest(&asked.to_string(), DIGEST)
    }
}

/// A definition that tasks can be made from.
pub fn definition(context: &Context<'_>, given: &str) -> Result<Definition> {
    let found = definitions::find(context, given)?;
    let definition = found.ok_or_else(|| Fault::client("TaskDefinition not found."))?;
    match text(&definition.spec, "status") {
        "" | "ACTIVE" => Ok(definition),
        _ => Err(Fault::client("TaskDefinition is inactive")),
    }
}

fn check(request: &Value, definition: &Definition) -> Result<()> {
    refuse(request, refused::RUN, "")?;
    refuse_word(request, "propagateTags", "SERVICE", "")?;
    if text(request, "group").starts_with(SERVICE) {
        return Err(Fault::parameter("Invalid namespace for group: service is that of services."));
    }
    launch(request)?;
    network(text(&definition.spec, "networkMode"), request.get("networkConfiguration"))?;
    overrides(request.get("overrides").unwrap_or(&Value::Null), definition)
}

/// On what it is to run.
pub fn launch(request: &Value) -> Result<()> {
    match text(request, "launchType") {
        "" | "EC2" => {}
        other => return Err(Fault::unsupported(&format!("The launch type {other}"))),
    }
    if !text(request, "platformVersion").is_empty() {
        return Err(Fault::parameter("The platform version must be null when specifying an EC2 launch type."));
    }
    Ok(())
}

/// Whether a network is configured where the mode has one, and only there.
pub fn network(mode: &str, given: Option<&Value>) -> Result<()> {
    match (mode == "awsvpc", given) {
        (true, None) => {
            Err(Fault::parameter("Network Configuration must be provided when networkMode 'awsvpc' is specified."))
        }
        (false, Some(_)) => Err(Fault::parameter(
            "Network Configuration is not valid for the given networkMode of this task definition.",
        )),
        _ => Ok(()),
    }
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
        numbers::container(one, &format!("overrides.containerOverrides[{name}].")).map_err(Fault::parameter)?;
    }
    numbers::task(given)
}

/// A task as a request has it.
pub fn task(context: &Context<'_>, request: &Value, cluster: &str, id: &str, definition: &Definition) -> Task {
    let family = text(&definition.spec, "family");
    let group = match text(request, "group") {
        "" => format!("family:{family}"),
        group => group.to_owned(),
    };
    let mut metadata = ObjectMeta::named(&context.options.namespace, id);
    metadata.labels.insert(CLUSTER.to_owned(), label(cluster));
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

/// What is shown of containers, and whose end is the task's: the definition may not be there any more.
fn containers(definition: &Definition) -> Vec<Value> {
    let number = |container: &Value, key: &str| container.get(key).and_then(Value::as_u64).map(|n| n.to_string());
    let shown = |container: &Value| {
        json!({
            "name": text(container, "name"),
            "image": text(container, "image"),
            "essential": container.get("essential").and_then(Value::as_bool).unwrap_or(true),
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
    let all =
        || items(&definition.spec, "containerDefinitions").iter().map(of).fold(0, u64::saturating_add).to_string();
    own.map_or_else(all, str::to_owned)
}
