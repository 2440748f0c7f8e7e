//! Adding the images of an archive.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use bytes::{Bytes, BytesMut};
use containerd_client::types::Descriptor as Blob;
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::blobs::{self, Written};
use super::client::Client;
use super::images::{Images, Lease};
use super::pull::{references, store_manifest};
use crate::image::archive::{DockerEntry, Part, follow, named, scan};
use crate::image::manifest::{
    DOCKER_CONFIG, DOCKER_LAYER, DOCKER_MANIFEST, Index, OCI_INDEX, OCI_MANIFEST, for_this_machine, is_index, sha256,
};
use crate::image::registry::Raw;
use crate::image::{Descriptor, Manifest, Name};
use crate::runtime::RuntimeError;

/// Files up to this size may be documents; they are kept in memory until it is known what they are.
const DOCUMENT: u64 = 4 * 1024 * 1024;

/// Adds the images of an archive and unpacks them. Answers their names.
pub async fn import(images: &Images, archive: &Path) -> Result<Vec<String>, RuntimeError> {
    let lease = Lease::new(&images.client).await?;
    let client = images.client.leased(&lease.id);
    let result = async {
        let content = Content::read(&client, archive).await?;
        let found = match content.layout(&client).await? {
            found if !found.is_empty() => found,
            _ => content.docker(&client).await?,
        };
        let mut names = Vec::new();
        for (name, target) in found {
            let _guard = images.busy.lock(name.full()).await;
            images.record(name.full(), target.clone()).await?;
            images.load(name.full(), &target).await?;
            names.push(name.full().to_owned());
        }
        if names.is_empty() {
            return Err(failed(archive, &"it holds no image with a name"));
        }
        Ok(names)
    };
    let result = result.await;
    lease.release().await;
    result
}

/// An archive's files: small ones here, large ones in the content store.
#[derive(Default)]
struct Content {
    small: HashMap<String, Bytes>,
    large: HashMap<String, Large>,
    links: HashMap<String, String>,
}

struct Large {
    blob: Written,
    gzip: bool,
}

impl Content {
    async fn read(client: &Client, archive: &Path) -> Result<Self, RuntimeError> {
        let (sender, receiver) = mpsc::channel(2);
        let path = archive.to_owned();
        let scanning = tokio::task::spawn_blocking(move || scan(&path, &sender));
        let content = Self::take(client, receiver).await;
        let scanned = scanning.await.map_err(|e| failed(archive, &e))?;
        // What went wrong with the archive explains what went wrong with the store.
        scanned.map_err(|e| failed(archive, &e))?;
        content
    }

    async fn take(client: &Client, mut parts: mpsc::Receiver<Part>) -> Result<Self, RuntimeError> {
        let mut content = Self::default();
        let mut next = parts.recv().await;
        while let Some(part) = next {
            match part {
                Part::Link { path, target } => {
                    content.links.insert(path, target);
                    next = parts.recv().await;
                }
                Part::Data(_) => next = parts.recv().await,
                Part::Begin { path, size } if size <= DOCUMENT => {
                    let mut bytes = BytesMut::new();
                    next = parts.recv().await;
                    while let Some(Part::Data(data)) = next {
                        bytes.extend_from_slice(&data);
                        next = parts.recv().await;
                    }
                    content.small.insert(path, bytes.freeze());
                }
                Part::Begin { path, size } => {
                    let (large, following) = store(client, &path, size, &mut parts).await?;
                    content.large.insert(path, large);
                    next = following;
                }
            }
        }
        Ok(content)
    }

    /// The images of an image layout; none if it is none, or names none.
    async fn layout(&self, client: &Client) -> Result<Vec<(Name, Blob)>, RuntimeError> {
        let Some(index) = self.small.get("index.json") else { return Ok(Vec::new()) };
        let images = named(index).map_err(|e| RuntimeError::Failed(format!("index.json does not parse: {e}")))?;
        let mut found = Vec::new();
        for (name, descriptor) in images {
            let target = self.store_target(client, &descriptor).await?;
            found.push((name, target));
        }
        Ok(found)
    }

    async fn store_target(&self, client: &Client, target: &Descriptor) -> Result<Blob, RuntimeError> {
        let bytes = self.document(&target.digest)?;
        let mut media_type = target.media_type.clone();
        if media_type.is_empty() {
            media_type = OCI_MANIFEST.to_owned();
        }
        if is_index(&media_type) {
            let index: Index = parse(&bytes, &target.digest)?;
            let chosen = for_this_machine(&index).ok_or_else(|| {
                RuntimeError::Failed(format!("the archive has no image for this machine under {}", target.digest))
            })?;
            self.store_image(client, &chosen.digest).await?;
            let labels = HashMap::from([("containerd.io/gc.ref.content.m.0".to_owned(), chosen.digest.clone())]);
            blobs::write_all(client, &target.digest, bytes.clone(), labels).await?;
            media_type = OCI_INDEX.to_owned();
        } else {
            self.store_image(client, &target.digest).await?;
        }
        Ok(Blob { media_type, digest: target.digest.clone(), size: len(&bytes), ..Blob::default() })
    }

    async fn store_image(&self, client: &Client, digest: &str) -> Result<(), RuntimeError> {
        let bytes = self.document(digest)?;
        let manifest: Manifest = parse(&bytes, digest)?;
        for blob in manifest.layers.iter().chain([&manifest.config]) {
            let path = blob_path(&blob.digest);
            if let Some(bytes) = self.small.get(&path) {
                blobs::write_all(client, &blob.digest, bytes.clone(), HashMap::new()).await?;
            } else if !self.large.contains_key(&path) && blobs::size(client, &blob.digest).await?.is_none() {
                return Err(RuntimeError::Failed(format!("the archive lacks {}", blob.digest)));
            }
        }
        let raw = Raw { bytes, digest: digest.to_owned() };
        store_manifest(client, &raw, &manifest).await
    }

    fn document(&self, digest: &str) -> Result<Bytes, RuntimeError> {
        let found = self.small.get(&blob_path(digest)).cloned();
        found.ok_or_else(|| RuntimeError::Failed(format!("the archive lacks the manifest {digest}")))
    }

    /// The images of what `docker save` wrote.
    async fn docker(&self, client: &Client) -> Result<Vec<(Name, Blob)>, RuntimeError> {
        let Some(list) = self.small.get("manifest.json") else { return Ok(Vec::new()) };
        let entries: Vec<DockerEntry> = parse(list, "manifest.json")?;
        let mut found = Vec::new();
        for entry in entries {
            let tags = entry.repo_tags.clone().unwrap_or_default();
            let names: Vec<Name> = tags.iter().filter_map(|tag| Name::parse(tag).ok()).collect();
            if !names.is_empty() {
                let target = self.docker_image(client, &entry).await?;
                found.extend(names.into_iter().map(|name| (name, target.clone())));
            }
        }
        Ok(found)
    }

    async fn docker_image(&self, client: &Client, entry: &DockerEntry) -> Result<Blob, RuntimeError> {
        let lacks = |path: &str| RuntimeError::Failed(format!("the archive lacks {path}"));
        let config = self.small.get(follow(&self.links, &entry.config)).ok_or_else(|| lacks(&entry.config))?;
        let config = self.store_small(client, config, DOCKER_CONFIG).await?;
        let mut layers = Vec::new();
        for path in &entry.layers {
            let path = follow(&self.links, path);
            let layer = match (self.small.get(path), self.large.get(path)) {
                (Some(bytes), _) => self.store_small(client, bytes, &layer_type(is_gzip(bytes))).await?,
                (None, Some(large)) => Descriptor {
                    media_type: layer_type(large.gzip),
                    digest: large.blob.digest.clone(),
                    size: large.blob.size,
                    ..Descriptor::default()
                },
                (None, None) => return Err(lacks(path)),
            };
            layers.push(layer);
        }
        let manifest = Manifest { schema_version: 2, media_type: DOCKER_MANIFEST.to_owned(), config, layers };
        let bytes = Bytes::from(serde_json::to_vec(&manifest).map_err(|e| RuntimeError::Failed(e.to_string()))?);
        let digest = sha256(&bytes);
        let size = len(&bytes);
        blobs::write_all(client, &digest, bytes, references(&manifest)).await?;
        Ok(Blob { media_type: DOCKER_MANIFEST.to_owned(), digest, size, ..Blob::default() })
    }

    async fn store_small(&self, client: &Client, bytes: &Bytes, kind: &str) -> Result<Descriptor, RuntimeError> {
        let digest = sha256(bytes);
        blobs::write_all(client, &digest, bytes.clone(), HashMap::new()).await?;
        Ok(Descriptor { media_type: kind.to_owned(), digest, size: len(bytes), ..Descriptor::default() })
    }
}

/// Moves a large file into the content store as it is read. Answers what comes after it, too.
async fn store(
    client: &Client,
    path: &str,
    size: u64,
    parts: &mut mpsc::Receiver<Part>,
) -> Result<(Large, Option<Part>), RuntimeError> {
    let expected = path.strip_prefix("blobs/sha256/").map(|hex| format!("sha256:{hex}"));
    let total = i64::try_from(size).unwrap_or(i64::MAX);
    let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(2);
    let source = ReceiverStream::new(receiver).boxed();
    let writing = blobs::write(client, expected.as_deref(), total, HashMap::new(), source);
    let feeding = async move {
        let (mut gzip, mut first) = (false, true);
        loop {
            match parts.recv().await {
                Some(Part::Data(data)) => {
                    gzip |= first && is_gzip(&data);
                    first = false;
                    // Refused: it is there already, or `writing` says why.
                    let _ = sender.send(Ok(data)).await;
                }
                following => return (gzip, following),
            }
        }
    };
    let (blob, (gzip, following)) = tokio::join!(writing, feeding);
    Ok((Large { blob: blob?, gzip }, following))
}

fn parse<T: serde::de::DeserializeOwned>(bytes: &Bytes, what: &str) -> Result<T, RuntimeError> {
    serde_json::from_slice(bytes).map_err(|e| RuntimeError::Failed(format!("{what} does not parse: {e}")))
}

fn failed(archive: &Path, error: &dyn std::fmt::Display) -> RuntimeError {
    RuntimeError::Failed(format!("can't import {}: {error}", archive.display()))
}

fn blob_path(digest: &str) -> String {
    format!("blobs/{}", digest.replacen(':', "/", 1))
}

fn layer_type(gzip: bool) -> String {
    if gzip { format!("{DOCKER_LAYER}.gzip") } else { DOCKER_LAYER.to_owned() }
}

fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b])
}

fn len(bytes: &Bytes) -> i64 {
    i64::try_from(bytes.len()).unwrap_or(i64::MAX)
}
