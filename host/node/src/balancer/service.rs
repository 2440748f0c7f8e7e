//! The loop: what changed, the plugin's plan, the node.

use std::path::PathBuf;
use std::sync::Arc;

use gantry_plugin::family::load_balancer::NodeInfo;
use gantry_plugin::family::network::Operation;
use gantry_plugin::{Effective, LoadBalancer};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;
use tracing::{info, warn};

use super::table::Table;
use super::zone;
use crate::cluster::{Cluster, PodEvent, Steady};
use crate::network::{Granted, NetError, Owned, Permits, PlanError};
use crate::pauses::Pauses;
use crate::proxy::apart::{Applied, Keeper};

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
    /// The node's place in the cluster. Its zone is followed.
    pub node: NodeInfo,
    /// Where Frontends and EndpointSlices are.
    pub cluster: Arc<dyn Cluster>,
    /// Where plans for listeners go; `None`: there is no proxy, and listeners are refused.
    pub proxy: Option<Keeper>,
    /// The network's data directory, where it is written down what plans put on the node; `None`: it is not.
    pub data_dir: Option<PathBuf>,
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
    Nodes(Vec<PodEvent>),
}

async fn run(options: Options) {
    let (tell, mut seen) = mpsc::channel(WAITING);
    let _feeds = feeds(&*options.cluster, &tell);
    drop(tell);
    let mut worker = Worker {
        table: Table::new(&options.node.name),
        permits: Arc::new(Permits::new(&options.plugin_name, &options.grants)),
        owned: options.data_dir.map(|data| Arc::new(Owned::open(&data, &options.plugin_name))),
        plugin: options.plugin,
        name: options.plugin_name,
        node: options.node,
        proxy: options.proxy,
        node_netns: options.node_netns,
    };
    // Before all are known, everything would be less than there is.
    let (mut frontends, mut slices, mut nodes) = (false, false, false);
    while !(frontends && slices && nodes) {
        let Some(next) = seen.recv().await else { return };
        match next {
            Seen::Frontends(_) => frontends = true,
            Seen::Slices(_) => slices = true,
            Seen::Nodes(_) => nodes = true,
        }
        worker.take(next);
    }
    let mut pauses = Pauses::of_work();
    loop {
        let begun = Instant::now();
        match worker.serve(&mut seen).await {
            Ok(End::Silence) => return,
            Ok(End::Moved) => info!(zone = worker.node.zone, "this node has another zone; load balancing starts anew"),
            Err(error) => {
                warn!(plugin = worker.name, %error, "load balancing starts anew; what was applied stays");
                pauses.worked(begun.elapsed());
                pauses.wait().await;
            }
        }
    }
}

fn feeds(cluster: &dyn Cluster, tell: &mpsc::Sender<Seen>) -> JoinSet<()> {
    let mut feeds = JoinSet::new();
    let frontends = cluster.follow("gantry.dev", "v1alpha1", "frontends");
    let slices = cluster.follow("discovery.k8s.io", "v1", "endpointslices");
    let nodes = cluster.follow("", "v1", "nodes");
    feeds.spawn(Steady::new("frontends", frontends).tell(tell.clone(), Seen::Frontends));
    feeds.spawn(Steady::new("endpointslices", slices).tell(tell.clone(), Seen::Slices));
    feeds.spawn(Steady::new("nodes", nodes).tell(tell.clone(), Seen::Nodes));
    feeds
}

/// Why there is nothing more to do for an instance.
enum End {
    /// Nothing comes any more.
    Silence,
    /// The node is in another zone than it was told.
    Moved,
}

struct Worker {
    table: Table,
    plugin: Box<dyn LoadBalancer>,
    name: String,
    node: NodeInfo,
    permits: Arc<Permits>,
    owned: Option<Arc<Owned>>,
    proxy: Option<Keeper>,
    node_netns: Option<PathBuf>,
}

impl Worker {
    fn take(&mut self, seen: Seen) {
        match seen {
            Seen::Frontends(events) => self.table.frontends(events),
            Seen::Slices(events) => self.table.slices(events),
            Seen::Nodes(events) => zone::take(&self.node.name, &mut self.node.zone, &events),
        }
    }

    /// A new instance, everything, then every change. Ends with an error, or when there is a reason.
    async fn serve(&mut self, seen: &mut mpsc::Receiver<Seen>) -> Result<End, PlanError> {
        let node = Granted::open(self.node_netns.clone(), self.permits.clone(), self.owned.clone()).await?;
        let told = self.node.clone();
        let description = self.plugin.reset(told.clone()).await??;
        self.table.serve(description.classes);
        node.apply(&self.plugin.node().await??).await?;
        self.sync(&node, true).await?;
        info!(plugin = self.name, "load balancing");
        loop {
            let next = tokio::select! {
                next = seen.recv() => next,
                () = lost(self.proxy.as_ref(), &self.name) => {
                    warn!(plugin = self.name, "the node's proxy has ended; another one is told of everything");
                    self.sync(&node, true).await?;
                    continue;
                }
            };
            let Some(next) = next else { return Ok(End::Silence) };
            self.take(next);
            // What came meanwhile goes along.
            while let Ok(next) = seen.try_recv() {
                self.take(next);
            }
            if self.node.zone != told.zone {
                return Ok(End::Moved);
            }
            if self.table.is_dirty() {
                self.sync(&node, false).await?;
            }
        }
    }

    async fn sync(&mut self, node: &Granted, full: bool) -> Result<(), PlanError> {
        let applied = self.plan(node, full).await?;
        if applied == Applied::TellAll && self.plan(node, true).await? == Applied::TellAll {
            return Err(NetError::Failed("the node's proxy takes no plan".to_owned()).into());
        }
        Ok(())
    }

    async fn plan(&mut self, node: &Granted, full: bool) -> Result<Applied, PlanError> {
        let deltas = self.table.take(full);
        let plan = self.plugin.sync(full, &deltas).await??;
        node.apply(&plan).await?;
        match &self.proxy {
            Some(proxy) => Ok(proxy.apply(&self.name, full, &plan, &|id| self.table.about(id)).await?),
            // Without a proxy nothing of it needs to go.
            None if plan.iter().any(|o| matches!(o, Operation::EnsureListener(_) | Operation::EnsurePool(_))) => {
                Err(NetError::Failed("this node has no proxy".to_owned()).into())
            }
            None => Ok(Applied::Done),
        }
    }
}

async fn lost(proxy: Option<&Keeper>, plugin: &str) {
    match proxy {
        Some(proxy) => proxy.lost(plugin).await,
        None => std::future::pending().await,
    }
}
