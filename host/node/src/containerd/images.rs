//! Image records: reading them, unpacking what they name, adding them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use containerd_client::services::v1::{
    CreateImageRequest, CreateRequest, DeleteRequest, GetImageRequest, Image as Record, ListImagesRequest,
    UpdateImageRequest,
};
use containerd_client::types::Descriptor as Blob;
use futures::{StreamExt, TryStreamExt};
use prost_types::FieldMask;
use tonic::Code;
use uuid::Uuid;

use super::blobs;
use super::client::{Client, failed, gone};
use super::snapshots::Snapshots;
use super::users::Accounts;
use crate::image::manifest::{Config, Index, chain_ids, for_this_machine, is_index};
use crate::image::{Descriptor, Manifest, Name};
use crate::locks::Locks;
use crate::runtime::{Image, RuntimeError};

/// An image that is ready for containers.
pub struct Unpacked {
    pub image: Image,
    /// The snapshot of its topmost layer; empty for an image without layers.
    pub chain: String,
    /// The digest that its record names.
    target: String,
    /// Its users and groups, once read.
    pub accounts: tokio::sync::OnceCell<Accounts>,
}

/// The images of one namespace.
pub struct Images {
    pub client: Client,
    pub snapshots: Snapshots,
    /// Unpacked images by full name.
    known: Mutex<HashMap<String, Arc<Unpacked>>>,
    /// A name is pulled or unpacked once at a time.
    pub busy: Locks,
}

impl Images {
    pub fn new(client: Client, snapshots: Snapshots) -> Self {
        Self { client, snapshots, known: Mutex::default(), busy: Locks::default() }
    }

    /// An image by its record, unpacked.
    pub async fn get(&self, name: &Name) -> Result<Option<Arc<Unpacked>>, RuntimeError> {
        let request = self.client.request(GetImageRequest { name: name.full().to_owned() });
        let record = match self.client.images().get(request).await {
            Ok(answer) => answer.into_inner().image,
            Err(status) if status.code() == Code::NotFound => None,
            Err(status) => return Err(failed(name.full(), &status)),
        };
        let Some(target) = record.and_then(|r| r.target) else {
            self.forget(name.full());
            return Ok(None);
        };
        if let Some(known) = self.known(name.full()).filter(|k| k.target == target.digest) {
            return Ok(Some(known));
        }
        let _guard = self.busy.lock(name.full()).await;
        match self.load(name.full(), &target).await {
            // A record without its blobs: as if it were not there, so that it is pulled.
            Err(RuntimeError::NotFound(_)) => Ok(None),
            other => other.map(Some),
        }
    }

    /// As last seen, without asking: for the way of a container's start.
    pub fn known(&self, name: &str) -> Option<Arc<Unpacked>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    pub fn forget(&self, name: &str) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// Every image, in the form of the Node's status.
    pub async fn list(&self) -> Result<Vec<Image>, RuntimeError> {
        let request = self.client.request(ListImagesRequest::default());
        let records = self.client.images().list(request).await.map_err(|s| failed("images", &s))?.into_inner().images;
        let images = futures::stream::iter(records).map(|record| self.describe(record)).buffered(8);
        let images: Vec<Option<Image>> = images.try_collect().await?;
        Ok(images.into_iter().flatten().collect())
    }

    async fn describe(&self, record: Record) -> Result<Option<Image>, RuntimeError> {
        let Some(target) = record.target else { return Ok(None) };
        if let Some(known) = self.known(&record.name).filter(|k| k.target == target.digest) {
            return Ok(Some(known.image.clone()));
        }
        match self.documents(&target.digest, &target.media_type).await {
            Ok((manifest, config)) => Ok(Some(image(&record.name, &manifest, config))),
            Err(RuntimeError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The manifest for this machine and its configuration, from the content store.
    async fn documents(&self, digest: &str, media_type: &str) -> Result<(Manifest, Config), RuntimeError> {
        let mut bytes = blobs::read(&self.client, digest).await?;
        if is_index(media_type) {
            let index: Index = parse(&bytes, digest)?;
            let chosen = for_this_machine(&index)
                .ok_or_else(|| RuntimeError::Failed(format!("{digest} has no image for this machine")))?;
            bytes = blobs::read(&self.client, &chosen.digest).await?;
        }
        let manifest: Manifest = parse(&bytes, digest)?;
        let config = blobs::read(&self.client, &manifest.config.digest).await?;
        let config = parse(&config, &manifest.config.digest)?;
        Ok((manifest, config))
    }

    /// Reads an image's documents and unpacks what is missing. The name's lock is held.
    pub async fn load(&self, name: &str, target: &Blob) -> Result<Arc<Unpacked>, RuntimeError> {
        let (manifest, config) = self.documents(&target.digest, &target.media_type).await?;
        let chains = chain_ids(&config.rootfs.diff_ids);
        let chain = chains.last().cloned().unwrap_or_default();
        if !chain.is_empty() && !self.snapshots.exists(&chain).await? {
            self.unpack_missing(&manifest, &config, &chains).await?;
        }
        Ok(self.remember(name, &target.digest, &manifest, config))
    }

    async fn unpack_missing(
        &self,
        manifest: &Manifest,
        config: &Config,
        chains: &[String],
    ) -> Result<(), RuntimeError> {
        let lease = Lease::new(&self.client).await?;
        let snapshots = self.snapshots.leased(&lease.id);
        let result = async {
            for (n, layer) in manifest.layers.iter().enumerate() {
                unpack_layer(&snapshots, layer, &config.rootfs.diff_ids, chains, n).await?;
            }
            self.hold_snapshot(manifest, chains).await
        };
        let result = result.await;
        lease.release().await;
        result
    }

    /// Makes the configuration hold the snapshots of its layers.
    pub async fn hold_snapshot(&self, manifest: &Manifest, chains: &[String]) -> Result<(), RuntimeError> {
        let Some(chain) = chains.last() else { return Ok(()) };
        let key = format!("containerd.io/gc.ref.snapshot.{}", self.snapshots.name);
        blobs::label(&self.client, &manifest.config.digest, &key, chain).await
    }

    pub fn remember(&self, name: &str, target: &str, manifest: &Manifest, config: Config) -> Arc<Unpacked> {
        let chain = chain_ids(&config.rootfs.diff_ids).pop().unwrap_or_default();
        let image = image(name, manifest, config);
        let unpacked =
            Arc::new(Unpacked { image, chain, target: target.to_owned(), accounts: tokio::sync::OnceCell::new() });
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(name.to_owned(), Arc::clone(&unpacked));
        unpacked
    }

    /// Adds a record, or points it elsewhere.
    pub async fn record(&self, name: &str, target: Blob) -> Result<(), RuntimeError> {
        let image = Some(Record { name: name.to_owned(), target: Some(target), ..Record::default() });
        let request = self.client.request(CreateImageRequest { image: image.clone(), ..CreateImageRequest::default() });
        match self.client.images().create(request).await {
            Ok(_) => return Ok(()),
            Err(status) if status.code() != Code::AlreadyExists => return Err(failed(name, &status)),
            Err(_) => {}
        }
        let update_mask = Some(FieldMask { paths: vec!["target".to_owned()] });
        let request = self.client.request(UpdateImageRequest { image, update_mask, ..UpdateImageRequest::default() });
        self.client.images().update(request).await.map_err(|s| failed(name, &s))?;
        Ok(())
    }
}

/// Unpacks the layer with this number, unless it is there.
pub async fn unpack_layer(
    snapshots: &Snapshots,
    layer: &Descriptor,
    diffs: &[String],
    chains: &[String],
    n: usize,
) -> Result<(), RuntimeError> {
    let missing = || RuntimeError::Failed("the image has more layers than its configuration says".to_owned());
    let (diff, chain) = diffs.get(n).zip(chains.get(n)).ok_or_else(missing)?;
    if snapshots.exists(chain).await? {
        return Ok(());
    }
    let parent = n.checked_sub(1).and_then(|n| chains.get(n)).map_or("", String::as_str);
    snapshots.unpack(layer, diff, parent, chain).await
}

fn parse<T: serde::de::DeserializeOwned>(bytes: &Bytes, digest: &str) -> Result<T, RuntimeError> {
    serde_json::from_slice(bytes).map_err(|e| RuntimeError::Failed(format!("{digest} does not parse: {e}")))
}

fn image(name: &str, manifest: &Manifest, config: Config) -> Image {
    let sizes = manifest.layers.iter().chain([&manifest.config]).map(|d| u64::try_from(d.size).unwrap_or_default());
    let defaults = config.config;
    Image {
        name: name.to_owned(),
        id: manifest.config.digest.clone(),
        entrypoint: defaults.entrypoint.unwrap_or_default(),
        cmd: defaults.cmd.unwrap_or_default(),
        env: defaults.env.unwrap_or_default(),
        working_dir: defaults.working_dir.unwrap_or_default(),
        user: defaults.user.unwrap_or_default(),
        size: sizes.sum(),
    }
}

/// Keeps what is being made from containerd's garbage collector. One that is not released ends after a day.
pub struct Lease {
    client: Client,
    pub id: String,
}

impl Lease {
    pub async fn new(client: &Client) -> Result<Self, RuntimeError> {
        let id = format!("gantry-{}", Uuid::new_v4());
        let expires = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24);
        let labels = HashMap::from([("containerd.io/gc.expire".to_owned(), format!("{expires:.0}"))]);
        let request = client.request(CreateRequest { id: id.clone(), labels });
        client.leases().create(request).await.map_err(|s| failed("lease", &s))?;
        Ok(Self { client: client.clone(), id })
    }

    pub async fn release(self) {
        let request = self.client.request(DeleteRequest { id: self.id.clone(), sync: false });
        if let Err(error) = gone("lease", self.client.leases().delete(request).await) {
            tracing::debug!(%error, "a lease stays until it expires");
        }
    }
}
