//! A pod as the fleet keeps it, and the status that it shows after each step.

use std::net::Ipv4Addr;

use gantry_model::Record;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::model::Step;
use crate::cluster::PodRef;
use crate::time::rfc3339;

/// The little that the model needs of a pod: thousands of these are held.
pub(super) struct Pod {
    pub(super) key: PodRef,
    pub(super) last: Option<Step>,
    pub(super) steps: u32,
    pub(super) restarts: u32,
    /// A write of this pod is under way.
    pub(super) busy: bool,
    pub(super) going: bool,
    started: Timestamp,
    address: Ipv4Addr,
    host: Ipv4Addr,
    spec: Spec,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Object {
    spec: Spec,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    restart_policy: String,
    host_network: bool,
    containers: Vec<Container>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Container {
    name: String,
    image: String,
}

impl Pod {
    pub(super) fn new(record: &Record, address: Ipv4Addr, host: Ipv4Addr, now: Timestamp) -> Self {
        let spec = serde_json::from_slice::<Object>(&record.json).unwrap_or_default().spec;
        let address = if spec.host_network { host } else { address };
        Self {
            key: PodRef::of(record),
            last: None,
            steps: 0,
            restarts: 0,
            busy: false,
            going: false,
            started: now,
            address,
            host,
            spec,
        }
    }

    /// Whether its containers end by themselves.
    pub(super) fn ends(&self) -> bool {
        self.spec.restart_policy != "Always" && !self.spec.restart_policy.is_empty()
    }

    /// What follows once it is to go: who waits for the end of its containers is told of it before it is gone.
    pub(super) fn leaving(&self) -> Step {
        if self.last == Some(Step::Run) { Step::End } else { Step::Vanish }
    }

    /// What the model knows it by: its name, since the uid is another in every run.
    pub(super) fn seed_name(&self) -> String {
        self.key.to_string()
    }

    /// Notes a step. Answers whether there is a status to write.
    pub(super) fn make(&mut self, step: Step) {
        self.last = Some(step);
        self.steps += 1;
        if step == Step::Crash {
            self.restarts += 1;
        }
    }

    /// The status after the last step.
    pub(super) fn status(&self, now: Timestamp) -> Value {
        let step = self.last.unwrap_or(Step::FailPull);
        let (phase, ready, reason) = match step {
            Step::FailPull => ("Pending", false, Some("ContainersNotReady")),
            Step::Run => ("Running", true, None),
            Step::Crash => ("Running", false, Some("ContainersNotReady")),
            Step::Finish | Step::Vanish => ("Succeeded", false, Some("PodCompleted")),
            Step::End => ("Failed", false, Some("PodFailed")),
        };
        let (now, started) = (rfc3339(now), rfc3339(self.started));
        let containers: Vec<Value> = self.spec.containers.iter().map(|c| self.container(c, step, &now)).collect();
        let condition = |type_: &str, ok: bool| match (ok, reason) {
            (false, Some(reason)) => {
                json!({"type": type_, "status": "False", "reason": reason, "lastTransitionTime": now})
            }
            _ => json!({"type": type_, "status": "True", "lastTransitionTime": now}),
        };
        json!({
            "phase": phase,
            "conditions": [
                condition("PodReadyToStartContainers", !matches!(step, Step::Finish | Step::End)),
                condition("Initialized", true), condition("Ready", ready),
                condition("ContainersReady", ready), condition("PodScheduled", true),
            ],
            "hostIP": self.host, "hostIPs": [{"ip": self.host}],
            "podIP": self.address, "podIPs": [{"ip": self.address}],
            "startTime": started,
            "containerStatuses": containers,
        })
    }

    fn container(&self, container: &Container, step: Step, now: &str) -> Value {
        let id = format!("hollow://{}-{}-{}", self.key.uid, container.name, self.restarts);
        let ended = |code: i32, reason: &str| json!({"terminated": {"exitCode": code, "reason": reason, "startedAt": now, "finishedAt": now, "containerID": id}});
        let state = match step {
            Step::FailPull => json!({"waiting": {"reason": "ErrImagePull", "message": "the model failed this pull"}}),
            Step::Run => json!({"running": {"startedAt": now}}),
            Step::Crash => {
                json!({"waiting": {"reason": "CrashLoopBackOff", "message": "the model crashed this container"}})
            }
            Step::Finish | Step::Vanish => ended(0, "Completed"),
            // By the signal to terminate, which it does not handle.
            Step::End => ended(143, "Error"),
        };
        let last = if self.restarts > 0 { ended(1, "Error") } else { json!({}) };
        let runs = step == Step::Run;
        json!({
            "name": container.name, "image": container.image, "imageID": "", "containerID": id,
            "ready": runs, "started": runs, "restartCount": self.restarts, "state": state, "lastState": last,
        })
    }
}
