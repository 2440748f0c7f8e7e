//! The status that a pod shows: a function of its spec, its containers and what was shown before.

mod conditions;
mod containers;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, HostIP, PodIP, PodStatus};
use serde_json::Value;

use super::desired::{Desired, Role};
use super::instance::Instance;
use super::planner::{Health, Outcome, Plan};

/// What a status is made of.
#[derive(Clone, Debug)]
pub struct Seen<'a> {
    /// The pod.
    pub desired: &'a Desired,
    /// Its instances.
    pub instances: &'a [Instance],
    /// What is known of running ones, by id.
    pub health: &'a HashMap<String, Health>,
    /// What comes next.
    pub plan: &'a Plan,
    /// Volumes and network are there.
    pub prepared: bool,
    /// Nothing of it is left on the node but dead containers.
    pub torn_down: bool,
    /// The pod's addresses; empty: those that the status has.
    pub addresses: &'a [IpAddr],
    /// The node's addresses.
    pub host: &'a [IpAddr],
    /// When the agent took the pod up.
    pub started: Timestamp,
    /// Why the pod failed, where it is not for its containers: reason and message.
    pub verdict: Option<&'a (String, String)>,
    /// The runtime's name, for container ids.
    pub runtime: &'a str,
    /// Now.
    pub now: Timestamp,
}

/// The whole status, as the API has it.
pub fn status(seen: &Seen<'_>) -> Value {
    serde_json::to_value(build(seen)).unwrap_or_default()
}

fn build(seen: &Seen<'_>) -> PodStatus {
    let previous = seen.desired.status().cloned().unwrap_or_default();
    let container = |role_is_main: bool| -> Option<Vec<ContainerStatus>> {
        let units = seen.desired.units.iter().filter(|unit| (unit.role == Role::Main) == role_is_main);
        let statuses: Vec<ContainerStatus> = units.map(|unit| containers::status(seen, unit)).collect();
        (!statuses.is_empty()).then_some(statuses)
    };
    let mut status = PodStatus {
        container_statuses: container(true),
        init_container_statuses: container(false),
        host_ip: seen.host.first().map(ToString::to_string),
        host_ips: (!seen.host.is_empty()).then(|| seen.host.iter().map(|ip| HostIP { ip: ip.to_string() }).collect()),
        start_time: Some(previous.start_time.clone().unwrap_or_else(|| crate::time::api(seen.started))),
        ..previous
    };
    if !seen.addresses.is_empty() {
        status.pod_ip = seen.addresses.first().map(ToString::to_string);
        status.pod_ips = Some(seen.addresses.iter().map(|ip| PodIP { ip: ip.to_string() }).collect());
    }
    status.phase = Some(phase(seen, &status).to_owned());
    if let Some((reason, message)) = seen.verdict {
        (status.reason, status.message) = (Some(reason.clone()), Some(message.clone()));
    }
    status.conditions = Some(conditions::conditions(seen, &status));
    status
}

/// The kubelet's rules. A pod that came to its end stays there; one that was stopped comes to its end when nothing of
/// it runs any more.
fn phase(seen: &Seen<'_>, status: &PodStatus) -> &'static str {
    match seen.desired.status().and_then(|status| status.phase.as_deref()) {
        Some("Succeeded") => return "Succeeded",
        Some("Failed") => return "Failed",
        _ => {}
    }
    let quiet = !seen.instances.iter().any(Instance::is_running);
    match (seen.verdict, seen.plan.outcome) {
        (Some(_), _) if seen.torn_down => return "Failed",
        (None, Some(outcome)) if seen.torn_down => return of(outcome),
        (None, None) if seen.torn_down && quiet => return of(stopped(seen)),
        _ => {}
    }
    if !seen.plan.initialized {
        return "Pending";
    }
    running_phase(status)
}

fn of(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded => "Succeeded",
        Outcome::Failed => "Failed",
    }
}

/// How a pod that was deleted ended.
fn stopped(seen: &Seen<'_>) -> Outcome {
    let succeeded = seen.desired.units.iter().filter(|unit| unit.role == Role::Main).all(|unit| {
        let of_unit = seen.instances.iter().filter(|i| i.container == unit.name());
        of_unit.max_by_key(|i| i.attempt).and_then(Instance::end).is_some_and(|end| end.code == 0)
    });
    if succeeded { Outcome::Succeeded } else { Outcome::Failed }
}

fn running_phase(status: &PodStatus) -> &'static str {
    let (mut running, mut waiting, mut ended) = (0, 0, 0);
    for container in status.container_statuses.iter().flatten() {
        let terminated = |state: &Option<k8s_openapi::api::core::v1::ContainerState>| {
            state.as_ref().is_some_and(|state| state.terminated.is_some())
        };
        match &container.state {
            Some(state) if state.running.is_some() => running += 1,
            Some(state) if state.terminated.is_some() => ended += 1,
            _ if terminated(&container.last_state) => ended += 1,
            _ => waiting += 1,
        }
    }
    if waiting == 0 && running + ended > 0 { "Running" } else { "Pending" }
}
