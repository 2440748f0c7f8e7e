//! The kinds of this plugin, as far as it reads and writes them. Words and shapes in specs are those of ECS's API.

use gantry_sdk::Value;
use gantry_sdk::api::{ObjectMeta, Time};
use serde::{Deserialize, Serialize};

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
    pub cluster: String,
    /// The name of the TaskDefinition object.
    pub task_definition: String,
    /// What RunTask changes in the definition.
    pub overrides: Overrides,
    /// `RUNNING` or `STOPPED`.
    pub desired_status: String,
    /// Why it is to stop, when that is wanted.
    pub stop_code: String,
    /// The same for people.
    pub stopped_reason: String,
}

/// `overrides` of a task
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Overrides {
    /// Of containers, by name.
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
    pub name: String,
    /// Its command.
    pub command: Option<Vec<String>>,
    /// Added to, and before, its own.
    pub environment: Vec<Pair>,
    /// CPU units.
    pub cpu: Option<u64>,
    /// MiB.
    pub memory: Option<u64>,
    /// MiB.
    pub memory_reservation: Option<u64>,
}

/// A variable of the environment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pair {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
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
    /// Addresses of its pod.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
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
}

/// A revision of what tasks are made from.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskDefinition {
    /// Its name is made of family and revision.
    pub metadata: ObjectMeta,
    /// What it says.
    pub spec: DefinitionSpec,
}

/// `spec` of a TaskDefinition
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DefinitionSpec {
    /// `bridge` (also when empty), `awsvpc` or `host`.
    pub network_mode: String,
    /// At least one.
    pub container_definitions: Vec<ContainerDefinition>,
    /// What machines it is for.
    pub runtime_platform: Platform,
    /// CPU units of the task.
    pub cpu: Option<String>,
    /// MiB of the task.
    pub memory: Option<String>,
}

/// `runtimePlatform`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Platform {
    /// `X86_64` or `ARM64`; empty: any.
    pub cpu_architecture: String,
    /// `LINUX`, or a Windows; empty: any.
    pub operating_system_family: String,
}

/// `containerDefinitions[]`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerDefinition {
    /// Unique in the definition.
    pub name: String,
    /// The image's reference.
    pub image: String,
    /// CPU units.
    pub cpu: u64,
    /// Hard limit in MiB.
    pub memory: Option<u64>,
    /// What must be there, in MiB.
    pub memory_reservation: Option<u64>,
    /// Whether its end is that of the task. Yes, unless said otherwise.
    pub essential: Option<bool>,
    /// The image's entry point, replaced.
    pub entry_point: Option<Vec<String>>,
    /// The image's command, replaced.
    pub command: Option<Vec<String>>,
    /// Variables.
    pub environment: Vec<Pair>,
    /// Ports.
    pub port_mappings: Vec<PortMapping>,
    /// Seconds from the request to stop to the kill.
    pub stop_timeout: Option<u32>,
    /// `uid` or `uid:gid`.
    pub user: Option<String>,
    /// Where its process begins.
    pub working_directory: Option<String>,
    /// All rights on the machine.
    pub privileged: Option<bool>,
    /// Nothing of its image can be changed.
    pub readonly_root_filesystem: Option<bool>,
}

/// `portMappings[]`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PortMapping {
    /// Where the container listens.
    pub container_port: u16,
    /// A port of the node that leads there.
    pub host_port: Option<u16>,
    /// `tcp` (also when absent) or `udp`.
    pub protocol: Option<String>,
}

impl ContainerDefinition {
    /// Whether its end is that of the task.
    pub fn is_essential(&self) -> bool {
        self.essential.unwrap_or(true)
    }
}

gantry_sdk::resource!(Task, "ecs.gantry.dev", "v1", "Task");
gantry_sdk::resource!(TaskDefinition, "ecs.gantry.dev", "v1", "TaskDefinition");

/// A text in JSON, or none.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
