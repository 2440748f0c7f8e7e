//! The conditions of a pod. Those that are others' are kept as they are.

use k8s_openapi::api::core::v1::{ContainerStatus, PodCondition, PodStatus};

use super::Seen;
use crate::agent::desired::Role;

/// Conditions that the agent writes, in the order in which they are shown.
const OWN: [&str; 5] = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"];

struct Finding {
    ok: bool,
    reason: &'static str,
    message: String,
}

impl Finding {
    fn yes() -> Self {
        Self { ok: true, reason: "", message: String::new() }
    }

    fn no(reason: &'static str, message: impl Into<String>) -> Self {
        Self { ok: false, reason, message: message.into() }
    }
}

pub(super) fn conditions(seen: &Seen<'_>, status: &PodStatus) -> Vec<PodCondition> {
    let old = seen.desired.status().and_then(|status| status.conditions.clone()).unwrap_or_default();
    let containers = containers_ready(seen, status);
    let findings = [
        if seen.prepared && !seen.torn_down { Finding::yes() } else { Finding::no("", "") },
        initialized(seen, status),
        ready(seen, &containers, &old),
        containers,
        Finding::yes(),
    ];
    let mut all: Vec<PodCondition> =
        OWN.iter().zip(findings).map(|(type_, finding)| condition(seen, type_, finding, &old)).collect();
    all.extend(old.into_iter().filter(|condition| !OWN.contains(&condition.type_.as_str())));
    all
}

fn condition(seen: &Seen<'_>, type_: &str, finding: Finding, old: &[PodCondition]) -> PodCondition {
    let status = if finding.ok { "True" } else { "False" };
    let since = old.iter().find(|old| old.type_ == type_ && old.status == status);
    let since = since.and_then(|old| old.last_transition_time.clone());
    PodCondition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: (!finding.reason.is_empty()).then(|| finding.reason.to_owned()),
        message: (!finding.message.is_empty()).then_some(finding.message),
        last_transition_time: Some(since.unwrap_or_else(|| crate::time::api(seen.now))),
        ..PodCondition::default()
    }
}

fn initialized(seen: &Seen<'_>, status: &PodStatus) -> Finding {
    if seen.plan.initialized {
        return match status.phase.as_deref() {
            Some("Succeeded") => Finding { ok: true, reason: "PodCompleted", message: String::new() },
            _ => Finding::yes(),
        };
    }
    let incomplete = status.init_container_statuses.iter().flatten().filter(|container| {
        let sidecar = seen.desired.unit(&container.name).is_some_and(|unit| unit.role == Role::Sidecar);
        if sidecar { container.started != Some(true) } else { !container.ready }
    });
    let names = names(incomplete);
    Finding::no("ContainersNotInitialized", format!("containers with incomplete status: [{names}]"))
}

fn containers_ready(seen: &Seen<'_>, status: &PodStatus) -> Finding {
    match status.phase.as_deref() {
        Some("Succeeded") => return Finding::no("PodCompleted", ""),
        Some("Failed") => return Finding::no("PodFailed", ""),
        _ => {}
    }
    let sidecars = status
        .init_container_statuses
        .iter()
        .flatten()
        .filter(|container| seen.desired.unit(&container.name).is_some_and(|unit| unit.role == Role::Sidecar));
    let unready = names(sidecars.chain(status.container_statuses.iter().flatten()).filter(|c| !c.ready));
    if unready.is_empty() {
        Finding::yes()
    } else {
        Finding::no("ContainersNotReady", format!("containers with unready status: [{unready}]"))
    }
}

fn ready(seen: &Seen<'_>, containers: &Finding, old: &[PodCondition]) -> Finding {
    if !containers.ok {
        return Finding::no(containers.reason, containers.message.clone());
    }
    let gates = seen.desired.pod.spec.iter().flat_map(|spec| spec.readiness_gates.iter().flatten());
    let complaints: Vec<String> = gates
        .filter_map(|gate| {
            let type_ = &gate.condition_type;
            match old.iter().find(|condition| condition.type_ == *type_) {
                None => Some(format!("corresponding condition of pod readiness gate \"{type_}\" does not exist.")),
                Some(c) if c.status == "True" => None,
                Some(c) => {
                    Some(format!("the status of pod readiness gate \"{type_}\" is not \"True\", but {}", c.status))
                }
            }
        })
        .collect();
    match complaints.as_slice() {
        [] => Finding::yes(),
        many => Finding::no("ReadinessGatesNotReady", many.join(", ")),
    }
}

fn names<'a>(containers: impl Iterator<Item = &'a ContainerStatus>) -> String {
    containers.map(|container| container.name.as_str()).collect::<Vec<_>>().join(" ")
}
