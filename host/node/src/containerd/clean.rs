//! Removing everything of an agent from a machine.

use containerd_client::services::v1::snapshots::ListSnapshotsRequest;
use containerd_client::services::v1::{
    DeleteContentRequest, DeleteImageRequest, DeleteNamespaceRequest, DeleteRequest, ListContainersRequest,
    ListContentRequest, ListImagesRequest, ListRequest,
};

use super::client::{failed, gone};
use super::runtime::{Containerd, Engine, Options};
use crate::runtime::RuntimeError;

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
        engine.sandboxes.remove(&sandbox).await?;
    }
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

/// Children before parents: as long as a round removes something, there may be more to remove.
async fn remove_snapshots(engine: &Engine) -> Result<(), RuntimeError> {
    let client = &engine.client;
    loop {
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
        for leaf in leaves {
            engine.images.snapshots.remove(leaf).await?;
        }
    }
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
