//! The runtime's parts put together.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::cgroup;
use super::clean;
use super::client::{Client, failed};
use super::events;
use super::images::Images;
use super::import;
use super::known::Known;
use super::pipes::Pipes;
use super::pull::Puller;
use super::sandbox::Sandboxes;
use super::snapshots::Snapshots;
use crate::image::Name;
use crate::logs::Notices;
use crate::runtime::{
    ContainerSpec, Credentials, Ended, ExecProcess, ExecSpec, Found, Image, PullError, Runtime, RuntimeError, State,
    Usage,
};

/// Where containerd is, and how it is used.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its socket.
    pub socket: PathBuf,
    /// The namespace of containerd that belongs to this agent.
    pub namespace: String,
    /// The snapshotter; `None`: `overlayfs`, or `native` where that does not work.
    pub snapshotter: Option<String>,
    /// Pinned namespaces and pipes. Best on a tmpfs: nothing in it is of use after a reboot.
    pub state: PathBuf,
    /// Registries (`host:port`) that are asked over plain HTTP, besides those on loopback.
    pub insecure_registries: Vec<String>,
    /// Layers of one image that are got at once.
    pub parallel_layers: usize,
    /// How long containerd may take to answer at first.
    pub patience: Duration,
    /// Who hears of what is written to logs.
    pub notices: Notices,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            socket: "/run/containerd/containerd.sock".into(),
            namespace: "gantry".to_owned(),
            snapshotter: None,
            state: "/run/gantry/node".into(),
            insecure_registries: Vec::new(),
            parallel_layers: 3,
            patience: Duration::from_secs(30),
            notices: Notices::default(),
        }
    }
}

/// What all calls share.
pub struct Engine {
    pub client: Client,
    pub images: Arc<Images>,
    pub puller: Puller,
    pub sandboxes: Sandboxes,
    pub known: Known,
    pub options: Options,
}

/// The runtime `containerd`. Cheap to clone.
#[derive(Clone)]
pub struct Containerd {
    engine: Arc<Engine>,
}

impl Containerd {
    /// Connects, once containerd answers.
    pub async fn connect(options: Options) -> Result<Self, RuntimeError> {
        // Registries are asked over TLS; another part of the program may have chosen the implementation already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        std::fs::create_dir_all(&options.state)
            .map_err(|e| RuntimeError::Failed(format!("can't make {}: {e}", options.state.display())))?;
        let client = Client::new(&options.socket, &options.namespace)?;
        wait_for_answer(&client, options.patience).await?;
        let snapshotter = match &options.snapshotter {
            Some(name) => name.clone(),
            None => choose_snapshotter(&client).await?,
        };
        let snapshots = Snapshots::new(client.clone(), snapshotter);
        let images = Arc::new(Images::new(client.clone(), snapshots));
        let puller = Puller {
            images: Arc::clone(&images),
            insecure: options.insecure_registries.clone(),
            parallel: options.parallel_layers,
        };
        let (sandboxes, known) = (Sandboxes::new(&options.state), Known::new(&options.state));
        // Processes of a former agent have nobody who waits for them.
        Pipes::remove_left(&options.state.join("exec"));
        let engine = Arc::new(Engine { client, images, puller, sandboxes, known, options });
        if let Err(error) = clean::remove_half_made(&engine).await {
            tracing::warn!(%error, "something that a former agent was making stays");
        }
        Ok(Self { engine })
    }

    pub(super) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }
}

async fn wait_for_answer(client: &Client, patience: Duration) -> Result<(), RuntimeError> {
    let deadline = Instant::now() + patience;
    let mut pause = Duration::from_millis(20);
    loop {
        let Err(error) = version(client).await else { return Ok(()) };
        if Instant::now() + pause > deadline {
            return Err(error);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}

async fn version(client: &Client) -> Result<String, RuntimeError> {
    let answer = client.version().version(client.request(())).await.map_err(|s| failed("containerd", &s))?;
    let version = answer.into_inner().version;
    // Debian's build says `1.6.20~ds1`, others `v1.7.1`.
    let version = version.split('~').next().unwrap_or_default();
    Ok(format!("containerd://{}", version.trim_start_matches('v')))
}

/// An overlay needs a filesystem below that can carry one; containerd has tried.
async fn choose_snapshotter(client: &Client) -> Result<String, RuntimeError> {
    let overlay = Snapshots::new(client.clone(), "overlayfs".to_owned());
    match overlay.exists("none").await {
        Ok(_) => Ok(overlay.name),
        Err(RuntimeError::Failed(reason)) => {
            tracing::warn!(reason, "overlayfs is not available: snapshots are full copies");
            Ok("native".to_owned())
        }
        Err(error) => Err(error),
    }
}

#[async_trait]
impl Runtime for Containerd {
    async fn version(&self) -> Result<String, RuntimeError> {
        version(&self.engine.client).await
    }

    async fn image(&self, name: &str) -> Result<Option<Image>, RuntimeError> {
        let parsed = Name::parse(name).map_err(RuntimeError::Failed)?;
        let found = self.engine.images.get(&parsed).await?;
        Ok(found.map(|unpacked| unpacked.image.clone()))
    }

    async fn pull(&self, name: &str, credentials: &[Credentials]) -> Result<Image, PullError> {
        Ok(self.engine.puller.pull(name, credentials).await?.image.clone())
    }

    async fn images(&self) -> Result<Vec<Image>, RuntimeError> {
        self.engine.images.list().await
    }

    async fn import(&self, archive: &Path) -> Result<Vec<String>, RuntimeError> {
        import::import(&self.engine.images, archive).await
    }

    async fn containers(&self) -> Result<Vec<Found>, RuntimeError> {
        self.engine.containers().await
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<(), RuntimeError> {
        self.engine.create(spec).await
    }

    async fn start(&self, id: &str) -> Result<u32, RuntimeError> {
        self.engine.start(id).await
    }

    async fn signal(&self, id: &str, signal: i32, all: bool) -> Result<(), RuntimeError> {
        self.engine.signal(id, signal, all).await
    }

    async fn state(&self, id: &str) -> Result<State, RuntimeError> {
        self.engine.state(id).await
    }

    async fn remove(&self, id: &str) -> Result<(), RuntimeError> {
        self.engine.remove(id).await
    }

    async fn release_sandbox(&self, sandbox: &str) -> Result<(), RuntimeError> {
        self.engine.sandboxes.release(sandbox).await
    }

    async fn sandboxes(&self) -> Result<Vec<String>, RuntimeError> {
        Ok(self.engine.sandboxes.all())
    }

    async fn remove_sandbox(&self, sandbox: &str) -> Result<(), RuntimeError> {
        self.engine.remove_sandbox(sandbox).await
    }

    async fn exec(&self, id: &str, spec: ExecSpec) -> Result<ExecProcess, RuntimeError> {
        self.engine.exec(id, spec).await
    }

    async fn run(&self, id: &str, command: &[String], patience: Duration) -> Result<(i32, String), RuntimeError> {
        self.engine.run(id, command, patience).await
    }

    async fn usage(&self, id: &str) -> Result<Usage, RuntimeError> {
        let entry = self.engine.entry(id).await?;
        cgroup::usage(&entry.facts.cgroup).ok_or_else(|| RuntimeError::NotFound(format!("the cgroup of {id}")))
    }

    fn ends(&self) -> mpsc::Receiver<Option<Ended>> {
        let (sender, receiver) = mpsc::channel(64);
        tokio::spawn(events::watch(Arc::clone(&self.engine), sender));
        receiver
    }
}
