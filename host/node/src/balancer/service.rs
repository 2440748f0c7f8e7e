//! The loop: what changed, the plugin's plan, the node.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gantry_plugin::family::Error as Refusal;
use gantry_plugin::family::load_balancer::NodeInfo;
use gantry_plugin::{Effective, Fault, LoadBalancer};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tracing::{debug, info, warn};

use super::table::Table;
use crate::cluster::{Cluster, PodEvent, PodFeed};
use crate::network::{Executor, NetError, Permits};

/// Between attempts, growing.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));
/// Batches of changes that wait while a plan is being applied. Whoever brings more waits too.
const WAITING: usize = 64;

/// What is needed to start.
pub struct Options {
    /// The plugin.
    pub plugin: Box<dyn LoadBalancer>,
    /// Its name, for messages.
    pub plugin_name: String,
    /// What it may do.
    pub grants: Effective,
    /// The node's place in the cluster.
    pub node: NodeInfo,
    /// Where Frontends and EndpointSlices are.
    pub cluster: Arc<dyn Cluster>,
    /// The network namespace that plays the node; `None`: the one of this process.
    pub node_netns: Option<PathBuf>,
}

/// A load balancer at work. It ends when this is dropped; what it has put on the node stays.
pub struct Balancer {
    task: AbortHandle,
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Balancer {
    /// Starts it. It waits for everything that it needs by itself.
    pub fn start(options: Options) -> Self {
        Self { task: tokio::spawn(run(options)).abort_handle() }
    }
}

/// What comes in.
enum Seen {
    Frontends(Vec<PodEvent>),
    Slices(Vec<PodEvent>),
}

#[derive(Debug, thiserror::Error)]
enum Error {
    /// The plugin is at fault.
    #[error("{0}")]
    Fault(#[from] Fault),
    /// The plugin refuses.
    #[error("{0}")]
    Refused(String),
    /// Its plan can't be applied.
    #[error("{0}")]
    Plan(#[from] NetError),
    /// The node can't be reached.
    #[error("netlink: {0}")]
    Netlink(#[from] std::io::Error),
}

impl From<Refusal> for Error {
    fn from(error: Refusal) -> Self {
        Error::Refused(error.message)
    }
}

async fn run(options: Options) {
    let (tell, mut seen) = mpsc::channel(WAITING);
    let mut feeds = JoinSet::new();
    let frontends = options.cluster.follow("gantry.dev", "v1alpha1", "frontends");
    let slices = options.cluster.follow("discovery.k8s.io", "v1", "endpointslices");
    feeds.spawn(feed(frontends, tell.clone(), Seen::Frontends));
    feeds.spawn(feed(slices, tell, Seen::Slices));
    let permits = Permits::new(&options.plugin_name, &options.grants);
    let mut worker = Worker {
        table: Table::new(&options.node.name),
        plugin: options.plugin,
        name: options.plugin_name,
        node: options.node,
        permits,
        node_netns: options.node_netns,
    };
    // Before both are known, everything would be less than there is.
    let (mut frontends, mut slices) = (false, false);
    while !(frontends && slices) {
        let Some(next) = seen.recv().await else { return };
        match next {
            Seen::Frontends(_) => frontends = true,
            Seen::Slices(_) => slices = true,
        }
        worker.take(next);
    }
    let mut pause = BACKOFF.0;
    loop {
        let before = tokio::time::Instant::now();
        match worker.serve(&mut seen).await {
            Ok(()) => return,
            Err(error) => warn!(plugin = worker.name, %error, "load balancing starts anew; what was applied stays"),
        }
        if before.elapsed() > BACKOFF.1 {
            pause = BACKOFF.0;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(BACKOFF.1);
    }
}

/// Hands over what a feed brings, for ever. A snapshot comes first, and again after an error.
async fn feed(mut feed: Box<dyn PodFeed>, tell: mpsc::Sender<Seen>, kind: fn(Vec<PodEvent>) -> Seen) {
    let mut pause = BACKOFF.0;
    loop {
        match feed.next().await {
            Ok(events) => {
                pause = BACKOFF.0;
                if tell.send(kind(events)).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                debug!(%error, "a feed of the load balancer broke off");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(BACKOFF.1);
            }
        }
    }
}

struct Worker {
    table: Table,
    plugin: Box<dyn LoadBalancer>,
    name: String,
    node: NodeInfo,
    permits: Permits,
    node_netns: Option<PathBuf>,
}

impl Worker {
    fn take(&mut self, seen: Seen) {
        match seen {
            Seen::Frontends(events) => self.table.frontends(events),
            Seen::Slices(events) => self.table.slices(events),
        }
    }

    /// A new instance, everything, then every change. Ends with an error, or when nothing comes any more.
    async fn serve(&mut self, seen: &mut mpsc::Receiver<Seen>) -> Result<(), Error> {
        let executor = Executor::open(self.node_netns.clone()).await?;
        let description = self.plugin.reset(self.node.clone()).await??;
        self.table.serve(description.classes);
        let plan = self.plugin.node().await??;
        self.permits.check(&plan)?;
        executor.apply(&plan, None).await?;
        self.sync(&executor, true).await?;
        info!(plugin = self.name, "load balancing");
        while let Some(next) = seen.recv().await {
            self.take(next);
            // What came meanwhile goes along.
            while let Ok(next) = seen.try_recv() {
                self.take(next);
            }
            if self.table.is_dirty() {
                self.sync(&executor, false).await?;
            }
        }
        Ok(())
    }

    async fn sync(&mut self, executor: &Executor, full: bool) -> Result<(), Error> {
        let deltas = self.table.take(full);
        let plan = self.plugin.sync(full, &deltas).await??;
        self.permits.check(&plan)?;
        Ok(executor.apply(&plan, None).await?)
    }
}
