//! What follows from a task, its definition and its pod. Pure.

use gantry_sdk::api::{Condition, Pod, Time};

use super::definition::DefinitionSpec;
use super::{health, observe, order};
use crate::object::{ContainerState, Task, TaskStatus};

/// What to do with the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Nothing.
    Keep,
    /// Make it.
    Create,
    /// End it.
    Delete,
}

/// The status that the task has now, and what to do.
pub fn plan(now: Time, task: &Task, definition: &DefinitionSpec, pod: Option<&Pod>) -> (TaskStatus, Act) {
    let mut status = task.status.clone();
    status.containers = observe::containers(definition, &task.status.containers, pod);
    if let Some(pod) = pod {
        place(&mut status, pod);
        order::give_up(now, definition, &mut status.containers);
    }
    let ending = why_it_ends(task, definition, &status, pod);
    if let Some((code, reason)) = &ending
        && status.stop_code.is_empty()
    {
        status.stop_code.clone_from(code);
        status.stopped_reason.clone_from(reason);
        status.stopping_at = Some(now);
    }
    if status.stop_code.is_empty() {
        health::note(now, definition, pod, &mut status);
    }
    status.desired_status = if status.stop_code.is_empty() { "RUNNING" } else { "STOPPED" }.to_owned();
    let (last, act) = next(now, &status, pod);
    if last == "RUNNING" && status.started_at.is_none() {
        status.started_at = Some(now);
    }
    if last == "STOPPED" {
        end(&mut status, now);
    }
    last.clone_into(&mut status.last_status);
    if status != task.status {
        status.version = task.status.version + 1;
    }
    (status, act)
}

/// The status of a task that can't begin.
pub fn failed(now: Time, task: &Task, mut status: TaskStatus, reason: String) -> TaskStatus {
    "STOPPED".clone_into(&mut status.last_status);
    "STOPPED".clone_into(&mut status.desired_status);
    "TaskFailedToStart".clone_into(&mut status.stop_code);
    status.stopped_reason = reason;
    end(&mut status, now);
    status.version = task.status.version + 1;
    status
}

fn place(status: &mut TaskStatus, pod: &Pod) {
    pod.spec.node_name.clone_into(&mut status.node);
    let tried = Condition::find(&pod.status.conditions, "PodScheduled").filter(|tried| tried.status == "False");
    status.unplaced = tried.map(|tried| tried.message.clone()).unwrap_or_default();
    let addresses = pod.status.other.get("podIPs").and_then(|ips| ips.as_array()).into_iter().flatten();
    let addresses: Vec<String> = addresses.filter_map(|ip| ip.get("ip")?.as_str().map(str::to_owned)).collect();
    if !addresses.is_empty() {
        status.addresses = addresses;
    }
}

/// ECS's code and words for it; none while it is to go on.
fn why_it_ends(
    task: &Task,
    definition: &DefinitionSpec,
    status: &TaskStatus,
    pod: Option<&Pod>,
) -> Option<(String, String)> {
    let say = |code: &str, reason: &str| Some((code.to_owned(), reason.to_owned()));
    if task.spec.desired_status == "STOPPED" {
        let or = |text: &str, other: &str| if text.is_empty() { other.to_owned() } else { text.to_owned() };
        let code = or(&task.spec.stop_code, "UserInitiated");
        return Some((code, or(&task.spec.stopped_reason, "Task stopped by user")));
    }
    let state = |name: &str| status.containers.iter().find(|state| state.name == name);
    let mut essential = definition.container_definitions.iter().filter(|c| c.is_essential());
    if essential.any(|c| state(&c.name).is_some_and(|state| state.last_status == "STOPPED")) {
        return say("EssentialContainerExited", "Essential container in task exited");
    }
    let unstarted = |state: &&ContainerState| state.last_status == "PENDING" && !state.reason.is_empty();
    if let Some(failed) = status.containers.iter().find(unstarted) {
        return say("TaskFailedToStart", &failed.reason);
    }
    match pod {
        Some(pod) if pod.is_finished() && pod.status.reason.is_empty() => {
            say("EssentialContainerExited", "Essential container in task exited")
        }
        Some(pod) if pod.is_finished() => {
            say("TaskFailedToStart", &format!("{}: {}", pod.status.reason, pod.status.message))
        }
        Some(pod) if pod.metadata.is_deleting() => say("TerminationNotice", "Its pod was deleted"),
        None if !status.last_status.is_empty() && status.last_status != "PROVISIONING" => {
            say("TerminationNotice", "Its pod is gone")
        }
        _ => None,
    }
}

fn next(now: Time, status: &TaskStatus, pod: Option<&Pod>) -> (&'static str, Act) {
    let running = status.containers.iter().any(|state| state.last_status == "RUNNING");
    let pending = status.containers.iter().any(|state| state.last_status == "PENDING");
    match (status.stop_code.is_empty(), pod) {
        (true, None) => ("PROVISIONING", Act::Create),
        (true, Some(pod)) if pod.spec.node_name.is_empty() => ("PROVISIONING", Act::Keep),
        (true, Some(_)) if status.started_at.is_some() || running && !pending => ("RUNNING", Act::Keep),
        (true, Some(_)) => ("PENDING", Act::Keep),
        (false, None) => ("STOPPED", Act::Keep),
        (false, Some(pod)) if observe::is_over(now, pod) => ("STOPPED", Act::Keep),
        (false, Some(pod)) => {
            let act = if pod.metadata.is_deleting() { Act::Keep } else { Act::Delete };
            (if running { "STOPPING" } else { "DEPROVISIONING" }, act)
        }
    }
}

fn end(status: &mut TaskStatus, now: Time) {
    status.stopped_at.get_or_insert(now);
    for state in &mut status.containers {
        "STOPPED".clone_into(&mut state.last_status);
    }
}
