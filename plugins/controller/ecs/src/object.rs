//! The kinds of this plugin, as far as it reads and writes them. Words and shapes in specs are those of ECS's API.

use ecs_common::placement::{Constraint, Strategy};
use gantry_sdk::api::{ObjectMeta, Time, or_default};
use serde::{Deserialize, Serialize};

use crate::task::definition::{ContainerDefinition, DefinitionSpec, Pair};

/// A task.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Task {
    /// Its name is the task's id.
    pub metadata: ObjectMeta,
    /// What is wanted.
    pub spec: TaskSpec,
    /// What is.
    pub status: TaskStatus,
}

/// `spec` of a Task
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TaskSpec {
    /// The cluster's name in ECS.
    #[serde(deserialize_with = "or_default")]
    pub cluster: String,
    /// The name of the TaskDefinition object.
    #[serde(deserialize_with = "or_default")]
    pub task_definition: String,
    /// Among whom it counts when tasks are spread.
    #[serde(deserialize_with = "or_default")]
    pub group: String,
    /// Where it must not go: what the definition says, and who started it.
    #[serde(deserialize_with = "or_default")]
    pub placement_constraints: Vec<Constraint>,
    /// What is best of the rest.
    #[serde(deserialize_with = "or_default")]
    pub placement_strategy: Vec<Strategy>,
    /// What RunTask changes in the definition.
    #[serde(deserialize_with = "or_default")]
    pub overrides: Overrides,
    /// In the definition's order.
    #[serde(deserialize_with = "or_default")]
    pub containers: Vec<Kept>,
    /// `RUNNING` or `STOPPED`.
    #[serde(deserialize_with = "or_default")]
    pub desired_status: String,
    /// Why it is to stop, when that is wanted.
    #[serde(deserialize_with = "or_default")]
    pub stop_code: String,
    /// The same for people.
    #[serde(deserialize_with = "or_default")]
    pub stopped_reason: String,
    /// The only node where it may be; empty: any.
    #[serde(deserialize_with = "or_default")]
    pub node: String,
    /// The Auto Scaling group to whose nodes it may go; empty: any.
    #[serde(deserialize_with = "or_default")]
    pub auto_scaling_group: String,
}

/// `containers[]` of a task: what it keeps of its definition, which may be taken away.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    /// As in the definition.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// Whether its end is that of the task. Yes, unless said otherwise.
    pub essential: Option<bool>,
}

/// `overrides` of a task
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Overrides {
    /// Of containers, by name.
    #[serde(deserialize_with = "or_default")]
    pub container_overrides: Vec<ContainerOverride>,
    /// CPU units.
    pub cpu: Option<String>,
    /// MiB.
    pub memory: Option<String>,
}

/// `overrides.containerOverrides[]`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerOverride {
    /// Which container.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// Its command.
    pub command: Option<Vec<String>>,
    /// Added to, and before, its own.
    #[serde(deserialize_with = "or_default")]
    pub environment: Vec<Pair>,
    /// CPU units.
    pub cpu: Option<u64>,
    /// MiB.
    pub memory: Option<u64>,
    /// MiB.
    pub memory_reservation: Option<u64>,
}

/// `status` of a Task
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TaskStatus {
    /// `PROVISIONING`, `PENDING`, `RUNNING`, `STOPPING`, `DEPROVISIONING` or `STOPPED`; empty before the first pass.
    pub last_status: String,
    /// `STOPPED` once it ends, whoever wants that.
    pub desired_status: String,
    /// `UserInitiated` and so on.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stop_code: String,
    /// The same for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stopped_reason: String,
    /// In the definition's order.
    pub containers: Vec<ContainerState>,
    /// The node that it is on.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub node: String,
    /// Why it has none, in the scheduler's words; empty when it has, or nobody has tried.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub unplaced: String,
    /// Addresses of its pod.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// Ports of the node that were chosen for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<ChosenPort>,
    /// Since when values are read for it, which Secrets of its own have; none: there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fetched_at: Option<Time>,
    /// `HEALTHY`, `UNHEALTHY` or `UNKNOWN`; empty when no essential container has a health check.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub health_status: String,
    /// When all essential containers with a health check first passed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthy_at: Option<Time>,
    /// When all its containers had started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it began to stop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopping_at: Option<Time>,
    /// When the last container had ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped_at: Option<Time>,
    /// Grows with every change of this status.
    pub version: u64,
}

/// `status.ports[]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ChosenPort {
    /// Whose.
    pub container: String,
    /// Where it listens.
    pub container_port: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// The node's.
    pub host_port: u16,
}

/// `status.containers[]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerState {
    /// As in the definition.
    pub name: String,
    /// `PENDING`, `RUNNING` or `STOPPED`.
    pub last_status: String,
    /// The runtime's name for it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub runtime_id: String,
    /// `sha256:…`
    #[serde(skip_serializing_if = "String::is_empty")]
    pub image_digest: String,
    /// Once it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i64>,
    /// What went wrong.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// When it began to run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// `HEALTHY`, `UNHEALTHY` or `UNKNOWN`; empty when it has no health check.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub health_status: String,
}

impl TaskSpec {
    /// As much of the definition as the task has itself: enough to see it through, not to begin it.
    pub fn kept(&self) -> DefinitionSpec {
        let container = |kept: &Kept| ContainerDefinition {
            name: kept.name.clone(),
            essential: kept.essential,
            ..ContainerDefinition::default()
        };
        let container_definitions = self.containers.iter().map(container).collect();
        DefinitionSpec { container_definitions, ..DefinitionSpec::default() }
    }
}

gantry_sdk::resource!(Task, "ecs.gantry.dev", "v1", "Task");
