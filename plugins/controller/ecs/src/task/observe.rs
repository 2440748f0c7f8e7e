//! What a pod's status says about a task's containers.

use std::time::Duration;

use ecs_common::containers::name_in_pod;
use gantry_sdk::Value;
use gantry_sdk::api::{ContainerStatus, Pod, Time, text};

use super::definition::{ContainerDefinition, DefinitionSpec};
use crate::object::ContainerState;

/// Reasons for which a container waits that do not pass by themselves.
const PULL: [&str; 4] = ["ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"];
const START: [&str; 4] = ["CreateContainerError", "CreateContainerConfigError", "RunContainerError", "StartError"];
/// What a container waited for can't come any more.
const DEPENDENCY: &str = "DependencyFailed";
/// What a container is made of is not there: its secrets, if it has any.
const CONFIGURATION: &str = "CreateContainerConfigError";

/// A pod whose containers are still said to run so long after its last moment is forgotten: a node that knows of it would
/// have ended it within seconds, and said so.
const FORGOTTEN: Duration = Duration::from_secs(30);

/// What is known of each container, in the definition's order. What had ended stays so.
pub fn containers(definition: &DefinitionSpec, before: &[ContainerState], pod: Option<&Pod>) -> Vec<ContainerState> {
    let one = |(index, container): (usize, &ContainerDefinition)| {
        let old = before.iter().find(|state| state.name == container.name);
        match old {
            Some(old) if old.last_status == "STOPPED" => old.clone(),
            _ => seen(index, container, old, pod),
        }
    };
    definition.container_definitions.iter().enumerate().map(one).collect()
}

fn seen(
    index: usize,
    container: &ContainerDefinition,
    old: Option<&ContainerState>,
    pod: Option<&Pod>,
) -> ContainerState {
    let name = &container.name;
    let mut state = old.cloned().unwrap_or_else(|| ContainerState { name: name.clone(), ..ContainerState::default() });
    if state.last_status.is_empty() {
        "PENDING".clone_into(&mut state.last_status);
    }
    let inner = name_in_pod(index, name);
    let status = pod.and_then(|pod| pod.status.container_statuses.iter().find(|status| status.name == inner));
    let Some(status) = status else { return state };
    let all = Value::Object(status.other.clone());
    let began =
        ["/state/running/startedAt", "/state/terminated/startedAt"].iter().find_map(|at| all.pointer(at)?.as_str());
    state.started_at = began.and_then(|at| Time::parse(at).ok()).or(state.started_at);
    if let Some((_, id)) = text(&all, "containerID").split_once("://") {
        id.clone_into(&mut state.runtime_id);
    }
    if let Some((_, digest)) = text(&all, "imageID").rsplit_once('@') {
        digest.clone_into(&mut state.image_digest);
    }
    if let Some(ended) = all.pointer("/state/terminated") {
        "STOPPED".clone_into(&mut state.last_status);
        state.exit_code = ended.get("exitCode").and_then(Value::as_i64);
        state.reason = ending(ended);
    } else if all.pointer("/state/running").is_some() {
        "RUNNING".clone_into(&mut state.last_status);
    } else if let Some(reason) = failure(&all, !container.secrets.is_empty()) {
        state.reason = reason;
    }
    state
}

/// ECS gives no reason for an ordinary end.
fn ending(ended: &Value) -> String {
    match (text(ended, "reason"), text(ended, "message")) {
        ("OOMKilled", _) => "OutOfMemoryError: Container killed due to memory usage".to_owned(),
        ("Completed" | "Error" | "", _) => String::new(),
        (reason, "") => reason.to_owned(),
        (reason, message) => format!("{reason}: {message}"),
    }
}

fn failure(status: &Value, secrets: bool) -> Option<String> {
    let waiting = status.pointer("/state/waiting")?;
    let (reason, message) = (text(waiting, "reason"), text(waiting, "message"));
    let class = if PULL.contains(&reason) {
        "CannotPullContainerError"
    } else if secrets && reason == CONFIGURATION {
        "ResourceInitializationError: unable to pull secrets or registry auth"
    } else if START.contains(&reason) || reason == DEPENDENCY {
        "CannotStartContainerError"
    } else {
        return None;
    };
    Some(format!("{class}: {}", if message.is_empty() { reason } else { message }))
}

/// Whether nothing of the pod runs and nothing of it will.
pub fn is_over(now: Time, pod: &Pod) -> bool {
    over_in(now, pod) == Some(Duration::ZERO)
}

/// In how long that is so; none when only its node can tell.
pub fn over_in(now: Time, pod: &Pod) -> Option<Duration> {
    if pod.is_finished() {
        return Some(Duration::ZERO);
    }
    let end = pod.metadata.deletion_timestamp?;
    // Once its node has seen it off, or is gone, the object has no grace left.
    if !pod.spec.node_name.is_empty() && pod.metadata.deletion_grace_period_seconds != Some(0) {
        return None;
    }
    let running = |status: &ContainerStatus| status.other.get("state").is_some_and(|s| s.get("running").is_some());
    if !pod.status.container_statuses.iter().any(running) {
        return Some(Duration::ZERO);
    }
    Some(FORGOTTEN.saturating_sub(now.since(end)))
}
