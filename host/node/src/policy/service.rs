//! The loop: what changed, the plugin's plan, the node, and who waits for it.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gantry_plugin::family::KindRef;
use gantry_plugin::family::network_policy::{NodeInfo, Pod};
use gantry_plugin::{Effective, NetworkPolicy};
use k8s_openapi::api::core::v1;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;
use tracing::{info, warn};

use super::PodGuard;
use super::document;
use super::meter::Meter;
use super::table::Table;
use crate::cluster::{PodEvent, PodFeed, PodRef, Steady};
use crate::network::{Granted, Owned, Permits, PlanError};
use crate::pauses::Pauses;

/// Changes that wait while a plan is being applied. Whoever brings more waits too.
const WAITING: usize = 64;
/// How long a pod waits for its policies before it says so and tries again.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is needed to start.
pub struct Options {
    /// The plugin.
    pub plugin: Box<dyn NetworkPolicy>,
    /// Its name, for messages.
    pub plugin_name: String,
    /// What it may do.
    pub grants: Effective,
    /// The node's place in the cluster.
    pub node: NodeInfo,
    /// Every pod of the cluster.
    pub pods: Box<dyn PodFeed>,
    /// Every namespace.
    pub namespaces: Box<dyn PodFeed>,
    /// Every policy, by kind.
    pub policies: Vec<(KindRef, Box<dyn PodFeed>)>,
    /// The network's data directory, where it is written down what plans put on the node; `None`: it is not.
    pub data_dir: Option<PathBuf>,
    /// The network namespace that plays the node; `None`: the one of this process.
    pub node_netns: Option<PathBuf>,
}

/// Network policies at work. They end when this is dropped; what they have put on the node stays.
pub struct Policies {
    inbox: mpsc::Sender<Seen>,
    plugin: String,
    task: AbortHandle,
}

impl Drop for Policies {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Policies {
    /// Starts them. They wait for everything that they need by themselves.
    pub fn start(options: Options) -> Self {
        let (inbox, seen) = mpsc::channel(WAITING);
        let plugin = options.plugin_name.clone();
        let task = tokio::spawn(run(options, inbox.clone(), seen)).abort_handle();
        Self { inbox, plugin, task }
    }
}

#[async_trait]
impl PodGuard for Policies {
    async fn admit(&self, key: &PodRef, pod: &v1::Pod, addresses: &[IpAddr]) -> Result<(), String> {
        let (answer, answered) = oneshot::channel();
        let pod = document::placed(key, pod, addresses);
        let asked = async {
            self.inbox.send(Seen::Placed(Box::new(pod), answer)).await.map_err(|_| "they have ended".to_owned())?;
            answered.await.map_err(|_| "they have ended".to_owned())?
        };
        let late = || Err(format!("it took longer than {} s", PATIENCE.as_secs()));
        let outcome = tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| late());
        outcome.map_err(|why| format!("network policies are not in force (plugin {}): {why}", self.plugin))
    }

    async fn forget(&self, key: &PodRef) {
        // An end of the loop is an end of the agent.
        let _ = self.inbox.send(Seen::Displaced(key.uid.clone())).await;
    }
}

/// What comes in.
enum Seen {
    Pods(Vec<PodEvent>),
    Namespaces(Vec<PodEvent>),
    /// Of the kind with this number.
    Policies(usize, Vec<PodEvent>),
    /// A pod of this node has its addresses, and waits.
    Placed(Box<Pod>, Answer),
    /// It has given them up.
    Displaced(String),
}

type Answer = oneshot::Sender<Result<(), String>>;

async fn run(options: Options, inbox: mpsc::Sender<Seen>, mut seen: mpsc::Receiver<Seen>) {
    let mut feeds = JoinSet::new();
    feeds.spawn(Steady::new("pods", options.pods).tell(inbox.clone(), Seen::Pods));
    feeds.spawn(Steady::new("namespaces", options.namespaces).tell(inbox.clone(), Seen::Namespaces));
    let mut kinds = Vec::new();
    for (number, (kind, policies)) in options.policies.into_iter().enumerate() {
        let policies = Steady::new("network policies", policies);
        feeds.spawn(policies.tell(inbox.clone(), move |events| Seen::Policies(number, events)));
        kinds.push(kind);
    }
    drop(inbox);
    let mut worker = Worker {
        missing: Missing { pods: true, namespaces: true, policies: vec![true; kinds.len()] },
        table: Table::new(&options.node.name, kinds),
        permits: Arc::new(Permits::new(&options.plugin_name, &options.grants)),
        owned: options.data_dir.map(|data| Arc::new(Owned::open(&data, &options.plugin_name))),
        meter: Meter::new(&options.plugin_name),
        plugin: options.plugin,
        name: options.plugin_name,
        node: options.node,
        node_netns: options.node_netns,
        waiting: Vec::new(),
    };
    // Before all are known, everything would be less than there is. Who waits, waits on.
    while worker.missing.any() {
        let Some(next) = seen.recv().await else { return };
        worker.take(next);
    }
    let mut pauses = Pauses::of_work();
    loop {
        let begun = Instant::now();
        let Err(error) = worker.serve(&mut seen).await else { return };
        warn!(plugin = worker.name, %error, "network policies start anew; what was applied stays");
        worker.meter.failed();
        pauses.worked(begun.elapsed());
        worker.pause(pauses.next(), &error.to_string(), &mut seen).await;
    }
}

/// Feeds of which nothing came yet.
struct Missing {
    pods: bool,
    namespaces: bool,
    policies: Vec<bool>,
}

impl Missing {
    fn any(&self) -> bool {
        self.pods || self.namespaces || self.policies.contains(&true)
    }
}

struct Worker {
    missing: Missing,
    table: Table,
    permits: Arc<Permits>,
    owned: Option<Arc<Owned>>,
    meter: Meter,
    plugin: Box<dyn NetworkPolicy>,
    name: String,
    node: NodeInfo,
    node_netns: Option<PathBuf>,
    /// Pods that start when the next plan is applied, by their namespace.
    waiting: Vec<(String, Answer)>,
}

impl Worker {
    fn take(&mut self, seen: Seen) {
        match seen {
            Seen::Pods(events) => {
                self.missing.pods = false;
                self.table.pods(events);
            }
            Seen::Namespaces(events) => {
                self.missing.namespaces = false;
                self.table.namespaces(events);
            }
            Seen::Policies(number, events) => {
                self.missing.policies.iter_mut().skip(number).take(1).for_each(|missing| *missing = false);
                self.table.policies(number, events);
            }
            Seen::Placed(pod, answer) => {
                self.waiting.push((pod.namespace.clone(), answer));
                self.table.place(*pod);
            }
            Seen::Displaced(uid) => self.table.displace(&uid),
        }
    }

    /// A new instance, everything, then every change. Ends with an error, or when nothing comes any more.
    async fn serve(&mut self, seen: &mut mpsc::Receiver<Seen>) -> Result<(), PlanError> {
        let node = Granted::open(self.node_netns.clone(), self.permits.clone(), self.owned.clone()).await?;
        self.plugin.reset(self.node.clone()).await??;
        node.apply(&self.plugin.node().await??).await?;
        self.sync(&node, true).await?;
        info!(plugin = self.name, "network policies are in force");
        while let Some(next) = seen.recv().await {
            self.take(next);
            // What came meanwhile goes along.
            while let Ok(next) = seen.try_recv() {
                self.take(next);
            }
            if self.table.is_dirty() {
                self.sync(&node, false).await?;
            }
            self.answer();
        }
        Ok(())
    }

    async fn sync(&mut self, node: &Granted, full: bool) -> Result<(), PlanError> {
        let begun = Instant::now();
        let deltas = self.table.take(full);
        let plan = self.plugin.sync(full, &deltas).await??;
        node.apply(&plan).await?;
        self.meter.applied(&plan, begun.elapsed());
        self.answer();
        Ok(())
    }

    /// Everything that was told is in force: who waits may start.
    fn answer(&mut self) {
        for (_, answer) in self.waiting.drain(..) {
            let _ = answer.send(Ok(()));
        }
    }

    /// Until the next attempt pods start only where there is no policy.
    async fn pause(&mut self, pause: Duration, why: &str, seen: &mut mpsc::Receiver<Seen>) {
        let end = tokio::time::sleep(pause);
        tokio::pin!(end);
        loop {
            for (namespace, answer) in self.waiting.drain(..) {
                let guarded = self.table.guards(&namespace);
                let _ = answer.send(if guarded { Err(why.to_owned()) } else { Ok(()) });
            }
            tokio::select! {
                () = &mut end => return,
                next = seen.recv() => match next {
                    Some(next) => self.take(next),
                    None => return,
                },
            }
        }
    }
}

#[cfg(test)]
mod tests;
