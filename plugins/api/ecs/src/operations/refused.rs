//! Members of requests that would have no effect here. They are refused by name, in this one place: whoever asks for
//! something must not believe that it has it.

use gantry_sdk::Value;

use crate::fault::{Fault, Result};
use crate::object::text;

/// Of CreateCluster.
pub const CLUSTER: &[&str] = &["configuration"];
/// Of CreateCapacityProvider and UpdateCapacityProvider.
pub const PROVIDER: &[&str] = &["cluster", "managedInstancesProvider"];

/// Of RegisterTaskDefinition.
pub const DEFINITION: &[&str] = &[
    "enableFaultInjection",
    "ephemeralStorage",
    "inferenceAccelerators",
    "ipcMode",
    "pidMode",
    "proxyConfiguration",
    "taskRoleArn",
];

/// Of a volume: what it would be, and the plugin that it needs.
pub const VOLUME: &[(&str, &str)] = &[
    ("configuredAtLaunch", "for EBS"),
    ("dockerVolumeConfiguration", "for volume drivers of Docker"),
    ("efsVolumeConfiguration", "for EFS"),
    ("fsxWindowsFileServerVolumeConfiguration", "for FSx"),
    ("s3filesVolumeConfiguration", "for S3"),
];

/// Of a container definition.
pub const CONTAINER: &[&str] = &[
    "credentialSpecs",
    "disableNetworking",
    "dockerSecurityOptions",
    "firelensConfiguration",
    "repositoryCredentials",
    "resourceRequirements",
    "restartPolicy",
    "systemControls",
];

/// Of a container's `linuxParameters`.
pub const LINUX: &[&str] = &["devices", "initProcessEnabled", "maxSwap", "swappiness"];

/// Of how a container logs.
pub const LOG: &[&str] = &["secretOptions"];
/// Of a port.
pub const PORT: &[&str] = &["appProtocol", "containerPortRange"];

/// Of RunTask and StartTask.
pub const RUN: &[&str] = &["enableECSManagedTags", "enableExecuteCommand", "referenceId", "volumeConfigurations"];

/// Of CreateService and UpdateService.
pub const SERVICE: &[&str] =
    &["enableECSManagedTags", "enableExecuteCommand", "role", "volumeConfigurations", "vpcLatticeConfigurations"];
/// Of its Service Connect.
pub const CONNECT: &[&str] = &["accessLogConfiguration", "logConfiguration"];
/// Of one name there.
pub const CONNECT_SERVICE: &[&str] = &["ingressPortOverride", "timeout", "tls"];
/// Of what clients call it.
pub const CONNECT_ALIAS: &[&str] = &["testTrafficRules"];
/// Of one of its load balancers.
pub const BALANCER: &[&str] = &["advancedConfiguration", "loadBalancerName"];
/// Of how its deployments take over from each other.
pub const DEPLOYMENT: &[&str] = &["bakeTimeInMinutes", "canaryConfiguration", "lifecycleHooks", "linearConfiguration"];

/// Of RunTask's overrides, and of those of a container.
pub const OVERRIDES: &[&str] =
    &["inferenceAcceleratorOverrides", "executionRoleArn", "taskRoleArn", "ephemeralStorage"];
/// The same of a container.
pub const CONTAINER_OVERRIDES: &[&str] = &["environmentFiles", "resourceRequirements"];

/// Of ListTasks.
pub const LIST: &[&str] = &["daemonName"];

/// Refuses a request that says something of these. An empty list and `false` say nothing.
pub fn refuse(of: &Value, names: &[&str], path: &str) -> Result<()> {
    match names.iter().find(|name| says(of, name)) {
        Some(name) => Err(nobody(&format!("{path}{name}"))),
        None => Ok(()),
    }
}

/// Refuses a volume that only a plugin could make which is not there.
pub fn refuse_volume(of: &Value, path: &str) -> Result<()> {
    match VOLUME.iter().find(|(name, _)| says(of, name)) {
        Some((name, plugin)) => Err(Fault::client(format!(
            "{path}{name} is not supported: it needs a storage plugin {plugin}, which this control plane does not have."
        ))),
        None => Ok(()),
    }
}

fn says(of: &Value, name: &str) -> bool {
    match of.get(name) {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::Array(all)) => !all.is_empty(),
        Some(Value::Object(all)) => !all.is_empty(),
        Some(_) => true,
    }
}

/// Refuses one word of a member that may say others.
pub fn refuse_word(of: &Value, name: &str, word: &str, path: &str) -> Result<()> {
    if text(of, name) == word { Err(nobody(&format!("{path}{name} {word}"))) } else { Ok(()) }
}

/// The words for what nobody acts on.
pub fn nobody(what: &str) -> Fault {
    Fault::client(format!("{what} is not supported: no plugin of this control plane acts on it."))
}
