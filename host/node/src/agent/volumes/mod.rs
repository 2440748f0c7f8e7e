//! A pod's volumes: directories under the pod's own folder, filled and owned as the spec says.

mod atomic;
mod host;
pub mod mounts;
mod ownership;
mod payload;
pub mod subpath;
#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{EmptyDirVolumeSource, Volume};

pub use mounts::{Kernel, Mounts};
pub use ownership::set_mode;
use payload::Payload;

use super::desired::Desired;
use super::downward::Facts;
use super::quantity;
use crate::cluster::{Cluster, Source};

/// A volume that can't be made now.
#[derive(Debug, thiserror::Error)]
#[error("MountVolume.SetUp failed for volume \"{volume}\" : {reason}")]
pub struct VolumeError {
    /// Its name in the spec.
    pub volume: String,
    /// What is wrong.
    pub reason: String,
}

/// What volumes are made with.
#[derive(Clone)]
pub struct Maker {
    /// For ConfigMaps and Secrets.
    pub cluster: Arc<dyn Cluster>,
    /// For tmpfs and bind mounts.
    pub mounts: Arc<dyn Mounts>,
    /// The node's facts, for downward volumes.
    pub facts: Facts,
}

enum Content {
    Empty { memory: bool, size: Option<u64> },
    Host { path: PathBuf, type_: String },
    Files { payload: Payload, secret: bool },
}

/// Where a volume's contents are on the node.
pub fn source_path(pod_dir: &Path, volume: &Volume) -> PathBuf {
    match &volume.host_path {
        Some(host) => PathBuf::from(&host.path),
        None => pod_dir.join("volumes").join(&volume.name),
    }
}

impl Maker {
    /// Makes every volume, or brings those that are there up to date. May be repeated.
    pub async fn set_up(&self, desired: &Desired, addresses: &[IpAddr], pod_dir: &Path) -> Result<(), VolumeError> {
        let spec = desired.spec();
        let group = spec.security_context.as_ref().and_then(|context| context.fs_group);
        for volume in spec.volumes.iter().flatten() {
            let fail = |reason: String| VolumeError { volume: volume.name.clone(), reason };
            let content = self.content(desired, addresses, volume).await.map_err(fail)?;
            let (at, mounts) = (source_path(pod_dir, volume), self.mounts.clone());
            let made = tokio::task::spawn_blocking(move || make(&at, content, group, &*mounts)).await;
            made.map_err(|e| fail(e.to_string()))?.map_err(fail)?;
        }
        Ok(())
    }

    /// Brings files of ConfigMaps, Secrets and of the pod's own facts up to date; what can't be read now stays.
    pub async fn refresh(&self, desired: &Desired, addresses: &[IpAddr], pod_dir: &Path) -> Result<(), VolumeError> {
        let spec = desired.spec();
        let group = spec.security_context.as_ref().and_then(|context| context.fs_group);
        for volume in spec.volumes.iter().flatten().filter(|volume| payload::is_files(volume)) {
            let fail = |reason: String| VolumeError { volume: volume.name.clone(), reason };
            let content = self.content(desired, addresses, volume).await.map_err(fail)?;
            let (at, mounts) = (source_path(pod_dir, volume), self.mounts.clone());
            let made = tokio::task::spawn_blocking(move || make(&at, content, group, &*mounts)).await;
            made.map_err(|e| fail(e.to_string()))?.map_err(fail)?;
        }
        Ok(())
    }

    async fn content(&self, desired: &Desired, addresses: &[IpAddr], volume: &Volume) -> Result<Content, String> {
        if let Some(empty) = &volume.empty_dir {
            return empty_dir(empty);
        }
        if let Some(host) = &volume.host_path {
            return Ok(Content::Host {
                path: PathBuf::from(&host.path),
                type_: host.type_.clone().unwrap_or_default(),
            });
        }
        if payload::is_files(volume) {
            let secret = volume.secret.is_some() || payload::has_secret(volume);
            let payload = payload::gather(self, desired, addresses, volume).await?;
            return Ok(Content::Files { payload, secret });
        }
        Err(format!("volumes of kind {} are not supported on this node", kind(volume)))
    }
}

fn empty_dir(empty: &EmptyDirVolumeSource) -> Result<Content, String> {
    let size = match &empty.size_limit {
        Some(limit) => {
            let millis = quantity::millis(&limit.0).ok_or_else(|| format!("invalid sizeLimit {}", limit.0))?;
            u64::try_from(quantity::div_up(millis, 1000)).ok().filter(|size| *size > 0)
        }
        None => None,
    };
    match empty.medium.as_deref() {
        None | Some("") => Ok(Content::Empty { memory: false, size }),
        Some("Memory") => Ok(Content::Empty { memory: true, size }),
        Some(other) => Err(format!("unknown storage medium \"{other}\"")),
    }
}

/// The name of the field that says what kind of volume it is.
fn kind(volume: &Volume) -> String {
    let value = serde_json::to_value(volume).unwrap_or_default();
    let fields = value.as_object().into_iter().flatten().map(|(name, _)| name);
    fields.into_iter().find(|name| *name != "name").cloned().unwrap_or_else(|| "unknown".to_owned())
}

fn make(at: &Path, content: Content, group: Option<i64>, mounts: &dyn Mounts) -> Result<(), String> {
    let io = |error: io::Error| format!("{}: {error}", at.display());
    match content {
        Content::Host { path, type_ } => host::check(&path, &type_),
        Content::Empty { memory, size } => {
            let new = !at.exists();
            fs::create_dir_all(at).map_err(io)?;
            if memory && !mounts.is_mounted(at).map_err(io)? {
                mounts.tmpfs(at, size).map_err(io)?;
            }
            if new || memory {
                ownership::set_mode(at, 0o777).map_err(io)?;
            }
            ownership::give(at, group, false).map_err(io)
        }
        Content::Files { payload, secret } => {
            fs::create_dir_all(at).map_err(io)?;
            if secret && !mounts.is_mounted(at).map_err(io)? {
                mounts.tmpfs(at, None).map_err(io)?;
            }
            ownership::set_mode(at, 0o755).map_err(io)?;
            atomic::write(at, &payload, |dir| ownership::give(dir, group, true)).map_err(io)
        }
    }
}

/// Gives up what a pod's volumes hold: mounts under its folder, then the folders. Never follows into what is mounted.
pub fn tear_down(pod_dir: &Path, mounts: &dyn Mounts) -> io::Result<()> {
    for under in ["subpaths", "volumes"] {
        let folder = pod_dir.join(under);
        mounts.unmount_below(&folder)?;
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// The objects that a pod's containers and volumes read.
pub fn interests(desired: &Desired) -> Vec<(Source, String)> {
    payload::interests(desired)
}
