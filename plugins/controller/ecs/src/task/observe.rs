//! What a pod's status says about a task's containers.

use gantry_sdk::Value;
use gantry_sdk::api::Pod;

use super::pod::container_name;
use crate::object::{ContainerState, DefinitionSpec, text};

/// Reasons for which a container waits that do not pass by themselves.
const PULL: [&str; 4] = ["ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"];
const START: [&str; 4] = ["CreateContainerError", "CreateContainerConfigError", "RunContainerError", "StartError"];

/// What is known of each container, in the definition's order. What had ended stays so.
pub fn containers(definition: &DefinitionSpec, before: &[ContainerState], pod: Option<&Pod>) -> Vec<ContainerState> {
    let one = |(index, name): (usize, &String)| {
        let old = before.iter().find(|state| state.name == *name);
        match old {
            Some(old) if old.last_status == "STOPPED" => old.clone(),
            _ => seen(index, name, old, pod),
        }
    };
    definition.container_definitions.iter().map(|c| &c.name).enumerate().map(one).collect()
}

fn seen(index: usize, name: &str, old: Option<&ContainerState>, pod: Option<&Pod>) -> ContainerState {
    let mut state =
        old.cloned().unwrap_or_else(|| ContainerState { name: name.to_owned(), ..ContainerState::default() });
    if state.last_status.is_empty() {
        "PENDING".clone_into(&mut state.last_status);
    }
    let inner = container_name(index, name);
    let status = pod.and_then(|pod| pod.status.container_statuses.iter().find(|status| status.name == inner));
    let Some(status) = status else { return state };
    let all = Value::Object(status.other.clone());
    if let Some((_, id)) = text(&all, "/containerID").split_once("://") {
        id.clone_into(&mut state.runtime_id);
    }
    if let Some((_, digest)) = text(&all, "/imageID").rsplit_once('@') {
        digest.clone_into(&mut state.image_digest);
    }
    if let Some(ended) = all.pointer("/state/terminated") {
        "STOPPED".clone_into(&mut state.last_status);
        state.exit_code = ended.get("exitCode").and_then(Value::as_i64);
        state.reason = ending(ended);
    } else if all.pointer("/state/running").is_some() {
        "RUNNING".clone_into(&mut state.last_status);
    } else if let Some(reason) = failure(&all) {
        state.reason = reason;
    }
    state
}

/// ECS gives no reason for an ordinary end.
fn ending(ended: &Value) -> String {
    match (text(ended, "/reason"), text(ended, "/message")) {
        ("OOMKilled", _) => "OutOfMemoryError: Container killed due to memory usage".to_owned(),
        ("Completed" | "Error" | "", _) => String::new(),
        (reason, "") => reason.to_owned(),
        (reason, message) => format!("{reason}: {message}"),
    }
}

fn failure(status: &Value) -> Option<String> {
    let (reason, message) = (text(status, "/state/waiting/reason"), text(status, "/state/waiting/message"));
    let class = if PULL.contains(&reason) {
        "CannotPullContainerError"
    } else if START.contains(&reason) {
        "CannotStartContainerError"
    } else {
        return None;
    };
    Some(format!("{class}: {}", if message.is_empty() { reason } else { message }))
}

/// Whether nothing of the pod runs and nothing of it will.
pub fn is_over(pod: &Pod) -> bool {
    let running = |status: &gantry_sdk::api::ContainerStatus| {
        status.other.get("state").is_some_and(|state| state.get("running").is_some())
    };
    let placed = !pod.spec.node_name.is_empty();
    // Once its node has seen it off, the object has no grace left.
    let left = pod.metadata.is_deleting() && (!placed || pod.metadata.deletion_grace_period_seconds == Some(0));
    pod.is_finished() || left && !pod.status.container_statuses.iter().any(running)
}
