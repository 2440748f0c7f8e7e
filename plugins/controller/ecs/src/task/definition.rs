//! Task definitions as far as tasks are made from them. Words and shapes are those of ECS's API.

use std::collections::BTreeMap;

use gantry_sdk::api::{ObjectMeta, or_default};
use serde::{Deserialize, Serialize};

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
    #[serde(deserialize_with = "or_default")]
    pub network_mode: String,
    /// What containers can mount.
    #[serde(deserialize_with = "or_default")]
    pub volumes: Vec<Volume>,
    /// At least one.
    #[serde(deserialize_with = "or_default")]
    pub container_definitions: Vec<ContainerDefinition>,
    /// What machines it is for.
    #[serde(deserialize_with = "or_default")]
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
    #[serde(deserialize_with = "or_default")]
    pub cpu_architecture: String,
    /// `LINUX`, or a Windows; empty: any.
    #[serde(deserialize_with = "or_default")]
    pub operating_system_family: String,
}

/// `containerDefinitions[]`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerDefinition {
    /// Unique in the definition.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// The image's reference.
    #[serde(deserialize_with = "or_default")]
    pub image: String,
    /// CPU units.
    #[serde(deserialize_with = "or_default")]
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
    #[serde(deserialize_with = "or_default")]
    pub environment: Vec<Pair>,
    /// Ports.
    #[serde(deserialize_with = "or_default")]
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
    /// Where it has volumes of the task.
    #[serde(deserialize_with = "or_default")]
    pub mount_points: Vec<MountPoint>,
    /// Containers whose volumes it has too.
    #[serde(deserialize_with = "or_default")]
    pub volumes_from: Vec<VolumeFrom>,
    /// What only Linux has.
    #[serde(deserialize_with = "or_default")]
    pub linux_parameters: LinuxParameters,
    /// Servers of names, in place of the node's.
    #[serde(deserialize_with = "or_default")]
    pub dns_servers: Vec<String>,
    /// Domains in which short names are looked up.
    #[serde(deserialize_with = "or_default")]
    pub dns_search_domains: Vec<String>,
    /// Lines of `/etc/hosts`.
    #[serde(deserialize_with = "or_default")]
    pub extra_hosts: Vec<HostEntry>,
    /// What it calls itself.
    pub hostname: Option<String>,
    /// Notes for programs that look at containers.
    #[serde(deserialize_with = "or_default")]
    pub docker_labels: BTreeMap<String, String>,
    /// Has a terminal.
    pub pseudo_terminal: Option<bool>,
    /// Its standard input stays open.
    pub interactive: Option<bool>,
    /// Variables whose values are kept elsewhere.
    #[serde(deserialize_with = "or_default")]
    pub secrets: Vec<Secret>,
    /// Files with variables.
    #[serde(deserialize_with = "or_default")]
    pub environment_files: Vec<EnvironmentFile>,
    /// What each of its processes may have.
    #[serde(deserialize_with = "or_default")]
    pub ulimits: Vec<Ulimit>,
    /// Containers under whose names it finds the others.
    #[serde(deserialize_with = "or_default")]
    pub links: Vec<String>,
    /// How it is found to be well.
    pub health_check: Option<HealthCheck>,
    /// Containers before it.
    #[serde(deserialize_with = "or_default")]
    pub depends_on: Vec<Dependency>,
    /// Seconds that those after it wait for it, once it runs.
    pub start_timeout: Option<u32>,
}

/// `dependsOn[]`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Dependency {
    /// Which container.
    #[serde(deserialize_with = "or_default")]
    pub container_name: String,
    /// `START`, `COMPLETE`, `SUCCESS` or `HEALTHY`.
    #[serde(deserialize_with = "or_default")]
    pub condition: String,
}

/// `secrets[]`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Secret {
    /// The variable's name.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// `NAME:KEY` of a Secret of the namespace, the name or the ARN of a parameter, or what of a secret an ARN names.
    #[serde(deserialize_with = "or_default")]
    pub value_from: String,
}

/// `environmentFiles[]`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EnvironmentFile {
    /// `arn:aws:s3:::BUCKET/KEY`
    #[serde(deserialize_with = "or_default")]
    pub value: String,
}

/// `ulimits[]`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Ulimit {
    /// The end of `RLIMIT_…`, in lower case.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// What holds; -1: no limit.
    #[serde(deserialize_with = "or_default")]
    pub soft_limit: i64,
    /// How far a process may raise it.
    #[serde(deserialize_with = "or_default")]
    pub hard_limit: i64,
}

/// `healthCheck`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HealthCheck {
    /// `CMD` and words, or `CMD-SHELL` and a line for the shell.
    #[serde(deserialize_with = "or_default")]
    pub command: Vec<String>,
    /// Seconds between two checks, and before the first; 30.
    pub interval: Option<u32>,
    /// Seconds for one; 5.
    pub timeout: Option<u32>,
    /// Failures in a row that count; 3.
    pub retries: Option<u32>,
    /// Seconds at the beginning in which failures do not count; 0.
    pub start_period: Option<u32>,
}

/// `volumes[]`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Volume {
    /// Unique in the definition.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// A folder of the node; without a path one that lives as long as the task.
    #[serde(deserialize_with = "or_default")]
    pub host: HostVolume,
}

/// `volumes[].host`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HostVolume {
    /// Where it is on the node. What is absent is made.
    pub source_path: Option<String>,
}

/// `mountPoints[]`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MountPoint {
    /// The volume's name.
    #[serde(deserialize_with = "or_default")]
    pub source_volume: String,
    /// Where the container has it.
    #[serde(deserialize_with = "or_default")]
    pub container_path: String,
    /// It can't be changed through it.
    pub read_only: Option<bool>,
}

/// `volumesFrom[]`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VolumeFrom {
    /// The container's name.
    #[serde(deserialize_with = "or_default")]
    pub source_container: String,
    /// None of them can be changed through it.
    pub read_only: Option<bool>,
}

/// `linuxParameters`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LinuxParameters {
    /// More and fewer than containers have by custom.
    #[serde(deserialize_with = "or_default")]
    pub capabilities: Capabilities,
    /// MiB of `/dev/shm`, which is its own then.
    pub shared_memory_size: Option<u64>,
    /// File systems in memory.
    #[serde(deserialize_with = "or_default")]
    pub tmpfs: Vec<Tmpfs>,
}

/// `linuxParameters.capabilities`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Capabilities {
    /// Names without `CAP_`.
    #[serde(deserialize_with = "or_default")]
    pub add: Vec<String>,
    /// Names without `CAP_`.
    #[serde(deserialize_with = "or_default")]
    pub drop: Vec<String>,
}

/// `linuxParameters.tmpfs[]`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Tmpfs {
    /// Where the container has it.
    #[serde(deserialize_with = "or_default")]
    pub container_path: String,
    /// MiB.
    #[serde(deserialize_with = "or_default")]
    pub size: u64,
    /// `ro` makes it one that can't be changed.
    #[serde(deserialize_with = "or_default")]
    pub mount_options: Vec<String>,
}

/// `extraHosts[]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HostEntry {
    /// A name.
    #[serde(deserialize_with = "or_default")]
    pub hostname: String,
    /// What it stands for.
    #[serde(deserialize_with = "or_default")]
    pub ip_address: String,
}

/// `portMappings[]`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PortMapping {
    /// Where the container listens.
    #[serde(deserialize_with = "or_default")]
    pub container_port: u16,
    /// A port of the node that leads there.
    pub host_port: Option<u16>,
    /// `tcp` (also when absent) or `udp`.
    pub protocol: Option<String>,
}

/// A variable of the environment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pair {
    /// Its name.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// Its value.
    #[serde(deserialize_with = "or_default")]
    pub value: String,
}

impl PortMapping {
    /// `tcp`, unless it says otherwise.
    pub fn protocol(&self) -> &str {
        self.protocol.as_deref().unwrap_or("tcp")
    }
}

impl ContainerDefinition {
    /// Whether its end is that of the task.
    pub fn is_essential(&self) -> bool {
        self.essential.unwrap_or(true)
    }
}

gantry_sdk::resource!(TaskDefinition, "ecs.gantry.dev", "v1", "TaskDefinition");
