//! Removing everything of an agent from a machine.

use std::path::Path;
use std::time::Duration;

use containerd_client::services::v1::snapshots::ListSnapshotsRequest;
use containerd_client::services::v1::{
    DeleteContentRequest, DeleteImageRequest, DeleteNamespaceRequest, DeleteRequest, ListContainersRequest,
    ListContentRequest, ListImagesRequest, ListRequest,
};

use super::cgroup;
use super::client::{failed, gone};
use super::runtime::{Containerd, Engine, Options};
use crate::runtime::RuntimeError;

/// The shim's default.
const RUNC: &str = "/run/containerd/runc";
/// More than an image has layers.
const ROUNDS: u32 = 500;
/// After a round that did not remove all it meant to.
const PAUSE: Duration = Duration::from_millis(20);

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
        remove_snapshots(engine).await?;
        remove_content(engine).await?;
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

/// Children before parents, in as many rounds as it takes. The garbage collector does the same at the same time, so a
/// removal may fail for a child that is on its way out.
async fn remove_snapshots(engine: &Engine) -> Result<(), RuntimeError> {
    let client = &engine.client;
    let mut last = Ok(());
    for _ in 0..ROUNDS {
        let list = ListSnapshotsRequest { snapshotter: engine.images.snapshots.name.clone(), ..Default::default() };
        let answer = client.snapshots().list(client.request(list)).await.map_err(|s| failed("snapshots", &s))?;
        let mut stream = answer.into_inner();
        let mut all = Vec::new();
        while let Some(part) = stream.message().await.map_err(|s| failed("snapshots", &s))? {
            all.extend(part.info);
        }
        if all.is_empty() {
            return Ok(());
        }
        let leaves: Vec<&str> =
            all.iter().map(|s| s.name.as_str()).filter(|name| !all.iter().any(|s| s.parent == *name)).collect();
        last = Ok(());
        for leaf in leaves {
            if let Err(error) = engine.images.snapshots.remove(leaf).await {
                last = Err(error);
            }
        }
        if last.is_err() {
            tokio::time::sleep(PAUSE).await;
        }
    }
    last
}

async fn remove_content(engine: &Engine) -> Result<(), RuntimeError> {
    let client = &engine.client;
    let answer = client.content().list(client.request(ListContentRequest::default())).await;
    let mut stream = answer.map_err(|s| failed("content", &s))?.into_inner();
    let mut all = Vec::new();
    while let Some(part) = stream.message().await.map_err(|s| failed("content", &s))? {
        all.extend(part.info);
    }
    for blob in all {
        let request = client.request(DeleteContentRequest { digest: blob.digest.clone() });
        gone(&blob.digest, client.content().delete(request).await)?;
    }
    Ok(())
}
