//! Getting an image from its registry into the content store and unpacking it, layers in parallel.

use std::collections::HashMap;
use std::sync::Arc;

use containerd_client::types::Descriptor as Blob;
use futures::{StreamExt, TryStreamExt};

use super::blobs;
use super::client::Client;
use super::images::{Images, Lease, Unpacked, unpack_layer};
use crate::image::manifest::{Config, Index, OCI_INDEX, OCI_MANIFEST, chain_ids, for_this_machine, is_index};
use crate::image::registry::{Raw, Registry};
use crate::image::{Descriptor, Manifest, Name};
use crate::runtime::{Credentials, PullError, RuntimeError};

/// How images are got.
pub struct Puller {
    pub images: Arc<Images>,
    /// Registries, besides those on loopback, that are asked over plain HTTP.
    pub insecure: Vec<String>,
    /// Layers of one image that are got at once.
    pub parallel: usize,
}

/// Whose fault it is.
enum Fault {
    Registry(String),
    Store(RuntimeError),
}

impl From<RuntimeError> for Fault {
    fn from(error: RuntimeError) -> Self {
        Self::Store(error)
    }
}

impl Puller {
    /// Pulls an image. Two pulls of the same name wait for each other; what is there already is not got again.
    pub async fn pull(&self, text: &str, credentials: &[Credentials]) -> Result<Arc<Unpacked>, PullError> {
        let named = |reason| PullError::Name { name: text.to_owned(), reason };
        let name = Name::parse(text).map_err(named)?;
        let _guard = self.images.busy.lock(name.full()).await;
        let result = async {
            let lease = Lease::new(&self.images.client).await?;
            let result = self.pull_leased(&name, credentials, &lease.id).await;
            lease.release().await;
            result
        };
        result.await.map_err(|fault| match fault {
            Fault::Registry(reason) => PullError::Pull { name: text.to_owned(), reason },
            Fault::Store(error) => PullError::Unpack { name: text.to_owned(), reason: error.to_string() },
        })
    }

    async fn pull_leased(&self, name: &Name, credentials: &[Credentials], lease: &str) -> Result<Arc<Unpacked>, Fault> {
        let client = self.images.client.leased(lease);
        let (registry, raw) = Registry::open(name, credentials, &self.insecure).await.map_err(Fault::Registry)?;
        let target = descriptor(&raw)?;
        let registry = Arc::new(registry);
        let manifest_raw = match is_index(&target.media_type) {
            false => raw,
            true => self.follow_index(&client, &registry, raw, name).await?,
        };
        let manifest: Manifest = parse(&manifest_raw)?;
        let config = self.layers(&client, &registry, &manifest, lease).await?;
        store_manifest(&client, &manifest_raw, &manifest).await?;
        let chains = chain_ids(&config.rootfs.diff_ids);
        self.images.hold_snapshot(&manifest, &chains).await?;
        self.images.record(name.full(), target.clone()).await?;
        Ok(self.images.remember(name.full(), &target.digest, &manifest, config))
    }

    /// Stores an index, with a reference only to the manifest that is used.
    async fn follow_index(&self, client: &Client, registry: &Registry, raw: Raw, name: &Name) -> Result<Raw, Fault> {
        let index: Index = parse(&raw)?;
        let chosen = for_this_machine(&index)
            .ok_or_else(|| Fault::Registry(format!("no match for this machine's platform in {}", name.full())))?;
        let manifest = registry.manifest(&chosen.digest).await.map_err(Fault::Registry)?;
        let labels = HashMap::from([("containerd.io/gc.ref.content.m.0".to_owned(), chosen.digest.clone())]);
        blobs::write_all(client, &raw.digest, raw.bytes, labels).await?;
        Ok(manifest)
    }

    /// Gets the configuration and the layers; each layer is unpacked while later ones are still on the way.
    async fn layers(
        &self,
        client: &Client,
        registry: &Arc<Registry>,
        manifest: &Manifest,
        lease: &str,
    ) -> Result<Config, Fault> {
        fetch(client.clone(), Arc::clone(registry), manifest.config.clone()).await?;
        let bytes = blobs::read(client, &manifest.config.digest).await?;
        let config: Config = serde_json::from_slice(&bytes)
            .map_err(|e| Fault::Registry(format!("the image's configuration does not parse: {e}")))?;
        let (diffs, chains) = (&config.rootfs.diff_ids, chain_ids(&config.rootfs.diff_ids));
        let snapshots = self.images.snapshots.leased(lease);
        let mut layers = futures::stream::iter(manifest.layers.clone())
            .map(|layer| fetch(client.clone(), Arc::clone(registry), layer))
            .buffered(self.parallel.max(1));
        let mut n = 0;
        while let Some(layer) = layers.try_next().await? {
            unpack_layer(&snapshots, &layer, diffs, &chains, n).await?;
            n += 1;
        }
        Ok(config)
    }
}

async fn fetch(client: Client, registry: Arc<Registry>, blob: Descriptor) -> Result<Descriptor, Fault> {
    if blobs::size(&client, &blob.digest).await?.is_some() {
        return Ok(blob);
    }
    let stream = registry.blob(&blob).await.map_err(Fault::Registry)?;
    match blobs::write(&client, Some(&blob.digest), blob.size, HashMap::new(), stream).await {
        Ok(_) => Ok(blob),
        // A connection that broke or bytes that are not what they should be.
        Err(RuntimeError::Failed(reason)) => Err(Fault::Registry(reason)),
        Err(error) => Err(error.into()),
    }
}

/// Stores a manifest that holds its configuration and layers.
pub async fn store_manifest(client: &Client, raw: &Raw, manifest: &Manifest) -> Result<(), RuntimeError> {
    blobs::write_all(client, &raw.digest, raw.bytes.clone(), references(manifest)).await?;
    Ok(())
}

/// Labels by which the garbage collector finds what a manifest needs.
pub fn references(manifest: &Manifest) -> HashMap<String, String> {
    let config = ("containerd.io/gc.ref.content.config".to_owned(), manifest.config.digest.clone());
    let layers = manifest.layers.iter().enumerate();
    let layers = layers.map(|(n, layer)| (format!("containerd.io/gc.ref.content.l.{n}"), layer.digest.clone()));
    layers.chain([config]).collect()
}

fn parse<T: serde::de::DeserializeOwned>(raw: &Raw) -> Result<T, Fault> {
    serde_json::from_slice(&raw.bytes)
        .map_err(|e| Fault::Registry(format!("manifest {} does not parse: {e}", raw.digest)))
}

/// What a document is: by what it says, or by what it has.
fn descriptor(raw: &Raw) -> Result<Blob, Fault> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Kind {
        #[serde(default)]
        media_type: String,
        manifests: Option<serde::de::IgnoredAny>,
    }
    let kind: Kind = parse(raw)?;
    let media_type = match (kind.media_type, kind.manifests) {
        (said, _) if !said.is_empty() => said,
        (_, Some(_)) => OCI_INDEX.to_owned(),
        (_, None) => OCI_MANIFEST.to_owned(),
    };
    let size = i64::try_from(raw.bytes.len()).unwrap_or(i64::MAX);
    Ok(Blob { media_type, digest: raw.digest.clone(), size, ..Blob::default() })
}
