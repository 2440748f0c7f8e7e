//! Container instances: nodes of the fleet as ECS sees them. Each is one of every cluster.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use ecs_common::attributes;
use ecs_common::capacity::GROUP;
use ecs_common::query::{Expression, Facts, Subject};
use gantry_sdk::api::{Quantity, Time};
use gantry_sdk::{Value, json};
use serde::Deserialize;

use super::describe::missing;
use super::{Context, capacity};
use crate::fault::{Fault, Result};
use crate::object::{Cluster, Task, items, seconds, text, texts};
use crate::page::page;

/// Instances of one request of UpdateContainerInstancesState.
const MOST: usize = 10;

/// A node's columns, in the order of `FIELDS`.
#[derive(Deserialize)]
struct Row {
    name: String,
    uid: String,
    made: Option<Time>,
    labels: Option<BTreeMap<String, String>>,
    cordon: Option<bool>,
    allocatable: Value,
    ready: Option<String>,
    version: Option<String>,
}

const FIELDS: [&str; 8] = [
    "/metadata/name",
    "/metadata/uid",
    "/metadata/creationTimestamp",
    "/metadata/labels",
    "/spec/unschedulable",
    "/status/allocatable",
    "/status/conditions/type=Ready/status",
    "/status/nodeInfo/kubeletVersion",
];

/// A node, read.
pub struct Instance {
    /// The node's name.
    pub name: String,
    /// What its ARN is made of.
    pub uid: String,
    /// See `ecs_common::attributes`.
    pub attributes: BTreeMap<String, String>,
    /// The Auto Scaling group that it is of; empty: none.
    pub group: String,
    /// It takes no tasks.
    pub draining: bool,
    /// Its agent is heard of.
    pub connected: bool,
    made: Option<Time>,
    version: String,
    allocatable: Value,
}

impl From<Row> for Instance {
    fn from(row: Row) -> Self {
        let labels = row.labels.unwrap_or_default();
        Self {
            group: labels.get(GROUP).cloned().unwrap_or_default(),
            name: row.name,
            uid: row.uid,
            attributes: attributes::of(labels.iter().map(|(key, value)| (key.as_str(), value.as_str()))),
            draining: row.cordon == Some(true),
            connected: row.ready.as_deref() == Some("True"),
            made: row.made,
            version: row.version.unwrap_or_default(),
            allocatable: row.allocatable,
        }
    }
}

impl Instance {
    fn status(&self) -> &'static str {
        if self.draining { "DRAINING" } else { "ACTIVE" }
    }
}

/// All that there are.
pub fn all(context: &Context<'_>) -> Result<Vec<Instance>> {
    let rows: Vec<Row> = context.nodes(FIELDS)?;
    Ok(rows.into_iter().map(Instance::from).collect())
}

/// The one that is meant.
pub fn find<'a>(
    context: &Context<'_>,
    cluster: &str,
    given: &str,
    all: &'a [Instance],
) -> Result<Option<&'a Instance>> {
    let id = id(context, cluster, given)?;
    Ok(all.iter().find(|instance| instance.uid.replace('-', "") == id))
}

/// ListContainerInstances
pub fn list(context: &Context<'_>, request: &Value) -> Result<Value> {
    let (cluster, _) = context.cluster(request.get("cluster").and_then(Value::as_str))?;
    let filter = match text(request, "filter") {
        "" => None,
        given => {
            Some(Expression::parse(given).map_err(|e| Fault::parameter(format!("Invalid filter {given:?}: {e}.")))?)
        }
    };
    let tasks = filter.as_ref().map(|_| Tasks::of(context, &cluster)).transpose()?.unwrap_or_default();
    let status = text(request, "status");
    let wanted = |instance: &Instance| {
        let seen = Seen { instance, tasks: tasks.on(&instance.name) };
        (status.is_empty() || status == instance.status()) && filter.as_ref().is_none_or(|f| f.chooses(&seen))
    };
    let found = all(context)?.into_iter().filter(wanted).map(|instance| {
        let arn = context.options.instance_arn(&cluster, &instance.uid);
        (arn.clone(), json!(arn))
    });
    page(request, "containerInstanceArns", found.collect())
}

/// DescribeContainerInstances
pub fn describe(context: &Context<'_>, request: &Value) -> Result<Value> {
    let (cluster, object) = context.cluster(request.get("cluster").and_then(Value::as_str))?;
    if items(request, "containerInstances").is_empty() {
        return Err(Fault::parameter("Container instances cannot be empty."));
    }
    shown(context, &cluster, &object, request)
}

/// UpdateContainerInstancesState: DRAINING is a cordon. Tasks that are there go on.
pub fn update(context: &Context<'_>, request: &Value) -> Result<Value> {
    let (cluster, object) = context.cluster(request.get("cluster").and_then(Value::as_str))?;
    let given = items(request, "containerInstances");
    if given.is_empty() || given.len() > MOST {
        return Err(Fault::parameter(format!("containerInstances must have between 1 and {MOST} elements.")));
    }
    let draining = match text(request, "status") {
        "ACTIVE" => false,
        "DRAINING" => true,
        other => return Err(Fault::parameter(format!("The status {other} is not one of ACTIVE and DRAINING."))),
    };
    let nodes = all(context)?;
    for given in texts(request, "containerInstances") {
        if let Some(node) = find(context, &cluster, given, &nodes)?.filter(|node| node.draining != draining) {
            let cordon = if draining { json!(true) } else { Value::Null };
            context.patch_node(&node.name, &node.uid, &json!({"spec": {"unschedulable": cordon}}))?;
        }
    }
    shown(context, &cluster, &object, request)
}

fn shown(context: &Context<'_>, cluster: &str, object: &Cluster, request: &Value) -> Result<Value> {
    let (nodes, tasks) = (all(context)?, Tasks::of(context, cluster)?);
    let groups = capacity::Groups::of(context, object)?;
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for given in texts(request, "containerInstances") {
        match find(context, cluster, given, &nodes)? {
            Some(instance) => {
                let mut shown = view(context, cluster, instance, &tasks);
                if let (Some(name), Some(map)) = (groups.provider(&instance.group), shown.as_object_mut()) {
                    map.insert("capacityProviderName".to_owned(), json!(name));
                }
                found.push(shown);
            }
            None => failures.push(missing(meant(context, cluster, given)?)),
        }
    }
    Ok(json!({"containerInstances": found, "failures": failures}))
}

/// The name of the node that is meant.
pub fn node(context: &Context<'_>, cluster: &str, given: &str) -> Result<String> {
    let nodes = all(context)?;
    let found = find(context, cluster, given, &nodes)?.map(|instance| instance.name.clone());
    found.ok_or_else(|| Fault::parameter("The referenced container instance was not found."))
}

/// Nodes by their names, for the ARNs of those that tasks are on.
pub struct Names(HashMap<String, String>);

impl Names {
    /// Those that there are; read once, and only when one of these tasks has a node.
    pub fn of(context: &Context<'_>, tasks: &[Task]) -> Result<Self> {
        if tasks.iter().all(|task| text(&task.status, "node").is_empty()) {
            return Ok(Self(HashMap::new()));
        }
        let nodes: Vec<(String, String)> = context.nodes(["/metadata/name", "/metadata/uid"])?;
        Ok(Self(nodes.into_iter().collect()))
    }

    /// The ARN of a node; none for one that is gone.
    pub fn arn(&self, context: &Context<'_>, cluster: &str, node: &str) -> Option<String> {
        self.0.get(node).map(|uid| context.options.instance_arn(cluster, uid))
    }
}

/// The ARN of one that is not there.
pub fn meant(context: &Context<'_>, cluster: &str, given: &str) -> Result<String> {
    Ok(context.options.instance_arn(cluster, &id(context, cluster, given)?))
}

fn id(context: &Context<'_>, cluster: &str, given: &str) -> Result<String> {
    let Some(resource) = context.options.resource(given)? else { return Ok(given.to_ascii_lowercase()) };
    let id =
        resource.strip_prefix("container-instance/").and_then(|rest| rest.strip_prefix(cluster)?.strip_prefix('/'));
    Ok(id.unwrap_or_default().to_ascii_lowercase())
}

/// Tasks of a cluster that are on nodes and have not stopped: each one's group, and whether it runs.
#[derive(Default)]
struct Tasks(HashMap<String, Vec<(String, bool)>>);

impl Tasks {
    fn of(context: &Context<'_>, cluster: &str) -> Result<Self> {
        let fields = ["/spec/group", "/status/node", "/status/lastStatus"];
        let rows: Vec<(Option<String>, Option<String>, Option<String>)> =
            context.rows_in::<Task, _>(cluster, fields)?;
        let mut all = Self::default();
        for (group, node, last) in rows {
            let last = last.unwrap_or_default();
            if let Some(node) = node.filter(|_| last != "STOPPED") {
                all.0.entry(node).or_default().push((group.unwrap_or_default(), last == "RUNNING"));
            }
        }
        Ok(all)
    }

    fn on(&self, node: &str) -> &[(String, bool)] {
        self.0.get(node).map(Vec::as_slice).unwrap_or_default()
    }
}

/// An instance, as filters see it.
struct Seen<'a> {
    instance: &'a Instance,
    tasks: &'a [(String, bool)],
}

impl Facts for Seen<'_> {
    fn values(&self, subject: &Subject) -> Vec<Cow<'_, str>> {
        let one = |text: &'_ str| vec![Cow::Owned(text.to_owned())];
        match subject {
            Subject::AgentConnected => one(&self.instance.connected.to_string()),
            Subject::AgentVersion => one(&self.instance.version),
            Subject::Attribute(name) => self.instance.attributes.get(name).map(Cow::from).into_iter().collect(),
            Subject::Ec2InstanceId => one(&self.instance.name),
            Subject::RegisteredAt => self.instance.made.map(|made| Cow::Owned(made.to_string())).into_iter().collect(),
            Subject::RunningTasksCount => one(&running(self.tasks).to_string()),
            Subject::TaskGroup => self.tasks.iter().map(|(group, _)| Cow::from(group)).collect(),
        }
    }
}

fn running(tasks: &[(String, bool)]) -> usize {
    tasks.iter().filter(|(_, running)| *running).count()
}

fn view(context: &Context<'_>, cluster: &str, instance: &Instance, tasks: &Tasks) -> Value {
    let on = tasks.on(&instance.name);
    let attribute = |(name, value): (&String, &String)| json!({"name": name, "value": value});
    let mut shown = json!({
        "containerInstanceArn": context.options.instance_arn(cluster, &instance.uid),
        "ec2InstanceId": instance.name,
        "status": instance.status(),
        "agentConnected": instance.connected,
        "runningTasksCount": running(on),
        "pendingTasksCount": on.len() - running(on),
        "registeredResources": resources(&instance.allocatable),
        "version": 1,
        "versionInfo": {"agentVersion": instance.version},
        "attributes": instance.attributes.iter().map(attribute).collect::<Vec<_>>(),
        "attachments": [],
        "tags": [],
    });
    if let (Some(made), Some(map)) = (instance.made, shown.as_object_mut()) {
        map.insert("registeredAt".to_owned(), seconds(made));
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
