//! What answers are made from: a task, its definition, its node, and what its node says that it uses.

use ecs_common::containers::name_in_pod;
use gantry_sdk::api::Node;
use gantry_sdk::dialect::{Caller, ContainerUsage};
use gantry_sdk::objects;
use gantry_sdk::{ObjectRef, Value};

use crate::fault::Result;
use crate::object::{Definition, Task, items, text};
use crate::operations::Context;

/// A task, looked at.
pub struct View<'a> {
    pub context: &'a Context<'a>,
    pub caller: &'a Caller,
    pub task: Task,
    /// As it is now; null if it was taken away.
    pub definition: Value,
    /// The zone of its node; empty: not known.
    pub zone: String,
    /// The place of the container that the path names.
    pub asks: usize,
}

impl<'a> View<'a> {
    /// None if the task has no such container, or is over: a pod of its name would be another's then.
    pub fn new(context: &'a Context<'a>, caller: &'a Caller, task: Task, asks: usize) -> Result<Option<Self>> {
        let stopped = text(&task.status, "lastStatus") == "STOPPED";
        if stopped || asks >= items(&task.spec, "containers").len() {
            return Ok(None);
        }
        let definition = context.get::<Definition>(text(&task.spec, "taskDefinition"))?;
        let node = objects::get::<Node>(&ObjectRef::of::<Node>("", &caller.node))?;
        let zone = node.and_then(|node| node.metadata.labels.get("topology.kubernetes.io/zone").cloned());
        let definition = definition.map(|definition| definition.spec).unwrap_or_default();
        Ok(Some(Self { context, caller, task, definition, zone: zone.unwrap_or_default(), asks }))
    }

    /// What the task keeps of each of its containers, in the definition's order.
    pub fn containers(&self) -> &[Value] {
        items(&self.task.spec, "containers")
    }

    pub fn name(&self, index: usize) -> &str {
        self.containers().get(index).map_or("", |container| text(container, "name"))
    }

    /// What the definition says of a container; null if it is not there any more.
    pub fn defined(&self, index: usize) -> &Value {
        let all = items(&self.definition, "containerDefinitions");
        all.iter().find(|container| text(container, "name") == self.name(index)).unwrap_or(&Value::Null)
    }

    /// What the controller has seen of a container.
    pub fn state(&self, index: usize) -> &Value {
        let all = items(&self.task.status, "containers");
        all.iter().find(|state| text(state, "name") == self.name(index)).unwrap_or(&Value::Null)
    }

    /// What its node says that it uses; none if it does not run.
    pub fn usage(&self, index: usize) -> Option<&ContainerUsage> {
        let name = name_in_pod(index, self.name(index));
        self.caller.usage.as_ref()?.containers.iter().find(|usage| usage.name == name)
    }

    /// What its node calls it. Of one that has just started only the node knows yet.
    pub fn runtime_id(&self, index: usize) -> Option<&str> {
        let seen = Some(text(self.state(index), "runtimeId")).filter(|id| !id.is_empty());
        self.usage(index).map(|usage| usage.id.as_str()).or(seen)
    }

    pub fn desired(&self) -> &'static str {
        let stopping = |value: &Value| text(value, "desiredStatus") == "STOPPED";
        if stopping(&self.task.spec) || stopping(&self.task.status) { "STOPPED" } else { "RUNNING" }
    }

    pub fn cluster(&self) -> &str {
        text(&self.task.spec, "cluster")
    }

    pub fn task_arn(&self) -> String {
        self.context.options.task_arn(self.cluster(), &self.task.metadata.name)
    }

    pub fn revision(&self) -> String {
        self.task.spec.get("revision").and_then(Value::as_u64).unwrap_or_default().to_string()
    }
}

/// Sets a member that is known.
pub fn set(object: &mut Value, key: &str, value: Option<Value>) {
    if let (Some(map), Some(value)) = (object.as_object_mut(), value) {
        map.insert(key.to_owned(), value);
    }
}

/// A text that is known.
pub fn known(value: &Value, key: &str) -> Option<Value> {
    value.get(key).filter(|value| value.as_str().is_some_and(|text| !text.is_empty())).cloned()
}
