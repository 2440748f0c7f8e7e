//! Removing everything of an agent from a machine, and what an agent that was killed left half made.

use std::collections::BTreeSet;
use std::path::Path;

use containerd_client::services::v1::{
    Container, DeleteImageRequest, DeleteNamespaceRequest, DeleteRequest, ListContainersRequest, ListImagesRequest,
    ListRequest,
};

use super::cgroup;
use super::client::{failed, gone};
use super::images::Lease;
use super::pipes::Pipes;
use super::runtime::{Containerd, Engine, Options};
use super::users;
use crate::runtime::{CGROUP, RuntimeError};

/// The shim's default.
const RUNC: &str = "/run/containerd/runc";

/// Removes all containers and sandboxes of a namespace; with `images`, its images and the namespace too.
pub async fn clean(options: Options, images: bool) -> Result<(), RuntimeError> {
    let runtime = Containerd::connect(options).await?;
    let engine = runtime.engine();
    let mut cgroups = BTreeSet::new();
    for container in records(engine).await? {
        let known = engine.known.learn(&container.id, &container.labels);
        cgroups.extend(known.and_then(|entry| above(&entry.facts.cgroup)));
        engine.remove(&container.id).await?;
    }
    for sandbox in engine.sandboxes.all() {
        cgroups.extend(engine.sandboxes.cgroup(&sandbox));
        engine.remove_sandbox(&sandbox).await?;
    }
    // Containers may be there of sandboxes that are gone.
    tokio::task::spawn_blocking(move || remove_cgroups(&cgroups))
        .await
        .map_err(|e| stuck(&e))?
        .map_err(|e| stuck(&e))?;
    // Where the shim keeps runc's state; not empty if another containerd uses the same name.
    let _ = std::fs::remove_dir(Path::new(RUNC).join(engine.client.namespace()));
    if images {
        remove_images(engine).await?;
        collect(engine).await?;
        let request = engine.client.request(DeleteNamespaceRequest { name: engine.client.namespace().to_owned() });
        gone("namespace", engine.client.namespaces().delete(request).await)?;
    }
    match tokio::fs::remove_dir_all(&engine.options.state).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(RuntimeError::Failed(format!("can't remove {}: {error}", engine.options.state.display())))
        }
        _ => Ok(()),
    }
}

/// Removes pods' cgroups, and what they were in unless others use it.
fn remove_cgroups(cgroups: &BTreeSet<String>) -> std::io::Result<()> {
    for cgroup in cgroups {
        cgroup::remove(cgroup)?;
        if let Some(above) = above(cgroup) {
            cgroup::remove_empty(&above);
        }
    }
    // There may have been no pod just now.
    cgroup::remove_empty(CGROUP);
    Ok(())
}

/// A cgroup's parent.
fn above(cgroup: &str) -> Option<String> {
    cgroup.trim_matches('/').rsplit_once('/').map(|(above, _)| above.to_owned())
}

fn stuck(error: &dyn std::fmt::Display) -> RuntimeError {
    RuntimeError::Failed(format!("a pod's cgroup is left: {error}"))
}

async fn remove_images(engine: &Engine) -> Result<(), RuntimeError> {
    let client = &engine.client;
    let answer = client.images().list(client.request(ListImagesRequest::default())).await;
    for image in answer.map_err(|s| failed("images", &s))?.into_inner().images {
        let request = client.request(DeleteImageRequest { name: image.name.clone(), ..DeleteImageRequest::default() });
        gone(&image.name, client.images().delete(request).await)?;
        engine.images.forget(&image.name);
    }
    end_leases(engine).await.map(drop)
}

/// Answers whether there was one.
async fn end_leases(engine: &Engine) -> Result<bool, RuntimeError> {
    let client = &engine.client;
    let answer = client.leases().list(client.request(ListRequest::default())).await;
    let leases = answer.map_err(|s| failed("leases", &s))?.into_inner().leases;
    let any = !leases.is_empty();
    for lease in leases {
        let request = client.request(DeleteRequest { id: lease.id, sync: false });
        gone("lease", client.leases().delete(request).await)?;
    }
    Ok(any)
}

async fn records(engine: &Engine) -> Result<Vec<Container>, RuntimeError> {
    let request = engine.client.request(ListContainersRequest::default());
    let answer = engine.client.containers().list(request).await.map_err(|s| failed("containers", &s))?;
    Ok(answer.into_inner().containers)
}

/// Removes what an agent was at when it was killed: images mounted to be read, snapshots that only its leases keep, folders
/// of containers whose record went just before.
pub async fn remove_half_made(engine: &Engine) -> Result<(), RuntimeError> {
    let mounts = engine.options.state.join("mounts");
    let unmounted = tokio::task::spawn_blocking(move || unmount_all(&mounts)).await;
    unmounted
        .map_err(std::io::Error::other)
        .flatten()
        .map_err(|error| RuntimeError::Failed(format!("an image that was read stays mounted: {error}")))?;
    if end_leases(engine).await? {
        collect(engine).await?;
    }
    let known: BTreeSet<String> = records(engine).await?.into_iter().map(|container| container.id).collect();
    for entry in std::fs::read_dir(engine.options.state.join("containers")).into_iter().flatten().flatten() {
        if !known.contains(&*entry.file_name().to_string_lossy()) {
            Pipes::remove(&entry.path());
        }
    }
    Ok(())
}

fn unmount_all(mounts: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(mounts).into_iter().flatten().flatten() {
        users::unmount(&entry.path())?;
    }
    Ok(())
}

/// Lets containerd remove blobs and snapshots, which nothing names any more. Removing snapshots one by one does not
/// work: a parent whose child was collected counts as its parent still.
async fn collect(engine: &Engine) -> Result<(), RuntimeError> {
    let lease = Lease::new(&engine.client).await?;
    let request = engine.client.request(DeleteRequest { id: lease.id, sync: true });
    gone("lease", engine.client.leases().delete(request).await)
}
