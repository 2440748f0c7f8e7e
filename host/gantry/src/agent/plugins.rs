//! The plugins of a node: those that the server's bundle has for it, kept on disk so that the node starts while its server
//! is away.

use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use gantry_link::{BundleOffer, Client, ClientError};
use gantry_plugin::bundle::{self, Bundle};
use gantry_plugin::{Engine, Loaded};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::objects::NoObjects;
use crate::files::write_private;

/// Between tries to learn what the plugins are.
const RETRY: Duration = Duration::from_secs(2);

/// Plugins that were loaded, and the offer that they are of.
#[derive(Clone)]
pub struct Set {
    pub offer: BundleOffer,
    pub loaded: Vec<Arc<Loaded>>,
    /// Plugins of the bundle that do not run here.
    pub absent: Vec<String>,
}

/// What is kept of an offer. Written once its components are there and could be loaded.
#[derive(Serialize, Deserialize)]
struct Kept {
    bundle: String,
    sinks: Vec<String>,
    #[serde(default)]
    cluster_ranges: Vec<String>,
    #[serde(default)]
    absent: Vec<String>,
    #[serde(default)]
    local: Vec<SocketAddrV4>,
}

pub struct Plugins {
    engine: Engine,
    client: Client,
    folder: PathBuf,
}

impl Plugins {
    pub fn new(engine: Engine, client: Client, folder: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&folder).with_context(|| format!("can't make {}", folder.display()))?;
        Ok(Self { engine, client, folder })
    }

    /// The plugins to begin with: the server's, or, while it is away, those that it had last.
    pub async fn first(&self) -> Result<Set> {
        let mut told = false;
        loop {
            let away = match self.fetch().await {
                Ok(offer) => return self.load(offer).await,
                Err(ClientError::Refused(why)) => bail!("the server refuses this node: {why}"),
                Err(error) => error,
            };
            if let Some(offer) = self.kept() {
                tracing::warn!(error = %away, "the server is away: starting with the plugins that it had last");
                return self.load(offer).await;
            }
            if !told {
                tracing::warn!(error = %away, "waiting for the server: this node has no plugins yet");
                told = true;
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Waits until the server has other plugins than these, and they are loaded. Asks whenever the link came about: the
    /// bundle of a server does not change while it runs.
    pub async fn next(&self, now: &Set, mut links: watch::Receiver<u64>) -> Set {
        loop {
            if links.changed().await.is_err() {
                return std::future::pending().await;
            }
            match self.other(now).await {
                Ok(Some(set)) => return set,
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(
                        error = format!("{error:#}"),
                        "keeping the plugins there are: the server's can't be had"
                    );
                }
            }
        }
    }

    async fn other(&self, now: &Set) -> Result<Option<Set>> {
        let offer = self.fetch().await?;
        if offer == now.offer {
            return Ok(None);
        }
        self.load(offer).await.map(Some)
    }

    /// The server's offer, with every component of it on disk.
    async fn fetch(&self) -> Result<BundleOffer, ClientError> {
        let offer = self.client.bundle().await?;
        let parsed = Bundle::parse(&offer.bundle, Path::new("of the server"));
        let parsed = parsed.map_err(|error| ClientError::Missing(error.to_string()))?;
        for digest in parsed.plugins.iter().filter_map(|entry| entry.digest.as_deref()) {
            self.fetch_component(digest).await?;
        }
        Ok(offer)
    }

    fn keep(&self, offer: &BundleOffer) -> Result<()> {
        let BundleOffer { bundle, sinks, cluster_ranges, absent, local } = offer.clone();
        let kept = Kept { bundle, sinks, cluster_ranges, absent, local };
        write_private(&self.folder.join("offer.json"), serde_json::to_vec(&kept)?)
    }

    async fn fetch_component(&self, digest: &str) -> Result<(), ClientError> {
        let file = self.file(digest);
        if std::fs::read(&file).is_ok_and(|bytes| bundle::digest(&bytes) == digest) {
            return Ok(());
        }
        let bytes = self.client.component(digest).await?;
        let found = bundle::digest(&bytes);
        if found != digest {
            return Err(ClientError::Missing(format!("the server sent {found} for component {digest}")));
        }
        tracing::info!(digest, bytes = bytes.len(), "fetched a component");
        write_private(&file, &bytes).map_err(|error| ClientError::Missing(format!("{error:#}")))
    }

    fn file(&self, digest: &str) -> PathBuf {
        self.folder.join(format!("{}.wasm", digest.trim_start_matches("sha256:")))
    }

    /// The offer of last time.
    fn kept(&self) -> Option<BundleOffer> {
        let text = std::fs::read(self.folder.join("offer.json")).ok()?;
        let Kept { bundle, sinks, cluster_ranges, absent, local } = serde_json::from_slice(&text).ok()?;
        Some(BundleOffer { bundle, sinks, cluster_ranges, absent, local })
    }

    async fn load(&self, offer: BundleOffer) -> Result<Set> {
        let mut bundle = Bundle::parse(&offer.bundle, Path::new("of the server"))?;
        let (mut loaded, mut absent) = (Vec::new(), offer.absent.clone());
        for entry in &mut bundle.plugins {
            entry.source = entry.digest.as_deref().map(|digest| self.file(digest));
            match self.engine.load_one(entry, &[], Arc::new(NoObjects)).await {
                Ok(plugin) => loaded.push(Arc::new(plugin)),
                Err(error) if error.required => return Err(error.into()),
                Err(error) => {
                    tracing::warn!(%error, "running without a plugin");
                    absent.push(entry.name.clone());
                }
            }
        }
        if let Err(error) = self.keep(&offer) {
            let error = format!("{error:#}");
            tracing::warn!(error, "can't keep what the server offers: this node will not start without it");
        }
        Ok(Set { offer, loaded, absent })
    }
}
