//! What a pod has before its first container and gives up after its last: network, volumes, files.

use std::fs;
use std::io;
use std::path::Path;

use super::context::Context;
use super::desired::Desired;
use super::{files, volumes};
use crate::cluster::PodRef;
use crate::network::{NetError, NetStatus};

/// Why a pod can't be prepared now.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// A volume.
    #[error(transparent)]
    Volume(#[from] volumes::VolumeError),
    /// The network.
    #[error("Failed to create pod sandbox: {0}")]
    Network(#[from] NetError),
    /// What must be in force first.
    #[error("Failed to create pod sandbox: {0}")]
    Guard(String),
    /// How it looks names up.
    #[error("Failed to create pod sandbox: {0}")]
    Names(&'static str),
    /// The pod's folder.
    #[error("Failed to create pod sandbox: {0}")]
    Files(#[from] io::Error),
}

impl PrepareError {
    /// The Event's reason.
    pub fn reason(&self) -> &'static str {
        match self {
            PrepareError::Volume(_) => "FailedMount",
            PrepareError::Guard(_) => "NetworkPolicyNotReady",
            _ => "FailedCreatePodSandBox",
        }
    }
}

/// Makes everything, or finds that it is there. May be repeated. A pod that `runs` already is not held back by its
/// policies: what was in force still is.
pub async fn prepare(context: &Context, desired: &Desired, runs: bool) -> Result<NetStatus, PrepareError> {
    let pod_dir = context.pod_dir(&desired.key.uid);
    fs::create_dir_all(&pod_dir)?;
    // Volumes that show the pod's own address need the network first; a missing ConfigMap must not hold an address
    // for long, but it is given up with the pod.
    let net = context.attach(desired).await?;
    if !desired.host_network()
        && let Err(why) = context.guard.admit(&desired.key, &desired.pod, &net.addresses).await
    {
        match runs {
            true => tracing::warn!(pod = %desired.key, why, "a pod goes on under the policies that it had"),
            false => return Err(PrepareError::Guard(why)),
        }
    }
    context.maker().set_up(desired, &net.addresses, &pod_dir).await?;
    let names = match context.dns.known().await {
        Ok(names) => names,
        // It has its files.
        Err(_) if runs => return Ok(net),
        Err(why) => return Err(PrepareError::Names(why)),
    };
    for problem in files::write(desired, &net.addresses, &names, &context.dns.node_file, &pod_dir)? {
        context.warn(&desired.key, None, "DNSConfigForming", problem);
    }
    Ok(net)
}

/// Gives up network and volumes. Nothing of the pod runs any more, but its containers may be there. May be repeated.
pub async fn give_up(context: &Context, pod: &PodRef) -> Result<(), String> {
    context.network.detach(&pod.uid).await.map_err(|error| error.to_string())?;
    context.guard.forget(pod).await;
    context.runtime.release_sandbox(&pod.uid).await.map_err(|error| error.to_string())?;
    let (dir, mounts) = (context.pod_dir(&pod.uid), context.mounts.clone());
    let done = tokio::task::spawn_blocking(move || volumes::tear_down(&dir, &*mounts)).await;
    done.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
}

/// Removes what is left of a pod that is gone: its containers, its folder, its logs. These may stay for a while, until
/// sinks have them.
pub async fn erase(context: &Context, pod: &PodRef, containers: &[String]) -> Result<(), String> {
    for id in containers {
        context.runtime.remove(id).await.map_err(|error| error.to_string())?;
    }
    give_up(context, pod).await?;
    // Only now is its cgroup empty.
    context.runtime.remove_sandbox(&pod.uid).await.map_err(|error| error.to_string())?;
    remove(&context.pod_dir(&pod.uid))?;
    let logs = context.log_dir(pod);
    context.records.retire(logs.clone()).await.map_err(|error| format!("{}: {error}", logs.display()))
}

fn remove(folder: &Path) -> Result<(), String> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(format!("{}: {error}", folder.display())),
        _ => Ok(()),
    }
}
