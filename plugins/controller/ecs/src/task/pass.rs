//! One pass over a task: reads, lets the planner decide, writes.

use std::time::Duration;

use gantry_sdk::api::{Pod, Resource, Time};
use gantry_sdk::controller::Outcome;
use gantry_sdk::objects::{self, Write};
use gantry_sdk::{ObjectRef, Result, json, merge, serde_json};

use super::plan::{self, Act};
use super::{observe, pod};
use crate::object::{Task, TaskDefinition, TaskStatus};

/// How long a task can be described after it has stopped; about as long as ECS does.
const KEPT: Duration = Duration::from_secs(3600);

/// Brings a task's pod in line, and tells of it in the task's status.
pub fn reconcile(now: Time, key: &ObjectRef) -> Result<Outcome> {
    let target = ObjectRef::of::<Pod>(&key.namespace, &key.name);
    let Some(task) = objects::get::<Task>(key)? else { return orphaned(&target) };
    let pod = objects::get::<Pod>(&target)?.filter(|pod| pod.metadata.is_controlled_by(&task.metadata.uid));
    if task.status.last_status == "STOPPED" || task.metadata.is_deleting() {
        pod.as_ref().map_or(Ok(()), clear)?;
        return forget(now, &task);
    }
    let definition = ObjectRef::of::<TaskDefinition>(&key.namespace, &task.spec.task_definition);
    let Some(definition) = objects::get::<TaskDefinition>(&definition)? else { return unfounded(now, &task) };
    let (status, act) = plan::plan(now, &task, &definition.spec, pod.as_ref());
    match act {
        // The pod's name is the task's: whoever creates it twice finds the first.
        Act::Create => match objects::apply_one(Write::create_json(&pod::pod(&task, &definition.spec))) {
            Err(error) if error.is_already_exists() => {}
            answer => drop(answer?),
        },
        // What is known goes first: the pod may not be there any more when somebody looks again.
        Act::Delete => {
            write(&task, &status)?;
            gone(objects::apply_one(Write::delete(target)))?;
            return Ok(Outcome::Done);
        }
        Act::Keep => {}
    }
    write(&task, &status)?;
    // A task that has just stopped is woken by its own status, and lets its pod go then.
    Ok(Outcome::Done)
}

/// Lets a pod go whose task has its exit codes.
fn clear(pod: &Pod) -> Result<()> {
    if !pod.metadata.is_deleting() {
        gone(objects::apply_one(Write::delete(pod.reference()).if_uid(pod.uid())))?;
    }
    let over = observe::is_over(pod) || pod.status.container_statuses.is_empty();
    if over && pod.metadata.finalizers.iter().any(|name| name == pod::FINALIZER) {
        let kept: Vec<&String> = pod.metadata.finalizers.iter().filter(|name| *name != pod::FINALIZER).collect();
        let patch = json!({"metadata": {"finalizers": kept, "resourceVersion": pod.metadata.resource_version}});
        gone(objects::apply_one(Write::patch(pod.reference(), &patch)))?;
    }
    Ok(())
}

/// The task was taken away, not stopped: nobody asks for exit codes any more.
fn orphaned(target: &ObjectRef) -> Result<Outcome> {
    let pod = objects::get::<Pod>(target)?;
    let ours = pod.filter(|pod| pod.metadata.finalizers.iter().any(|name| name == pod::FINALIZER));
    ours.as_ref().map_or(Ok(()), clear)?;
    Ok(Outcome::Done)
}

fn gone<T>(answer: Result<T>) -> Result<()> {
    match answer {
        Err(error) if error.is_not_found() => Ok(()),
        answer => answer.map(drop),
    }
}

fn forget(now: Time, task: &Task) -> Result<Outcome> {
    let Some(stopped) = task.status.stopped_at else { return Ok(Outcome::Done) };
    let age = now.since(stopped);
    if age < KEPT {
        return Ok(Outcome::after(KEPT - age));
    }
    gone(objects::apply_one(Write::delete(task.reference()).if_uid(task.uid())))?;
    Ok(Outcome::Done)
}

/// Its definition was taken away before it began.
fn unfounded(now: Time, task: &Task) -> Result<Outcome> {
    let status = TaskStatus {
        last_status: "STOPPED".to_owned(),
        desired_status: "STOPPED".to_owned(),
        stop_code: "TaskFailedToStart".to_owned(),
        stopped_reason: format!("There is no TaskDefinition {}", task.spec.task_definition),
        stopped_at: Some(now),
        version: task.status.version + 1,
        ..task.status.clone()
    };
    write(task, &status)?;
    Ok(Outcome::Done)
}

fn write(task: &Task, status: &TaskStatus) -> Result<()> {
    let Some(patch) = merge::diff(&serde_json::to_value(&task.status)?, &serde_json::to_value(status)?) else {
        return Ok(());
    };
    gone(objects::apply_one(Write::patch_status(task.reference(), &json!({"status": patch})).if_uid(task.uid())))
}
