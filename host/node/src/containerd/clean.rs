//! Removing everything of an agent from a machine.

use std::path::Path;

use containerd_client::services::v1::{
    DeleteImageRequest, DeleteNamespaceRequest, DeleteRequest, ListContainersRequest, ListImagesRequest, ListRequest,
};

use super::cgroup;
use super::client::{failed, gone};
use super::images::Lease;
use super::runtime::{Containerd, Engine, Options};
use crate::runtime::RuntimeError;

/// The shim's default.
const RUNC: &str = "/run/containerd/runc";

/// Removes all containers and sandboxes of a namespace; with `images`, its images and the namespace too.
pub async fn clean(options: Options, images: bool) -> Result<(), RuntimeError> {
    let runtime = Containerd::connect(options).await?;
    let engine = runtime.engine();
    let request = engine.client.request(ListContainersRequest::default());
    let answer = engine.client.containers().list(request).await.map_err(|s| failed("containers", &s))?;
    for container in answer.into_inner().containers {
        engine.remove(&container.id).await?;
    }
    for sandbox in engine.sandboxes.all() {
        let parent = engine.sandboxes.cgroup(&sandbox);
        engine.sandboxes.remove(&sandbox).await?;
        if let Some((above, _)) = parent.as_deref().and_then(|p| p.trim_matches('/').rsplit_once('/')) {
            cgroup::remove(above);
        }
    }
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

async fn remove_images(engine: &Engine) -> Result<(), RuntimeError> {
    let client = &engine.client;
    let answer = client.images().list(client.request(ListImagesRequest::default())).await;
    for image in answer.map_err(|s| failed("images", &s))?.into_inner().images {
        let request = client.request(DeleteImageRequest { name: image.name.clone(), ..DeleteImageRequest::default() });
        gone(&image.name, client.images().delete(request).await)?;
        engine.images.forget(&image.name);
    }
    let answer = client.leases().list(client.request(ListRequest::default())).await;
    for lease in answer.map_err(|s| failed("leases", &s))?.into_inner().leases {
        let request = client.request(DeleteRequest { id: lease.id, sync: false });
        gone("lease", client.leases().delete(request).await)?;
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
