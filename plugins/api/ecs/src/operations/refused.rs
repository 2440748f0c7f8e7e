//! Members of requests that would have no effect here. They are refused by name, in this one place: whoever asks for
//! something must not believe that it has it.

use gantry_sdk::Value;

use crate::fault::{Fault, Result};

/// Of CreateCluster.
pub const CLUSTER: &[&str] =
    &["capacityProviders", "defaultCapacityProviderStrategy", "configuration", "serviceConnectDefaults"];

/// Of RegisterTaskDefinition.
pub const DEFINITION: &[&str] = &[
    "ephemeralStorage",
    "inferenceAccelerators",
    "ipcMode",
    "pidMode",
    "placementConstraints",
    "proxyConfiguration",
    "taskRoleArn",
    "volumes",
];

/// Of a container definition.
pub const CONTAINER: &[&str] = &[
    "credentialSpecs",
    "dependsOn",
    "disableNetworking",
    "dnsSearchDomains",
    "dnsServers",
    "dockerLabels",
    "dockerSecurityOptions",
    "environmentFiles",
    "extraHosts",
    "firelensConfiguration",
    "healthCheck",
    "hostname",
    "interactive",
    "linuxParameters",
    "links",
    "mountPoints",
    "pseudoTerminal",
    "repositoryCredentials",
    "resourceRequirements",
    "restartPolicy",
    "secrets",
    "startTimeout",
    "systemControls",
    "ulimits",
    "volumesFrom",
];

/// Of RunTask.
pub const RUN: &[&str] = &[
    "capacityProviderStrategy",
    "enableExecuteCommand",
    "placementConstraints",
    "placementStrategy",
    "volumeConfigurations",
];

/// Of RunTask's overrides, and of those of a container.
pub const OVERRIDES: &[&str] =
    &["inferenceAcceleratorOverrides", "executionRoleArn", "taskRoleArn", "ephemeralStorage"];
/// The same of a container.
pub const CONTAINER_OVERRIDES: &[&str] = &["environmentFiles", "resourceRequirements"];

/// Refuses a request that says something of these. An empty list and `false` say nothing.
pub fn refuse(of: &Value, names: &[&str], path: &str) -> Result<()> {
    let says = |name: &&&str| match of.get(**name) {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::Array(all)) => !all.is_empty(),
        Some(Value::Object(all)) => !all.is_empty(),
        Some(_) => true,
    };
    match names.iter().find(says) {
        Some(name) => {
            Err(Fault::client(format!("{path}{name} is not supported: no plugin of this control plane acts on it.")))
        }
        None => Ok(()),
    }
}
