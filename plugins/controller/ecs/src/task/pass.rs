//! One pass over a task: reads, lets the planner decide, writes.

use std::net::SocketAddrV4;
use std::time::Duration;

use gantry_sdk::api::{Pod, Resource, Time};
use gantry_sdk::controller::Outcome;
use gantry_sdk::objects::{self, Write};
use gantry_sdk::{ErrorCode, ObjectRef, Result, json, merge, serde_json};

use super::definition::{DefinitionSpec, TaskDefinition};
use super::elsewhere::Fetched;
use super::plan::{self, Act};
use super::{elsewhere, health, observe, order, pod, ports};
use crate::controller::Options;
use crate::object::{Task, TaskStatus};

/// How long a task can be described after it has stopped; about as long as ECS does.
const KEPT: Duration = Duration::from_secs(3600);

/// Brings a task's pod in line, and tells of it in the task's status.
pub fn reconcile(now: Time, key: &ObjectRef, options: &Options) -> Result<Outcome> {
    let target = ObjectRef::of::<Pod>(&key.namespace, &key.name);
    let Some(task) = objects::get::<Task>(key)? else { return orphaned(now, &target) };
    let pod = objects::get::<Pod>(&target)?.filter(|pod| pod.metadata.is_controlled_by(&task.metadata.uid));
    if task.status.last_status == "STOPPED" || task.metadata.is_deleting() {
        if task.status.fetched_at.is_some() {
            elsewhere::clear(&task)?;
        }
        return match pod.as_ref().map_or(Ok(Outcome::Done), |pod| clear(now, pod))? {
            Outcome::Done => forget(now, &task),
            wait => Ok(wait),
        };
    }
    let definition = ObjectRef::of::<TaskDefinition>(&key.namespace, &task.spec.task_definition);
    let definition = objects::get::<TaskDefinition>(&definition)?.map(|definition| definition.spec);
    // What runs goes on when its definition is taken away.
    let known = definition.clone().unwrap_or_else(|| task.spec.kept());
    let (mut status, act) = plan::plan(now, &task, &known, pod.as_ref());
    match act {
        Act::Create => {
            // Names come before acts: with its ports written down, whoever makes the pod makes the same one.
            if let Some(chosen) = definition.as_ref().map_or(Ok(None), |d| ports::choose(&task, d))? {
                status.ports = chosen;
                write(&task, &status)?;
                return Ok(Outcome::Done);
            }
            let elsewhere = definition.as_ref().filter(|d| elsewhere::is_needed(d));
            // So that whoever stops it knows that there may be values to take away, also if this pass is cut short.
            if elsewhere.is_some() && status.fetched_at.is_none() {
                status.fetched_at = Some(now);
                write(&task, &status)?;
                return Ok(Outcome::Done);
            }
            let fetched =
                elsewhere.map_or(Ok(Fetched::All), |d| elsewhere::fetch(now, &task, d, &options.endpoints))?;
            let reason = match fetched {
                Fetched::Later(wait) => return Ok(Outcome::after(wait)),
                Fetched::Never(reason) => Some(reason),
                Fetched::All => create(&task, definition.as_ref(), options.metadata)?,
            };
            if let Some(reason) = reason {
                status = plan::failed(now, &task, status, reason);
            }
        }
        // What is known goes first: the pod may not be there any more when somebody looks again.
        Act::Delete => {
            write(&task, &status)?;
            objects::settle(Write::delete(target))?;
            return Ok(Outcome::Done);
        }
        Act::Keep => {}
    }
    write(&task, &status)?;
    // A task that has just stopped is woken by its own status, and lets its pod go then.
    Ok(again(now, &known, &status, pod.as_ref()))
}

/// When to look again though nothing changes.
fn again(now: Time, known: &DefinitionSpec, status: &TaskStatus, pod: Option<&Pod>) -> Outcome {
    let over = pod.and_then(|pod| observe::over_in(now, pod));
    let unwell = health::verdict_in(now, known, status);
    let late = order::late_in(now, known, &status.containers);
    let next = [over, unwell, late].into_iter().flatten().filter(|left| !left.is_zero()).min();
    next.map_or(Outcome::Done, Outcome::after)
}

/// When to look again at a pod of which no more is heard.
fn later(now: Time, pod: &Pod) -> Outcome {
    observe::over_in(now, pod).filter(|left| !left.is_zero()).map_or(Outcome::Done, Outcome::after)
}

/// Lets a pod go whose task has its exit codes, or when it is over.
fn clear(now: Time, pod: &Pod) -> Result<Outcome> {
    if !pod.metadata.is_deleting() {
        objects::settle(Write::delete(pod.reference()).if_uid(pod.uid()))?;
    }
    let over = observe::is_over(now, pod) || pod.status.container_statuses.is_empty();
    if over && pod.metadata.finalizers.iter().any(|name| name == pod::FINALIZER) {
        let kept: Vec<&String> = pod.metadata.finalizers.iter().filter(|name| *name != pod::FINALIZER).collect();
        let patch = json!({"metadata": {"finalizers": kept, "resourceVersion": pod.metadata.resource_version}});
        objects::settle(Write::patch(pod.reference(), &patch))?;
    }
    Ok(later(now, pod))
}

/// The task was taken away, not stopped: nobody asks for exit codes any more.
fn orphaned(now: Time, target: &ObjectRef) -> Result<Outcome> {
    let pod = objects::get::<Pod>(target)?;
    let ours = pod.filter(|pod| pod.metadata.finalizers.iter().any(|name| name == pod::FINALIZER));
    ours.as_ref().map_or(Ok(Outcome::Done), |pod| clear(now, pod))
}

fn forget(now: Time, task: &Task) -> Result<Outcome> {
    let Some(stopped) = task.status.stopped_at else { return Ok(Outcome::Done) };
    let age = now.since(stopped);
    if age < KEPT {
        return Ok(Outcome::after(KEPT - age));
    }
    objects::settle(Write::delete(task.reference()).if_uid(task.uid()))?;
    Ok(Outcome::Done)
}

/// Makes the pod; why there can never be one, if so.
fn create(task: &Task, definition: Option<&DefinitionSpec>, asked: Option<SocketAddrV4>) -> Result<Option<String>> {
    let Some(definition) = definition else {
        return Ok(Some(format!("There is no TaskDefinition {}", task.spec.task_definition)));
    };
    match objects::apply_one(Write::create_json(&pod::pod(task, definition, asked))) {
        // The pod's name is the task's: whoever creates it twice finds the first.
        Err(error) if error.is_already_exists() => Ok(None),
        // The same pod will be refused again, and the task stays what it is.
        Err(error) if error.code == ErrorCode::Invalid => Ok(Some(error.message)),
        answer => answer.map(|_| None),
    }
}

fn write(task: &Task, status: &TaskStatus) -> Result<()> {
    let Some(patch) = merge::diff(&serde_json::to_value(&task.status)?, &serde_json::to_value(status)?) else {
        return Ok(());
    };
    objects::settle(Write::patch_status(task.reference(), &json!({"status": patch})).if_uid(task.uid()))
}
