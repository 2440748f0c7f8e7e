//! The reconcile loop of one controller plugin: watch, map to keys, queue, one call with a batch of keys. The plugin
//! reads and writes through its own imports; what a key means is its business.

mod feed;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use gantry_objects::Objects;
use gantry_plugin::Controller;
use gantry_plugin::family::ObjectRef;
use gantry_plugin::family::controller::{Description, Mapping, Watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::queue::{Depth, Queue};
use crate::recorder::Recorder;

/// What a loop is made of.
pub struct Options {
    /// The plugin's name, for Events, metrics and logs.
    pub plugin: String,
    /// The plugin.
    pub controller: Arc<dyn Controller>,
    /// The objects that wake it.
    pub objects: Objects,
    /// For failed passes.
    pub recorder: Recorder,
    /// Calls under way at once.
    pub concurrency: usize,
    /// Keys in one call.
    pub batch: usize,
}

/// A running loop. Dropping it stops it.
pub struct Handle {
    queue: Arc<Queue<Key>>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

/// A key of the queue: an object of a reconciled kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub group: String,
    pub kind: String,
    pub namespace: String,
    pub name: String,
}

impl Key {
    pub(crate) fn of(target: ObjectRef) -> Self {
        Self { group: target.kind.group, kind: target.kind.kind, namespace: target.namespace, name: target.name }
    }

    pub(crate) fn object_ref(&self) -> ObjectRef {
        let kind = gantry_plugin::family::KindRef { group: self.group.clone(), kind: self.kind.clone() };
        ObjectRef { kind, namespace: self.namespace.clone(), name: self.name.clone() }
    }
}

/// Starts a loop. It waits for the plugin and for its kinds as long as it takes.
pub fn start(options: Options) -> Handle {
    let queue = Arc::new(Queue::new(Backoff::KEYS));
    let stop = CancellationToken::new();
    let run = Loop { options: Arc::new(options), queue: queue.clone() };
    let stopped = stop.clone();
    let task = tokio::spawn(async move {
        let _ = stopped.run_until_cancelled(run.run()).await;
    });
    Handle { queue, stop, task }
}

impl Handle {
    /// What waits.
    pub fn depth(&self) -> Depth {
        self.queue.depth()
    }

    /// Stops it. Calls under way are given up: their keys are looked at again by the next loop. Waits until none is left.
    pub async fn stop(mut self) {
        self.queue.close();
        self.stop.cancel();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.queue.close();
        self.stop.cancel();
    }
}

struct Loop {
    options: Arc<Options>,
    queue: Arc<Queue<Key>>,
}

impl Loop {
    async fn run(&self) {
        let description = self.describe().await;
        let mut tasks = JoinSet::new();
        for (kind, watches) in by_kind(description) {
            let feed = feed::Feed::new(self.options.clone(), self.queue.clone(), kind, watches);
            tasks.spawn(feed.run());
        }
        let suspects = worker::Suspects::default();
        for _ in 0..self.options.concurrency.max(1) {
            let (options, queue, suspects) = (self.options.clone(), self.queue.clone(), suspects.clone());
            tasks.spawn(worker::Worker { options, queue, suspects }.run());
        }
        tasks.spawn(measure(self.options.plugin.clone(), self.queue.clone()));
        while tasks.join_next().await.is_some() {}
    }

    async fn describe(&self) -> Description {
        let plugin = &self.options.plugin;
        let mut failures = 0;
        loop {
            match self.options.controller.describe().await {
                Ok(Ok(description)) => return description,
                Ok(Err(error)) => {
                    tracing::warn!(plugin, error = error.message, "a controller does not say what it watches")
                }
                Err(fault) => tracing::warn!(plugin, %fault, "a controller does not say what it watches"),
            }
            failures += 1;
            tokio::time::sleep(Backoff::LOOPS.after(failures)).await;
        }
    }
}

/// Watches of one kind share one follower.
fn by_kind(description: Description) -> Vec<(gantry_plugin::family::KindRef, Vec<Watch>)> {
    let mut kinds: Vec<(gantry_plugin::family::KindRef, Vec<Watch>)> = Vec::new();
    for watch in description.watches {
        let same = |(kind, _): &&mut (gantry_plugin::family::KindRef, _)| {
            kind.group == watch.kind.group && kind.kind == watch.kind.kind
        };
        match kinds.iter_mut().find(same) {
            Some((_, watches)) => watches.push(watch),
            None => kinds.push((watch.kind.clone(), vec![watch])),
        }
    }
    kinds
}

async fn measure(plugin: String, queue: Arc<Queue<Key>>) {
    let mut tick = tokio::time::interval(Duration::from_secs(2));
    loop {
        tick.tick().await;
        let depth = queue.depth();
        let gauge = |name: &'static str, value: f64| metrics::gauge!(name, "plugin" => plugin.clone()).set(value);
        gauge("gantry_queue_depth", depth.ready as f64);
        gauge("gantry_queue_delayed", depth.delayed as f64);
        gauge("gantry_queue_oldest_seconds", depth.oldest.as_secs_f64());
        metrics::counter!("gantry_queue_retries_total", "plugin" => plugin.clone()).absolute(depth.retries);
    }
}

/// Whether the plugin itself says which keys an object concerns.
fn asks(mapping: Mapping) -> bool {
    matches!(mapping, Mapping::Orphan | Mapping::Map)
}
