//! Root filesystems: layers unpacked into snapshots, one writable snapshot a container.

use containerd_client::services::v1::ApplyRequest;
use containerd_client::services::v1::snapshots::{
    CommitSnapshotRequest, MountsRequest, PrepareSnapshotRequest, RemoveSnapshotRequest, StatSnapshotRequest,
};
use containerd_client::types::{Descriptor as Blob, Mount};
use tonic::Code;
use uuid::Uuid;

use super::client::{Client, failed, gone};
use crate::image::Descriptor;
use crate::runtime::RuntimeError;

/// A snapshotter of containerd, by its name.
#[derive(Clone)]
pub struct Snapshots {
    client: Client,
    pub name: String,
}

impl Snapshots {
    pub fn new(client: Client, name: String) -> Self {
        Self { client, name }
    }

    /// The same, with everything it makes held by a lease.
    pub fn leased(&self, lease: &str) -> Self {
        Self { client: self.client.leased(lease), name: self.name.clone() }
    }

    /// A writable snapshot.
    pub async fn prepare(&self, key: &str, parent: &str) -> Result<Vec<Mount>, RuntimeError> {
        let request = self.client.request(PrepareSnapshotRequest {
            snapshotter: self.name.clone(),
            key: key.to_owned(),
            parent: parent.to_owned(),
            ..PrepareSnapshotRequest::default()
        });
        let answer = self.client.snapshots().prepare(request).await;
        let what = if parent.is_empty() { key } else { parent };
        Ok(answer.map_err(|s| failed(what, &s))?.into_inner().mounts)
    }

    /// How to mount a writable snapshot.
    pub async fn mounts(&self, key: &str) -> Result<Vec<Mount>, RuntimeError> {
        let request = self.client.request(MountsRequest { snapshotter: self.name.clone(), key: key.to_owned() });
        let answer = self.client.snapshots().mounts(request).await;
        Ok(answer.map_err(|s| failed(key, &s))?.into_inner().mounts)
    }

    pub async fn remove(&self, key: &str) -> Result<(), RuntimeError> {
        let request =
            self.client.request(RemoveSnapshotRequest { snapshotter: self.name.clone(), key: key.to_owned() });
        gone(key, self.client.snapshots().remove(request).await)
    }

    pub async fn exists(&self, key: &str) -> Result<bool, RuntimeError> {
        let request = self.client.request(StatSnapshotRequest { snapshotter: self.name.clone(), key: key.to_owned() });
        match self.client.snapshots().stat(request).await {
            Ok(_) => Ok(true),
            Err(status) if status.code() == Code::NotFound => Ok(false),
            Err(status) => Err(failed(key, &status)),
        }
    }

    /// Unpacks one layer onto its parent, under the chain's id. Unpacking it twice at once is harmless.
    pub async fn unpack(&self, layer: &Descriptor, diff: &str, parent: &str, chain: &str) -> Result<(), RuntimeError> {
        let key = format!("unpack-{} {chain}", Uuid::new_v4());
        let mounts = self.prepare(&key, parent).await?;
        let result = self.fill(&key, mounts, layer, diff, chain).await;
        if !matches!(result, Ok(true)) {
            self.remove(&key).await?;
        }
        result.map(drop)
    }

    /// `false`: someone else was faster.
    async fn fill(
        &self,
        key: &str,
        mounts: Vec<Mount>,
        layer: &Descriptor,
        diff: &str,
        chain: &str,
    ) -> Result<bool, RuntimeError> {
        let blob = Blob {
            media_type: layer.media_type.clone(),
            digest: layer.digest.clone(),
            size: layer.size,
            ..Blob::default()
        };
        let request = self.client.request(ApplyRequest { diff: Some(blob), mounts, ..ApplyRequest::default() });
        let answer = self.client.diff().apply(request).await.map_err(|s| failed(&layer.digest, &s))?;
        let got = answer.into_inner().applied.map(|d| d.digest).unwrap_or_default();
        if got != diff {
            let said = format!("layer {} unpacks to {got}, but the image's configuration says {diff}", layer.digest);
            return Err(RuntimeError::Failed(said));
        }
        let request = self.client.request(CommitSnapshotRequest {
            snapshotter: self.name.clone(),
            name: chain.to_owned(),
            key: key.to_owned(),
            ..CommitSnapshotRequest::default()
        });
        match self.client.snapshots().commit(request).await {
            Ok(_) => Ok(true),
            Err(status) if status.code() == Code::AlreadyExists => Ok(false),
            Err(status) => Err(failed(chain, &status)),
        }
    }
}
