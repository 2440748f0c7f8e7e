//! The status of one container.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus,
};

use super::Seen;
use crate::agent::desired::{Role, Unit};
use crate::agent::instance::{End, Instance, Life};

pub(super) fn status(seen: &Seen<'_>, unit: &Unit) -> ContainerStatus {
    let mut instances: Vec<&Instance> = seen.instances.iter().filter(|i| i.container == unit.name()).collect();
    instances.sort_by_key(|instance| std::cmp::Reverse(instance.attempt));
    // One that was made and not started has not begun.
    let mut begun = instances.iter().filter(|instance| instance.life != Life::Created);
    let (latest, previous) = (begun.next().copied(), begun.next().copied());
    let waiting = seen.plan.waiting.get(unit.name()).filter(|_| latest.is_none_or(|i| !i.is_running()));
    let (state, last) = match (latest, waiting) {
        (latest, Some(waiting)) => {
            let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            let waiting = ContainerStateWaiting { reason: text(&waiting.reason), message: text(&waiting.message) };
            (ContainerState { waiting: Some(waiting), ..ContainerState::default() }, latest)
        }
        (Some(latest), None) => (state(seen, latest), previous),
        (None, None) => (ContainerState::default(), None),
    };
    let restored = seen.desired.status().and_then(|status| old(status, unit.name()));
    let last = last.map(|instance| self::state(seen, instance)).or_else(|| remembered(latest, restored));
    ContainerStatus {
        name: unit.name().to_owned(),
        image: latest.map_or_else(|| unit.spec.image.clone().unwrap_or_default(), |i| i.image.clone()),
        image_id: latest.map(|i| i.image_id.clone()).unwrap_or_default(),
        container_id: latest.map(|i| container_id(seen, i)),
        restart_count: latest.map_or(0, |i| i32::try_from(i.attempt).unwrap_or(i32::MAX)),
        ready: is_ready(seen, unit, latest),
        started: Some(latest.is_some_and(|i| i.is_running() && started(seen, i))),
        state: Some(state),
        last_state: Some(last.unwrap_or_default()),
        ..ContainerStatus::default()
    }
}

/// What came before is gone from the runtime: the status that was written still tells.
fn remembered(latest: Option<&Instance>, old: Option<&ContainerStatus>) -> Option<ContainerState> {
    let (latest, old) = (latest?, old?);
    let same = i64::from(old.restart_count) == i64::from(latest.attempt);
    old.last_state.clone().filter(|last| same && last.terminated.is_some())
}

fn old<'a>(status: &'a k8s_openapi::api::core::v1::PodStatus, name: &str) -> Option<&'a ContainerStatus> {
    status.init_container_statuses.iter().chain(&status.container_statuses).flatten().find(|old| old.name == name)
}

fn is_ready(seen: &Seen<'_>, unit: &Unit, latest: Option<&Instance>) -> bool {
    match (unit.role, latest) {
        (_, None) => false,
        // An init container that is done counts as ready.
        (Role::Init, Some(latest)) => !latest.former && latest.end().is_some_and(|end| end.code == 0),
        (_, Some(latest)) => latest.is_running() && seen.health.get(&latest.id).is_some_and(|h| h.ready && h.started),
    }
}

fn started(seen: &Seen<'_>, instance: &Instance) -> bool {
    seen.health.get(&instance.id).is_some_and(|health| health.started && health.hooked)
}

fn container_id(seen: &Seen<'_>, instance: &Instance) -> String {
    format!("{}://{}", seen.runtime, instance.id)
}

fn state(seen: &Seen<'_>, instance: &Instance) -> ContainerState {
    match &instance.life {
        Life::Created => ContainerState::default(),
        Life::Running => {
            let running = ContainerStateRunning { started_at: instance.started.map(crate::time::api) };
            ContainerState { running: Some(running), ..ContainerState::default() }
        }
        Life::Ended(end) => ContainerState {
            terminated: Some(terminated(end, instance.started, container_id(seen, instance))),
            ..ContainerState::default()
        },
    }
}

fn terminated(end: &End, started: Option<Timestamp>, id: String) -> ContainerStateTerminated {
    ContainerStateTerminated {
        container_id: Some(id),
        exit_code: end.code,
        started_at: started.map(crate::time::api),
        finished_at: Some(crate::time::api(end.at)),
        reason: Some(end.reason.clone()),
        message: (!end.message.is_empty()).then(|| end.message.clone()),
        signal: None,
    }
}
