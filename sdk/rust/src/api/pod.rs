use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Affinity, Condition, LabelSelector, ObjectMeta, Other, Quantity, Resource, Time};

/// `v1` Pod
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pod {
    /// Its name, labels and so on.
    pub metadata: ObjectMeta,
    /// What is wanted.
    pub spec: PodSpec,
    /// What is.
    pub status: PodStatus,
}

/// What controllers make pods from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PodTemplateSpec {
    /// Labels and annotations of the pods.
    pub metadata: ObjectMeta,
    /// Their spec.
    pub spec: PodSpec,
}

/// `spec` of a Pod
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSpec {
    /// At least one.
    pub containers: Vec<Container>,
    /// Run to their end, one after the other, before the containers; those with restartPolicy `Always` go on running.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub init_containers: Vec<Container>,
    /// Where it runs; empty until it is placed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub node_name: String,
    /// Labels that the node must have.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Towards or away from nodes and pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// Taints that it bears.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Toleration>,
    /// How evenly pods are to lie over domains.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// What the runtime needs besides the containers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub overhead: BTreeMap<String, Quantity>,
    /// Higher goes first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// Which policy places it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub scheduler_name: String,
    /// `Always`, `OnFailure` or `Never`; empty: `Always`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub restart_policy: String,
    /// Uses the node's network.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub host_network: bool,
    /// Seconds between the request to stop and the kill.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub termination_grace_period_seconds: Option<i64>,
    /// The rest.
    #[serde(flatten)]
    pub other: Other,
}

/// `spec.containers[]` and `spec.initContainers[]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Container {
    /// Unique in the pod.
    pub name: String,
    /// The image's reference.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// Ports.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<ContainerPort>,
    /// What it asks for and may use.
    #[serde(skip_serializing_if = "ResourceRequirements::is_empty")]
    pub resources: ResourceRequirements,
    /// `Always` makes an init container a sidecar.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub restart_policy: String,
    /// The rest.
    #[serde(flatten)]
    pub other: Other,
}

/// `spec.containers[].ports[]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerPort {
    /// Where it listens.
    pub container_port: u16,
    /// A port of the node that leads to it; 0: none.
    #[serde(skip_serializing_if = "is_zero")]
    pub host_port: u16,
    /// The node's address for it; empty: all.
    #[serde(rename = "hostIP", skip_serializing_if = "String::is_empty")]
    pub host_ip: String,
    /// `TCP`, `UDP` or `SCTP`; empty: TCP.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub protocol: String,
    /// The rest.
    #[serde(flatten)]
    pub other: Other,
}

/// `resources`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResourceRequirements {
    /// What must be there. A resource that only has a limit has that as its request.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub requests: BTreeMap<String, Quantity>,
    /// What it may use at most.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, Quantity>,
    /// The rest.
    #[serde(flatten)]
    pub other: Other,
}

/// `spec.tolerations[]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Toleration {
    /// Empty with the operator `Exists`: every taint.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// `Equal` (also when empty) or `Exists`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub operator: String,
    /// For `Equal`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// Empty: every effect.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub effect: String,
    /// For NoExecute; none: for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub toleration_seconds: Option<i64>,
}

/// `spec.topologySpreadConstraints[]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopologySpreadConstraint {
    /// Pods that a domain may have more than the emptiest.
    pub max_skew: i32,
    /// A node label; nodes with the same value are one domain.
    pub topology_key: String,
    /// `DoNotSchedule` or `ScheduleAnyway`.
    pub when_unsatisfiable: String,
    /// The pods that are counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<LabelSelector>,
    /// The rest.
    #[serde(flatten)]
    pub other: Other,
}

/// `status` of a Pod
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodStatus {
    /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub phase: String,
    /// `Ready`, `PodScheduled` and others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// One a container.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub container_statuses: Vec<ContainerStatus>,
    /// When the node took it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// CamelCase, for programs.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The rest.
    #[serde(flatten)]
    pub other: Other,
}

/// `status.containerStatuses[]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerStatus {
    /// The container's name.
    pub name: String,
    /// Passes its readiness probe.
    pub ready: bool,
    /// How often it was started again.
    pub restart_count: i32,
    /// The rest.
    #[serde(flatten)]
    pub other: Other,
}

impl Pod {
    /// The condition of a type, if it is true.
    fn holding(&self, condition_type: &str) -> Option<&Condition> {
        Condition::find(&self.status.conditions, condition_type).filter(|c| c.holds())
    }

    /// Can it take traffic?
    pub fn is_ready(&self) -> bool {
        self.holding("Ready").is_some()
    }

    /// Has it been ready, without a break, for so long?
    pub fn is_available(&self, min_ready: std::time::Duration, now: Time) -> bool {
        let Some(ready) = self.holding("Ready") else { return false };
        min_ready.is_zero() || ready.last_transition_time.is_some_and(|since| now.since(since) >= min_ready)
    }

    /// Has it ended, well or badly?
    pub fn is_finished(&self) -> bool {
        matches!(self.status.phase.as_str(), "Succeeded" | "Failed")
    }

    /// Does it run or will it: neither ended nor being deleted?
    pub fn is_active(&self) -> bool {
        !self.is_finished() && !self.metadata.is_deleting()
    }
}

impl ResourceRequirements {
    /// Nothing asked, nothing limited.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.limits.is_empty() && self.other.is_empty()
    }

    /// What is asked of each resource: the request, or else the limit.
    pub fn effective_requests(&self) -> impl Iterator<Item = (&String, &Quantity)> {
        let only_limited = self.limits.iter().filter(|(name, _)| !self.requests.contains_key(*name));
        self.requests.iter().chain(only_limited)
    }
}

impl Resource for Pod {
    const GROUP: &'static str = "";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "Pod";

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

fn is_zero(n: &u16) -> bool {
    *n == 0
}
